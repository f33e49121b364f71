# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What all objects of compute v1 have in common; the objects themselves are in network.py and nat.py."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable, Mapping, Sequence

from .._errors import NotFound, OperationFailed
from .._naming import camel, to_api
from .._reconcile import Change, Field, Json, same_link
from .connect import Gcp
from .operations import is_done, retry_while, wait_operation, when_free
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
        self._params = params
        self._wait: bool = params["wait"] and not gcp.plan_only
        self._timeout: float = params["wait_timeout"]
        self._rest: Rest = gcp.rest("compute")
        place = f"regions/{self.region}" if self.region else "global"
        self._scope = f"projects/{self.project}/{place}"
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
            return {} if all(c.field.same(c.after, c.field.read(now)) for c in changes) else None

        def write() -> Json | None:
            verb, path, body = self.request_of(call, changes, desired, self._rest.find(self.path) or live)
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
        try:
            return self._write("DELETE", self.path, None, "delete", self._is_gone)
        except NotFound:
            return None

    def _write(
        self, verb: str, path: str, body: Json | None, does: str, landed: Callable[[], Json | None]
    ) -> Json | None:
        """Send a change and wait for it; returns the operation only when it is not waited for."""
        what = f"{does} {self.kind} {self.name}"
        operation = when_free(
            lambda: self._rest.request(verb, path, body=body, landed=landed), timeout=self._timeout, what=what
        )
        if not operation or not self._wait:
            return operation or None
        wait_operation(self._look, operation, timeout=self._timeout, what=what)
        return None

    def _look(self, operation: Json) -> Json:
        return self._rest.get(f"{self._scope}/operations/{operation['name']}")

    def _settle(self) -> None:
        """Wait for what a run that was killed, or did not wait, has left under way on this object.

        How that ends is its own affair: the object is read afterwards.
        """
        query = {"filter": 'status != "DONE"', "maxResults": 500}
        running = self._rest.find(f"{self._scope}/operations", query) or {}
        for operation in running.get("items") or ():
            if same_link(self.path, operation.get("targetLink")) and not is_done(operation):
                what = f"operation under way on {self.kind} {self.name}"
                with contextlib.suppress(OperationFailed):
                    wait_operation(self._look, operation, timeout=self._timeout, what=what)

    def _is_there(self) -> Json | None:
        return {} if self._rest.find(self.path) is not None else None

    def _is_gone(self) -> Json | None:
        return {} if self._rest.find(self.path) is None else None


def top_level(changes: Sequence[Change], desired: Json) -> list[str]:
    """The keys of the API document that hold the changed fields."""
    return sorted({camel(change.field.path.split(".")[0]) for change in changes} & set(desired))
