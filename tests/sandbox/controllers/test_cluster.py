# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's controllers on a real API server: what becomes of workloads."""

from __future__ import annotations

import asyncio
import typing as t
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox.client import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    GATEWAY_CLASSES,
    JOBS,
    NODES,
    PODS,
    REPLICA_SETS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    SERVICES,
    KubeClient,
    KubeError,
)
from sandbox.controllers.cache import condition
from sandbox.interfaces import ClusterKey, Json
from tests.sandbox.controllers.harness import Cluster, FakeCloud, cluster, default_pool, document, tpu_pool, until

KEY = ClusterKey("us-east5-a", "east")


def play(
    directory: Path, story: Callable[[FakeCloud, Cluster], Awaitable[None]], *pools: Json, gateway_api: bool = False
) -> None:
    """Run the story on a cluster with these pools."""

    async def main() -> None:
        cloud = FakeCloud()
        cloud.clusters[KEY] = document(KEY, *pools, gateway_api=gateway_api)
        async with cluster(KEY, cloud, directory) as running:
            await story(cloud, running)

    asyncio.run(main())


def deployment(replicas: int, *, image: str = "one", strategy: str = "RollingUpdate", **spec: t.Any) -> Json:
    containers = [{"name": "main", "image": image, **spec.pop("container", {})}]
    return {
        "metadata": {"namespace": "default", "name": "model"},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": strategy},
            "selector": {"matchLabels": {"app": "model"}},
            "template": {"metadata": {"labels": {"app": "model"}}, "spec": {"containers": containers, **spec}},
        },
    }


def job(app: str, **spec: t.Any) -> Json:
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "python:3.11"}]},
    }
    return {"metadata": {"namespace": "default", "name": app}, "spec": {"template": template, **spec}}


async def settled(client: KubeClient, replicas: int) -> Json:
    """The Deployment once its status tells of its own generation with all Pods up to date."""

    async def look() -> Json | None:
        obj = await client.get(DEPLOYMENTS, "default", "model") or {}
        status = obj.get("status") or {}
        current = status.get("observedGeneration") == obj["metadata"]["generation"]
        counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        return obj if current and counts == [replicas] * 3 else None

    found: Json = await until(look, f"{replicas} replicas of the current template")
    return found


async def images(client: KubeClient) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in await client.list(PODS))


