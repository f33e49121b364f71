# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What all objects of compute v1 have in common; the objects themselves are in network.py and nat.py."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence

from .._naming import camel, to_api
from .._reconcile import Change, Field, Json, same_link
from .._wait import wait_for
from .connect import Gcp
from .operations import cause_of, is_done, progress_of, retry_while, wait_operation, when_free
from .transport import Rest, is_stale

Params = Mapping[str, t.Any]


def link(project: str, collection: str, value: str) -> str:
    """A reference as the API takes it: a bare name gets its path, a path or URL stays as it is.

    ``collection``: "global/networks", "regions/us-east5/subnetworks"...
    """
    return value if "/" in value else f"projects/{project}/{collection}/{value}"


class ComputeObject:
    """Its path, its operations, patch with a fingerprint.

    A subclass states ``kind``, ``collection``, ``options`` (the module's, by the API's names) and ``fields``.
    """

    kind = ""
    collection = ""
    options: tuple[str, ...] = ()
    fields: Sequence[Field] = ()

    def __init__(self, gcp: Gcp, params: Params) -> None:
        self.name: str = params["name"]
        self.project = gcp.project
        self.region: str = params.get("region") or ""
        self.identity: Json = {"name": self.name}
        self._params = params
        self._warn = gcp.warn
        self._wait: bool = params["wait"] and not gcp.plan_only
        self._timeout: float = params["wait_timeout"]
        self._rest: Rest = gcp.rest("compute")
        place = f"regions/{self.region}" if self.region else "global"
        self._scope = f"projects/{self.project}/{place}"
        self._where = f" in {self.region}" if self.region else ""
        self.path = f"{self._scope}/{self.collection}/{self.name}"

    def desired(self) -> Json:
        """What the user stated, as the API's JSON."""
        stated = {option: self._params[option] for option in self.options}
        return {"name": self.name, **to_api(stated)}

    def get(self) -> Json | None:
        if self._wait:
            self._settle()
        return self._rest.find(self.path)

    def create(self, desired: Json) -> Json | None:
        return self._write("POST", f"{self._scope}/{self.collection}", desired, "create", self._is_there)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> Json | None:
        def landed() -> Json | None:
            now = self._rest.find(self.path)
            return {} if all(change.is_in(now) for change in changes) else None

        def write() -> Json | None:
            now = self._rest.find(self.path) or live
            current = [change.anew(desired, now) for change in changes]
            verb, path, body = self.request_of(call, current, desired, now)
            return self._write(verb, path, body, call, landed)

        # Somebody else changed it between our read and our write: read again.
        return retry_while(is_stale, write, timeout=self._timeout, what=f"{call} of {self.kind} {self.name}")

    def request_of(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> tuple[str, str, Json]:
        """Method, path and body that make these changes. Here: a patch of the top-level fields concerned."""
        body = {key: desired[key] for key in top_level(changes, desired)}
        if live.get("fingerprint"):
            body["fingerprint"] = live["fingerprint"]
        return "PATCH", self.path, body

    def delete(self, live: Json) -> Json | None:
        return self._write("DELETE", self.path, None, "delete", self._is_gone)

    def _write(
        self,
        verb: str,
        path: str,
        body: Json | Callable[[], Json] | None,
        does: str,
        landed: Callable[[], Json | None],
    ) -> Json | None:
        """Send a change and wait for it; returns the operation only when it is not waited for.

        A ``body`` that is a function is asked for anew before each attempt.
        """
        what = f"{does} {self.kind} {self.name}{self._where}"

        def attempt() -> Json:
            return self._rest.request(verb, path, body=body() if callable(body) else body, landed=landed)

        operation = when_free(attempt, timeout=self._timeout, what=what)
        if not operation or not self._wait:
            return operation or None
        wait_operation(self._look, operation, timeout=self._timeout, what=what)
        return None

    def _look(self, operation: Json) -> Json:
        return self._rest.get(f"{self._scope}/operations/{operation['name']}")

    def _settle(self) -> None:
        """Wait for what a run that was killed, or did not wait, has left under way on this object.

        How that ends is told, but it is no failure of ours: the object is read afterwards.
        """
        query = {"filter": 'status != "DONE"', "maxResults": 500}
        running = self._rest.find(f"{self._scope}/operations", query) or {}
        for operation in running.get("items") or ():
            if same_link(self.path, operation.get("targetLink")) and not is_done(operation):
                what = f"an operation under way on {self.kind} {self.name}"
                ended = wait_for(
                    lambda operation=operation: self._look(operation),  # type: ignore[misc]
                    is_done,
                    timeout=self._timeout,
                    what=what,
                    why=progress_of,
                )
                if cause := cause_of(ended):
                    self._warn(f"{what} that this run has not started has failed: {cause}")

    def _is_there(self) -> Json | None:
        return {} if self._rest.find(self.path) is not None else None

    def _is_gone(self) -> Json | None:
        return {} if self._rest.find(self.path) is None else None


def top_level(changes: Sequence[Change], desired: Json) -> list[str]:
    """The keys of the API document that hold the changed fields."""
    return sorted({camel(change.field.path.split(".")[0]) for change in changes} & set(desired))
