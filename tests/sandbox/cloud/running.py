# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud on a free port, in a thread of its own, whose clusters are addresses without anything behind them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from aiohttp import web

from sandbox.cloud import Cloud
from sandbox.faults import Faults
from sandbox.interfaces import ClusterAccess, ClusterKey, Json
from sandbox.latency import Latency
from tests.official import Judge
from tests.sandbox.cloud.official import judging

PROJECT = "sandbox-project"
NUMBER = "123456789012"
TOKEN = "test-token"
DEADLINE = 20.0
ENABLED = [
    f"{name}.googleapis.com"
    for name in ("compute", "container", "gkehub", "iam", "multiclusteringress", "multiclusterservicediscovery")
]


class Runtime:
    """Clusters that are only an address."""

    def __init__(self) -> None:
        self.started: dict[ClusterKey, str] = {}

    async def start_cluster(self, key: ClusterKey, version: str) -> ClusterAccess:
        self.started[key] = version
        return ClusterAccess(f"127.99.0.{10 + len(self.started)}:6443", "the CA", TOKEN)

    async def stop_cluster(self, key: ClusterKey) -> None:
        self.started.pop(key, None)


@dataclasses.dataclass
class Running:
    """A cloud that serves: ``call`` speaks to it, ``within`` runs a coroutine in its loop."""

    cloud: Cloud
    runtime: Runtime
    port: int
    loop: asyncio.AbstractEventLoop

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = TOKEN,
        data: bytes | None = None,
        kind: str = "application/octet-stream",
    ) -> tuple[int, t.Any]:
        """(status, parsed answer) of one request to ``path`` below the root; ``kind``: the type of raw ``data``."""
        content = data if data is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/{path}", method=method, data=content)
        request.add_header("Content-Type", "application/json" if data is None else kind)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text

    def ok(self, method: str, path: str, body: object = None) -> t.Any:
        status, answer = self.call(method, path, body)
        assert status == 200, answer
        return answer

    def done(self, operation: Json, path: str = "") -> Json:
        """Poll an operation of any API until it is done; ``path`` where its own name is not enough."""
        return until(lambda: self.ok("GET", path or self._path(operation)), finished)

    @staticmethod
    def _path(operation: Json) -> str:
        if "selfLink" not in operation:
            return f"serviceusage/v1/{operation['name']}"
        link = str(operation["selfLink"])
        if link.startswith("https://container.googleapis.com/"):
            return "container/" + link.removeprefix("https://container.googleapis.com/")
        return link.removeprefix("https://www.googleapis.com/")

    def fault(self, kind: str, **wanted: t.Any) -> str:
        """A fault from now on; its name."""

        async def add() -> str:
            return self.cloud.faults.add({"kind": kind, **wanted}).name

        return t.cast(str, self.within(add()))

    def clear(self) -> None:
        """No fault any more."""

        async def clear() -> None:
            self.cloud.faults.clear()

        self.within(clear())

    def within(self, routine: t.Coroutine[t.Any, t.Any, t.Any]) -> t.Any:
        return asyncio.run_coroutine_threadsafe(routine, self.loop).result(DEADLINE)


def finished(operation: Json) -> bool:
    return bool(operation.get("status") == "DONE" or operation.get("done"))


def until(look: Callable[[], t.Any], true: Callable[[t.Any], bool]) -> t.Any:
    """Look until the answer is as wanted."""
    end = time.monotonic() + DEADLINE
    while not true(answer := look()):
        assert time.monotonic() < end, f"still not as wanted after {DEADLINE} s: {answer}"
        time.sleep(0.01)
    return answer


def serve(directory: Path, scale: float, *, hostile: bool = False) -> Iterator[Running]:
    """Run a cloud in a thread and stop it at the end.

    Every answer that has an official type must be of it, and every request unless the clients are ``hostile``.
    """
    violations: list[str] = []
    ready: threading.Event = threading.Event()
    box: dict[str, t.Any] = {}
    runtime = Runtime()
    judge = Judge()

    async def status(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"state": "running"})

    async def main() -> None:
        cloud = Cloud(
            project=PROJECT,
            token=TOKEN,
            latency=Latency(scale),
            faults=Faults(),
            prefix="127.99",
            directory=directory,
            runtime=runtime,
        )
        cloud.app.middlewares.append(judge.middleware())
        cloud.app.middlewares.append(judging(violations))
        cloud.publish("GET", "/sandbox/status", status)
        runner = web.AppRunner(cloud.app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stop = asyncio.Event()
        box.update(cloud=cloud, port=runner.addresses[0][1], loop=asyncio.get_running_loop(), stop=stop)
        ready.set()
        await stop.wait()
        await cloud.close()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert ready.wait(DEADLINE)
    yield Running(box["cloud"], runtime, box["port"], box["loop"])
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(DEADLINE)
    assert hostile or not judge.violations, "\n".join(sorted(judge.violations))
    assert not violations


def enable_all(cloud: Running) -> None:
    """Enable the APIs of the chain in the main project."""
    path = f"serviceusage/v1/projects/{PROJECT}/services:batchEnable"
    cloud.done(cloud.ok("POST", path, {"serviceIds": ENABLED}))
