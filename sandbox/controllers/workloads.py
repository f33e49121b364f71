# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments and ReplicaSets: Pods in the number and of the template that they say."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence

from sandbox.client import DEPLOYMENTS, PODS, REPLICA_SETS, KubeError, Resource, now
from sandbox.interfaces import Json

from . import rollout
from .cache import Cache, condition, controller_of, each, owner_reference, pod_ready, terminating
from .claims import finished

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def seconds_since(time: str | None) -> float:
    """Seconds since a Kubernetes timestamp; 0 for none."""
    if not time:
        return 0.0
    then = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.UTC) - then).total_seconds()


def pod_from(owner: Json, template: Json, labels: Json | None = None) -> Json:
    """A new Pod of the template, controlled by ``owner``."""
    meta = template.get("metadata") or {}
    base = f"{owner['metadata']['name']}-"
    return {
        "metadata": {
            "name": base[:58] + "".join(random.choices(_LETTERS, k=5)),
            "generateName": base,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), **(labels or {})},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
    }


def owned(owner: Json, objects: Sequence[Json]) -> list[Json]:
    return [obj for obj in objects if controller_of(obj) == owner["metadata"]["uid"]]


def active(pods: Sequence[Json]) -> list[Json]:
    return [pod for pod in pods if not terminating(pod) and not finished(pod)]


def victims(pods: Sequence[Json], count: int) -> list[Json]:
    """Which Pods a scale-down takes: unplaced before placed, unready before ready, then the newest."""

    def worth(pod: Json) -> tuple[bool, bool, bool]:
        running = (pod.get("status") or {}).get("phase") == "Running"
        return bool(pod["spec"].get("nodeName")), running, pod_ready(pod)

    newest_first = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    return sorted(newest_first, key=worth)[:count]


def available_in(pod: Json, min_ready: float) -> float | None:
    """Seconds until the Pod counts as available (0: it does), None while it is not ready."""
    if not pod_ready(pod):
        return None
    ready = condition(pod, "Ready") or {}
    return max(0.0, min_ready - seconds_since(ready.get("lastTransitionTime"))) if min_ready else 0.0


