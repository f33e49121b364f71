# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud of plain dictionaries, a data plane that records, and a kubelet that runs every Pod at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import typing as t
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from sandbox.client import PODS, KubeClient, KubeError, Resource, now
from sandbox.controllers import ClusterControllers
from sandbox.faults import Faults
from sandbox.interfaces import Backend, ClusterKey, Json, Listener
from sandbox.kubernetes import ApiServer
from sandbox.latency import Latency

FAST = Latency(0.0005)
TOKEN = "a-token-for-tests"
AGENT = "serviceAccount:service-123456789012@gcp-sa-multiclusteringress.iam.gserviceaccount.com"
_addresses = itertools.count(2)


class FakeCloud:
    """A CloudView; tests write its fields and call ``changed``."""

    project = "sandbox-project"
    project_number = "123456789012"

    def __init__(self) -> None:
        self.clusters: dict[ClusterKey, Json] = {}
        self.features: dict[str, Json] = {}
        self.fleet: list[Json] = []
        self.subnets: list[Json] = []
        self.rules: list[Json] = []
        self.addresses: dict[tuple[str, str], Json] = {}
        self.policy: list[Json] = [{"role": "roles/container.admin", "members": [AGENT]}]
        self._version = 1
        self._change = asyncio.Condition()

    def cluster(self, key: ClusterKey) -> Json | None:
        return self.clusters.get(key)

    def feature(self, feature_id: str) -> Json | None:
        return self.features.get(feature_id)

    def memberships(self) -> Sequence[Json]:
        return self.fleet

    def subnetworks(self, network: str) -> Sequence[Json]:
        return self.subnets

    def firewalls(self, network: str) -> Sequence[Json]:
        return self.rules

    def address(self, region: str, name: str) -> Json | None:
        return self.addresses.get((region, name))

    def bucket(self, name: str) -> Path | None:
        return None

    def bindings(self, resource: str) -> Sequence[Json]:
        return self.policy if resource == "project" else []

    def service_enabled(self, name: str) -> bool:
        return True

    async def wait_change(self, seen: int) -> int:
        async with self._change:
            await self._change.wait_for(lambda: self._version > seen)
            return self._version

    async def changed(self) -> None:
        async with self._change:
            self._version += 1
            self._change.notify_all()


class Recorder:
    """A DataPlane that remembers what it was asked for."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.backends: dict[str, Backend] = {}
        self.calls = 0
        self.unusable: set[str] = set()  # addresses
        self.fewest = 0  # listeners that led somewhere, since a test has set it

    async def program(self, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> Mapping[Listener, str]:
        self.listeners, self.backends = list(listeners), dict(backends)
        self.calls += 1
        leading = [one for one in listeners if any(rule.backends for rule in one.rules)]
        self.fewest = min(self.fewest, len(leading))
        return {one: f"{one.address} is taken" for one in listeners if one.address in self.unusable}

    async def stop(self) -> None:
        pass


class Published:
    """LoadBalancers that remember what they were told last."""

    def __init__(self) -> None:
        self.network = ""
        self.listeners: list[Listener] = []
        self.backends: dict[str, Backend] = {}

    def publish(self, network: str, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> None:
        self.network, self.listeners, self.backends = network, list(listeners), dict(backends)


async def until(condition: Callable[[], Awaitable[t.Any]], what: str, deadline: float = 15.0) -> t.Any:
    """The condition's first true answer. Fails the test when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        answer = await condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        await asyncio.sleep(0.02)


class Kubelet:
    """Makes placed Pods Running and Ready (unless their name is in ``unready``), and ends deleted ones."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.unready: set[str] = set()
        self.phases: dict[str, str] = {}  # label app -> phase that its Pods end in

    async def run(self) -> None:
        async for kind, pod in self._client.watch(PODS):
            if kind in ("ADDED", "MODIFIED"):
                with contextlib.suppress(KubeError):
                    await self._see(pod)

    async def _see(self, pod: Json) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            await self._client.delete(PODS, meta["namespace"], meta["name"], grace_period=0)
        elif pod["spec"].get("nodeName") and "podIP" not in pod.get("status", {}):
            await self.report(pod, self.phases.get(meta.get("labels", {}).get("app", ""), "Running"))

    async def report(self, pod: Json, phase: str, *, ready: bool = True) -> None:
        live = pod.get("status") or {}
        kept = [item for item in live.get("conditions") or [] if item["type"] != "Ready"]
        verdict = {
            "type": "Ready",
            "status": "True" if ready and phase == "Running" else "False",
            "lastTransitionTime": now(),
        }
        status = {
            "phase": phase,
            "podIP": live.get("podIP") or f"127.20.130.{next(_addresses) % 250}",
            "conditions": [*kept, verdict],
        }
        meta = {"namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]}
        await self._client.merge(PODS, {"metadata": meta, "status": status}, "status")


class Cluster:
    """A running API server with its controllers and the kubelet above."""

    def __init__(
        self, key: ClusterKey, server: ApiServer, client: KubeClient, kubelet: Kubelet, faults: Faults
    ) -> None:
        self.key = key
        self.server = server
        self.client = client
        self.kubelet = kubelet
        self.faults = faults

    async def get(self, resource: Resource, name: str, namespace: str = "default") -> Json | None:
        return await self.client.get(resource, namespace, name)


@contextlib.asynccontextmanager
async def cluster(
    key: ClusterKey, cloud: FakeCloud, directory: Path, latency: Latency = FAST
) -> AsyncIterator[Cluster]:
    server = ApiServer(
        name=key.name,
        host="127.0.0.1",
        port=0,
        token=TOKEN,
        version="1.34.1-gke.1829001",
        directory=directory / key.name,
    )
    await server.start()
    client = KubeClient(server.access, "test")
    kubelet = Kubelet(client)
    faults = Faults()
    controllers = ClusterControllers(key=key, access=server.access, cloud=cloud, latency=latency, faults=faults)
    tasks = [asyncio.create_task(controllers.run()), asyncio.create_task(kubelet.run())]
    try:
        yield Cluster(key, server, client, kubelet, faults)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        await server.stop()


def document(key: ClusterKey, *pools: Json, gateway_api: bool = True) -> Json:
    """A cluster as the container API answers it."""
    return {
        "name": key.name,
        "location": key.location,
        "locations": [key.location],
        "currentMasterVersion": "1.34.1-gke.1829001",
        "status": "RUNNING",
        "network": "inference",
        "subnetwork": f"nodes-{key.region}",
        "clusterIpv4Cidr": "127.20.128.0/20",
        "networkConfig": {"gatewayApiConfig": {"channel": "CHANNEL_STANDARD" if gateway_api else "CHANNEL_DISABLED"}},
        "nodePools": list(pools),
    }


def default_pool(count: int = 1) -> Json:
    return {
        "name": "default-pool",
        "status": "RUNNING",
        "initialNodeCount": count,
        "config": {"machineType": "e2-standard-16"},
    }


def tpu_pool(*, profile: bool = True, driver: bool = True, count: int = 1) -> Json:
    labels = {"cloud.google.com/gke-networking-dra-driver": "true"} if driver else {}
    return {
        "name": "tpu-pool",
        "status": "RUNNING",
        "initialNodeCount": count,
        "config": {"machineType": "ct6e-standard-4t", "labels": labels},
        "networkConfig": {"acceleratorNetworkProfile": "auto"} if profile else {},
    }
