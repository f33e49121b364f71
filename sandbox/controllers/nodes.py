# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes from node pools: what GKE's instance groups and kubelets register."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.catalogue.machines import DEFAULT, Machine, named
from sandbox.client import NODES, PODS, Resource, now
from sandbox.instances import PROFILE_LABEL, Instance, instances
from sandbox.interfaces import CloudView, ClusterKey, Json

from .allocatable import allocatable_cpu, allocatable_memory
from .cache import Cache, terminating
from .quantities import amounts

DRIVER_LABEL = "cloud.google.com/gke-networking-dra-driver"
POOL_LABEL = "cloud.google.com/gke-nodepool"

_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule", "NO_EXECUTE": "NoExecute"}
_MAX_PODS = 110
HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def short_name(reference: str) -> str:
    """The last part of a resource's name: "projects/p/global/networks/net" -> "net"."""
    return reference.rsplit("/", 1)[-1]


def desired_nodes(cluster: Json, key: ClusterKey, subnetworks: Sequence[Json] = ()) -> list[Json]:
    """The Nodes that the cluster's running pools make, status included."""
    return [_node(cluster, instance) for instance in instances(cluster, key, subnetworks)]


def _node(cluster: Json, instance: Instance) -> Json:
    name, pool, zone = instance.name, instance.pool, instance.zone
    config = pool.get("config") or {}
    kind = named(config.get("machineType") or "")
    taints = _taints(config, kind)
    version = pool.get("version") or cluster.get("currentMasterVersion") or "0"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**_labels(pool, zone, kind), "kubernetes.io/hostname": name}},
        "spec": {
            "providerID": f"gce://{cluster.get('project', 'sandbox')}/{zone}/{name}",
            **({"taints": taints} if taints else {}),
        },
        "status": _status(kind, config, version, name, instance.address),
    }


def _labels(pool: Json, zone: str, kind: Machine) -> dict[str, str]:
    config = pool.get("config") or {}
    machine_type = config.get("machineType") or DEFAULT
    region = zone.rsplit("-", 1)[0]
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/instance-type": machine_type,
        "beta.kubernetes.io/os": "linux",
        "cloud.google.com/gke-container-runtime": "containerd",
        "cloud.google.com/gke-os-distribution": "cos",
        "cloud.google.com/machine-family": machine_type.partition("-")[0],
        POOL_LABEL: pool["name"],
        "failure-domain.beta.kubernetes.io/region": region,
        "failure-domain.beta.kubernetes.io/zone": zone,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": machine_type,
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
    }
    if kind.chips:
        labels["cloud.google.com/gke-tpu-accelerator"] = kind.tpu
        labels["cloud.google.com/gke-tpu-topology"] = (pool.get("placementPolicy") or {}).get(
            "tpuTopology"
        ) or kind.topology
        labels["cloud.google.com/gke-accelerator-count"] = str(kind.chips)
    gpu, count = _gpus(config, kind)
    if count:
        labels["cloud.google.com/gke-accelerator"] = gpu
        labels["cloud.google.com/gke-accelerator-count"] = str(count)
        labels["cloud.google.com/gke-gpu"] = "true"
    if config.get("spot"):
        labels["cloud.google.com/gke-spot"] = "true"
    if config.get("flexStart"):
        labels["cloud.google.com/gke-flex-start"] = "true"
    if (config.get("workloadMetadataConfig") or {}).get("mode") == "GKE_METADATA":
        labels["iam.gke.io/gke-metadata-server-enabled"] = "true"
    if has_profile(pool):
        labels[PROFILE_LABEL] = "auto"
    return {**labels, **(config.get("labels") or {})}


def has_profile(pool: Json) -> bool:
    return (pool.get("networkConfig") or {}).get("acceleratorNetworkProfile") == "auto"


def has_driver(pool: Json) -> bool:
    return ((pool.get("config") or {}).get("labels") or {}).get(DRIVER_LABEL) == "true"


def _gpus(config: Json, kind: Machine) -> tuple[str, int]:
    for accelerator in config.get("accelerators") or []:
        return accelerator["acceleratorType"], int(accelerator.get("acceleratorCount") or 1)
    return kind.gpu, kind.gpus


