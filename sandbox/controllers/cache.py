# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What controllers share: a cache of a cluster that knows its own writes, and the loop that drives them."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import logging
import typing as t
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp

from sandbox.client import PODS, KubeClient, KubeError, Resource, key_of, now
from sandbox.interfaces import Json

_log = logging.getLogger(__name__)

_SETTLE = 0.01  # a burst of changes is one reconciliation
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0

Key = tuple[str, str]


class Cache:
    """The objects of the given kinds in one cluster, kept by watches.

    Writes go through the cache and are visible in it at once, so that a controller that is run again before the
    watch has told of its own write does not repeat it. A deleted object counts as terminating until it is gone.
    """

    def __init__(self, client: KubeClient, resources: Iterable[Resource]) -> None:
        self.client = client
        self._objects: dict[Resource, dict[Key, Json]] = {}
        self._unsynced: set[Resource] = set()
        self._synced = asyncio.Event()
        self._doomed: set[str] = set()
        self._gone: collections.deque[str] = collections.deque(maxlen=10_000)
        self._listeners: list[Callable[[Resource], None]] = []
        self.follow(resources)

    def follow(self, resources: Iterable[Resource]) -> None:
        """Keep these kinds too; to be called before ``run``."""
        for resource in resources:
            self._objects.setdefault(resource, {})
            self._unsynced.add(resource)

    def writing_as(self, client: KubeClient) -> Cache:
        """The same cache, with writes and events through another client (that is, under another name)."""
        twin = copy.copy(self)
        twin.client = client
        return twin

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until every kind has been listed once."""
        await self._synced.wait()

    def subscribe(self, listener: Callable[[Resource], None]) -> None:
        """Have ``listener`` called with the kind whenever an object of it changes."""
        self._listeners.append(listener)

    def list(self, resource: Resource) -> list[Json]:
        """The objects of the kind, ordered by namespace and name; callers must not change them."""
        return [obj for _unused, obj in sorted(self._objects[resource].items())]

    def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self._objects[resource].get((namespace, name))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for resource in self._objects:
                group.create_task(self._follow(resource))

    async def create(self, resource: Resource, obj: Json) -> Json:
        return self._written(resource, await self.client.create(resource, obj))

    async def merge(self, resource: Resource, patch: Json, subresource: str = "") -> Json:
        return self._written(resource, await self.client.merge(resource, patch, subresource))

    async def replace(self, resource: Resource, obj: Json, subresource: str = "") -> Json:
        return self._written(resource, await self.client.replace(resource, obj, subresource))

    async def apply(self, resource: Resource, obj: Json, subresource: str = "") -> Json:
        return self._written(resource, await self.client.apply(resource, obj, self.client.component, subresource))

    async def set_status(self, resource: Resource, obj: Json, status: Json) -> None:
        """Write the status unless it already is so. A conflict is left to the next run of the controller."""
        if obj.get("status") != status:
            await self.replace(resource, {**obj, "status": status}, "status")

    async def delete(self, resource: Resource, obj: Json, *, grace_period: int | None = None) -> None:
        uid = obj["metadata"]["uid"]
        self._doomed.add(uid)
        if grace_period is None and resource == PODS and not obj["spec"].get("nodeName"):
            grace_period = 0  # no kubelet will ever confirm its end
        await self.client.delete(resource, *key_of(obj), grace_period=grace_period, uid=uid)
        held = self._objects[resource].get(key_of(obj))
        if held is not None and held["metadata"]["uid"] == uid:
            self._hold(resource, held)

    def _written(self, resource: Resource, obj: Json) -> Json:
        obj = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
        if resource in self._objects and obj["metadata"]["uid"] not in self._gone:
            self._hold(resource, obj)
        return obj

    def _hold(self, resource: Resource, obj: Json) -> None:
        meta = obj["metadata"]
        held = self._objects[resource].get(key_of(obj))
        if held is not None and held["metadata"]["uid"] == meta["uid"] and _version(held) > _version(obj):
            return
        if meta["uid"] in self._doomed and "deletionTimestamp" not in meta:
            obj = {**obj, "metadata": {**meta, "deletionTimestamp": now()}}
        self._objects[resource][key_of(obj)] = obj

    async def _follow(self, resource: Resource) -> None:
        async with contextlib.aclosing(_agen(self.client.watch(resource))) as changes:
            async for kind, obj in changes:
                if kind == "SYNC":
                    self._unsynced.discard(resource)
                    if not self._unsynced:
                        self._synced.set()
                elif kind == "DELETED":
                    self._forget(resource, obj)
                else:
                    self._hold(resource, obj)
                for listener in self._listeners:
                    listener(resource)

    def _forget(self, resource: Resource, obj: Json) -> None:
        uid = obj["metadata"]["uid"]
        self._gone.append(uid)
        self._doomed.discard(uid)
        held = self._objects[resource].get(key_of(obj))
        if held is not None and held["metadata"]["uid"] == uid:
            del self._objects[resource][key_of(obj)]


def _agen(stream: AsyncIterator[tuple[str, Json]]) -> t.AsyncGenerator[tuple[str, Json], None]:
    return t.cast("t.AsyncGenerator[tuple[str, Json], None]", stream)


def _version(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


def controller_of(obj: Json) -> str | None:
    """The uid of the object's controller."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            uid: str = reference["uid"]
            return uid
    return None


