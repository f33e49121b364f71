# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: the fleet of a project, which is called default and is there as soon as it has a member."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence

from ...interfaces import Json
from ..engine import Work, compute_name
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, now
from ..web import Call, Route
from . import shapes
from .base import Hub, answer_list, copy_field, render

DISPLAY_NAME = re.compile(r"[A-Za-z0-9'\" !-]{4,30}")


class Fleets(Hub):
    def routes(self) -> Sequence[Route]:
        where = "{version:v1\\w*}/projects/{project}/locations/{location:global|-}/fleets"
        one = where + "/{fleet:[^/:]+}"
        return (
            ("GET", where, self._list),
            ("POST", where, self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
        )

    async def _list(self, call: Call) -> Json:
        found = fleet(call.project)
        return answer_list(call, "fleets", [found] if found else [])

    async def _get(self, call: Call) -> Json:
        return self._find(call)

    async def _create(self, call: Call) -> Json:
        body, name = self._read(call), fleet_name(call.project)
        if fleet(call.project):
            raise Refusal("ALREADY_EXISTS", f"Resource '{name}' already exists")
        call.project.fleet = made(call.project, body)
        return self._change(call, "create", lambda: None)

    async def _patch(self, call: Call) -> Json:
        document, body = self._find(call), self._read(call)
        mask = [field for field in call.query.get("updateMask", "").split(",") if field]
        wanted = dict(document)
        for field in mask:
            copy_field(body, wanted, field, shapes.FLEET_MUTABLE)
        call.project.fleet = {**wanted, "updateTime": now()}
        return self._change(call, "update", lambda: None)

    async def _delete(self, call: Call) -> Json:
        self._find(call)
        if call.project.memberships:
            raise precondition(f'fleet "{fleet_name(call.project)}" has memberships: unregister them first')

        def delete() -> None:
            call.project.fleet = None

        return self._change(call, "delete", delete)

    @staticmethod
    def _read(call: Call) -> Json:
        body = call.read(shapes.FLEET, "fleet")
        shown = body.get("displayName")
        if shown and not DISPLAY_NAME.fullmatch(shown):
            raise invalid(f'InvalidValueError for field display_name: "{shown}" is not a valid display name')
        return body

    @staticmethod
    def _find(call: Call) -> Json:
        found = fleet(call.project)
        if found is None or call.params["fleet"] != "default" or call.params["location"] != "global":
            raise not_found(f"Resource '{fleet_name(call.project, call.params['fleet'])}' was not found")
        return found

    def _change(self, call: Call, verb: str, effect: Callable[[], None]) -> Json:
        async def change() -> Json:
            effect()
            self.store.changed()
            return dict(call.project.fleet or {})

        work = Work(
            name=compute_name(),
            service=self.name,
            project=call.project.id,
            scope="global",
            kind="Fleet",
            target=fleet_name(call.project),
            seconds=self.latency.of("membership_create"),
            extra={"verb": verb},
        )
        return render(self.engine.start(work, change), call.version)


def fleet_name(project: Project, name: str = "default") -> str:
    return f"projects/{project.id}/locations/global/fleets/{name}"


def fleet(project: Project) -> Json | None:
    """The project's fleet; the first membership makes it."""
    if project.fleet is None and project.memberships:
        project.fleet = made(project, {})
    return project.fleet


def made(project: Project, body: Json) -> Json:
    stamp = now()
    return {
        "name": fleet_name(project),
        **{key: body[key] for key in shapes.FLEET_MUTABLE if body.get(key)},
        "createTime": stamp,
        "updateTime": stamp,
        "uid": str(uuid.uuid4()),
        "state": {"code": "READY"},
    }
