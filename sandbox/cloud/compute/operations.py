# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations of compute v1: of the whole project, of a region, of a zone."""

from __future__ import annotations

import asyncio
import contextlib
import http
from collections.abc import Callable

from ...interfaces import Json
from ...latency import Latency
from ..engine import Effect, Engine, Work, compute_name
from ..errors import Refusal, invalid
from ..store import Store
from ..web import Call
from . import lists
from .links import LINK
from .refusals import missing

SERVICE = "compute.googleapis.com"
LONGEST_WAIT = 120.0  # seconds that operations.wait blocks


class Operations:
    """Begins them, and answers what they have come to."""

    def __init__(self, engine: Engine, latency: Latency, store: Store) -> None:
        self._engine = engine
        self._latency = latency
        self._store = store

    def start(
        self,
        call: Call,
        verb: str,
        path: str,
        target: str,
        latency: str,
        effect: Effect,
        undo: Callable[[Refusal], None] | None = None,
    ) -> Json:
        """Begin to do ``effect``. Raises Refusal 400 while another operation changes the same resource."""
        busy = [
            work
            for work in self._engine.list(SERVICE, call.project.id)
            if work.target == path and not work.done and verb != "insert"
        ]
        if busy:
            resource = f"projects/{call.project.id}/{path}"
            raise invalid(f"The resource '{resource}' is not ready", reason="resourceNotReady")
        work = Work(
            name=compute_name(),
            service=SERVICE,
            project=call.project.id,
            scope=call.params["scope"],
            kind=verb,
            target=path,
            seconds=self._latency.of(latency),
            extra={"id": self._store.unique_id(), "targetId": target},
        )
        return render(self._engine.start(work, effect, undo=undo))

    async def get(self, call: Call) -> Json:
        return render(self._work(call))

    async def wait(self, call: Call) -> Json:
        work = self._work(call)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work.finished.wait(), LONGEST_WAIT)
        return render(work)

    async def listed(self, call: Call) -> Json:
        scope = call.params["scope"]
        items = [item for place, item in self._all(call) if place == scope]
        return lists.answer(call, "compute#operationList", items, f"projects/{call.project.id}/{scope}/operations")

    async def aggregated(self, call: Call) -> Json:
        found: dict[str, Json] = {f"{scope}/operations/{item['name']}": item for scope, item in self._all(call)}
        return lists.aggregated(call, "operations", "operation", ("global", "regions", "zones"), found)

    def _all(self, call: Call) -> list[tuple[str, Json]]:
        return [(work.scope, render(work)) for work in self._engine.list(SERVICE, call.project.id)]

    def _work(self, call: Call) -> Work:
        name, scope = call.params["operation"], call.params["scope"]
        work = self._engine.find(SERVICE, name)
        if work is None or work.project != call.project.id or work.scope != scope:
            raise missing(f"projects/{call.project.id}/{scope}/operations/{name}")
        return work


def render(work: Work) -> Json:
    """A Work as compute#operation."""
    root = f"{LINK}projects/{work.project}/"
    answer: Json = {
        "kind": "compute#operation",
        "id": work.extra["id"],
        "name": work.name,
        "operationType": work.kind,
        "targetLink": root + work.target,
        "targetId": work.extra["targetId"],
        "status": work.status,
        "user": "user@example.com",
        "progress": int(work.fraction * 100),
        "insertTime": work.started,
        "startTime": work.started,
        "selfLink": f"{root}{work.scope}/operations/{work.name}",
    }
    if work.scope != "global":
        answer["region" if work.scope.startswith("regions/") else "zone"] = root + work.scope
    if work.done:
        answer["endTime"] = work.ended
    if work.error:
        answer["error"] = {"errors": [{"code": work.error.reason, "message": work.error.message}]}
        answer["httpErrorStatusCode"] = work.error.code
        answer["httpErrorMessage"] = http.HTTPStatus(work.error.code).phrase.upper()
    return answer
