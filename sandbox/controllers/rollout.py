# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Deployment moves from one ReplicaSet to the next, and what its status says: no I/O."""

from __future__ import annotations

import hashlib
import json
import math
import typing as t
from collections.abc import Mapping, Sequence

from sandbox.interfaces import Json

from .cache import with_condition

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Json) -> str:
    """Ten letters that follow from the template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def without_hash(template: Json) -> Json:
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    kept = {key: value for key, value in meta.items() if key not in ("labels", "creationTimestamp")}
    return {"metadata": {**kept, "labels": labels}, "spec": template["spec"]}


def current(deployment: Json, sets: Sequence[Json]) -> Json | None:
    """The ReplicaSet that has the Deployment's template."""
    wanted = without_hash(deployment["spec"]["template"])
    for candidate in sorted(sets, key=lambda item: item["metadata"]["creationTimestamp"]):
        if without_hash(candidate["spec"]["template"]) == wanted:
            return candidate
    return None


def revision(obj: Json) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION) or 0)


def new_replica_set(deployment: Json, number: int) -> Json:
    """The ReplicaSet for the Deployment's template, with no replicas yet; ``number`` is its revision."""
    spec = deployment["spec"]
    template = without_hash(spec["template"])
    digest = template_hash(template)
    meta = template["metadata"]
    labels = {**meta["labels"], HASH_LABEL: digest}
    selector = spec["selector"]
    return {
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(number)},
        },
        "spec": {
            "replicas": 0,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": {
                **selector,
                "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest},
            },
            "template": {**template, "metadata": {**meta, "labels": labels}},
        },
    }


def _share(value: t.Any, desired: int, *, up: bool) -> int:
    """An absolute number or a percentage of ``desired``."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * desired / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(value)


def _recreates(deployment: Json) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"


def limits(deployment: Json) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in Pods; never both nought, or nothing could move."""
    desired = deployment["spec"].get("replicas", 1)
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), desired, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), desired, up=False)
    return surge, unavailable if surge or unavailable else 1


def scales(deployment: Json, new: Json, old: Sequence[Json], old_pods: int) -> dict[str, int]:
    """Replicas of each ReplicaSet for the next step. ``old_pods``: Pods of the old ones not yet gone."""
    desired = deployment["spec"].get("replicas", 1)
    sizes = {item["metadata"]["name"]: item["spec"].get("replicas", 1) for item in (new, *old)}
    name = new["metadata"]["name"]
    if _recreates(deployment):
        sizes.update({item["metadata"]["name"]: 0 for item in old})
        if not old_pods:
            sizes[name] = desired
        return sizes
    surge, unavailable = limits(deployment)
    if sizes[name] >= desired:
        sizes[name] = desired
    else:
        room = desired + surge - sum(sizes.values())
        sizes[name] += max(0, min(room, desired - sizes[name]))
    waiting = max(0, sizes[name] - _available(new))
    spare = sum(sizes.values()) - (desired - unavailable) - waiting
    _shrink(sizes, old, spare)
    return sizes


def _shrink(sizes: dict[str, int], old: Sequence[Json], spare: int) -> None:
    """Take ``spare`` Pods from the old ReplicaSets: first those that serve nobody, then the oldest set's."""
    ordered = sorted(old, key=lambda item: item["metadata"]["creationTimestamp"])
    for healthy in (False, True):
        for item in ordered:
            name = item["metadata"]["name"]
            idle = sizes[name] if healthy else sizes[name] - _available(item)
            taken = max(0, min(spare, idle))
            sizes[name] -= taken
            spare -= taken


def _available(item: Json) -> int:
    return int((item.get("status") or {}).get("availableReplicas") or 0)


