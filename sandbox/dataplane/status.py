# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Pod's status as a kubelet derives it from its containers: pure functions over plain data."""

from __future__ import annotations

from collections.abc import Sequence

from ..client import now
from ..interfaces import Json


def phase(policy: str, initialised: bool, init_failed: bool, containers: Sequence[Json]) -> str:
    """``policy``: the Pod's restartPolicy; ``containers``: containerStatuses of the main containers."""
    if init_failed:
        return "Failed"
    begun = ["running" in status["state"] or _ended(status) is not None for status in containers]
    if not initialised or not all(begun):
        return "Pending"
    codes = [status["state"]["terminated"]["exitCode"] for status in containers if "terminated" in status["state"]]
    if len(codes) < len(containers) or policy == "Always":
        return "Running"
    if not any(codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def ended_phase(containers: Sequence[Json]) -> str:
    """The phase of a Pod that was told to go and whose containers have stopped."""
    codes = [ended["exitCode"] for status in containers if (ended := status["state"].get("terminated"))]
    return "Succeeded" if codes and not any(codes) else "Failed"


def conditions(
    known: Sequence[Json], current: str, initialised: bool, has_address: bool, statuses: Sequence[Json]
) -> list[Json]:
    """All conditions: those of others in ``known`` are kept (the scheduler's), times change with the status only."""
    done = current in ("Succeeded", "Failed")
    unready = [status["name"] for status in statuses if not status["ready"]]
    why = "PodCompleted" if current == "Succeeded" else "PodFailed" if current == "Failed" else "ContainersNotReady"
    message = "" if done else f"containers with unready status: [{' '.join(unready)}]"
    unready_condition = {"status": "False", "reason": why, "message": message}
    ready: Json = unready_condition if unready or done else {"status": "True"}
    own: dict[str, Json] = {
        "PodReadyToStartContainers": {"status": "True" if has_address and not done else "False"},
        "Initialized": {"status": "True"} if initialised else {"status": "False", "reason": "ContainersNotInitialized"},
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": {"status": "True"},
    }
    before = {condition["type"]: condition for condition in known}
    result = [condition for kind, condition in before.items() if kind not in own]
    for kind, condition in own.items():
        old = before.get(kind, {})
        same = old.get("status") == condition["status"]
        time = old.get("lastTransitionTime") if same else None
        if kind == "PodScheduled" and same:
            result.append(old)
        else:
            result.append({"type": kind, **condition, "lastTransitionTime": time or now()})
    return result


def _ended(status: Json) -> Json | None:
    ended: Json | None = status["state"].get("terminated") or status["lastState"].get("terminated")
    return ended
