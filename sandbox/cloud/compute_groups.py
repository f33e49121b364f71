# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""instanceGroupManagers as GKE makes them: derived from the node pools, read-only."""

from __future__ import annotations

from ..interfaces import Json
from .store import Project, fingerprint

LINK = "https://www.googleapis.com/compute/v1/"


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
    document: Json = {
        "kind": "compute#instanceGroupManager",
        "id": str(int.from_bytes(name.encode()[-7:], "big")),
        "creationTimestamp": project.document["createTime"],
        "name": name,
        "zone": f"{link}zones/{zone}",
        "instanceTemplate": f"{link}global/instanceTemplates/{base}",
        "instanceGroup": f"{link}zones/{zone}/instanceGroups/{name}",
        "baseInstanceName": base,
        "currentActions": {"none": size},
        "targetSize": size,
        "instanceLifecyclePolicy": {"defaultActionOnFailure": "REPAIR", "forceUpdateOnRepair": "YES"},
        "status": {"isStable": pool["status"] == "RUNNING"},
        "updatePolicy": {
            "type": "OPPORTUNISTIC",
            "minimalAction": "REPLACE",
            "replacementMethod": "SUBSTITUTE",
            "maxSurge": {"fixed": 1},
            "maxUnavailable": {"fixed": 1},
        },
        "selfLink": f"{link}zones/{zone}/instanceGroupManagers/{name}",
    }
    document["fingerprint"] = fingerprint(document)
    return document
