# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the parts together: one cloud, a Kubernetes API per cluster, its controllers, the data plane."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import logging
import os
import secrets
import shutil
import socket
import typing as t
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .catalogue.quotas import Quotas
from .cloud import Cloud
from .controllers import ClusterControllers, FleetControllers
from .dataplane import EnvoyFleet, Kubelet
from .faults import Faults
from .interfaces import ClusterAccess, ClusterKey, Hit, Json, Place
from .interference import desk, pass_through
from .kubernetes import ApiServer
from .kubernetes.errors import ApiStatus
from .latency import Latency
from .state import StateDirectory
from .traffic import Traffic, agent_of

LOG = logging.getLogger("sandbox")

GUARD_PORT = 47701

# Below the server's root, spelled as gcloud's endpoint overrides expect them.
BASE_PATHS = {
    "cloudresourcemanager": "cloudresourcemanager/",
    "compute": "compute/v1/",
    "container": "container/",
    "gkehub": "gkehub/",
    "iam": "iam/",
    "serviceusage": "serviceusage/",
    "storage": "storage/v1/",
}


@dataclasses.dataclass
class Cluster:
    """What runs for one GKE cluster."""

    server: ApiServer
    kubelet: Kubelet
    tasks: list[asyncio.Task[None]]


class World:
    """The whole sandbox; also the ClusterRuntime that the container API asks to make clusters real."""

    def __init__(self, state: StateDirectory, project: str, latency: Latency, quotas: Quotas) -> None:
        self._state = state
        self._latency = latency
        self._token = secrets.token_urlsafe(32)
        self._guard, self._prefix = claim_block()
        self._clusters: dict[ClusterKey, Cluster] = {}
        self._hosts: set[int] = set()
        self._traffic = Traffic()
        self._faults = Faults()
        self._dataplane = EnvoyFleet(directory=state.path / "envoy", faults=self._faults)
        self.cloud = Cloud(
            project=project,
            token=self._token,
            latency=latency,
            faults=self._faults,
            prefix=self._prefix,
            directory=state.path / "cloud",
            runtime=self,
            quotas=quotas,
        )
        self._fleet = FleetControllers(
            cloud=self.cloud.view,
            latency=latency,
            access=lambda key: found.server.access if (found := self._clusters.get(key)) else None,
            clusters=lambda: tuple(self._clusters),
            dataplane=self._dataplane,
            balancers=self.cloud.balancers,
        )

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then take everything down."""
        self.cloud.publish("GET", "/sandbox/status", self._answer_status)
        for method, path, act in desk(self._faults):
            self.cloud.publish(method, path, act)
        # The first part of a path names the service.
        self.cloud.app.middlewares.append(self._traffic.counting(lambda request: request.path.split("/")[1]))
        runner = web.AppRunner(self.cloud.app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        tasks = [
            asyncio.create_task(keep(self._fleet.run, "fleet controllers")),
            asyncio.create_task(keep(self._dataplane.follow_faults, "faults of the load balancers")),
        ]
        port = runner.addresses[0][1]
        self._endpoints = {service: f"http://127.0.0.1:{port}/{path}" for service, path in BASE_PATHS.items()}
        self._state.write_status(self.status())
        LOG.info("ready on port %d, block %s.0.0/16", port, self._prefix)
        try:
            await stop.wait()
        finally:
            self._state.status_file.unlink(missing_ok=True)
            await cancel(tasks)
            for key in list(self._clusters):
                await self.stop_cluster(key)
            await self._dataplane.stop()
            await self.cloud.close()
            await runner.cleanup()
            self._guard.close()

    async def start_cluster(self, key: ClusterKey, version: str) -> ClusterAccess:
        number = next(n for n in range(10, 250) if n not in self._hosts)
        self._hosts.add(number)
        directory = self._directory(key)
        server = ApiServer(
            name=key.name,
            host=f"{self._prefix}.0.{number}",
            port=6443,
            token=self._token,
            version=version,
            directory=directory,
            middlewares=[self._traffic.counting(lambda _request: "kubernetes"), self._interfering(key)],
        )
        await server.start()
        arguments: dict[str, t.Any] = {
            "key": key,
            "access": server.access,
            "cloud": self.cloud.view,
            "latency": self._latency,
            "faults": self._faults,
        }
        controllers = ClusterControllers(**arguments)
        kubelet = Kubelet(**arguments, directory=directory)
        tasks = [
            asyncio.create_task(keep(controllers.run, f"controllers of {key}")),
            asyncio.create_task(keep(kubelet.run, f"kubelet of {key}")),
            asyncio.create_task(keep(lambda: self._follow_faults(key, server), f"faults of {key}")),
        ]
        self._clusters[key] = Cluster(server, kubelet, tasks)
        return server.access

    async def _follow_faults(self, key: ClusterKey, server: ApiServer) -> None:
        """The cluster's API is away as long as a fault says so."""
        async for _unused in self._faults.changes():
            away = self._faults.afflicts("api-away", key.place(key.name))
            await server.be_away(away.settings["how"] if away else "")

    async def stop_cluster(self, key: ClusterKey) -> None:
        cluster = self._clusters.pop(key, None)
        if cluster is None:
            return
        await cancel(cluster.tasks)
        await cluster.server.stop()
        self._hosts.discard(int(cluster.server.access.endpoint.split(":")[0].rsplit(".", 1)[1]))
        shutil.rmtree(self._directory(key), ignore_errors=True)

    def status(self) -> Json:
        return {
            "state": "running",
            "pid": os.getpid(),
            "state_dir": str(self._state.path),
            "project": self.cloud.view.project,
            "project_number": self.cloud.view.project_number,
            "token": self._token,
            "block": f"{self._prefix}.0.0/16",
            "prefix": self._prefix,
            "latency_scale": self._latency.scale,
            "endpoints": self._endpoints,
            "clusters": {
                str(key): {
                    "endpoint": cluster.server.access.endpoint,
                    "kubeconfig": str(self._directory(key) / "kubeconfig"),
                }
                for key, cluster in self._clusters.items()
            },
            "requests": self._traffic.counts(),
            "listeners": self._dataplane.listeners(),
            "workloads": [
                {"cluster": str(key), **workload}
                for key, cluster in self._clusters.items()
                for workload in cluster.kubelet.workloads()
            ],
        }

    async def _answer_status(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.status())

    def _interfering(self, key: ClusterKey) -> Middleware:
        """Lets the faults in force meet the requests to a cluster's Kubernetes API; the sandbox's own are spared."""

        @web.middleware
        async def interfere(request: web.Request, handler: Handler) -> web.StreamResponse:
            if agent_of(request) == "sandbox":
                return await handler(request)
            here = Place("kubernetes", request.method, f"{key.name}{request.path}", key.location)
            return await pass_through(self._faults, here, request, kubernetes_refusal, lambda: handler(request))

        return interfere

    def _directory(self, key: ClusterKey) -> Path:
        return self._state.path / "clusters" / key.location / key.name


