# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has made, on disk before Google hears of it, so that the next one can take it away whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import typing as t
from collections.abc import Iterator
from pathlib import Path

from .options import Refused

Json = dict[str, t.Any]
Policies = dict[str, set[tuple[str, str]]]

# All objects of a run are called after it: NAME-RUN, and longer.
NAME = "gkeproof"
OURS = re.compile(rf"{NAME}-([0-9a-f]{{8}})")

_PROJECT = r"(?:v1/)?projects/[^/]+"
# What makes something: service, path below its base, where the new object's name is.
_CREATES: tuple[tuple[str, str, str], ...] = (
    (
        "compute",
        rf"{_PROJECT}/(?:global|regions/(?P<place>[^/]+))/(?P<kind>networks|subnetworks|firewalls|addresses|routers)",
        "body.name",
    ),
    ("storage", r"(?P<kind>b)", "body.name"),
    ("iam", rf"{_PROJECT}/(?P<kind>serviceAccounts)", "body.accountId"),
    ("container", rf"{_PROJECT}/locations/(?P<place>[^/]+)/(?P<kind>clusters)", "body.cluster.name"),
    ("gkehub", rf"{_PROJECT}/locations/(?P<place>[^/]+)/(?P<kind>memberships)", "query.membershipId"),
    ("gkehub", rf"{_PROJECT}/locations/(?P<place>[^/]+)/(?P<kind>features)", "query.featureId"),
)
_POLICY = re.compile(rf"{_PROJECT}:(get|set)IamPolicy")


class Made(t.NamedTuple):
    """``kind``: as Google's paths spell it, or "grants", whose name is "ROLE MEMBER"."""

    kind: str
    place: str
    name: str


def made_by(record: Json) -> Made | None:
    """What a request would make; None when nothing that must be taken away."""
    if record["method"] != "POST":
        return None
    service, path, query = record["service"], *_below(record)
    for known, pattern, where in _CREATES:
        found = re.fullmatch(pattern, path)
        if known != service or not found:
            continue
        source, *keys = where.split(".")
        value: t.Any = query if source == "query" else record["request"]
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return Made(found["kind"], found.groupdict().get("place") or "", str(value)) if value else None
    return None


def _below(record: Json) -> tuple[str, dict[str, str]]:
    """Path below the service's base, and query, of a record's URL."""
    path, _mark, query = str(record["url"]).partition("?")
    path = re.sub(r"^https://[^/]+/(compute/v1/|storage/v1/)?", "", path)
    pairs = (part.partition("=") for part in query.split("&"))
    return path, {key: value for key, _equals, value in pairs}


class Journal:
    """One run's file of lines, each on disk before ``before`` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path.parent.name
        self._policies: Policies = {}

    def before(self, record: Json) -> None:
        """Write down what this request, about to be sent, makes."""
        if made := made_by(record):
            self._write({"made": made})
        for role, member in self._added(record):
            self._write({"made": Made("grants", "", f"{role} {member}")})

    def after(self, record: Json) -> None:
        """Take back what was refused; remember policies, against which the next one is held."""
        refused = 400 <= record["status"] < 500
        if refused and (made := made_by(record)):
            self._write({"refused": made})
        if _is_policy(record) and record["status"] == 200:
            self._policies[_policy_of(record)] = _grants(record["response"])

    def _added(self, record: Json) -> list[tuple[str, str]]:
        path = _below(record)[0]
        if not (_is_policy(record) and path.endswith(":setIamPolicy")):
            return []
        wanted = _grants((record["request"] or {}).get("policy") or {})
        return sorted(wanted - self._policies.get(_policy_of(record), set()))

    def removed(self) -> None:
        """Nothing of the run is left."""
        self._write({"removed": True})

    def made(self) -> list[Made]:
        """What may be there; [] once all has been removed."""
        found: dict[Made, None] = {}
        for line in self._lines():
            if "made" in line:
                found[Made(*line["made"])] = None
            elif "refused" in line:
                found.pop(Made(*line["refused"]), None)
            elif "removed" in line:
                found.clear()
        return list(found)

    def open(self) -> bool:
        """Whether something may be left of the run."""
        lines = self._lines()
        return bool(lines) and "removed" not in lines[-1]

    def _lines(self) -> list[Json]:
        lines = []
        for text in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            with contextlib.suppress(ValueError):  # the line at which the machine went off
                lines.append(json.loads(text))
        return lines

    def begin(self) -> None:
        self._write({"run": self.run})

    def _write(self, line: Json) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, (json.dumps(line) + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_policy(record: Json) -> bool:
    """Of a project: those of buckets and accounts go with them."""
    return record["service"] == "cloudresourcemanager" and bool(_POLICY.fullmatch(_below(record)[0]))


def _policy_of(record: Json) -> str:
    return _below(record)[0].partition(":")[0]


def _grants(policy: t.Any) -> set[tuple[str, str]]:
    bindings = policy.get("bindings") or [] if isinstance(policy, dict) else []
    return {(binding["role"], member) for binding in bindings for member in binding.get("members") or []}


class Directory:
    """All that is kept of one project, 0700: a folder for each run with its journal, logs and evidence."""

    def __init__(self, path: Path, project: str) -> None:
        self.path = path / project.replace(":", "_")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time. Raises Refused."""
        private(self.path)
        with open(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refused("PROJECT", f"a run on it is under way, process {handle.read().strip()}") from error
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def journals(self) -> list[Journal]:
        return [Journal(path) for path in sorted(self.path.glob("*/journal.jsonl"))]

    def new(self) -> Journal:
        """The journal of a new run."""
        folder = private(self.path / secrets.token_hex(4))
        return Journal(folder / "journal.jsonl")


def private(path: Path) -> Path:
    """The folder, made if need be, which nobody else may read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    draft.replace(path)
