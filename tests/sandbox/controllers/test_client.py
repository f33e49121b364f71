# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox's own Kubernetes client, against the embedded API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sandbox.client import CONFIG_MAPS, EVENTS, GATEWAYS, NAMESPACES, KubeClient, KubeError, _difference
from sandbox.interfaces import Json
from sandbox.kubernetes import ApiServer
from tests.sandbox.controllers.harness import TOKEN, until


@contextlib.asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[KubeClient]:
    server = ApiServer(name="c", host="127.0.0.1", port=0, token=TOKEN, version="1.34.1-gke.1", directory=directory)
    await server.start()
    client = KubeClient(server.access, "test")
    try:
        yield client
    finally:
        await client.close()
        await server.stop()


def play(directory: Path, story: Callable[[KubeClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(directory) as client:
            await story(client)

    asyncio.run(main())


def settings(**data: str) -> Json:
    return {"metadata": {"namespace": "default", "name": "settings"}, "data": data}


def test_write_read_delete(tmp_path: Path) -> None:
    async def story(client: KubeClient) -> None:
        assert await client.get(CONFIG_MAPS, "default", "settings") is None
        first = await client.create(CONFIG_MAPS, settings(a="1"))
        with pytest.raises(KubeError) as again:
            await client.create(CONFIG_MAPS, settings(a="1"))
        assert (again.value.code, again.value.reason) == (409, "AlreadyExists")
        await client.merge(CONFIG_MAPS, settings(b="2"))
        with pytest.raises(KubeError) as late:
            await client.replace(CONFIG_MAPS, {**first, "data": {}})
        assert (late.value.code, late.value.reason) == (409, "Conflict")
        applied = await client.apply(CONFIG_MAPS, settings(a="3"), "somebody")
        assert applied["data"] == {"a": "3", "b": "2"}
        assert not await client.delete(CONFIG_MAPS, "default", "settings", uid="another")
        assert await client.delete(CONFIG_MAPS, "default", "settings", uid=first["metadata"]["uid"])
        assert not await client.delete(CONFIG_MAPS, "default", "settings")

    play(tmp_path, story)


def test_watch_begins_with_what_is_there_and_goes_on(tmp_path: Path) -> None:
    async def story(client: KubeClient) -> None:
        await client.create(CONFIG_MAPS, settings(a="1"))
        seen: list[tuple[str, str]] = []

        async def watch() -> None:
            async for kind, obj in client.watch(CONFIG_MAPS):
                if kind == "SYNC" or obj["metadata"]["name"] == "settings":
                    seen.append((kind, (obj.get("data") or {}).get("a", "")))

        async def told(count: int) -> bool:
            return len(seen) == count

        task = asyncio.create_task(watch())
        await until(lambda: told(2), "the list")
        large = "x" * 300_000  # longer than any line that aiohttp's own reader would take
        await client.merge(CONFIG_MAPS, settings(a=large))
        await until(lambda: told(3), "the change")
        await client.delete(CONFIG_MAPS, "default", "settings")
        await until(lambda: told(4), "the end")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert seen == [("ADDED", "1"), ("SYNC", ""), ("MODIFIED", large), ("DELETED", large)]

    play(tmp_path, story)


def test_a_kind_that_is_not_served_is_empty(tmp_path: Path) -> None:
    async def story(client: KubeClient) -> None:
        async with contextlib.aclosing(client.watch(GATEWAYS)) as changes:  # type: ignore[type-var]
            assert await asyncio.wait_for(anext(changes), 5) == ("SYNC", {})

    play(tmp_path, story)


def test_an_event_told_twice_is_one_that_happened_twice(tmp_path: Path) -> None:
    async def story(client: KubeClient) -> None:
        namespace = await client.get(NAMESPACES, None, "default") or {}
        for _unused in range(2):
            await client.event(namespace, "Warning", "Odd", "something is odd")
        (event,) = [item for item in await client.list(EVENTS) if item["reason"] == "Odd"]
        assert (event["count"], event["source"]["component"]) == (2, "test")

    play(tmp_path, story)


def obj(name: str, uid: str, version: str) -> Json:
    return {"metadata": {"namespace": "default", "name": name, "uid": uid, "resourceVersion": version}}


@pytest.mark.parametrize(
    ("known", "present", "changes"),
    [
        ([], [obj("a", "1", "1")], [("ADDED", "1")]),
        ([obj("a", "1", "1")], [obj("a", "1", "1")], []),
        ([obj("a", "1", "1")], [obj("a", "1", "2")], [("MODIFIED", "1")]),
        ([obj("a", "1", "1")], [], [("DELETED", "1")]),
        ([obj("a", "1", "1")], [obj("a", "2", "3")], [("DELETED", "1"), ("ADDED", "2")]),  # another of the same name
    ],
)
def test_what_a_watcher_missed(known: list[Json], present: list[Json], changes: list[tuple[str, str]]) -> None:
    before = {("default", item["metadata"]["name"]): item for item in known}
    assert [(kind, item["metadata"]["uid"]) for kind, item in _difference(before, present)] == changes
