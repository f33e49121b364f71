# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scheduler: binds Pods to Nodes, claims to devices, and says why it cannot."""

from __future__ import annotations

from sandbox.client import (
    DEVICE_CLASSES,
    NODES,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    Resource,
    key_of,
)
from sandbox.interfaces import Json

from .cache import Cache, condition, each, terminating, with_condition
from .claims import finished, pod_claims
from .placement import Decision, Fleet, decide


class Scheduler:
    watches: tuple[Resource, ...] = (NODES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES, DEVICE_CLASSES)
    cloud_events = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        # What was bound but is not yet seen as bound: uid -> Node.
        self._assumed: dict[str, str] = {}

    async def reconcile(self) -> float | None:
        pods = self._cache.list(PODS)
        self._forget_assumed(pods)
        waiting = [pod for pod in pods if self._waits(pod)]
        await each(sorted(waiting, key=_precedence), self._place)
        return None

    async def _place(self, pod: Json) -> None:
        claims = pod_claims(pod, self._cache)
        if claims is None:
            return  # seen again when the claim has been made
        decision = decide(pod, claims, self._fleet())
        if decision.node:
            await self._bind(pod, claims, decision)
        else:
            await self._refuse(pod, decision.message)

    def _waits(self, pod: Json) -> bool:
        spec = pod["spec"]
        return not (
            spec.get("nodeName")
            or pod["metadata"]["uid"] in self._assumed
            or terminating(pod)
            or finished(pod)
            or spec.get("schedulingGates")
            or spec.get("schedulerName", "default-scheduler") != "default-scheduler"
        )

    def _forget_assumed(self, pods: list[Json]) -> None:
        unbound = {pod["metadata"]["uid"] for pod in pods if not pod["spec"].get("nodeName")}
        self._assumed = {uid: node for uid, node in self._assumed.items() if uid in unbound}

    def _fleet(self) -> Fleet:
        pods = []
        for pod in self._cache.list(PODS):
            node = self._assumed.get(pod["metadata"]["uid"])
            if node:
                pod = {**pod, "spec": {**pod["spec"], "nodeName": node}}
            if not finished(pod):
                pods.append(pod)
        ready = [node for node in self._cache.list(NODES) if not terminating(node)]
        return Fleet(
            nodes=[node for node in ready if (condition(node, "Ready") or {}).get("status") == "True"],
            pods=pods,
            claims=self._cache.list(RESOURCE_CLAIMS),
            slices=self._cache.list(RESOURCE_SLICES),
            classes={obj["metadata"]["name"]: obj for obj in self._cache.list(DEVICE_CLASSES)},
        )

    async def _bind(self, pod: Json, claims: list[Json], decision: Decision) -> None:
        consumer = {"resource": "pods", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        for claim in claims:
            status = dict(claim.get("status") or {})
            results = decision.allocations.get(claim["metadata"]["name"])
            if results is not None:
                status["allocation"] = _allocation(results, decision.node)
            reserved = status.get("reservedFor") or []
            if consumer not in reserved:
                status["reservedFor"] = [*reserved, consumer]
            await self._cache.set_status(RESOURCE_CLAIMS, claim, status)
        self._assumed[pod["metadata"]["uid"]] = decision.node
        try:
            await self._cache.client.bind(pod, decision.node)
        except BaseException:
            del self._assumed[pod["metadata"]["uid"]]
            raise
        namespace, name = key_of(pod)
        await self._cache.client.event(
            pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {decision.node}"
        )

    async def _refuse(self, pod: Json, message: str) -> None:
        known = condition(pod, "PodScheduled") or {}
        if known.get("status") == "False" and known.get("message") == message:
            return
        verdict = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        conditions = with_condition((pod.get("status") or {}).get("conditions") or [], verdict)
        namespace, name = key_of(pod)
        patch = {"metadata": {"namespace": namespace, "name": name}, "status": {"conditions": conditions}}
        await self._cache.merge(PODS, patch, "status")
        await self._cache.client.event(pod, "Warning", "FailedScheduling", message)


def _precedence(pod: Json) -> tuple[int, str, str]:
    return -int(pod["spec"].get("priority") or 0), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def _allocation(results: list[Json], node: str) -> Json:
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    return {
        "devices": {"results": results},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": fields}]},
    }
