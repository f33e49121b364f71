# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud on a free port, in a thread of its own, whose clusters are addresses without anything behind them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aiohttp import web

from sandbox.cloud import Cloud
from sandbox.faults import Faults
from sandbox.interfaces import ClusterAccess, ClusterKey, Json
from sandbox.interference import desk
from sandbox.latency import Latency
from tests.judge import Judge

PROJECT = "sandbox-project"
NUMBER = "123456789012"
TOKEN = "test-token"
CA = "-----BEGIN CERTIFICATE-----\n"
DEADLINE = 30.0
BASES = {
    "cloudresourcemanager": "cloudresourcemanager/",
    "compute": "compute/v1/",
    "container": "container/",
    "gkehub": "gkehub/",
    "iam": "iam/",
    "serviceusage": "serviceusage/",
    "storage": "storage/v1/",
}
# What the chain needs enabled.
SERVICES = [
    f"{name}.googleapis.com"
    for name in (
        "autoscaling",
        "cloudresourcemanager",
        "compute",
        "connectgateway",
        "container",
        "dns",
        "gkehub",
        "iam",
        "iamcredentials",
        "modelarmor",
        "multiclusteringress",
        "multiclusterservicediscovery",
        "networkservices",
        "storage",
        "trafficdirector",
    )
]
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Runtime:
    """Clusters that are only an address: ``access`` when given."""

    def __init__(self) -> None:
        self.started: dict[ClusterKey, str] = {}
        self.access: ClusterAccess | None = None

    async def start_cluster(self, key: ClusterKey, version: str) -> ClusterAccess:
        self.started[key] = version
        return self.access or ClusterAccess(f"127.99.0.{10 + len(self.started)}:6443", CA, TOKEN)

    async def stop_cluster(self, key: ClusterKey) -> None:
        self.started.pop(key, None)


@dataclasses.dataclass
class Running:
    """A cloud that serves: ``call`` and ``request`` speak to it, ``within`` runs a coroutine in its loop."""

    cloud: Cloud
    runtime: Runtime
    port: int
    loop: asyncio.AbstractEventLoop

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def args(self) -> Json:
        """The options with which a module reaches it."""
        return {
            "auth_kind": "accesstoken",
            "access_token": TOKEN,
            "project": PROJECT,
            "api_endpoints": {service: f"{self.base}/{path}" for service, path in BASES.items()},
        }

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
            with _OPENER.open(request, timeout=DEADLINE) as answer:
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

    def request(self, method: str, service: str, path: str, body: object = None) -> t.Any:
        """What must succeed, relative to the service's base: {} for an answer without a body."""
        status, answer = self.call(method, BASES[service] + path, body)
        assert status < 400, answer
        return answer or {}

    def find(self, service: str, path: str) -> Json | None:
        """The same, None for what is not there."""
        status, answer = self.call("GET", BASES[service] + path)
        assert status in (200, 404), answer
        return answer if status == 200 else None

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

    def enable(self, names: Sequence[str] = SERVICES) -> None:
        """Turn APIs on in the main project, and wait until they are."""
        path = f"serviceusage/v1/projects/{PROJECT}/services:batchEnable"
        operation = self.ok("POST", path, {"serviceIds": list(names)})
        if not operation.get("done"):  # a finished one is not kept when there was nothing to do
            self.done(operation)

    def within(self, routine: t.Coroutine[t.Any, t.Any, t.Any]) -> t.Any:
        return asyncio.run_coroutine_threadsafe(routine, self.loop).result(DEADLINE)

    def break_down(self, kind: str, **wanted: t.Any) -> str:
        """A fault as `python -m sandbox fault add` makes it; its name.

        ``wanted``: settings, service, method, resource, location, times, seconds, share, seed.
        """
        return str(self.ok("POST", "sandbox/faults", {"kind": kind, **wanted})["name"])

    def repair(self) -> None:
        """No fault any more."""
        self.ok("DELETE", "sandbox/faults")

    @contextlib.contextmanager
    def fault(self, kind: str, **wanted: t.Any) -> Iterator[str]:
        """A fault for as long as the context lasts; its name."""
        name = self.break_down(kind, **wanted)
        try:
            yield name
        finally:
            if name in self.faults():
                self.ok("DELETE", f"sandbox/faults/{name}")

    def faults(self) -> dict[str, Json]:
        """Those in force, by name; one that was used up is none of them."""
        return {fault["name"]: fault for fault in self.ok("GET", "sandbox/faults")}


def finished(operation: Json) -> bool:
    return bool(operation.get("status") == "DONE" or operation.get("done"))


def until(look: Callable[[], t.Any], true: Callable[[t.Any], bool], *, seconds: float = DEADLINE) -> t.Any:
    """Look until the answer is as wanted."""
    end = time.monotonic() + seconds
    while not true(answer := look()):
        assert time.monotonic() < end, f"still not as wanted after {seconds} s: {answer}"
        time.sleep(0.01)
    return answer


@contextlib.contextmanager
def running_cloud(
    directory: Path, *, scale: float = 0.002, services: Sequence[str] = SERVICES, hostile: bool = False
) -> Iterator[Running]:
    """A cloud of its own for as long as the context lasts; ``scale``: see sandbox.latency; ``services``: enabled.

    At its end every answer that it gave must have been of Google's types, and every request that it took unless the
    clients are ``hostile``.
    """
    judge, ready = Judge(), threading.Event()
    box: dict[str, t.Any] = {}
    runtime = Runtime()

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
        cloud.publish("GET", "/sandbox/status", status)
        for method, path, act in desk(cloud.faults):
            cloud.publish(method, path, act)
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
    assert ready.wait(DEADLINE), "the embedded cloud did not start"
    running = Running(box["cloud"], runtime, box["port"], box["loop"])
    try:
        if services:
            running.enable(services)
        yield running
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(DEADLINE)
    assert not judge.violations(requests=not hostile), "\n".join(judge.violations(requests=not hostile))