# What Kubernetes says of itself when it is not well: reason and message, by HTTP code.
UNWELL = {
    429: (
        "TooManyRequests",
        "The server has received too many requests and has asked us to try again later",
    ),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "The server is currently unable to handle the request"),
    504: ("Timeout", "The server was unable to return a response in the time allotted"),
}


def kubernetes_refusal(hit: Hit) -> web.Response:
    """An error as a Kubernetes API words it."""
    code, wait = hit.settings["code"], hit.settings["retry_after"]
    reason, message = UNWELL.get(code, ("", http.client.responses.get(code, "unknown")))
    details = {"retryAfterSeconds": wait} if wait else None
    return web.json_response(ApiStatus(code, reason, message, details).body(), status=code)


def claim_block() -> tuple[socket.socket, str]:
    """A loopback /16 that no other sandbox uses: the guard socket holds it as long as this process lives."""
    for number in range(20, 250):
        guard = socket.socket()
        try:
            guard.bind((f"127.{number}.0.1", GUARD_PORT))
            guard.listen(1)
        except OSError:
            guard.close()
            continue
        return guard, f"127.{number}"
    raise RuntimeError("no free block in 127.20.0.0/16 .. 127.249.0.0/16")


async def keep(run: Callable[[], Awaitable[None]], what: str) -> None:
    """Run a part for ever: a fault of the sandbox's own is logged and the part started again, as an operator would."""
    while True:
        try:
            await run()
        except Exception:
            LOG.exception("%s failed; starting again", what)
        await asyncio.sleep(1)


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
