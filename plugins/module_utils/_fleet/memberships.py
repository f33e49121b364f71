# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A cluster's membership in the fleet as a resource to reconcile."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import typing as t

from .._errors import CollectionError
from .._gcp.projects import SameProject
from .._reconcile import Change, Field, Json, Labels, same_value
from .hub import Hub
from .names import same_cluster, same_membership

STALE = (
    "its cluster is gone or was created anew since: register it again with recreate: true, "
    "or remove it with state: absent"
)
# What a feature says of a membership whose cluster it cannot reach any more.
LOST_CONNECTION = re.compile(r"lost connection|unreachable|not reachable", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class StaleField(Field):
    """Whether the cluster behind the membership is still the one that was registered; ``lost``: a feature denies it."""

    lost: bool = False

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        document = document or {}
        cluster = (document.get("endpoint") or {}).get("gkeCluster") or {}
        if cluster.get("clusterMissing"):
            return "missing"
        return "lost" if self.lost and "name" in document else "registered"


def membership_fields(same_project: SameProject, *, lost: bool = False) -> tuple[Field, ...]:
    same_link = functools.partial(same_cluster, same_project=same_project)
    return (
        StaleField(path="cluster", same=same_value, lost=lost),
        Field("endpoint.gke_cluster.resource_link", None, same_link),
        Field("authority.issuer", None, same_value),
        Field("description", "patch"),
        Labels("labels", "patch"),
    )


def has_lost_connection(membership: Json, features: t.Sequence[Json], same_project: SameProject) -> bool:
    """Whether a feature has reported so of this registration, and not of one before it under the same name."""
    for feature in features:
        for name, entry in (feature.get("membershipStates") or {}).items():
            state = entry.get("state") or {}
            if (
                state.get("code") == "ERROR"
                and LOST_CONNECTION.search(state.get("description") or "")
                and same_membership(membership["name"], name, same_project)
                and not _before(state.get("updateTime"), membership.get("createTime"))
            ):
                return True
    return False


def _before(one: str | None, other: str | None) -> bool:
    """Of two times as Google writes them; one that is missing tells nothing."""
    return bool(one and other) and _time(str(one)) < _time(str(other))


def _time(text: str) -> datetime.datetime:
    # Nanoseconds are more than Python keeps.
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00"))


def state_of(membership: Json) -> str:
    return str((membership.get("state") or {}).get("code") or "")


def stale_warning(membership: Json) -> str | None:
    """A registration without the cluster's own id; Google fills it in when the cluster has answered."""
    if state_of(membership) != "READY" or membership.get("externalId"):
        return None
    return (
        f"membership {membership['name'].rpartition('/')[2]} is READY but has no external_id: when this stays so, "
        "the registration is stale; remove it with state: absent, then register it again"
    )


class Membership:
    """``recreate``: a registration that is stale, or that a feature calls lost, is compared, so that it is replaced."""

    kind = "membership"

    def __init__(
        self,
        hub: Hub,
        location: str,
        name: str,
        *,
        issuer: str,
        state: str,
        check_mode: bool,
        recreate: bool,
        force: bool,
    ) -> None:
        self.name = name
        self.fields: t.Sequence[Field] = membership_fields(hub.same_project)
        self._path = f"projects/{hub.project}/locations/{location}/memberships/{name}"
        self.identity: Json = {"name": self._path}
        self._hub = hub
        self._issuer = issuer
        self._state = state
        self._check_mode = check_mode
        self._recreate = recreate
        self._force = force

    def get(self) -> Json | None:
        patient = self._hub.wait and not self._check_mode
        live = self._hub.settled(self._path, state_of) if patient else self._hub.find(self._path)
        if live is None or state_of(live) == "DELETING":
            return None
        missing = StaleField("cluster").read(live) == "missing"
        if missing and self._state == "present" and not self._recreate:
            raise CollectionError(f"membership {self.name} is stale: {STALE}", remedy=STALE)
        if self._recreate and self._state == "present" and not missing:
            features = self._hub.listed(f"projects/{self._hub.project}/locations/global", "features")
            lost = has_lost_connection(live, features, self._hub.same_project)
            self.fields = membership_fields(self._hub.same_project, lost=lost)
        return live

    def create(self, desired: Json) -> Json:
        body = desired if "authority" in desired else {**desired, "authority": {"issuer": self._issuer}}
        if not body["authority"].get("issuer"):
            body = {key: value for key, value in body.items() if key != "authority"}
        return self._hub.create(self._path, "membershipId", body)

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        return self._hub.update(self._path, changes, desired, live)

    def delete(self, live: Json) -> Json:
        # Its successor takes the same name.
        wait = True if self._state == "present" else None
        return self._hub.delete(self._path, force=self._force, wait=wait)