def _taints(config: Json, kind: Machine) -> list[Json]:
    taints = [
        {
            "key": taint["key"],
            **({"value": taint["value"]} if taint.get("value") else {}),
            "effect": _EFFECTS.get(taint["effect"], taint["effect"]),
        }
        for taint in config.get("taints") or []
    ]
    if kind.chips:
        taints.append({"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"})
    if _gpus(config, kind)[1]:
        taints.append({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"})
    return taints


def _status(kind: Machine, config: Json, version: str, name: str, address: str) -> Json:
    devices: dict[str, str] = {}
    if kind.chips:
        devices["google.com/tpu"] = str(kind.chips)
    if count := _gpus(config, kind)[1]:
        devices["nvidia.com/gpu"] = str(count)
    disk = int(config.get("diskSizeGb") or 100)
    capacity = {
        "cpu": f"{kind.cpus:g}",
        "memory": f"{int(kind.memory * 1024 * 1024)}Ki",
        "ephemeral-storage": f"{disk * 1024 * 1024}Ki",
        "pods": str(_MAX_PODS),
        **devices,
    }
    allocatable = {
        **capacity,
        "cpu": f"{int(allocatable_cpu(kind.cpus) * 1000)}m",
        "memory": f"{int(allocatable_memory(kind.memory) * 1024 * 1024)}Ki",
        "ephemeral-storage": f"{disk * 1024 * 1024 // 2}Ki",
    }
    addresses = [{"type": "Hostname", "address": name}]
    if address:
        addresses.insert(0, {"type": "InternalIP", "address": address})
    return {
        "addresses": addresses,
        "allocatable": allocatable,
        "capacity": capacity,
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": message}
            for kind, status, reason, message in HEALTHY
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "containerd://2.0.6",
            "kernelVersion": "6.6.97+",
            "kubeProxyVersion": f"v{version}",
            "kubeletVersion": f"v{version}",
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "Container-Optimized OS from Google",
            "systemUUID": "",
        },
    }


class NodeController:
    """Keeps the Nodes of the pools, and ends the Pods of Nodes that are gone."""

    watches: tuple[Resource, ...] = (NODES, PODS)
    cloud_events = True

    def __init__(self, key: ClusterKey, cache: Cache, cloud: CloudView) -> None:
        self._key = key
        self._cache = cache
        self._cloud = cloud

    async def reconcile(self) -> float | None:
        cluster = self._cloud.cluster(self._key)
        if cluster is None:
            return None
        subnets = self._cloud.subnetworks(short_name(cluster.get("network") or "default"))
        desired = {node["metadata"]["name"]: node for node in desired_nodes(cluster, self._key, subnets)}
        for node in self._cache.list(NODES):
            ours = POOL_LABEL in (node["metadata"].get("labels") or {})
            if ours and node["metadata"]["name"] not in desired and not terminating(node):
                await self._cache.delete(NODES, node)
        for node in desired.values():
            await self._keep(node)
        await self._collect_pods()
        return None

    async def _keep(self, desired: Json) -> None:
        name = desired["metadata"]["name"]
        live = self._cache.get(NODES, "", name)
        if live is not None and terminating(live):
            return
        if live is None:
            live = await self._cache.create(
                NODES, {key: desired[key] for key in ("apiVersion", "kind", "metadata", "spec")}
            )
            await self._cache.client.event(
                live, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name}"
            )
        labels = live["metadata"].get("labels") or {}
        changed = {key: value for key, value in desired["metadata"]["labels"].items() if labels.get(key) != value}
        if changed:
            live = await self._cache.merge(NODES, {"metadata": {"name": name, "labels": changed}})
        if _needs(live, desired):
            await self._cache.set_status(NODES, live, _stamped(desired["status"], live))

    async def _collect_pods(self) -> None:
        names = {node["metadata"]["name"] for node in self._cache.list(NODES) if not terminating(node)}
        for pod in self._cache.list(PODS):
            node = pod["spec"].get("nodeName")
            if node and node not in names:
                await self._cache.delete(PODS, pod, grace_period=0)


def _needs(live: Json, desired: Json) -> bool:
    """Whether the capacity or the state that this controller writes is missing; others may add conditions."""
    status = live.get("status") or {}
    wanted = desired["status"]
    known = {item["type"]: item["status"] for item in status.get("conditions") or []}
    return (
        any(amounts(status.get(part)) != amounts(wanted[part]) for part in ("allocatable", "capacity"))
        or status.get("addresses") != wanted["addresses"]
        or (status.get("nodeInfo") or {}).get("kubeletVersion") != wanted["nodeInfo"]["kubeletVersion"]
        or not all(item["type"] in known for item in wanted["conditions"])
    )


def _stamped(status: Json, live: Json) -> Json:
    time = now()
    kept = {item["type"]: item for item in (live.get("status") or {}).get("conditions") or []}
    ours = {item["type"] for item in status["conditions"]}
    conditions = [
        {
            **item,
            "lastHeartbeatTime": time,
            "lastTransitionTime": kept.get(item["type"], {}).get("lastTransitionTime", time),
        }
        for item in status["conditions"]
    ]
    return {**status, "conditions": conditions + [item for kind, item in kept.items() if kind not in ours]}
