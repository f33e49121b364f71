# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches: a stream of the changes of one collection, one JSON event per line."""

from __future__ import annotations

import asyncio
import json
import random
import typing as t
from collections.abc import Callable

from aiohttp import web

from sandbox.kubernetes import objects
from sandbox.kubernetes.errors import ApiStatus
from sandbox.kubernetes.resources import ResourceType
from sandbox.kubernetes.store import Event, Expired, Store

Json = dict[str, t.Any]

BOOKMARK_INTERVAL = 60.0  # seconds
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def too_old(revision: int, oldest: int) -> ApiStatus:
    return ApiStatus(410, "Expired", f"too old resource version: {revision} ({oldest})")


class Watch:
    """One client's watch; ``shape`` turns an object into what the Accept header asked for."""

    def __init__(
        self,
        store: Store,
        rt: ResourceType,
        namespace: str,
        chosen: Callable[[Json], bool],
        shape: Callable[[Json], Json],
    ) -> None:
        self._store = store
        self._rt = rt
        self._namespace = namespace
        self._chosen = chosen
        self._shape = shape
        self._response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})

    async def serve(
        self, request: web.Request, *, since: str, initial: bool | None, bookmarks: bool, timeout: float | None
    ) -> web.StreamResponse:
        """Stream until the client leaves, ``timeout`` seconds pass or the collection ends.

        ``since``: a resourceVersion, or "" / "0" for the current state first; ``initial`` is
        sendInitialEvents (None: not given).
        """
        start = int(since) if since.isdigit() else 0
        state_first = initial if initial is not None else start == 0
        loop = asyncio.get_running_loop()
        ends = loop.time() + (timeout or random.uniform(1800, 3600))
        try:
            with self._store.follow(self._rt.table, None if state_first else start) as queue:
                snapshot = self._state() if state_first else []
                revision = self._store.revision
                await self._response.prepare(request)
                for obj in snapshot:
                    await self._send("ADDED", obj)
                if initial:
                    await self._bookmark(revision, end_of_state=True)
                await self._pump(queue, ends, bookmarks)
        except Expired as error:
            await self._response.prepare(request)
            await self._write({"type": "ERROR", "object": too_old(start, error.oldest).body()})
        except ConnectionError:
            return self._response  # the client went; nothing is left to say
        return self._response

    def _state(self) -> list[Json]:
        namespace = self._namespace if self._rt.namespaced else ""
        rows = (objects.convert(self._rt, obj) for obj in self._store.items(self._rt.table, namespace))
        return [obj for obj in rows if self._chosen(obj)]

    async def _pump(self, queue: asyncio.Queue[Event | None], ends: float, bookmarks: bool) -> None:
        loop = asyncio.get_running_loop()
        while (left := ends - loop.time()) > 0:
            try:
                event = await asyncio.wait_for(queue.get(), min(left, BOOKMARK_INTERVAL))
            except TimeoutError:
                if bookmarks and queue.empty():
                    await self._bookmark(self._store.revision)
                continue
            if event is None:
                return
            await self._relay(event)

    async def _relay(self, event: Event) -> None:
        """An object that a change moves into or out of the selection is ADDED or DELETED for this client."""
        if self._namespace and event.object["metadata"].get("namespace") != self._namespace:
            return
        obj = objects.convert(self._rt, event.object)
        before = event.previous and objects.convert(self._rt, event.previous)
        was = bool(before and self._chosen(before))
        is_ = event.type != "DELETED" and self._chosen(obj)
        if is_:
            await self._send("MODIFIED" if was else "ADDED", obj)
        elif was:
            await self._send("DELETED", obj)

    async def _send(self, kind: str, obj: Json) -> None:
        await self._write({"type": kind, "object": self._shape(obj)})

    async def _bookmark(self, revision: int, *, end_of_state: bool = False) -> None:
        metadata: Json = {"resourceVersion": str(revision), "creationTimestamp": None}
        if end_of_state:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj = {"kind": self._rt.kind, "apiVersion": self._rt.api_version, "metadata": metadata}
        await self._write({"type": "BOOKMARK", "object": obj})

    async def _write(self, event: Json) -> None:
        await self._response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