def owner_reference(obj: Json) -> Json:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def terminating(obj: Json) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def condition(obj: Json, kind: str) -> Json | None:
    """The status condition of this type."""
    for item in (obj.get("status") or {}).get("conditions") or []:
        if item["type"] == kind:
            found: Json = item
            return found
    return None


def pod_ready(pod: Json) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True" and not terminating(pod)


def with_condition(conditions: Iterable[Json], new: Json) -> list[Json]:
    """The conditions with ``new`` in its place; lastTransitionTime moves only when the status does."""
    kept = list(conditions)
    for index, old in enumerate(kept):
        if old["type"] == new["type"]:
            since = old.get("lastTransitionTime") if old["status"] == new["status"] else None
            kept[index] = {"lastTransitionTime": since or now(), **new}
            return kept
    return [*kept, {"lastTransitionTime": now(), **new}]


async def each(objects: Iterable[Json], act: Callable[[Json], Awaitable[t.Any]]) -> None:
    """Act on every object: one that is refused does not keep the others waiting. Raises the first refusal after."""
    refusal: KubeError | None = None
    for obj in objects:
        try:
            await act(obj)
        except KubeError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


class Signal:
    """Tells a controller's loop that there may be work; telling it twice is telling it once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._event.set()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None) -> None:
        # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with the signal.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        await asyncio.sleep(_SETTLE)
        self._event.clear()


async def drive(name: str, signal: Signal, reconcile: Callable[[], Awaitable[float | None]]) -> None:
    """Run ``reconcile`` whenever signalled, for ever.

    It returns the seconds after which it wants to run even unasked, or None. An error is logged and retried with
    back-off: a controller never dies of one bad object or of an API server that is away.
    """
    pause, after = _RETRY_FIRST, None
    while True:
        await signal.wait(after)
        try:
            after = await reconcile()
            pause = _RETRY_FIRST
        except KubeError as error:
            # 409 is the ordinary course (somebody else wrote first), 404 a kind or object that is not there yet.
            _log.log(logging.DEBUG if error.code in (404, 409) else logging.WARNING, "%s: %s", name, error)
            after, pause = pause, min(pause * 2, _RETRY_MOST)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.debug("%s: %s", name, error)
            after, pause = pause, min(pause * 2, _RETRY_MOST)
        except Exception:
            _log.exception("%s failed", name)
            after, pause = pause, min(pause * 2, _RETRY_MOST)
