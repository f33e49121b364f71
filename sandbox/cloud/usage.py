# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of its quotas a project uses: all instances here are nodes of GKE, or reserved for them.

Source: https://cloud.google.com/compute/docs/instances/reservations-overview#how-reservations-work
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from ..catalogue import quotas
from ..catalogue.machines import named
from ..catalogue.places import region_of
from ..interfaces import Json
from .store import Project

# States of a pool in which it holds no instances: it never got them, or gives them back.
EMPTY = ("ERROR", "STOPPING")


def of_pool(pool: Json, nodes: int) -> dict[str, float]:
    """Metric -> what this many nodes in each of the pool's zones take; machines that are reserved are counted there."""
    config = pool["config"]
    if config.get("reservationAffinity", {}).get("consumeReservationType") == "SPECIFIC_RESERVATION":
        return {}
    attached = {
        accelerator["acceleratorType"]: int(accelerator["acceleratorCount"])
        for accelerator in config.get("accelerators", [])
    }
    one = quotas.needs(named(config["machineType"]), attached)
    return {metric: amount * nodes * len(pool["locations"]) for metric, amount in one.items()}


def used(project: Project, region: str, *, without: Iterable[str] = ()) -> dict[str, float]:
    """Metric -> what the region's instances take, but for the pools with these self links."""
    total: dict[str, float] = collections.defaultdict(float)
    for key, cluster in project.clusters.items():
        if region_of(key.location) != region:
            continue
        for pool in cluster["nodePools"]:
            if pool["status"] not in EMPTY and pool["selfLink"] not in without:
                for metric, amount in of_pool(pool, pool.get("initialNodeCount", 0)).items():
                    total[metric] += amount
    for path, document in project.compute.items():
        if "/reservations/" in path and region_of(path.split("/")[1]) == region:
            specific = document["specificReservation"]
            for metric, amount in quotas.needs(named(specific["instanceProperties"]["machineType"]), {}).items():
                total[metric] += amount * int(specific["count"])
    return total
