# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Kubernetes and GKE do about a node that says nothing any more: doubt it, evict its Pods, make it anew."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sandbox.client import NODES, PODS, Resource, key_of, now
from sandbox.interfaces import CloudView, ClusterKey, FaultView, Hit, Json
from sandbox.latency import Latency

from .cache import Cache, condition, pod_ready, terminating, with_condition
from .nodes import HEALTHY, POOL_LABEL

UNREACHABLE = "node.kubernetes.io/unreachable"
_SILENT = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}


def tolerated(pod: Json) -> float | None:
    """Seconds for which the Pod stays on an unreachable node, by its shortest toleration; None: for ever."""
    matching = [
        toleration.get("tolerationSeconds")
        for toleration in pod["spec"].get("tolerations") or []
        if toleration.get("key") in (UNREACHABLE, None) and toleration.get("effect") in ("NoExecute", None)
    ]
    if not matching:
        return 0.0
    return min((float(seconds) for seconds in matching if seconds is not None), default=None)


class NodeLifecycle:
    """The node lifecycle controller with its taint manager, and GKE's auto repair."""

    watches: tuple[Resource, ...] = (NODES, PODS)
    cloud_events = False

    def __init__(self, key: ClusterKey, cache: Cache, cloud: CloudView, latency: Latency, faults: FaultView) -> None:
        self._key = key
        self._cache = cache
        self._cloud = cloud
        self._latency = latency
        self._faults = faults
        self._since: dict[str, float] = {}  # uid of a Node -> when it fell silent

    async def reconcile(self) -> float | None:
        nodes = [node for node in self._cache.list(NODES) if not terminating(node)]
        waits: list[float | None] = []
        for node in nodes:
            hit = self._faults.afflicts("node-dead", self._key.place(node["metadata"]["name"]))
            if hit is None:
                self._since.pop(node["metadata"]["uid"], None)
                await self._believe(node)
            else:
                waits.append(await self._doubt(node, hit))
        present = {node["metadata"]["uid"] for node in nodes}
        self._since = {uid: since for uid, since in self._since.items() if uid in present}
        return min((wait for wait in waits if wait is not None), default=None)

    async def _believe(self, node: Json) -> None:
        """A node that is there again loses its taints and then says that it is well."""
        if (condition(node, "Ready") or {}).get("reason") != _SILENT["reason"]:
            return
        await self._set_taints(node, [])
        well = [{"type": kind, "status": status, "reason": why, "message": text} for kind, status, why, text in HEALTHY]
        await self._set_conditions(node, well)

    async def _doubt(self, node: Json, hit: Hit) -> float | None:
        """One step on; returns the seconds until the next one is due."""
        silent = time.monotonic() - self._since.setdefault(node["metadata"]["uid"], time.monotonic())
        grace = self._latency.of("node_monitor_grace")
        if silent < grace:
            return grace - silent
        name = node["metadata"]["name"]
        pods = [pod for pod in self._cache.list(PODS) if pod["spec"].get("nodeName") == name]
        left: float | None = None
        if self._repairs(node):
            left = grace + self._latency.of("node_repair") + self._latency.of("node_boot") - silent
            if left <= 0:
                await self._make_anew(node, pods, hit)
                return None
        await self._mark(node, pods)
        waits = [left, *[await self._evict(pod, silent - grace) for pod in pods if not terminating(pod)]]
        return min((wait for wait in waits if wait is not None), default=None)

    def _repairs(self, node: Json) -> bool:
        pool = (node["metadata"].get("labels") or {}).get(POOL_LABEL)
        pools = (self._cloud.cluster(self._key) or {}).get("nodePools") or []
        return any(one["name"] == pool and (one.get("management") or {}).get("autoRepair") for one in pools)

    async def _mark(self, node: Json, pods: Sequence[Json]) -> None:
        if (condition(node, "Ready") or {}).get("status") != "Unknown":
            name = node["metadata"]["name"]
            await self._set_taints(node, [{"effect": "NoSchedule"}, {"effect": "NoExecute", "timeAdded": now()}])
            await self._set_conditions(node, [{"type": one[0], "status": "Unknown", **_SILENT} for one in HEALTHY])
            text = f"Node {name} status is now: NodeNotReady"
            await self._cache.client.event(node, "Normal", "NodeNotReady", text)
        for pod in pods:
            if pod_ready(pod):
                doubt = {"type": "Ready", "status": "False"}
                conditions = with_condition(pod["status"].get("conditions") or [], doubt)
                meta = {"namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]}
                await self._cache.merge(PODS, {"metadata": meta, "status": {"conditions": conditions}}, "status")
                await self._cache.client.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _evict(self, pod: Json, tainted: float) -> float | None:
        """Delete the Pod when it does not stand the taint any longer; returns the seconds until then."""
        seconds = tolerated(pod)
        if seconds is None:
            return None
        left = seconds * self._latency.scale - tainted
        if left > 0:
            return left
        namespace, name = key_of(pod)
        text = f"Marking for deletion Pod {namespace}/{name}"
        await self._cache.client.event(pod, "Normal", "TaintManagerEviction", text)
        await self._cache.delete(PODS, pod)
        return None

    async def _make_anew(self, node: Json, pods: Sequence[Json], hit: Hit) -> None:
        """The machine is replaced by one of its name; what was on it is lost, and it registers as a new Node."""
        for pod in pods:
            await self._cache.delete(PODS, pod, grace_period=0)
        self._faults.mend(hit, self._key.place(node["metadata"]["name"]))
        await self._cache.delete(NODES, node)

    async def _set_conditions(self, node: Json, conditions: Sequence[Json]) -> None:
        known = (node.get("status") or {}).get("conditions") or []
        for one in conditions:
            known = with_condition(known, one)
        patch = {"metadata": {"name": node["metadata"]["name"]}, "status": {"conditions": known}}
        await self._cache.merge(NODES, patch, "status")

    async def _set_taints(self, node: Json, wanted: Sequence[Json]) -> None:
        """Have these taints of an unreachable node, and all others as they are."""
        kept = [taint for taint in node["spec"].get("taints") or [] if taint["key"] != UNREACHABLE]
        taints = [*kept, *({"key": UNREACHABLE, **taint} for taint in wanted)]
        await self._cache.merge(
            NODES, {"metadata": {"name": node["metadata"]["name"]}, "spec": {"taints": taints or None}}
        )
