# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""When an object is ready, kind by kind. Pure functions of the object as the API server returns it.

A status that was written for an earlier generation says nothing about this one,
so ``observedGeneration`` is compared wherever the kind has it.
"""

from __future__ import annotations

import typing as t

from .._errors import CollectionError

Json = dict[str, t.Any]
Verdict = tuple[bool, str]

READY: Verdict = (True, "")


class NeverReady(CollectionError):
    """A state that waiting does not mend: a Job that failed, a claim whose volume is lost."""


def ready(obj: Json) -> Verdict:
    """(True, "") or (False, what is missing). Raises NeverReady."""
    if obj["metadata"].get("deletionTimestamp"):
        return False, "it is being deleted"
    return _RULES.get((_group(obj), obj["kind"]), _generic)(obj)


def _group(obj: Json) -> str:
    group, slash, _version = obj["apiVersion"].partition("/")
    return group if slash else ""


def _status(obj: Json) -> Json:
    return obj.get("status") or {}


def _generation(obj: Json) -> int:
    return int(obj["metadata"].get("generation") or 0)


def _conditions(holder: Json) -> dict[str, Json]:
    return {condition["type"]: condition for condition in holder.get("conditions") or []}


def is_behind(obj: Json) -> bool:
    """Whether its controller speaks of an earlier generation; one that has no such status is never behind."""
    seen = _status(obj).get("observedGeneration")
    return seen is not None and int(seen) < _generation(obj)


def _stale(obj: Json) -> Verdict | None:
    """Whether the controller has not seen this generation yet."""
    seen = _status(obj).get("observedGeneration")
    if seen is None or int(seen) < _generation(obj):
        return False, f"its controller has not seen generation {_generation(obj)} yet (last seen: {seen or 'none'})"
    return None


def _met(obj: Json, conditions: dict[str, Json], wanted: str) -> Verdict:
    """Condition ``wanted`` is True, and was written for this generation."""
    found = conditions.get(wanted)
    if found is None:
        return False, f"condition {wanted} is not there yet"
    seen = found.get("observedGeneration")
    if seen is not None and int(seen) < _generation(obj):
        return False, f"condition {wanted} is of generation {seen}, the object is at {_generation(obj)}"
    if found.get("status") != "True":
        return False, _said(found)
    return READY


def _said(condition: Json) -> str:
    said = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
    return f"condition {condition['type']} is {condition.get('status')}{f' ({said})' if said else ''}"


def _all_met(obj: Json, holder: Json, *wanted: str, if_present: tuple[str, ...] = ()) -> Verdict:
    conditions = _conditions(holder)
    for name in (*wanted, *(name for name in if_present if name in conditions)):
        verdict = _met(obj, conditions, name)
        if not verdict[0]:
            return verdict
    return READY


def _counted(pairs: t.Iterable[tuple[str, int, int]]) -> Verdict:
    for what, have, want in pairs:
        if have < want:
            return False, f"{have} of {want} replicas {what}"
    return READY


def _deployment(obj: Json) -> Verdict:
    want = int((obj.get("spec") or {}).get("replicas", 1))
    status = _status(obj)
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    behind = _stale(obj) or _counted([("updated", updated, want)])
    if not behind[0]:
        return behind
    if total > updated:
        return False, f"{total - updated} replicas of the old template are still there"
    if total > want:
        return False, f"{total} replicas are there, {want} wanted"
    counted = _counted([("available", int(status.get("availableReplicas") or 0), want)])
    progress = _conditions(status).get("Progressing", {})
    # A big model may load for longer than progressDeadlineSeconds: told, but no reason to give up.
    if not counted[0] and progress.get("reason") == "ProgressDeadlineExceeded":
        return False, f"{counted[1]}; {_said(progress)}"
    return counted


def _stateful_set(obj: Json) -> Verdict:
    spec, status = obj.get("spec") or {}, _status(obj)
    want = int(spec.get("replicas", 1))
    strategy = spec.get("updateStrategy") or {}
    behind = _stale(obj) or _counted([("ready", int(status.get("readyReplicas") or 0), want)])
    if not behind[0]:
        return behind
    if int(status.get("replicas") or 0) > want:
        return False, f"{status['replicas']} replicas are there, {want} wanted"
    if strategy.get("type") == "OnDelete":
        return READY
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    return _counted([("updated", int(status.get("updatedReplicas") or 0), max(want - partition, 0))])


def _replica_set(obj: Json) -> Verdict:
    want, status = int((obj.get("spec") or {}).get("replicas", 1)), _status(obj)
    behind = _stale(obj) or _counted([("ready", int(status.get("readyReplicas") or 0), want)])
    if behind[0] and int(status.get("replicas") or 0) > want:
        return False, f"{status['replicas']} replicas are there, {want} wanted"
    return behind


def _daemon_set(obj: Json) -> Verdict:
    status = _status(obj)
    want = int(status.get("desiredNumberScheduled") or 0)
    updated = want
    if ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type") != "OnDelete":
        updated = int(status.get("updatedNumberScheduled") or 0)
    return _stale(obj) or _counted(
        [("updated", updated, want), ("available", int(status.get("numberAvailable") or 0), want)]
    )


def _job(obj: Json) -> Verdict:
    status = _status(obj)
    conditions = _conditions(status)
    failed = conditions.get("Failed", {})
    if failed.get("status") == "True":
        raise NeverReady(f"the Job failed: {_said(failed)}")
    if conditions.get("Complete", {}).get("status") == "True" or (obj.get("spec") or {}).get("suspend"):
        return READY
    counts = (f"{int(status.get(what) or 0)} {what}" for what in ("active", "succeeded", "failed"))
    return False, f"the Job is not complete: pods {', '.join(counts)}"


def _pod(obj: Json) -> Verdict:
    status = _status(obj)
    phase = status.get("phase")
    if phase == "Failed":
        raise NeverReady(f"the Pod failed: {status.get('reason') or ''} {status.get('message') or ''}".rstrip(" :"))
    if phase == "Succeeded":
        return READY
    conditions = _conditions(status)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return False, _said(scheduled)
    return _met(obj, conditions, "Ready")


def _volume_claim(obj: Json) -> Verdict:
    phase = _status(obj).get("phase")
    if phase == "Lost":
        raise NeverReady("the volume of this claim is lost")
    return (True, "") if phase == "Bound" else (False, f"the claim is {phase or 'not looked at yet'}")


def _namespace(obj: Json) -> Verdict:
    phase = _status(obj).get("phase")
    return (True, "") if phase == "Active" else (False, f"the namespace is {phase or 'not looked at yet'}")


def _service(obj: Json) -> Verdict:
    if (obj.get("spec") or {}).get("type") != "LoadBalancer" or (_status(obj).get("loadBalancer") or {}).get("ingress"):
        return READY
    return False, "the load balancer has no address yet"


def _definition(obj: Json) -> Verdict:
    conditions = _conditions(_status(obj))
    names = conditions.get("NamesAccepted", {})
    if names.get("status") == "False":
        raise NeverReady(f"the API server refuses the names of this CRD: {_said(names)}")
    return _met(obj, conditions, "Established")


def _gateway(obj: Json) -> Verdict:
    return _all_met(obj, _status(obj), "Accepted", "Programmed")


def _gateway_class(obj: Json) -> Verdict:
    return _all_met(obj, _status(obj), "Accepted")


def _route(obj: Json) -> Verdict:
    """Every parent that the route names must have answered; GKE adds the condition Reconciled."""
    parents = _status(obj).get("parents") or []
    for ref in (obj.get("spec") or {}).get("parentRefs") or []:
        answers = [parent for parent in parents if _refers(obj, parent.get("parentRef") or {}, ref)]
        if not answers:
            return False, f"parent {ref['name']} has not answered yet"
        verdict = _parents_met(obj, answers)
        if not verdict[0]:
            return verdict
    return READY


def _refers(route: Json, have: Json, want: Json) -> bool:
    home = route["metadata"].get("namespace")
    return (
        have.get("name") == want.get("name")
        and have.get("kind", "Gateway") == want.get("kind", "Gateway")
        and (have.get("namespace") or home) == (want.get("namespace") or home)
        and have.get("sectionName") == want.get("sectionName")
        and have.get("port") == want.get("port")
    )


def _parents_met(obj: Json, parents: t.Iterable[Json]) -> Verdict:
    for parent in parents:
        met, why = _all_met(obj, parent, "Accepted", "ResolvedRefs", if_present=("Reconciled",))
        if not met:
            return False, f"parent {(parent.get('parentRef') or {}).get('name')}: {why}"
    return READY


def _pool(obj: Json) -> Verdict:
    """A pool that no gateway refers to has no parents, and is ready: in a target cluster it is only exported.

    Whether an export arrives is seen on the config cluster, not here. Older
    controllers write a placeholder parent of kind Status.
    """
    parents = [p for p in _status(obj).get("parents") or [] if (p.get("parentRef") or {}).get("kind") != "Status"]
    return _parents_met(obj, parents)


def _policy(obj: Json) -> Verdict:
    """GKE's policies: Attached once the target is there; before the first look there are no conditions at all."""
    return _all_met(obj, _status(obj), if_present=("Attached",))


