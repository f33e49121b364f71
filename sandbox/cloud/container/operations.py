# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations as container v1 answers them, and what one that failed leaves."""

from __future__ import annotations

from collections.abc import Callable

from ...catalogue.places import area
from ...interfaces import Json
from ..engine import Work
from ..errors import Refusal
from ..store import Project
from .documents import HOST, set_status

# Reasons that the conditions of clusters and node pools have codes for.
CONDITIONS = ("GCE_STOCKOUT", "GCE_QUOTA_EXCEEDED")
FIRST_PROGRESS = 0.05  # of its time an operation works before it tells how far it is


def failed(cluster: Json, pool: Json | None = None) -> Callable[[Refusal], None]:
    """What a failed operation leaves: the object stays, in state ERROR, and says why."""

    def mark(error: Refusal) -> None:
        broken = cluster if pool is None else pool
        if pool is not None:
            set_status(cluster, "RUNNING")
        broken["status"] = "ERROR"
        broken["statusMessage"] = error.message
        condition = {"canonicalCode": error.status, "message": error.message}
        broken["conditions"] = [{"code": error.reason, **condition} if error.reason in CONDITIONS else condition]

    return mark


def render(work: Work, project: Project) -> Json:
    """A Work as container's Operation; DONE may carry an error."""
    target = work.target.replace(f"projects/{project.id}/", f"projects/{project.number}/", 1)
    answer: Json = {
        "name": work.name,
        "operationType": work.kind,
        "selfLink": f"{HOST}projects/{project.number}/{area(work.scope)}/{work.scope}/operations/{work.name}",
        "targetLink": HOST + target,
        "startTime": work.started,
        "status": work.status,
        "zone": work.scope,
    }
    if work.kind == "CREATE_CLUSTER" and work.fraction > FIRST_PROGRESS:
        answer["progress"] = {"metrics": progress(work.fraction)}
    if work.kind == "UPGRADE_NODES" and work.done and not work.error:
        answer["progress"] = {"metrics": upgraded(work.extra["nodes"])}
    if work.done:
        answer["endTime"] = work.ended
    if work.error:
        answer["error"] = work.error.rpc_status()
        answer["statusMessage"] = work.error.message
    return answer


def upgraded(nodes: int) -> list[Json]:
    """What GKE tells of an upgrade of nodes that is over."""
    counts = {"NODES_TOTAL": nodes, "NODES_FAILED": 0, "NODES_COMPLETE": nodes, "NODES_DONE": nodes}
    return [{"name": name, "intValue": str(count)} for name, count in {**counts, "NODE_PDB_DELAY_SECONDS": 0}.items()]


def progress(fraction: float) -> list[Json]:
    """The stages that GKE counts while it creates a cluster."""
    metrics: list[Json] = []
    for name, total in (("CLUSTER_CONFIGURING", 8), ("CLUSTER_DEPLOYING", 12), ("CLUSTER_HEALTHCHECKING", 2)):
        metrics.append({"name": name, "intValue": str(int(total * fraction))})
        metrics.append({"name": f"{name}_TOTAL", "intValue": str(total)})
    return metrics