def paused_scales(deployment: Json, sets: Sequence[Json]) -> dict[str, int]:
    """A paused Deployment does not roll, yet follows its replicas with the newest ReplicaSet that has Pods."""
    desired = deployment["spec"].get("replicas", 1)
    sizes = {item["metadata"]["name"]: item["spec"].get("replicas", 1) for item in sets}
    active = [item for item in sets if sizes[item["metadata"]["name"]]] or list(sets)
    if active:
        newest = max(active, key=revision)["metadata"]["name"]
        sizes[newest] = max(0, desired - sum(size for name, size in sizes.items() if name != newest))
    return sizes


def status(deployment: Json, new: Json | None, sets: Sequence[Json], time: str, elapsed: float) -> Json:
    """The Deployment's status. ``elapsed``: seconds since the rollout last made progress."""
    before = deployment.get("status") or {}
    desired = deployment["spec"].get("replicas", 1)

    def count(field: str, items: Sequence[Json]) -> int:
        return sum(int((item.get("status") or {}).get(field) or 0) for item in items)

    numbers = {
        "replicas": count("replicas", sets),
        "updatedReplicas": count("replicas", [new] if new else []),
        "readyReplicas": count("readyReplicas", sets),
        "availableReplicas": count("availableReplicas", sets),
    }
    numbers["unavailableReplicas"] = max(0, max(desired, numbers["replicas"]) - numbers["availableReplicas"])
    tolerated = 0 if _recreates(deployment) else limits(deployment)[1]
    if numbers["availableReplicas"] >= desired - tolerated:
        available = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        available = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    kept = before.get("conditions") or []
    conditions = _set(kept, "Available", *available, time=time)
    moved = any(int(before.get(field) or 0) != value for field, value in numbers.items())
    conditions = _progress(deployment, new, numbers, conditions, moved=moved, time=time, elapsed=elapsed)
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        **{field: value for field, value in numbers.items() if value},
        **({"collisionCount": before["collisionCount"]} if before.get("collisionCount") else {}),
        "conditions": conditions,
    }


def complete(deployment: Json, numbers: Mapping[str, int]) -> bool:
    desired = deployment["spec"].get("replicas", 1)
    return (
        numbers["updatedReplicas"] == desired
        and numbers["replicas"] == desired
        and numbers["availableReplicas"] == desired
    )


def _progress(
    deployment: Json,
    new: Json | None,
    numbers: Mapping[str, int],
    conditions: list[Json],
    *,
    moved: bool,
    time: str,
    elapsed: float,
) -> list[Json]:
    known = next((item for item in conditions if item["type"] == "Progressing"), None)
    if new is None:
        return conditions
    name = new["metadata"]["name"]
    if complete(deployment, numbers):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return _set(conditions, "Progressing", "True", "NewReplicaSetAvailable", text, time=time)
    if known is not None and known["reason"] == "NewReplicaSetAvailable" and f'"{name}"' in known["message"]:
        return conditions  # this rollout is over: losing a Pod afterwards is not a new one
    deadline = deployment["spec"].get("progressDeadlineSeconds", 600)
    if known is not None and not moved and elapsed > deadline and not deployment["spec"].get("paused"):
        text = f'ReplicaSet "{name}" has timed out progressing.'
        return _set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", text, time=time)
    if known is not None and known["reason"] == "ProgressDeadlineExceeded" and not moved:
        return conditions
    text = f'ReplicaSet "{name}" is progressing.'
    return _set(conditions, "Progressing", "True", "ReplicaSetUpdated", text, time=time, touch=moved)


def _set(
    conditions: Sequence[Json], kind: str, status: str, reason: str, message: str, *, time: str, touch: bool = False
) -> list[Json]:
    """lastUpdateTime moves with any change of the condition, or when progress is to be noted (``touch``)."""
    old = next((item for item in conditions if item["type"] == kind), {})
    same = (old.get("status"), old.get("reason"), old.get("message")) == (status, reason, message)
    updated = old["lastUpdateTime"] if same and not touch and "lastUpdateTime" in old else time
    new = {"type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": updated}
    return with_condition(conditions, new)