def test_a_deployment_scales_rolls_and_goes(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        await client.create(DEPLOYMENTS, deployment(2))
        first = await settled(client, 2)
        assert (condition(first, "Available") or {})["status"] == "True"
        assert (condition(first, "Progressing") or {})["reason"] == "NewReplicaSetAvailable"
        meta = {"namespace": "default", "name": "model"}
        await client.merge(DEPLOYMENTS, {"metadata": meta, "spec": {"replicas": 3}}, "")
        await settled(client, 3)
        assert len(await client.list(REPLICA_SETS)) == 1
        two = deployment(3, image="two")["spec"]["template"]
        await client.merge(DEPLOYMENTS, {"metadata": meta, "spec": {"template": two}})
        second = await settled(client, 3)

        async def replaced() -> bool:
            return await images(client) == ["two"] * 3

        await until(replaced, "only Pods of the new template")
        assert second["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        await client.merge(DEPLOYMENTS, {"metadata": meta, "spec": {"replicas": 0}})
        await settled(client, 0)
        await client.delete(DEPLOYMENTS, "default", "model")

        async def empty() -> bool:
            return not await client.list(REPLICA_SETS) and not await client.list(PODS)

        await until(empty, "nothing left of the deployment")

    play(tmp_path, story, default_pool())


def test_recreate_never_mixes_templates(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        await client.create(DEPLOYMENTS, deployment(2, strategy="Recreate"))
        await settled(client, 2)
        mixtures: set[tuple[str, ...]] = set()

        async def watch() -> None:
            async for _unused in client.watch(PODS):
                mixtures.add(tuple(sorted(set(await images(client)))))

        watcher = asyncio.create_task(watch())
        template = deployment(2, image="two")["spec"]["template"]
        await client.merge(
            DEPLOYMENTS, {"metadata": {"namespace": "default", "name": "model"}, "spec": {"template": template}}
        )
        await settled(client, 2)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        assert ("one", "two") not in mixtures
        assert ("one",) in mixtures

    play(tmp_path, story, default_pool())


def claiming() -> Json:
    return deployment(
        1,
        nodeSelector={"cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice"},
        resourceClaims=[{"name": "netdev", "resourceClaimTemplateName": "all-netdev"}],
        container={"resources": {"limits": {"google.com/tpu": "4"}, "claims": [{"name": "netdev"}]}},
    )


def template() -> Json:
    request = {"name": "req-netdev", "exactly": {"deviceClassName": "netdev.google.com", "allocationMode": "All"}}
    return {
        "metadata": {"namespace": "default", "name": "all-netdev"},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }


def test_a_claim_waits_for_managed_dranet_and_is_given_back(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        await client.create(DEPLOYMENTS, claiming())

        async def told(text: str) -> bool:
            return any(text in event["message"] for event in await client.list(EVENTS))

        await until(lambda: told('resource claim template "all-netdev"'), "an event about the missing template")
        await client.create(RESOURCE_CLAIM_TEMPLATES, template())

        async def refused() -> t.Any:
            for pod in await client.list(PODS):
                verdict = condition(pod, "PodScheduled") or {}
                if verdict.get("reason") == "Unschedulable" and "device class netdev.google.com" in verdict["message"]:
                    return pod
            return None

        pod = await until(refused, "Unschedulable for want of the device class")
        assert pod["status"]["phase"] == "Pending" and pod["status"]["resourceClaimStatuses"][0]["name"] == "netdev"
        await until(lambda: told("device class netdev.google.com does not exist"), "an event about the device class")
        cloud.clusters[KEY] = document(KEY, default_pool(), tpu_pool())
        await cloud.changed()
        await settled(client, 1)
        (claim,) = await client.list(RESOURCE_CLAIMS)
        assert claim["metadata"]["ownerReferences"][0]["name"] == pod["metadata"]["name"]
        devices = claim["status"]["allocation"]["devices"]["results"]
        assert {(item["driver"], item["request"]) for item in devices} == {("dra.net", "req-netdev")}
        await client.delete(PODS, "default", pod["metadata"]["name"])

        async def next_pod() -> bool:
            names = [item["metadata"]["name"] for item in await client.list(PODS)]
            claims = await client.list(RESOURCE_CLAIMS)
            return pod["metadata"]["name"] not in names and len(claims) == 1 and claims[0] != claim

        await until(next_pod, "the next Pod with a claim of its own")
        await settled(client, 1)  # which it only gets when the interfaces came free

    play(tmp_path, story, default_pool(), tpu_pool(driver=False))


def test_pods_end_with_their_node_pool(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        tpu = {"resources": {"limits": {"google.com/tpu": "4"}}}
        await client.create(DEPLOYMENTS, deployment(1, container=tpu))
        await settled(client, 1)
        cloud.clusters[KEY] = document(KEY, default_pool())
        await cloud.changed()

        async def homeless() -> bool:
            pods = await client.list(PODS)
            return len(pods) == 1 and "Insufficient google.com/tpu" in (condition(pods[0], "PodScheduled") or {}).get(
                "message", ""
            )

        await until(homeless, "a new Pod that finds no TPU")
        assert len(await client.list(NODES)) == 1

    play(tmp_path, story, default_pool(), tpu_pool())


def test_jobs_complete_or_give_up(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        where.kubelet.phases = {"good": "Succeeded", "bad": "Failed"}
        await client.create(JOBS, job("good"))
        await client.create(JOBS, job("bad", backoffLimit=1))

        async def ended(name: str, kind: str) -> Json | None:
            obj = await client.get(JOBS, "default", name) or {}
            return obj if (condition(obj, kind) or {}).get("status") == "True" else None

        good = await until(lambda: ended("good", "Complete"), "the good job Complete")
        assert good["status"]["succeeded"] == 1 and good["status"]["completionTime"]
        bad = await until(lambda: ended("bad", "Failed"), "the bad job Failed")
        assert bad["status"]["failed"] == 2
        assert (condition(bad, "Failed") or {})["reason"] == "BackoffLimitExceeded"

    play(tmp_path, story, default_pool())


def test_a_finished_pod_holds_no_devices(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        where.kubelet.phases = {"load": "Succeeded"}
        await client.create(RESOURCE_CLAIM_TEMPLATES, template())
        load = job("load")
        load["spec"]["template"]["spec"].update(
            resourceClaims=[{"name": "netdev", "resourceClaimTemplateName": "all-netdev"}],
            tolerations=[{"operator": "Exists"}],
        )
        await client.create(JOBS, load)

        async def given_back() -> bool:
            (pod,) = await client.list(PODS) or [{}]
            return (pod.get("status") or {}).get("phase") == "Succeeded" and not await client.list(RESOURCE_CLAIMS)

        await until(given_back, "the claim's end with the Pod's success")

    play(tmp_path, story, default_pool(), tpu_pool())


def test_a_service_knows_its_ready_pods(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        port = {"containerPort": 8000, "name": "http"}
        await client.create(DEPLOYMENTS, deployment(1, container={"ports": [port]}))
        spec = {"selector": {"app": "model"}, "ports": [{"port": 80, "targetPort": "http"}]}
        await client.create(SERVICES, {"metadata": {"namespace": "default", "name": "model"}, "spec": spec})
        await settled(client, 1)
        (pod,) = await client.list(PODS)

        async def found(field: str) -> t.Any:
            obj = await client.get(ENDPOINTS, "default", "model") or {}
            for subset in obj.get("subsets") or []:
                if [item["ip"] for item in subset.get(field) or []] == [pod["status"]["podIP"]]:
                    return subset["ports"] == [{"port": 8000, "protocol": "TCP"}]
            return None

        await until(lambda: found("addresses"), "the ready address")
        await where.kubelet.report(pod, "Running", ready=False)
        await until(lambda: found("notReadyAddresses"), "the address as not ready")
        slices = [item for item in await client.list(ENDPOINT_SLICES) if item["metadata"]["name"].startswith("model-")]
        assert slices[0]["endpoints"][0]["conditions"]["ready"] is False

    play(tmp_path, story, default_pool())


def test_the_gateway_api_comes_when_it_is_switched_on(tmp_path: Path) -> None:
    async def story(cloud: FakeCloud, where: Cluster) -> None:
        client = where.client
        await until(lambda: client.list(NODES), "the nodes")

        async def classes() -> list[str]:
            try:
                found = await client.list(GATEWAY_CLASSES)
            except KubeError as error:
                assert error.code == 404
                return []
            accepted = [item for item in found if (condition(item, "Accepted") or {}).get("status") == "True"]
            return sorted(item["metadata"]["name"] for item in accepted)

        assert await classes() == []
        cloud.clusters[KEY] = document(KEY, default_pool())
        await cloud.changed()

        async def all_there() -> bool:
            names = await classes()
            return "gke-l7-rilb" in names and "gke-l7-gxlb" in names and not any(name.endswith("-mc") for name in names)

        await until(all_there, "single-cluster classes, and no others")

    play(tmp_path, story, default_pool())
