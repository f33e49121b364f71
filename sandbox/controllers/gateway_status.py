# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status that GKE writes to Gateways, HTTPRoutes and policies. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.client import HTTP_ROUTES
from sandbox.interfaces import Json

from .addons import CONTROLLER
from .cache import with_condition
from .gateway import Attachment, Fault, Verdict

_SCHEDULED = "The OSS Gateway API has deprecated this condition, do not depend on it."
_WAITING = "Waiting for the load balancer to be programmed"


def _conditions(before: Sequence[Json], generation: int, *new: tuple[str, str, str, str]) -> list[Json]:
    """``before`` with the ``new`` (type, status, reason, message), all observed at ``generation``."""
    merged = list(before)
    for kind, status, reason, message in new:
        verdict = {"type": kind, "status": status, "reason": reason, "message": message}
        merged = with_condition(merged, {**verdict, "observedGeneration": generation})
    return merged


def gateway(obj: Json, verdict: Verdict, attached: Mapping[str, int], *, programmed: bool) -> Json:
    """The Gateway's status. ``attached``: listener -> routes; ``programmed``: whether its VIPs answer."""
    before = obj.get("status") or {}
    generation = obj["metadata"].get("generation", 1)
    accepted, ready = _verdicts(verdict, programmed)
    taken = accepted[0] == "True"
    kept = before.get("conditions") or []
    conditions = _conditions(kept, generation, ("Accepted", *accepted), ("Programmed", *ready))
    if taken:
        conditions = _conditions(conditions, generation, ("Scheduled", "True", "Scheduled", _SCHEDULED))
    status: Json = {"conditions": conditions}
    if programmed and verdict.fault is None:
        status["addresses"] = [{"type": "IPAddress", "value": address} for _unused, address in verdict.vips]
    if taken:
        known = {item["name"]: item for item in before.get("listeners") or []}
        status["listeners"] = [
            {
                "name": listener["name"],
                "attachedRoutes": attached.get(listener["name"], 0),
                "supportedKinds": [{"group": HTTP_ROUTES.group, "kind": HTTP_ROUTES.kind}],
                "conditions": _conditions(
                    known.get(listener["name"], {}).get("conditions") or [],
                    generation,
                    ("Accepted", "True", "Accepted", ""),
                    ("Programmed", ready[0], ready[1], ready[2]),
                    ("ResolvedRefs", "True", "ResolvedRefs", ""),
                    ("Conflicted", "False", "NoConflicts", ""),
                ),
            }
            for listener in obj["spec"]["listeners"]
        ]
    return status


def _verdicts(verdict: Verdict, programmed: bool) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """(status, reason, message) of Accepted and of Programmed."""
    fault = verdict.fault
    if fault is None:
        ready = ("True", "Programmed", "") if programmed else ("Unknown", "Pending", _WAITING)
        return ("True", "Accepted", ""), ready
    if fault.condition == "Programmed":
        return ("True", "Accepted", ""), ("False", fault.reason, fault.message)
    reason = "Pending" if fault.reason == "Pending" else "Invalid"
    return ("False", fault.reason, fault.message), ("False", reason, fault.message)


def route(obj: Json, attachments: Sequence[Attachment]) -> Json:
    """The HTTPRoute's status: an entry per parent that is GKE's; those of other controllers are kept."""
    before = (obj.get("status") or {}).get("parents") or []
    generation = obj["metadata"].get("generation", 1)
    parents = [item for item in before if item.get("controllerName") != CONTROLLER]
    ours = [item for item in before if item.get("controllerName") == CONTROLLER]
    for attachment in attachments:
        kept: Json = next((item for item in ours if item["parentRef"] == attachment.parent), {})
        conditions = _conditions(
            kept.get("conditions") or [],
            generation,
            ("Accepted", *_outcome(attachment.fault, "Accepted")),
            ("ResolvedRefs", *_outcome(attachment.unresolved, "ResolvedRefs")),
            ("Reconciled", *_outcome(attachment.fault or attachment.unresolved, "ReconciliationSucceeded")),
        )
        parents.append({"parentRef": attachment.parent, "controllerName": CONTROLLER, "conditions": conditions})
    return {"parents": parents}


def _outcome(fault: Fault | None, reason: str) -> tuple[str, str, str]:
    if fault is None:
        return "True", reason, ""
    return "False", fault.reason, fault.message


def policy(obj: Json, fault: Fault | None) -> Json:
    """The policy's status."""
    before = obj.get("status") or {}
    generation = obj["metadata"].get("generation", 1)
    conditions = before.get("conditions") or []
    return {**before, "conditions": _conditions(conditions, generation, ("Attached", *_outcome(fault, "Attached")))}
