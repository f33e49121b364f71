# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reservations: machines of one type that are kept for a project in a zone; node pools consume them by name.

The words of refusals are Compute Engine's where machine types are concerned, else ours.
"""

from __future__ import annotations

from ...catalogue.machines import find
from ...interfaces import Json
from ..store import Project
from .refusals import required, wrong


def reservation(project: Project, zone: str, name: str) -> Json | None:
    """What a node pool means by "NAME", "projects/P/reservations/NAME" or "NAME/reservationBlocks/B"."""
    short = name.removeprefix(f"projects/{project.id}/reservations/").removeprefix(
        f"projects/{project.number}/reservations/"
    )
    return project.compute.get(f"zones/{zone}/reservations/{short.partition('/')[0]}")


def complete(_project: Project, document: Json, _body: Json) -> None:
    zone, specific = document["zone"].rpartition("/")[2], document.get("specificReservation") or {}
    kind = specific.get("instanceProperties", {}).get("machineType", "").rpartition("/")[2]
    if int(specific.get("count") or 0) < 1:
        raise required("specificReservation.count")
    found = find(kind)
    if found is None or not found.is_in(zone):
        field = "specificReservation.instanceProperties.machineType"
        raise wrong(field, kind, f"Machine type with name '{kind}' does not exist in zone '{zone}'.")
    properties = {**specific["instanceProperties"], "machineType": kind}
    count = str(specific["count"])
    document["specificReservation"] = {
        "count": count,
        "assuredCount": count,
        "inUseCount": "0",
        "instanceProperties": properties,
    }
    document.setdefault("specificReservationRequired", False)
    document["status"] = "READY"


def nodes_of(project: Project, zone: str, name: str, *, without: str = "") -> int:
    """How many nodes hold a machine of it; ``without``: the self link of a pool that does not count."""
    return sum(
        int(pool["initialNodeCount"])
        for cluster in project.clusters.values()
        for pool in cluster["nodePools"]
        if pool["selfLink"] != without and zone in pool["locations"] and name in wanted(pool)
    )


def wanted(pool: Json) -> list[str]:
    """The reservations that a node pool names, by their short names."""
    values = pool["config"].get("reservationAffinity", {}).get("values", [])
    return [value.partition("/reservationBlocks/")[0].rpartition("/")[2] for value in values]


def count_used(project: Project) -> None:
    """Write into every reservation how much of it is in use."""
    for path, document in project.compute.items():
        if "/reservations/" in path:
            zone, name = path.split("/")[1], document["name"]
            document["specificReservation"]["inUseCount"] = str(nodes_of(project, zone, name))


def users(project: Project, document: Json) -> list[str]:
    """The node pools that hold machines of a reservation that only they may use."""
    zone = document["zone"].rpartition("/")[2]
    return [
        pool["selfLink"].removeprefix("https://container.googleapis.com/v1/")
        for cluster in project.clusters.values()
        for pool in cluster["nodePools"]
        if zone in pool["locations"] and document["name"] in wanted(pool) and pool["initialNodeCount"]
    ]