class ReplicaSetController:
    watches: tuple[Resource, ...] = (REPLICA_SETS, PODS)
    cloud_events = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._after: float | None = None

    async def reconcile(self) -> float | None:
        self._after = None
        sets = [item for item in self._cache.list(REPLICA_SETS) if not terminating(item)]
        await each(sets, self._keep)
        return self._after

    async def _keep(self, replica_set: Json) -> None:
        pods = active(owned(replica_set, self._cache.list(PODS)))
        missing = replica_set["spec"].get("replicas", 1) - len(pods)
        try:
            await self._scale(replica_set, pods, missing)
        finally:
            await self._report(replica_set)

    async def _scale(self, replica_set: Json, pods: list[Json], missing: int) -> None:
        client = self._cache.client
        for _unused in range(missing):
            try:
                pod = await self._cache.create(PODS, pod_from(replica_set, replica_set["spec"]["template"]))
            except KubeError as error:
                await client.event(replica_set, "Warning", "FailedCreate", f"Error creating: {error}")
                raise
            await client.event(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        for pod in victims(pods, -missing) if missing < 0 else []:
            await self._cache.delete(PODS, pod)
            await client.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    async def _report(self, replica_set: Json) -> None:
        pods = active(owned(replica_set, self._cache.list(PODS)))
        wanted = (replica_set["spec"]["selector"].get("matchLabels") or {}).items()
        times = [available_in(pod, replica_set["spec"].get("minReadySeconds") or 0) for pod in pods]
        pending = [seconds for seconds in times if seconds]
        if pending:
            self._after = min([*pending, *([self._after] if self._after else [])])
        counts = {
            "fullyLabeledReplicas": sum(wanted <= pod["metadata"]["labels"].items() for pod in pods),
            "readyReplicas": sum(pod_ready(pod) for pod in pods),
            "availableReplicas": sum(seconds == 0 for seconds in times),
        }
        status = {
            "replicas": len(pods),
            **{field: value for field, value in counts.items() if value},
            "observedGeneration": replica_set["metadata"].get("generation", 1),
        }
        await self._cache.set_status(REPLICA_SETS, replica_set, status)


class DeploymentController:
    watches: tuple[Resource, ...] = (DEPLOYMENTS, REPLICA_SETS, PODS)
    cloud_events = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._after: float | None = None

    async def reconcile(self) -> float | None:
        self._after = None
        deployments = [item for item in self._cache.list(DEPLOYMENTS) if not terminating(item)]
        await each(deployments, self._keep)
        return self._after

    def _sets(self, deployment: Json) -> list[Json]:
        return [item for item in owned(deployment, self._cache.list(REPLICA_SETS)) if not terminating(item)]

    async def _keep(self, deployment: Json) -> None:
        sets = self._sets(deployment)
        new = rollout.current(deployment, sets)
        if deployment["spec"].get("paused"):
            sizes = rollout.paused_scales(deployment, sets)
        else:
            deployment, new = await self._begin(deployment, sets, new)
            name = new["metadata"]["name"]
            old = [item for item in sets if item["metadata"]["name"] != name]
            remaining = {item["metadata"]["uid"] for item in old}
            pods = [pod for pod in self._cache.list(PODS) if controller_of(pod) in remaining and not finished(pod)]
            sizes = rollout.scales(deployment, new, old, len(pods))
        for item in self._sets(deployment):
            await self._resize(deployment, item, sizes[item["metadata"]["name"]])
        await self._report(deployment, new)
        await self._prune(deployment, new)

    async def _begin(self, deployment: Json, sets: list[Json], new: Json | None) -> tuple[Json, Json]:
        """The ReplicaSet of the current template, made or (on a roll-back) taken up again as the newest revision."""
        latest = max((rollout.revision(item) for item in sets if item is not new), default=0)
        if new is None:
            wanted = rollout.new_replica_set(deployment, latest + 1)
            wanted["metadata"]["ownerReferences"] = [owner_reference(deployment)]
            new = await self._cache.create(REPLICA_SETS, wanted)
        elif rollout.revision(new) <= latest:
            new = await self._annotate(REPLICA_SETS, new, latest + 1)
        if rollout.revision(deployment) != rollout.revision(new):
            deployment = await self._annotate(DEPLOYMENTS, deployment, rollout.revision(new))
        return deployment, new

    async def _annotate(self, resource: Resource, obj: Json, number: int) -> Json:
        meta = {"namespace": obj["metadata"]["namespace"], "name": obj["metadata"]["name"]}
        return await self._cache.merge(resource, {"metadata": {**meta, "annotations": {rollout.REVISION: str(number)}}})

    async def _resize(self, deployment: Json, replica_set: Json, size: int) -> None:
        before = replica_set["spec"].get("replicas", 1)
        if before == size:
            return
        meta = {"namespace": replica_set["metadata"]["namespace"], "name": replica_set["metadata"]["name"]}
        await self._cache.merge(REPLICA_SETS, {"metadata": meta, "spec": {"replicas": size}})
        direction = "up" if size > before else "down"
        text = f"Scaled {direction} replica set {meta['name']} from {before} to {size}"
        await self._cache.client.event(deployment, "Normal", "ScalingReplicaSet", text)

    async def _report(self, deployment: Json, new: Json | None) -> None:
        sets = self._sets(deployment)
        if new is not None:
            new = rollout.current(deployment, sets)
        progress = condition(deployment, "Progressing") or {}
        elapsed = seconds_since(progress.get("lastUpdateTime"))
        status = rollout.status(deployment, new, sets, now(), elapsed)
        verdict: Json = next((item for item in status["conditions"] if item["type"] == "Progressing"), {})
        if verdict.get("reason") == "ReplicaSetUpdated":
            left = deployment["spec"].get("progressDeadlineSeconds", 600) - seconds_since(verdict["lastUpdateTime"])
            self._after = max(0.5, min([left + 1, *([self._after] if self._after else [])]))
        await self._cache.set_status(DEPLOYMENTS, deployment, status)

    async def _prune(self, deployment: Json, new: Json | None) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [
            item
            for item in self._sets(deployment)
            if item is not new
            and not item["spec"].get("replicas", 1)
            and not (item.get("status") or {}).get("replicas")
            and (new is None or item["metadata"]["uid"] != new["metadata"]["uid"])
        ]
        for item in sorted(idle, key=rollout.revision)[: max(0, len(idle) - limit)]:
            await self._cache.delete(REPLICA_SETS, item)
