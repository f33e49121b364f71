# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The Pods that a workload has now, what they say of themselves, and when waiting for them is in vain."""

from __future__ import annotations

import re
import typing as t

from .._wait import Clock
from .connection import Connection, Resource
from .objects import label, namespace_of

Json = dict[str, t.Any]

PODS = Resource("v1", "Pod", "pods", True)
REPLICA_SETS = Resource("apps/v1", "ReplicaSet", "replicasets", True)

_REVISION = "deployment.kubernetes.io/revision"

# What a kubelet says of an image that it cannot get: now this, now that, while it tries ever more seldom.
_NO_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_PULLING = _NO_IMAGE | {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"}
_NOT_MADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

# A registry that says these has answered; others may not have been reached.
_REFUSED = re.compile(r"not found|manifest unknown|denied|unauthorized|forbidden|no match for platform", re.IGNORECASE)

# Seconds of failing without a break after which it is not a passing failure: of an image that the registry
# refuses (two tries of a kubelet), and of everything else that somebody may be about to mend.
REFUSED_FOR = 30.0
FAILING_FOR = 180.0

# Crashes in a row, of which at least one is seen by who waits: what waits now may have mended the cause before.
CRASHES = 4


def owned(connection: Connection, workload: Json) -> tuple[list[Json], set[str]]:
    """The Pods of the workload's current template that are not on their way out, and all the uids that speak of them.

    Raises CollectionError.
    """
    if workload["kind"] == "Pod":
        return [workload], {workload["metadata"]["uid"]}
    spec, uid = workload.get("spec") or {}, workload["metadata"].get("uid")
    labels = (spec.get("selector") or {}).get("matchLabels")
    if "template" not in spec or not labels:
        return [], {uid}
    selector, namespace = ",".join(f"{name}={value}" for name, value in labels.items()), namespace_of(workload)
    owner, uids = uid, {uid}
    if workload["kind"] == "Deployment":
        sets = [one for one in connection.list(REPLICA_SETS, namespace, labelSelector=selector) if _owner(one) == uid]
        owner = max(sets, key=_revision)["metadata"]["uid"] if sets else None
        uids.add(owner)
    found = connection.list(PODS, namespace, labelSelector=selector)
    pods = [pod for pod in found if _owner(pod) == owner and not pod["metadata"].get("deletionTimestamp")]
    if workload["kind"] == "Job":  # one Pod after the other: what the last one says counts
        running = [pod for pod in pods if _phase(pod) not in ("Failed", "Succeeded")]
        pods = running or sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[-1:]
    return pods, uids | {pod["metadata"]["uid"] for pod in pods}


def _owner(obj: Json) -> str | None:
    refs = obj["metadata"].get("ownerReferences") or []
    return next((ref["uid"] for ref in refs if ref.get("controller")), None)


def _revision(replica_set: Json) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(_REVISION, 0))


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase"))


def is_ready(pod: Json) -> bool:
    status = pod.get("status") or {}
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])


def containers(pod: Json) -> list[Json]:
    """The statuses of its containers in the order in which they start."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def reasons(pod: Json) -> list[str]:
    """Why this Pod does not run: it cannot be scheduled, or what each container waits for or died of."""
    said = []
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said.append(f"{label(pod)} is {condition.get('reason')}: {condition.get('message')}")
    for container in containers(pod):
        waiting, ended = _waiting(container), ended_badly(container)
        if waiting:
            message = f": {waiting['message']}" if waiting.get("message") else ""
            said.append(f"{_named(pod, container)} is {waiting.get('reason')}{message}")
        if ended:
            said.append(f"{_named(pod, container)}: {ended.get('reason') or 'ended'}, exit code {ended['exitCode']}")
    return said


def stage(pod: Json) -> str:
    """In one line what it is at, for somebody who waits."""
    said = reasons(pod)
    if said:
        return said[0]
    for container in containers(pod):
        state = container.get("state") or {}
        if "running" in state and not container.get("ready"):
            return f"{_named(pod, container)} runs and is not ready"
    return f"{label(pod)} is {_phase(pod)}"


def ended_badly(container: Json) -> Json | None:
    """How its last process ended, unless well."""
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended = state.get("terminated")
        if ended:
            return t.cast(Json, ended) if ended.get("exitCode") else None
    return None


def _waiting(container: Json) -> Json:
    return (container.get("state") or {}).get("waiting") or {}


def _named(pod: Json, container: Json) -> str:
    return f"{label(pod)}, container {container['name']}"


class Watch:
    """The Pods of one workload as one wait sees them, from look to look."""

    def __init__(self, workload_kind: str, clock: Clock | None = None) -> None:
        # How often the Pods of a Job may fail is the Job's own business.
        self._judges_crashes = workload_kind != "Job"
        self._clock = clock or Clock()
        self._failing_since: dict[tuple[str, str], float] = {}
        self._restarts: dict[tuple[str, str], int] = {}

    def hopeless(self, pods: t.Iterable[Json]) -> str:
        """Why waiting for them is in vain, or "". A Pod that waits for a node never is: one may be in the making."""
        said = [self._judge(pod, container) for pod in pods if not is_ready(pod) for container in containers(pod)]
        return next(filter(None, said), "")

    def _judge(self, pod: Json, container: Json) -> str:
        waiting, key = _waiting(container), (pod["metadata"]["uid"], container["name"])
        reason, message = str(waiting.get("reason")), str(waiting.get("message", ""))
        restarts = int(container.get("restartCount") or 0)
        known = self._restarts.setdefault(key, restarts)
        if reason == "CrashLoopBackOff" and self._judges_crashes and restarts + 1 >= CRASHES and restarts > known:
            return f"{_named(pod, container)} has crashed {restarts + 1} times"
        if reason not in _PULLING | _NOT_MADE:
            self._failing_since.pop(key, None)
            return ""
        now = self._clock.now()
        failing = now - self._failing_since.setdefault(key, now)
        pulls = reason in _PULLING
        refused = reason in _NO_IMAGE or (pulls and _REFUSED.search(message))
        if failing < (REFUSED_FOR if refused else FAILING_FOR):
            return ""
        what = "cannot get its image" if pulls else "cannot be made"
        return f"{_named(pod, container)} {what}, tried for {failing:.0f} s"
