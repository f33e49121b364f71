# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a Pod fits, and kube-scheduler's words for why it does not: no I/O."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction

from sandbox.interfaces import Json

from . import dra
from .quantities import amounts, requests, total

NO_CLAIM = "cannot allocate all claims"

# Reasons that evicting another Pod could not cure.
_UNRESOLVABLE = (
    "node(s) were unschedulable",
    "node(s) didn't match the requested node name",
    "node(s) had untolerated taint",
    "node(s) didn't match Pod's node affinity/selector",
)


@dataclasses.dataclass(frozen=True)
class Fleet:
    """All that a decision depends on, besides the Pod: ``claims`` are all of the cluster's ResourceClaims."""

    nodes: Sequence[Json]
    pods: Sequence[Json]
    claims: Sequence[Json] = ()
    slices: Sequence[Json] = ()
    classes: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Decision:
    """Either ``node`` with the device results of each claim still to allocate, or ``message``."""

    node: str = ""
    allocations: Mapping[str, list[Json]] = dataclasses.field(default_factory=dict)
    message: str = ""


def decide(pod: Json, claims: Sequence[Json], fleet: Fleet) -> Decision:
    """Place the Pod, whose ResourceClaims are ``claims``, on the feasible Node that has most left of everything."""
    if not fleet.nodes:
        return Decision(message="no nodes available to schedule pods")
    open_claims = [claim for claim in claims if dra.allocated_node(claim) is None]
    for claim in open_claims:
        if missing := dra.missing_class(claim, fleet.classes):
            return Decision(message=_refused(len(fleet.nodes), missing))
    used = dra.in_use(fleet.claims)
    counts: collections.Counter[str] = collections.Counter()
    resolvable = 0
    feasible: list[tuple[Fraction, str, dict[str, list[Json]]]] = []
    for node in fleet.nodes:
        name = node["metadata"]["name"]
        reasons, room = _check_node(pod, node, fleet.pods)
        allocations: dict[str, list[Json]] | None = {}
        if not reasons and claims:
            slices = [part for part in fleet.slices if part["spec"].get("nodeName") == name]
            allocations = _claims_on(name, claims, open_claims, slices, used, fleet.classes)
        if reasons or allocations is None:
            reasons = reasons or [NO_CLAIM]
            counts.update(reasons)
            resolvable += not any(reason.startswith(_UNRESOLVABLE) for reason in reasons)
        else:
            feasible.append((room, name, allocations))
    if not feasible:
        return Decision(message=_message(len(fleet.nodes), counts, resolvable, bool(claims)))
    _unused, name, chosen = max(feasible, key=lambda candidate: (candidate[0], candidate[1]))
    return Decision(node=name, allocations=chosen)


def _claims_on(
    node: str,
    claims: Sequence[Json],
    open_claims: Sequence[Json],
    slices: Sequence[Json],
    used: set[dra.Device],
    classes: Mapping[str, Json],
) -> dict[str, list[Json]] | None:
    for claim in claims:
        if dra.allocated_node(claim) not in (None, "", node):
            return None
    return dra.allocate(open_claims, slices, used, classes)


def _refused(nodes: int, reason: str) -> str:
    """The message for a fault that is the Pod's own, whatever the Node."""
    return (
        f"0/{nodes} nodes are available: {reason}. "
        f"preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    )


def _message(nodes: int, counts: collections.Counter[str], resolvable: int, claims: bool) -> str:
    reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    outlook = []
    if resolvable:
        outlook.append(f"{resolvable} No preemption victims found for incoming pod")
    if nodes - resolvable:
        outlook.append(f"{nodes - resolvable} Preemption is not helpful for scheduling")
    prefix = "no new claims to deallocate, " if claims else ""
    return (
        f"0/{nodes} nodes are available: {reasons}. "
        f"{prefix}preemption: 0/{nodes} nodes are available: {', '.join(outlook)}."
    )


def _check_node(pod: Json, node: Json, pods: Sequence[Json]) -> tuple[list[str], Fraction]:
    """(why the Pod does not fit, smallest share of a resource left if it does), filters in kube-scheduler's order."""
    spec = pod["spec"]
    name = node["metadata"]["name"]
    if node["spec"].get("unschedulable") and not _tolerated(
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, spec.get("tolerations") or []
    ):
        return [_UNRESOLVABLE[0]], Fraction(0)
    if spec.get("nodeName") and spec["nodeName"] != name:
        return [_UNRESOLVABLE[1]], Fraction(0)
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, spec.get("tolerations") or []):
            return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"], Fraction(0)
    if not _selected(spec, node):
        return [_UNRESOLVABLE[3]], Fraction(0)
    return _fit(pod, node, pods)


def _fit(pod: Json, node: Json, pods: Sequence[Json]) -> tuple[list[str], Fraction]:
    name = node["metadata"]["name"]
    have = amounts((node.get("status") or {}).get("allocatable"))
    used = total(requests(other) for other in pods if other["spec"].get("nodeName") == name)
    reasons = []
    room = Fraction(1)
    for resource, amount in requests(pod).items():
        capacity = have.get(resource, Fraction(0))
        left = capacity - used.get(resource, Fraction(0)) - amount
        if amount and left < 0:
            reasons.append("Too many pods" if resource == "pods" else f"Insufficient {resource}")
        elif capacity:
            room = min(room, left / capacity)
    return reasons, room


def _tolerated(taint: Json, tolerations: Sequence[Json]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("key") not in (None, "", taint["key"]):
            continue
        if toleration.get("operator", "Equal") == "Exists":
            return True
        if toleration.get("key") and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _selected(spec: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(_term(term, node) for term in affinity.get("nodeSelectorTerms") or [])


def _term(term: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    expressions = term.get("matchExpressions") or []
    matches = term.get("matchFields") or []
    if not expressions and not matches:
        return False  # an empty term selects nothing
    return all(_expression(item, labels) for item in expressions) and all(_expression(item, fields) for item in matches)


def _expression(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" if value is not None and value.lstrip("-").isdigit():
            difference = int(value) - int(values[0])
            return difference > 0 if expression["operator"] == "Gt" else difference < 0
    return False
