# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two clusters of a fleet on real API servers: from exported pools and a Gateway to a programmed data plane."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
import typing as t
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.client import (
    BACKEND_POLICIES,
    EVENTS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HEALTH_CHECK_POLICIES,
    HTTP_ROUTES,
    INFERENCE_POOLS,
    NODES,
    PODS,
    POOL_IMPORTS,
    SERVICES,
)
from sandbox.controllers import FleetControllers
from sandbox.controllers.cache import condition
from sandbox.interfaces import ClusterKey, HealthCheck, Json
from tests.sandbox.controllers import harness
from tests.sandbox.controllers.harness import (
    Cluster,
    FakeCloud,
    Published,
    Recorder,
    cluster,
    default_pool,
    document,
    until,
)

EAST = ClusterKey("us-east5-a", "east")
WEST = ClusterKey("europe-west4-a", "west")
CLASS = "gke-l7-cross-regional-internal-managed-mc"
TARGET = {"group": "networking.gke.io", "kind": "GCPInferencePoolImport", "name": "pool"}


def estate() -> FakeCloud:
    """A cloud in which all is as the codelab wants it."""
    cloud = FakeCloud()
    for key, number in ((EAST, 1), (WEST, 2)):
        cloud.clusters[key] = document(key, default_pool())
        cloud.fleet.append(
            {
                "name": f"projects/sandbox-project/locations/global/memberships/{key.name}",
                "endpoint": {
                    "gkeCluster": {
                        "resourceLink": "//container.googleapis.com/projects/sandbox-project/"
                        f"locations/{key.location}/clusters/{key.name}"
                    }
                },
            }
        )
        cloud.subnets += [
            {"name": f"nodes-{key.region}", "region": key.region, "ipCidrRange": f"127.20.{number}.0/24"},
            {
                "name": f"proxy-{key.region}",
                "region": f"projects/p/regions/{key.region}",
                "ipCidrRange": f"127.20.{32 + number}.0/24",
                "purpose": "GLOBAL_MANAGED_PROXY",
                "role": "ACTIVE",
            },
        ]
        cloud.addresses[(key.region, f"vip-{key.region}")] = {"address": f"127.20.{number}.2"}
    cloud.rules = [
        {
            "direction": "INGRESS",
            "sourceRanges": ["130.211.0.0/22", "35.191.0.0/16", "127.20.0.0/16"],
            "allowed": [{"IPProtocol": "tcp", "ports": ["8000"]}],
        }
    ]
    cloud.features["multiclusteringress"] = {
        "resourceState": {"state": "ACTIVE"},
        "spec": {
            "multiclusteringress": {"configMembership": "projects/123456789012/locations/global/memberships/east"}
        },
    }
    return cloud


class Estate(t.NamedTuple):
    cloud: FakeCloud
    clusters: dict[ClusterKey, Cluster]
    plane: Recorder
    published: Published

    @property
    def config(self) -> Cluster:
        return self.clusters[EAST]


@contextlib.asynccontextmanager
async def running(cloud: FakeCloud, directory: Path) -> AsyncIterator[Estate]:
    async with cluster(EAST, cloud, directory) as east, cluster(WEST, cloud, directory) as west:
        clusters = {EAST: east, WEST: west}
        plane, published = Recorder(), Published()
        fleet = FleetControllers(
            cloud=cloud,
            latency=harness.FAST,
            access=lambda key: clusters[key].server.access,
            clusters=lambda: tuple(clusters),
            dataplane=plane,
            balancers=published,
        )
        task = asyncio.create_task(fleet.run())
        try:
            yield Estate(cloud, clusters, plane, published)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def serve_model(where: Cluster) -> None:
    """A pool, its endpoint picker and one model server Pod."""
    client = where.client

    async def ready() -> t.Any:
        kinds = [item["metadata"]["name"] for item in await client.list(GATEWAY_CLASSES)] if client else []
        return "gke-l7-rilb" in kinds and await client.list(NODES)

    await until(_quiet(ready), "Gateway API and nodes")
    for name in ("model", "picker"):
        await client.create(PODS, pod(name))
    selector = {"app": "picker"}
    await client.create(
        SERVICES,
        {
            "metadata": {"namespace": "default", "name": "pool-epp"},
            "spec": {"selector": selector, "ports": [{"port": 9002}]},
        },
    )
    await client.create(
        INFERENCE_POOLS,
        {
            "metadata": {
                "namespace": "default",
                "name": "pool",
                "annotations": {"networking.gke.io/export": "True"},
            },
            "spec": {
                "selector": {"matchLabels": {"app": "model"}},
                "targetPorts": [{"number": 8000}],
                "endpointPickerRef": {"name": "pool-epp", "port": {"number": 9002}},
            },
        },
    )