def _generic(obj: Json) -> Verdict:
    """Any other kind: what conventions allow to say. No status at all means that there is nothing to wait for."""
    status = _status(obj)
    if status.get("observedGeneration") is not None and (behind := _stale(obj)):
        return behind
    conditions = _conditions(status) if isinstance(status.get("conditions"), list) else {}
    if conditions.get("Stalled", {}).get("status") == "True":
        raise NeverReady(f"it is stalled: {_said(conditions['Stalled'])}")
    if conditions.get("Reconciling", {}).get("status") == "True":
        return False, _said(conditions["Reconciling"])
    for name in ("Ready", "Available", "Accepted", "Programmed"):
        if name in conditions:
            return _met(obj, conditions, name)
    return READY


_RULES: dict[tuple[str, str], t.Callable[[Json], Verdict]] = {
    ("", "Namespace"): _namespace,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Service"): _service,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("gateway.networking.k8s.io", "Gateway"): _gateway,
    ("gateway.networking.k8s.io", "GatewayClass"): _gateway_class,
    ("gateway.networking.k8s.io", "HTTPRoute"): _route,
    ("inference.networking.k8s.io", "InferencePool"): _pool,
    ("networking.gke.io", "HealthCheckPolicy"): _policy,
    ("networking.gke.io", "GCPBackendPolicy"): _policy,
}
