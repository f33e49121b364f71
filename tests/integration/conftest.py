# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded cloud in a thread; modules run against it over HTTP, as they would against Google."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import typing as t
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from sandbox.faults import Faults
from sandbox.interfaces import ClusterAccess, ClusterKey
from sandbox.interference import desk
from sandbox.latency import Latency
from tests.official import Judge

Json = dict[str, t.Any]

PROJECT = "test-project"
TOKEN = "test-token"
BASES = {
    "cloudresourcemanager": "/cloudresourcemanager/",
    "compute": "/compute/v1/",
    "container": "/container/",
    "gkehub": "/gkehub/",
    "iam": "/iam/",
    "serviceusage": "/serviceusage/",
    "storage": "/storage/v1/",
}
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


class NoClusters:
    """Stands for the Kubernetes side: every cluster starts at once and serves nothing."""

    async def start_cluster(self, key: ClusterKey, version: str) -> ClusterAccess:
        return ClusterAccess(endpoint="127.0.0.1:9", ca_pem="-----BEGIN CERTIFICATE-----\n", token=TOKEN)

    async def stop_cluster(self, key: ClusterKey) -> None:
        pass


class CloudServer:
    """The cloud's address, the arguments for modules, and raw requests for tests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.args: Json = {
            "auth_kind": "accesstoken",
            "access_token": TOKEN,
            "project": PROJECT,
            "api_endpoints": {service: url + base for service, base in BASES.items()},
        }
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, service: str, path: str, body: t.Any = None) -> Json:
        """One request, relative to the service's base. Raises urllib.error.HTTPError."""
        return t.cast(Json, self._ask(method, BASES[service] + path, body))

    def _ask(self, method: str, path: str, body: t.Any = None) -> t.Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with self._opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    @contextlib.contextmanager
    def fault(self, kind: str, **wanted: t.Any) -> Iterator[str]:
        """A fault as `python -m sandbox fault add` makes it, for as long as the context lasts; its name.

        ``wanted``: settings, service, method, resource, location, times, seconds, share, seed.
        """
        name: str = self._ask("POST", "/sandbox/faults", {"kind": kind, **wanted})["name"]
        try:
            yield name
        finally:
            if name in self.faults():
                self._ask("DELETE", f"/sandbox/faults/{name}")

    def faults(self) -> dict[str, Json]:
        """Those in force, by name; one that was used up is none of them."""
        return {fault["name"]: fault for fault in self._ask("GET", "/sandbox/faults")}

    def find(self, service: str, path: str) -> Json | None:
        try:
            return self.request("GET", service, path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def enable(self, names: list[str]) -> None:
        """Turn APIs on and wait until they are."""
        parent = f"v1/projects/{PROJECT}/services"
        operation = self.request("POST", "serviceusage", f"{parent}:batchEnable", {"serviceIds": names})
        pause = threading.Event()
        while not operation.get("done"):
            pause.wait(0.02)
            operation = self.request("GET", "serviceusage", f"v1/{operation['name']}")


@contextlib.contextmanager
def running_cloud(directory: Path, *, scale: float = 0.002, services: list[str] | None = None) -> Iterator[CloudServer]:
    """A cloud of its own for as long as the context lasts; ``scale``: see sandbox.latency.

    At its end all that it was sent and has answered must have been of Google's types.
    """
    from sandbox.cloud import Cloud

    judge = Judge()
    loop = asyncio.new_event_loop()
    started: list[tuple[t.Any, web.AppRunner, int]] = []
    ready = threading.Event()

    async def start() -> None:
        faults = Faults()
        cloud = Cloud(
            project=PROJECT,
            token=TOKEN,
            latency=Latency(scale),
            faults=faults,
            prefix="127.99",
            directory=directory,
            runtime=NoClusters(),
        )
        cloud.app.middlewares.append(judge.middleware())
        for method, path, act in desk(faults):
            cloud.publish(method, path, act)
        runner = web.AppRunner(cloud.app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        started.append((cloud, runner, runner.addresses[0][1]))

    def serve() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(start())
        finally:
            ready.set()
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(30)
    if not started:
        raise RuntimeError("the embedded cloud did not start")
    cloud, runner, port = started[0]
    try:
        server = CloudServer(f"http://127.0.0.1:{port}")
        if services is None or services:
            server.enable(services or SERVICES)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(cloud.close(), loop).result(30)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
    assert not judge.violations, "\n".join(sorted(judge.violations))


@pytest.fixture(scope="module")
def cloud_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    """One cloud for a module of tests, all APIs enabled."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as server:
        yield server


@pytest.fixture
def cloud(cloud_server: CloudServer) -> Json:
    """The arguments with which a module reaches the cloud."""
    return dict(cloud_server.args)
