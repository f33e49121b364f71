# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The GKE Hub API for the fleet modules: one place for paths, operations and waiting."""

from __future__ import annotations

import typing as t

from .._errors import ApiError
from .._gcp.connect import Gcp
from .._gcp.operations import retry_while, wait_operation
from .._gcp.projects import Projects
from .._gcp.transport import Rest, is_disabled, is_stale
from .._reconcile import Change, Json
from .._wait import wait_for

UNSETTLED = frozenset({"CREATING", "DELETING", "UPDATING", "SERVICE_UPDATING", "ENABLING", "DISABLING"})


class Hub:
    """``wait`` and ``timeout`` (seconds, per operation) are the module's options."""

    def __init__(self, gcp: Gcp, *, wait: bool = True, timeout: float = 60.0) -> None:
        self.project = gcp.project
        self.same_project = Projects(gcp).same
        self.wait = wait
        self.timeout = timeout
        self._plan_only = gcp.plan_only
        self._rest: Rest = gcp.rest("gkehub")

    def find(self, name: str) -> Json | None:
        return self._rest.find(f"v1/{name}")

    def listed(self, parent: str, plural: str) -> list[Json]:
        """All of them. In check mode a service that is not enabled yet has none."""
        try:
            return list(self._rest.pages(f"v1/{parent}/{plural}", "resources"))
        except ApiError as error:
            if self._plan_only and is_disabled(error):
                return []
            raise

    def settled(self, name: str, state: t.Callable[[Json], str]) -> Json | None:
        """The object once nothing is being done to it: what an earlier run left under way is waited for."""
        return wait_for(
            lambda: self.find(name),
            lambda seen: seen is None or state(seen) not in UNSETTLED,
            timeout=self.timeout,
            what=f"{name.rpartition('/')[2]} to settle",
            why=lambda seen: f"it is {state(seen)}" if seen else "it is not there",
        )

    def create(self, name: str, id_parameter: str, body: Json) -> Json:
        parent, _unused, own = name.rpartition("/")
        return self._write("POST", parent, name, body, {id_parameter: own}, lambda: self.find(name) is not None)

    def update(self, name: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        # What a patch replaces as a whole is read anew, since others may have changed it meanwhile.
        now = self.find(name) or live
        body, mask = patch([change.anew(desired, now) for change in changes])
        # The same patch twice has the effect of one, so it needs no look in between.
        return self._write("PATCH", name, name, body, {"updateMask": ",".join(mask)}, None)

    def delete(self, name: str, *, force: bool, wait: bool | None = None) -> Json:
        params = {"force": "true"} if force else {}
        return self._write("DELETE", name, name, None, params, lambda: self.find(name) is None, wait=wait)

    def _write(
        self,
        method: str,
        path: str,
        name: str,
        body: Json | None,
        params: Json,
        landed: t.Callable[[], bool] | None,
        wait: bool | None = None,
    ) -> Json:
        def look_up() -> Json | None:
            return {"name": "", "done": True} if landed and landed() else None

        verb = {"POST": "create", "PATCH": "update", "DELETE": "delete"}[method]
        what = f"{verb} {'/'.join(name.split('/')[-4:])}"
        operation = retry_while(
            is_stale,
            lambda: self._rest.request(
                method, f"v1/{path}", body=body, params=params, read=landed is None, landed=look_up
            ),
            timeout=self.timeout,
            what=what,
        )
        if self.wait if wait is None else wait:
            return wait_operation(
                lambda seen: self._rest.get(f"v1/{seen['name']}"), operation, timeout=self.timeout, what=what
            )
        return operation


def patch(changes: t.Sequence[Change]) -> tuple[Json, list[str]]:
    """Body and update mask, which names whole fields of the first level, as Google takes them."""
    body: Json = {}
    for change in changes:
        change.field.write(body, change.after)
    return body, list(body)
