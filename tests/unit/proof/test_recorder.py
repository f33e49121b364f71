# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recorder passes on what it gets, writes it down, and is good for one play."""

from __future__ import annotations

import asyncio
import typing as t
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import requests
from aiohttp import web

from proof.recorder import Recorder

Json = dict[str, t.Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Calls:
    """What the recorder has called, in order."""

    def __init__(self) -> None:
        self.before: list[Json] = []
        self.after: list[Json] = []
        self.tokens: list[str] = []

    def recorder(self, upstream: str) -> Recorder:
        return Recorder(
            {"compute": f"{upstream}/compute/v1/"},
            before=self.before.append,
            after=self.after.append,
            tokens=self.tokens.append,
        )


@asynccontextmanager
async def upstream(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def play(work: Callable[[], t.Coroutine[t.Any, t.Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


def test_it_passes_on_and_writes_down() -> None:
    calls, seen = Calls(), []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, request.headers["Authorization"], await request.json()))
        assert calls.before and not calls.after, "the journal must know before Google does"
        return web.json_response({"error": {"code": 429}}, status=429, headers={"Retry-After": "7"})

    async def work() -> None:
        async with upstream(answer) as base, aiohttp.ClientSession() as client:
            recorder = calls.recorder(base)
            async with recorder.serving():
                with recorder.play() as endpoints:
                    url = endpoints["compute"] + "projects/p/a%2Fb?filter=x%3Dy&alt=json"
                    headers = {"Authorization": "Bearer secret-token"}
                    async with client.post(url, json={"name": "n"}, headers=headers) as response:
                        assert response.status == 429
                        assert response.headers["Retry-After"] == "7"
                        assert (await response.json())["error"]["code"] == 429

    play(work)
    method, path, authorization, body = seen[0]
    assert (method, authorization, body) == ("POST", "Bearer secret-token", {"name": "n"})
    assert path.startswith("/compute/v1/projects/p/a%2Fb?")
    record = calls.after[0]
    assert record["url"].startswith("https://compute.googleapis.com/compute/v1/projects/p/a%2Fb?filter=")
    assert (record["request"], record["status"], record["response"]) == ({"name": "n"}, 429, {"error": {"code": 429}})
    assert record["seconds"] >= 0 and record["at"]
    assert calls.tokens == ["secret-token"]
    assert "secret-token" not in repr(calls.after)


def test_it_is_good_for_one_play_and_for_who_knows_its_address() -> None:
    calls = Calls()

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({})

    async def work() -> None:
        async with upstream(answer) as base, aiohttp.ClientSession() as client:
            recorder = calls.recorder(base)
            async with recorder.serving():
                with recorder.play() as endpoints:
                    url = endpoints["compute"] + "projects/p"
                    assert url.startswith("http://127.0.0.1:")
                    parts = url.split("/")
                    wrong = "/".join([*parts[:3], "guessed", *parts[4:]])
                    for address, status in ((url, 200), (wrong, 403), (url.replace("/compute/", "/pubsub/"), 404)):
                        async with client.get(address) as response:
                            assert response.status == status, address
                async with client.get(url) as response:
                    assert response.status == 403, "the play is over"

    play(work)
    assert len(calls.after) == 1


def test_who_gets_no_answer_gives_none_and_asks_once() -> None:
    calls, asked = Calls(), []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def work() -> None:
        async with upstream(answer) as base:
            recorder = calls.recorder(base)
            async with recorder.serving():
                with recorder.play() as endpoints, pytest.raises(requests.exceptions.ConnectionError):
                    await asyncio.to_thread(requests.delete, endpoints["compute"] + "projects/p", timeout=10)

    play(work)
    assert asked == ["DELETE"]
    assert [(record["status"], record["method"]) for record in calls.after] == [(0, "DELETE")]


def test_what_is_no_json_is_told_by_its_size() -> None:
    calls = Calls()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"\x00weights")

    async def work() -> None:
        async with upstream(answer) as base, aiohttp.ClientSession() as client:
            recorder = calls.recorder(base)
            async with recorder.serving():
                with recorder.play() as endpoints:
                    async with client.get(endpoints["compute"] + "x") as response:
                        assert await response.read() == b"\x00weights"

    play(work)
    assert calls.after[0]["response"] == {"bytes": 8}
    assert calls.after[0]["request"] is None
