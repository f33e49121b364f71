# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""instanceGroupManagers as GKE makes them: derived from the node pools, read-only."""

from __future__ import annotations

from ...catalogue.places import region_of
from ...interfaces import Json
from ..store import Project, fingerprint
from .links import LINK

# What a group may be doing with its instances, besides nothing.
ACTIONS = (
    *("abandoning", "creating", "creatingWithoutRetries", "deleting", "recreating", "refreshing", "restarting"),
    *("resuming", "starting", "stopping", "suspending", "verifying"),
)


def name_of(cluster: Json, pool: str) -> str:
    """The name of the group of a pool; as Google's, within 63 characters."""
    return f"gke-{cluster['name'][:20]}-{pool[:20]}-{cluster['id'][:8]}-grp"


def find(project: Project, zone: str, name: str) -> Json | None:
    for cluster in project.clusters.values():
        for pool in cluster.get("nodePools", []):
            if zone in pool["locations"] and name_of(cluster, pool["name"]) == name:
                return render(project, pool, zone, name)
    return None


def render(project: Project, pool: Json, zone: str, name: str) -> Json:
    link = f"{LINK}projects/{project.id}/"
    size = pool.get("initialNodeCount", 0)
    base = name.removesuffix("-grp")
    template = f"{link}regions/{region_of(zone)}/instanceTemplates/{base}"
    document: Json = {
        "kind": "compute#instanceGroupManager",
        "id": str(int.from_bytes(name.encode()[-7:], "big")),
        "creationTimestamp": project.document["createTime"],
        "name": name,
        "zone": f"{link}zones/{zone}",
        "instanceTemplate": template,
        "instanceGroup": f"{link}zones/{zone}/instanceGroups/{name}",
        "baseInstanceName": base,
        "currentActions": {**dict.fromkeys(ACTIONS, 0), "none": size},
        "targetSize": size,
        "targetStoppedSize": 0,
        "targetSuspendedSize": 0,
        "targetSizePolicy": {"mode": "INDIVIDUAL"},
        "standbyPolicy": {"mode": "MANUAL"},
        "listManagedInstancesResults": "PAGINATED",
        "satisfiesPzs": True,
        "versions": [{"instanceTemplate": template, "targetSize": {"calculated": size}}],
        "instanceLifecyclePolicy": {
            "defaultActionOnFailure": "REPAIR",
            "forceUpdateOnRepair": "YES",
            "onFailedHealthCheck": "DEFAULT_ACTION",
        },
        "status": {
            "allInstancesConfig": {"effective": True},
            "isStable": pool["status"] == "RUNNING",
            "stateful": {
                "hasStatefulConfig": False,
                "perInstanceConfigs": {"allEffective": True},
            },
            "versionTarget": {"isReached": True},
        },
        "updatePolicy": {
            "type": "OPPORTUNISTIC",
            "minimalAction": "REPLACE",
            "replacementMethod": "SUBSTITUTE",
            "maxSurge": {"calculated": 1, "fixed": 1},
            "maxUnavailable": {"calculated": 1, "fixed": 1},
        },
        "selfLink": f"{link}zones/{zone}/instanceGroupManagers/{name}",
    }
    document["fingerprint"] = fingerprint(document)
    return document
