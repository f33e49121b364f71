# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud of plain dictionaries, a cluster with a kubelet, and waiting for what is to come."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import time
import typing as t
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp

from sandbox.client import CONFIG_MAPS, EVENTS, NODES, PODS, SERVICE_ACCOUNTS, KubeClient
from sandbox.dataplane import Kubelet
from sandbox.faults import Faults
from sandbox.interfaces import ClusterKey, Json
from sandbox.kubernetes import ApiServer
from sandbox.latency import Latency

KEY = ClusterKey("us-east5-b", "gke-us-east5")
FAST = Latency(0.001)
PROJECT = "sandbox-project"
GSA = f"weights@{PROJECT}.iam.gserviceaccount.com"
FEDERATED = f"serviceAccount:{PROJECT}.svc.id.goog[default/model-server]"

_numbers = itertools.count()


def loopback() -> str:
    """A /24 of loopback that no other test of this run uses, as "127.a.b"; sandboxes take 127.20 to 127.249."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")  # gw0, gw1...: processes of one run
    run = os.getppid() if worker else os.getpid()
    first = 125 * int(worker[2:]) if worker else 0
    return f"127.{250 + run % 5}.{(run // 5 + first + next(_numbers)) % 250}"


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], Awaitable[t.Any]], what: str, deadline: float = 30.0) -> t.Any:
    """The condition's first true answer. Fails the test when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        answer = await condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        await asyncio.sleep(0.02)


class FakeCloud:
    """As much of a CloudView as kubelets look at."""

    project = PROJECT
    project_number = "123456789012"

    def __init__(self, directory: Path, cidr: str) -> None:
        self.directory = directory
        self.policies: dict[str, list[Json]] = {
            "bucket/weights": [{"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{GSA}"]}],
            f"serviceAccount/{GSA}": [{"role": "roles/iam.workloadIdentityUser", "members": [FEDERATED]}],
        }
        self.document: Json = {
            "clusterIpv4Cidr": cidr,
            "addonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}},
            "workloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"},
            "nodePools": [{"name": "pool", "config": {"workloadMetadataConfig": {"mode": "GKE_METADATA"}}}],
        }

    def cluster(self, key: ClusterKey) -> Json | None:
        return self.document

    def bucket(self, name: str) -> Path | None:
        path = self.directory / name
        return path if path.is_dir() else None

    def bindings(self, resource: str) -> Sequence[Json]:
        return self.policies.get(resource, [])


