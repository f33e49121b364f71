# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that says nothing any more: what Kubernetes and GKE make of it."""

from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

import pytest

from sandbox.client import EVENTS, NODES, PODS
from sandbox.controllers.cache import condition
from sandbox.controllers.lifecycle import UNREACHABLE, tolerated
from sandbox.interfaces import ClusterKey, Json
from tests.sandbox.controllers.harness import Cluster, FakeCloud, cluster, default_pool, document, until

KEY = ClusterKey("us-east5-a", "east")


async def only_node(here: Cluster) -> Json:
    async def look() -> Json | None:
        return next(iter(await here.client.list(NODES)), None)

    return t.cast(Json, await until(look, "a node"))


async def ready_is(here: Cluster, status: str) -> Json:
    async def look() -> Json | None:
        node = await only_node(here)
        return node if (condition(node, "Ready") or {}).get("status") == status else None

    return t.cast(Json, await until(look, f"Ready is {status}"))


def pod(**spec: t.Any) -> Json:
    containers = [{"name": "main", "image": "python:3.12"}]
    return {"metadata": {"namespace": "default", "name": "p"}, "spec": {"containers": containers, **spec}}


async def running_pod(here: Cluster, **spec: t.Any) -> None:
    await here.client.create(PODS, pod(**spec))

    async def look() -> bool:
        found = await here.get(PODS, "p") or {}
        return (condition(found, "Ready") or {}).get("status") == "True"

    await until(look, "the Pod is ready")


def test_a_dead_node_is_doubted_its_pods_are_evicted_and_it_may_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        cloud = FakeCloud()
        cloud.clusters[KEY] = document(KEY, default_pool())
        async with cluster(KEY, cloud, tmp_path) as here:
            node = await ready_is(here, "True")
            await running_pod(here)
            here.faults.add({"kind": "node-dead", "resource": node["metadata"]["name"], "location": KEY.location})
            dead = await ready_is(here, "Unknown")
            assert (condition(dead, "Ready") or {})["reason"] == "NodeStatusUnknown"
            effects = {taint["effect"] for taint in dead["spec"]["taints"] if taint["key"] == UNREACHABLE}
            assert effects == {"NoSchedule", "NoExecute"}

            async def evicted() -> bool:
                return await here.get(PODS, "p") is None

            await until(evicted, "the Pod is evicted")
            told = {event["reason"] for event in await here.client.list(EVENTS)}
            assert {"NodeNotReady", "TaintManagerEviction"} <= told
            here.faults.clear()
            back = await ready_is(here, "True")
            assert back["metadata"]["uid"] == node["metadata"]["uid"] and not back["spec"].get("taints")

    asyncio.run(main())


def test_gke_makes_it_anew_and_the_new_one_lives(tmp_path: Path) -> None:
    async def main() -> None:
        cloud = FakeCloud()
        cloud.clusters[KEY] = document(KEY, {**default_pool(), "management": {"autoRepair": True}})
        async with cluster(KEY, cloud, tmp_path) as here:
            node = await ready_is(here, "True")
            forever = [{"operator": "Exists"}]
            await running_pod(here, tolerations=forever)
            here.faults.add({"kind": "node-dead"})
            await ready_is(here, "Unknown")

            async def anew() -> bool:
                found = await only_node(here)
                return bool(found["metadata"]["uid"] != node["metadata"]["uid"])

            await until(anew, "another machine of that name")
            await ready_is(here, "True")
            assert await here.get(PODS, "p") is None, "what was on the old one is lost"
            (fault,) = here.faults.rendered()
            assert fault["hits"] == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0.0),
        ([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}], 300.0),
        ([{"operator": "Exists"}], None),
        ([{"operator": "Exists"}, {"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 7}], 7.0),
        ([{"key": "google.com/tpu", "operator": "Exists"}], 0.0),
    ],
)
def test_how_long_a_pod_stands_it(tolerations: list[Json], seconds: float | None) -> None:
    assert tolerated({"spec": {"tolerations": tolerations}}) == seconds
