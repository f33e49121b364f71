# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: Pods that are to end well, a limited number of times."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sandbox.client import JOBS, PODS, Resource, now
from sandbox.interfaces import Json
from sandbox.latency import Latency

from .cache import Cache, condition, each, pod_ready, terminating, with_condition
from .workloads import active, owned, pod_from, seconds_since

# Kubernetes waits 10 s before the second Pod, then twice as long each time, at most 10 minutes.
_BACKOFF, _BACKOFF_MOST = 10.0, 600.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do about a Job: Pods to start, and whether it is over (and why)."""

    start: int = 0
    end: str = ""  # condition type: Complete or Failed
    reason: str = ""
    message: str = ""


def failures(pods: Sequence[Json]) -> int:
    """Pods that failed, and restarts of containers in the Pods that do not fail for it (OnFailure)."""
    count = 0
    for pod in pods:
        status = pod.get("status") or {}
        if status.get("phase") == "Failed":
            count += 1
        elif pod["spec"].get("restartPolicy") == "OnFailure":
            listed = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
            count += sum(int(item.get("restartCount") or 0) for item in listed)
    return count


def plan(job: Json, pods: Sequence[Json], elapsed: float) -> Plan:
    """The next step of a Job that is not over. ``elapsed``: seconds since it started."""
    spec = job["spec"]
    completions = spec.get("completions", 1)
    succeeded = sum((pod.get("status") or {}).get("phase") == "Succeeded" for pod in pods)
    if succeeded >= completions:
        return Plan(end="Complete", reason="CompletionsReached", message="Reached expected number of succeeded pods")
    if failures(pods) > spec.get("backoffLimit", 6):
        text = "Job has reached the specified backoff limit"
        return Plan(end="Failed", reason="BackoffLimitExceeded", message=text)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and elapsed >= deadline:
        text = "Job was active longer than specified deadline"
        return Plan(end="Failed", reason="DeadlineExceeded", message=text)
    if spec.get("suspend"):
        return Plan()
    wanted = min(spec.get("parallelism", 1), completions - succeeded)
    return Plan(start=max(0, wanted - len(active(pods))))


def over(job: Json) -> bool:
    return any((condition(job, kind) or {}).get("status") == "True" for kind in ("Complete", "Failed"))


class JobController:
    watches: tuple[Resource, ...] = (JOBS, PODS)
    cloud_events = False

    def __init__(self, cache: Cache, latency: Latency) -> None:
        self._cache = cache
        self._scale = latency.scale
        self._after: float | None = None

    async def reconcile(self) -> float | None:
        self._after = None
        await each([job for job in self._cache.list(JOBS) if not terminating(job)], self._keep)
        return self._after

    async def _keep(self, job: Json) -> None:
        pods = owned(job, self._cache.list(PODS))
        if over(job):
            for pod in active(pods):
                await self._cache.delete(PODS, pod)
            return
        elapsed = seconds_since((job.get("status") or {}).get("startTime"))
        step = plan(job, pods, elapsed)
        if step.start and (wait := self._backoff(pods)) > 0:
            self._again(wait)
        else:
            for _unused in range(step.start):
                await self._start(job)
        if step.end or job["spec"].get("suspend"):
            for pod in active(pods):
                await self._cache.delete(PODS, pod)
        deadline = job["spec"].get("activeDeadlineSeconds")
        if deadline is not None and not step.end:
            self._again(max(0.5, deadline - elapsed))
        await self._report(job, step)

    def _again(self, seconds: float) -> None:
        self._after = seconds if self._after is None else min(self._after, seconds)

    def _backoff(self, pods: Sequence[Json]) -> float:
        """Seconds until a failed Pod may be replaced."""
        failed = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
        if not failed:
            return 0.0
        pause = min(_BACKOFF * 2 ** (len(failed) - 1), _BACKOFF_MOST) * self._scale
        return pause - min(seconds_since(_ended(pod)) for pod in failed)

    async def _start(self, job: Json) -> None:
        uid, name = job["metadata"]["uid"], job["metadata"]["name"]
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
        pod = await self._cache.create(PODS, pod_from(job, job["spec"]["template"], labels))
        text = f"Created pod: {pod['metadata']['name']}"
        await self._cache.client.event(job, "Normal", "SuccessfulCreate", text)

    async def _report(self, job: Json, step: Plan) -> None:
        pods = owned(job, self._cache.list(PODS))
        running = active(pods)
        before = job.get("status") or {}
        phases = [(pod.get("status") or {}).get("phase") for pod in pods]
        counts = {
            "active": 0 if step.end else len(running),
            "succeeded": phases.count("Succeeded"),
            "failed": phases.count("Failed"),
        }
        if step.end == "Failed":
            counts["failed"] += len(running)  # they are stopped for it
        conditions = list(before.get("conditions") or [])
        if step.end:
            for kind in ({"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[step.end], step.end):
                verdict = {"type": kind, "status": "True", "reason": step.reason, "message": step.message}
                conditions = with_condition(conditions, {**verdict, "lastProbeTime": now()})
        status: Json = {
            **({"startTime": before.get("startTime") or now()} if not job["spec"].get("suspend") else {}),
            **{field: value for field, value in counts.items() if value},
            "ready": sum(pod_ready(pod) for pod in running),
            "terminating": sum(terminating(pod) and pod not in running for pod in pods),
            "uncountedTerminatedPods": {},
            **({"conditions": conditions} if conditions else {}),
            **({"completionTime": now()} if step.end == "Complete" else {}),
        }
        await self._cache.set_status(JOBS, job, status)
        if step.end:
            kind = "Normal" if step.end == "Complete" else "Warning"
            reason = "Completed" if step.end == "Complete" else step.reason
            text = "Job completed" if step.end == "Complete" else step.message
            await self._cache.client.event(job, kind, reason, text)


def _ended(pod: Json) -> str | None:
    """When the Pod's last container ended."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    times = [((item.get("state") or {}).get("terminated") or {}).get("finishedAt") for item in statuses]
    latest: str = max((time for time in times if time), default=pod["metadata"]["creationTimestamp"])
    return latest