class World:
    """A running API server with a kubelet and one node."""

    def __init__(self, client: KubeClient, kubelet: Kubelet, cloud: FakeCloud, faults: Faults, root: Path) -> None:
        self.client = client
        self.kubelet = kubelet
        self.running = asyncio.create_task(kubelet.run())
        self.cloud = cloud
        self.faults = faults
        self.root = root

    async def pod(self, name: str) -> Json | None:
        return await self.client.get(PODS, "default", name)

    async def reached(self, name: str, condition: Callable[[Json], t.Any], what: str) -> Json:
        async def look() -> Json | None:
            pod = await self.pod(name)
            return pod if pod is not None and condition(pod) else None

        try:
            found: Json = await until(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; now {await self.pod(name)}; events {await self.events(name)}") from None
        return found

    async def ready(self, name: str) -> Json:
        return await self.reached(name, lambda pod: condition(pod, "Ready") == "True", f"{name} ready")

    async def gone(self, name: str) -> None:
        async def look() -> bool:
            return await self.pod(name) is None

        await until(look, f"{name} gone")

    async def events(self, name: str) -> list[tuple[str, str]]:
        events = await self.client.list(EVENTS, "default")
        return [(e["reason"], e["message"]) for e in events if e["involvedObject"]["name"] == name]

    def log(self, pod: str, container: str = "main") -> str:
        path = self.root / "logs" / "default" / pod / f"{container}.log"
        return path.read_text() if path.exists() else ""

    def pids(self) -> list[int]:
        return [workload["pid"] for workload in self.kubelet.workloads()]


@contextlib.asynccontextmanager
async def world(directory: Path, latency: Latency = FAST) -> AsyncIterator[World]:
    root = directory / "cluster"
    server = ApiServer(
        name=KEY.name, host="127.0.0.1", port=0, token="secret-token", version="1.34.1-gke.1829001", directory=root
    )
    await server.start()
    client = KubeClient(server.access, "test")
    (directory / "buckets" / "weights").mkdir(parents=True)
    cloud = FakeCloud(directory / "buckets", f"{loopback()}.0/24")
    faults = Faults()
    kubelet = Kubelet(
        key=KEY, access=server.access, cloud=t.cast(t.Any, cloud), latency=latency, faults=faults, directory=root
    )
    here = World(client, kubelet, cloud, faults, root)
    try:
        node = {
            "metadata": {"name": "node-1", "labels": {"cloud.google.com/gke-nodepool": "pool"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.20.1.5"}]},
        }
        await client.create(NODES, node)
        await client.merge(NODES, node, "status")
        annotations = {"iam.gke.io/gcp-service-account": GSA}
        await client.create(
            SERVICE_ACCOUNTS,
            {"metadata": {"name": "model-server", "namespace": "default", "annotations": annotations}},
        )
        yield here
    finally:
        here.running.cancel()
        await asyncio.gather(here.running, return_exceptions=True)
        await client.close()
        await server.stop()


def pod(name: str, *command: str, image: str = "python:3.12-slim", **fields: t.Any) -> Json:
    """A bound Pod with one container named main; ``fields``: of the container, or of spec_ / meta_ with that prefix."""
    meta = {key.removeprefix("meta_"): value for key, value in fields.items() if key.startswith("meta_")}
    spec = {key.removeprefix("spec_"): value for key, value in fields.items() if key.startswith("spec_")}
    own = {key: value for key, value in fields.items() if not key.startswith(("meta_", "spec_"))}
    container = {"name": "main", "image": image, **({"command": list(command)} if command else {}), **own}
    return {
        "metadata": {"name": name, "namespace": "default", **meta},
        "spec": {
            "nodeName": "node-1",
            "terminationGracePeriodSeconds": 5,
            "serviceAccountName": "model-server",
            "containers": [container],
            **spec,
        },
    }


def config_map(name: str, **data: str) -> Json:
    named = {key.replace("__", "."): value for key, value in data.items()}
    return {"metadata": {"name": name, "namespace": "default"}, "data": named}


async def make_config_map(world: World, name: str, **data: str) -> None:
    await world.client.create(CONFIG_MAPS, config_map(name, **data))


def condition(pod: Json, kind: str) -> str:
    found = [c["status"] for c in (pod.get("status") or {}).get("conditions") or [] if c["type"] == kind]
    return found[0] if found else ""


def container_status(pod: Json, name: str = "main") -> Json:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    found: Json = next((status for status in statuses if status["name"] == name), {})
    return found


def reason(pod: Json) -> str:
    """Why the container waits or how it ended."""
    state = container_status(pod).get("state") or {}
    return str((state.get("waiting") or state.get("terminated") or {}).get("reason", ""))


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


SLEEP = ("python3", "-c", "import time; print('up', flush=True); time.sleep(600)")
SERVE = ("python3", "-m", "http.server", "8000")
HTTP = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 5}
BUCKET: Json = {
    "name": "weights",
    "csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": {"bucketName": "weights"}},
}
FUSE = {"gke-gcsfuse/volumes": "true"}


def play(directory: Path, scene: Callable[[World], Awaitable[None]], latency: Latency = FAST) -> None:
    """Run the scene in a world; whatever happened in it, no process is left of it."""

    async def run() -> None:
        started: list[int] = []
        async with world(directory, latency) as here:
            try:
                await scene(here)
            finally:
                started = here.pids()
        await until(lambda: asyncio.sleep(0, not any(map(alive, started))), "no process is left")

    asyncio.run(run())


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


def phase_is(*phases: str) -> Callable[[Json], bool]:
    return lambda pod: pod.get("status", {}).get("phase") in phases