def pod(name: str) -> Json:
    return {
        "metadata": {"namespace": "default", "name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "vllm/vllm-tpu:v0.11.1"}]},
    }


def _quiet(check: t.Callable[[], t.Awaitable[t.Any]]) -> t.Callable[[], t.Awaitable[t.Any]]:
    """A kind that is not served yet is no more than a condition not yet met."""

    async def asked() -> t.Any:
        try:
            return await check()
        except harness.KubeError as error:
            if error.code != 404:
                raise
            return None

    return asked


def gateway() -> Json:
    addresses = [
        {
            "type": "networking.gke.io/named-address-with-region",
            "value": f"regions/{key.region}/addresses/vip-{key.region}",
        }
        for key in (EAST, WEST)
    ]
    return {
        "metadata": {"namespace": "default", "name": "gw"},
        "spec": {
            "gatewayClassName": CLASS,
            "addresses": addresses,
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
        },
    }


def route() -> Json:
    backend = {"group": TARGET["group"], "kind": TARGET["kind"], "name": "pool", "port": 8000}
    return {
        "metadata": {"namespace": "default", "name": "route"},
        "spec": {"parentRefs": [{"name": "gw", "kind": "Gateway"}], "rules": [{"backendRefs": [backend]}]},
    }


async def route_traffic(config: Cluster) -> None:
    await until(_quiet(lambda: config.client.get(POOL_IMPORTS, "default", "pool")), "the import")
    await config.client.create(GATEWAYS, gateway())
    await config.client.create(HTTP_ROUTES, route())
    check = {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health", "port": 8000}}
    await config.client.create(
        HEALTH_CHECK_POLICIES,
        {
            "metadata": {"namespace": "default", "name": "health"},
            "spec": {"targetRef": TARGET, "default": {"checkIntervalSec": 2, "timeoutSec": 1, "config": check}},
        },
    )
    await config.client.create(
        BACKEND_POLICIES,
        {
            "metadata": {"namespace": "default", "name": "backend"},
            "spec": {"targetRef": TARGET, "default": {"timeoutSec": 100}},
        },
    )


def endpoints(plane: Recorder) -> list[str]:
    """Regions of the pool's endpoints."""
    backend = plane.backends.get("default/pool")
    return [endpoint.region for endpoint in backend.endpoints] if backend else []


async def verdict(where: Cluster, kind: str) -> Json:
    obj = await where.client.get(GATEWAYS, "default", "gw")
    return condition(obj or {}, kind) or {}


def test_the_chain_from_pool_to_traffic(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(estate(), tmp_path) as world:
            await asyncio.gather(*(serve_model(one) for one in world.clusters.values()))
            await route_traffic(world.config)
            plane = world.plane

            async def both() -> bool:
                return endpoints(plane) == ["europe-west4", "us-east5"]

            await until(both, "endpoints of both regions")
            assert {(item.region, item.address, item.port) for item in plane.listeners} == {
                ("us-east5", "127.20.1.2", 8080),
                ("europe-west4", "127.20.2.2", 8080),
            }
            backend = plane.backends["default/pool"]

            async def judged() -> bool:
                check = plane.backends["default/pool"].health_check
                return check == HealthCheck("/health", 8000, 2.0, 1.0, 2, 2)

            await until(judged, "the health check of the policy")
            assert plane.backends["default/pool"].timeout == 100.0
            assert {endpoint.port for endpoint in backend.endpoints} == {8000}
            await check_statuses(world)
            assert world.published.network == "inference"
            assert (world.published.listeners, world.published.backends) == (plane.listeners, plane.backends)
            await check_idle(world)
            await check_detach(world)

    asyncio.run(story())


async def check_statuses(world: Estate) -> None:
    client = world.config.client

    async def programmed() -> t.Any:
        obj = await client.get(GATEWAYS, "default", "gw")
        return obj if obj and (condition(obj, "Programmed") or {}).get("status") == "True" else None

    obj = await until(programmed, "Programmed")
    assert obj["status"]["addresses"] == [
        {"type": "IPAddress", "value": "127.20.1.2"},
        {"type": "IPAddress", "value": "127.20.2.2"},
    ]
    assert obj["status"]["listeners"][0]["attachedRoutes"] == 1
    found = await client.get(HTTP_ROUTES, "default", "route")
    assert found is not None
    (parent,) = found["status"]["parents"]
    assert parent["controllerName"] == "networking.gke.io/gateway"
    assert {item["type"]: item["status"] for item in parent["conditions"]} == {
        "Accepted": "True",
        "ResolvedRefs": "True",
        "Reconciled": "True",
    }
    assert {item["observedGeneration"] for item in parent["conditions"]} == {found["metadata"]["generation"]}
    for resource, name in ((HEALTH_CHECK_POLICIES, "health"), (BACKEND_POLICIES, "backend")):
        policy = await client.get(resource, "default", name)
        assert (condition(policy or {}, "Attached") or {})["status"] == "True"
    for where in world.clusters.values():
        pool = await where.client.get(INFERENCE_POOLS, "default", "pool")
        assert pool is not None
        (parent,) = pool["status"]["parents"]
        assert {item["type"]: item["status"] for item in parent["conditions"]} == {
            "Accepted": "True",
            "ResolvedRefs": "True",
            "Exported": "True",
        }
    imported = await client.get(POOL_IMPORTS, "default", "pool")
    assert imported is not None
    assert [item["name"] for item in imported["status"]["clusters"]] == ["east", "west"]


async def check_idle(world: Estate) -> None:
    """Nothing is written while nothing happens: the version of the cluster's state stands still."""

    async def version() -> str:
        answer = await world.config.client._call("GET", PODS.path())
        return str(answer["metadata"]["resourceVersion"])

    async def still() -> bool:
        before = await version()
        await asyncio.sleep(0.5)
        return before == await version()

    await until(still, "controllers at rest", 5)


async def check_detach(world: Estate) -> None:
    """A lost Pod leaves the load balancer, later; a dead endpoint picker silences its cluster at once."""
    client = world.clusters[WEST].client
    await client.delete(PODS, "default", "picker", grace_period=0)

    async def silent() -> bool:
        return endpoints(world.plane) == ["us-east5"]

    await until(silent, "no traffic without an endpoint picker", 5)
    pool = {
        "metadata": {"namespace": "default", "name": "pool"},
        "spec": {"endpointPickerRef": {"failureMode": "FailOpen"}},
    }
    await client.merge(INFERENCE_POOLS, pool)

    async def back() -> bool:
        return endpoints(world.plane) == ["europe-west4", "us-east5"]

    await until(back, "FailOpen serves without a picker", 5)
    model = await client.get(PODS, "default", "model")
    await world.clusters[WEST].kubelet.report(model or {}, "Running", ready=False)
    await asyncio.sleep(1.0)  # far less than ENDPOINT_DETACH: the health check has to see to it until then
    assert await back()


@pytest.mark.parametrize("prepared", [True, False])
def test_another_config_cluster_takes_over_what_it_has_a_gateway_for(tmp_path: Path, prepared: bool) -> None:
    """With the Gateway of the same name nobody loses anything; an empty cluster takes the load balancer away."""

    async def story() -> None:
        async with running(estate(), tmp_path) as world:
            await asyncio.gather(*(serve_model(one) for one in world.clusters.values()))
            await route_traffic(world.config)
            plane, west = world.plane, world.clusters[WEST]

            async def both() -> bool:
                return endpoints(plane) == ["europe-west4", "us-east5"]

            await until(both, "endpoints of both regions")
            if prepared:
                await west.client.create(GATEWAYS, gateway())
                await west.client.create(HTTP_ROUTES, route())
            plane.fewest = len(plane.listeners)
            spec = world.cloud.features["multiclusteringress"]["spec"]["multiclusteringress"]
            spec["configMembership"] = spec["configMembership"].replace("east", "west")
            await world.cloud.changed()

            async def over() -> bool:
                taken = (await verdict(west, "Programmed")).get("status") == "True"
                return taken if prepared else not plane.listeners

            await until(over, "the other cluster has taken over")
            assert plane.fewest == (2 if prepared else 0)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("spoil", "kind", "reason", "text"),
    [
        ("proxy", "Programmed", "Invalid", "proxy-only subnetwork"),
        ("address", "Programmed", "AddressNotAssigned", "regions/europe-west4/addresses/vip-europe-west4"),
        ("role", "Accepted", "Pending", "GatewayClass"),
        ("feature", "Accepted", "Pending", "GatewayClass"),
    ],
)
def test_what_is_missing_keeps_the_gateway_down(tmp_path: Path, spoil: str, kind: str, reason: str, text: str) -> None:
    cloud = estate()
    whole = copy.deepcopy((cloud.subnets, cloud.addresses, cloud.policy, cloud.features))
    if spoil == "proxy":
        cloud.subnets = [item for item in cloud.subnets if item["name"] != "proxy-europe-west4"]
    elif spoil == "address":
        del cloud.addresses[("europe-west4", "vip-europe-west4")]
    elif spoil == "role":
        cloud.policy = []
    else:
        cloud.features = {}

    async def story() -> None:
        async with running(cloud, tmp_path) as world:
            await until(_quiet(lambda: world.config.client.list(GATEWAY_CLASSES)), "the Gateway API")
            await world.config.client.create(GATEWAYS, gateway())

            async def refused() -> bool:
                found = await verdict(world.config, kind)
                return found.get("status") == "False" and found["reason"] == reason and text in found["message"]

            await until(refused, f"{kind} False because of {reason}")
            assert (await verdict(world.config, "Programmed"))["status"] == "False"
            assert world.plane.listeners == []
            cloud.subnets, cloud.addresses, cloud.policy, cloud.features = whole
            await cloud.changed()

            async def cured() -> bool:
                found = await verdict(world.config, "Programmed")
                return found.get("status") == "True" and len(world.plane.listeners) == 2

            await until(cured, "Programmed once the fault is cured")

    asyncio.run(story())


def test_an_address_that_cannot_be_bound_is_told_and_tried_again_ever_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running(estate(), tmp_path) as world:
            client, plane = world.config.client, world.plane
            await until(_quiet(lambda: client.list(GATEWAY_CLASSES)), "the Gateway API")
            plane.unusable = {"127.20.1.2"}
            begin = time.monotonic()
            await client.create(GATEWAYS, gateway())

            async def refused() -> bool:
                found = await verdict(world.config, "Programmed")
                return found.get("status") == "False" and "127.20.1.2 is taken" in found["message"]

            await until(refused, "Programmed False because of the address")
            assert (await verdict(world.config, "Programmed"))["reason"] == "AddressNotUsable"
            assert (await verdict(world.config, "Accepted"))["status"] == "True"
            events = [item for item in await client.list(EVENTS) if item["involvedObject"]["name"] == "gw"]
            assert [(item["type"], "127.20.1.2 is taken" in item["message"]) for item in events] == [("Warning", True)]

            async def tried(times: int = 3) -> bool:
                await world.cloud.changed()  # what else changes does not hurry it
                return plane.calls >= times

            await until(tried, "a third attempt")
            assert time.monotonic() - begin >= 3, "the pauses are one second, then two"
            plane.unusable = set()

            async def cured() -> bool:
                return (await verdict(world.config, "Programmed")).get("status") == "True"

            await until(cured, "Programmed once the address can be bound")

    asyncio.run(story())
    assert not [record for record in caplog.records if record.exc_info]


def test_a_firewall_that_admits_no_health_checks_leaves_no_endpoint(tmp_path: Path) -> None:
    cloud = estate()
    (rule,) = cloud.rules
    rule["sourceRanges"] = ["35.191.0.0/16", "127.20.0.0/16"]

    async def story() -> None:
        async with running(cloud, tmp_path) as world:
            await asyncio.gather(*(serve_model(one) for one in world.clusters.values()))
            await route_traffic(world.config)

            async def served() -> bool:
                return len(world.plane.listeners) == 2 and "default/pool" in world.plane.backends

            await until(served, "the listeners")
            rule["sourceRanges"].append("130.211.0.0/22")
            calls = world.plane.calls
            assert endpoints(world.plane) == []
            await cloud.changed()

            async def healthy() -> bool:
                return len(endpoints(world.plane)) == 2

            await until(healthy, "endpoints once the firewall admits the checks")
            assert world.plane.calls > calls

    asyncio.run(story())


def test_unexporting_everywhere_takes_the_import_and_leaves_the_route_unresolved(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(estate(), tmp_path) as world:
            await serve_model(world.config)
            await route_traffic(world.config)
            client = world.config.client
            meta = {"namespace": "default", "name": "pool"}
            await client.merge(
                INFERENCE_POOLS, {"metadata": {**meta, "annotations": {"networking.gke.io/export": None}}}
            )

            async def unresolved() -> bool:
                found = await client.get(HTTP_ROUTES, "default", "route") or {}
                parents = (found.get("status") or {}).get("parents") or [{"conditions": []}]
                reasons = {item["type"]: item["reason"] for item in parents[0]["conditions"]}
                return reasons.get("ResolvedRefs") == "BackendNotFound"

            await until(unresolved, "BackendNotFound")
            assert await client.get(POOL_IMPORTS, "default", "pool") is None

    asyncio.run(story())
