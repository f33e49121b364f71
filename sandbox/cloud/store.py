# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud's state: projects with their resources, and a version that moves with every change."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import hashlib
import itertools
import json
import re
import secrets

from ..interfaces import ClusterKey, Json
from .errors import Refusal, no_permission

# Enabled in a project that has only just been made.
INITIAL_SERVICES = frozenset(
    {
        "cloudresourcemanager.googleapis.com",
        "serviceusage.googleapis.com",
        "storage.googleapis.com",
    }
)

NUMBER = re.compile(r"[0-9]{1,9}")


@dataclasses.dataclass
class Project:
    """One project; documents are kept as the REST API answers them."""

    id: str
    number: str
    document: Json
    services: set[str] = dataclasses.field(default_factory=lambda: set(INITIAL_SERVICES))
    compute: dict[str, Json] = dataclasses.field(default_factory=dict)  # "regions/R/addresses/NAME" -> document
    pending: set[str] = dataclasses.field(default_factory=set)  # compute paths whose insert still runs
    balancing: dict[str, Json] = dataclasses.field(default_factory=dict)  # parts of load balancers that GKE made
    endpoints: dict[str, list[Json]] = dataclasses.field(default_factory=dict)  # of the endpoint groups among them
    clusters: dict[ClusterKey, Json] = dataclasses.field(default_factory=dict)
    memberships: dict[str, Json] = dataclasses.field(default_factory=dict)  # full name -> document
    fleet: Json | None = None
    features: dict[str, Json] = dataclasses.field(default_factory=dict)  # feature id -> document
    accounts: dict[str, Json] = dataclasses.field(default_factory=dict)  # email -> document
    agents: set[str] = dataclasses.field(default_factory=set)  # emails of Google's own service agents
    unseen: set[str] = dataclasses.field(
        default_factory=set
    )  # emails of accounts that IAM has and others do not see yet
    identity_pool: bool = False
    called: set[str] = dataclasses.field(default_factory=set)  # services that were used

    @property
    def pool_name(self) -> str:
        return f"{self.id}.svc.id.goog"

    def sees(self, email: str) -> bool:
        """Whether a service account is there for those who give it a role or a node."""
        return email in self.accounts and email not in self.unseen


class Store:
    """Everything the cloud knows. Single-threaded: only the event loop touches it."""

    def __init__(self, project: str) -> None:
        self.version = 1
        self.projects: dict[str, Project] = {}
        self.buckets: dict[str, Json] = {}  # bucket names are global
        self.policies: dict[str, Json] = {}  # "project/ID", "bucket/NAME", "serviceAccount/EMAIL" -> IAM policy
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self.main = self.add_project(project, {"name": project}, number="123456789012")

    def add_project(self, project_id: str, document: Json, *, number: str = "") -> Project:
        number = number or str(200000000000 + next(self._numbers))
        base = {"projectNumber": number, "projectId": project_id, "lifecycleState": "ACTIVE", "createTime": now()}
        project = Project(project_id, number, {**base, **document})
        self.projects[project_id] = project
        self.changed()
        return project

    def project(self, name: str) -> Project:
        """The project with this id or number. Raises Refusal 403 as Google does for one that nobody may see."""
        for project in self.projects.values():
            if name in (project.id, project.number) and project.document["lifecycleState"] == "ACTIVE":
                return project
        raise no_permission()

    def unique_id(self) -> str:
        """A decimal id as compute and container hand out, unique in this sandbox."""
        return str(1_000_000_000_000_000_000 + next(self._numbers) * 1_000_003 + secrets.randbelow(1_000_000))

    def changed(self) -> None:
        """Tell the watchers that the state has moved."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_change(self, seen: int) -> int:
        while self.version <= seen:
            await self._changed.wait()
        return self.version


def now() -> str:
    """The time as Google writes it, in UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fingerprint(document: object) -> str:
    """A fingerprint or etag: base64 with padding, moves whenever the document does."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def stable_id(name: str) -> str:
    """A decimal id for what is made anew at each look: the same for the same name."""
    return str((1 << 62) + int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))


def page(items: list[Json], query: dict[str, str], *, size: str, default: int = 500) -> tuple[list[Json], str]:
    """One page of ``items`` and the token of the next ("" when this is the last).

    ``size`` names the query parameter with the page's size ("maxResults" or "pageSize").
    """
    numbers = [query.get(name) or "0" for name in (size, "pageToken")]
    if not all(NUMBER.fullmatch(text) for text in numbers):
        raise Refusal("INVALID_ARGUMENT", "Invalid page token or size.", reason="invalid")
    limit, start = int(numbers[0]) or default, int(numbers[1])
    chosen = items[start : start + limit]
    return chosen, str(start + limit) if start + limit < len(items) else ""
