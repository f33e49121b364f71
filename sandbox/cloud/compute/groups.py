# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instance groups that GKE makes for node pools, and their managers: derived from the pools, read-only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ...catalogue.places import region_of
from ...instances import LIVE, base_name, group_name
from ...interfaces import Json
from ..store import Project, fingerprint, stable_id
from . import instances
from .links import LINK, full_link

# What a group may be doing with its instances, besides nothing.
ACTIONS = (
    *("abandoning", "creating", "creatingWithoutRetries", "deleting", "recreating", "refreshing", "restarting"),
    *("resuming", "starting", "stopping", "suspending", "verifying"),
)


@dataclasses.dataclass(frozen=True)
class Group:
    """The group of a pool in a zone."""

    cluster: Json
    pool: Json
    zone: str

    @property
    def name(self) -> str:
        return group_name(self.cluster["name"], self.pool, self.zone)

    @property
    def base(self) -> str:
        return base_name(self.cluster["name"], self.pool, self.zone)

    @property
    def size(self) -> int:
        return int(self.pool.get("initialNodeCount") or 0)


def groups(project: Project) -> Iterator[Group]:
    for cluster in project.clusters.values():
        for pool in cluster.get("nodePools", []):
            for zone in pool["locations"]:
                yield Group(cluster, pool, zone)


def documents(project: Project) -> Iterator[Json]:
    """All as compute#instanceGroup."""
    for group in groups(project):
        link = f"{LINK}projects/{project.id}/zones/{group.zone}"
        document: Json = {
            "kind": "compute#instanceGroup",
            "id": stable_id(f"{link}/{group.name}"),
            "creationTimestamp": project.document["createTime"],
            "name": group.name,
            "description": "This instance group is controlled by Instance Group Manager "
            f"'{group.name}'. To modify instances in this group, use the Instance Group Manager API: "
            "https://cloud.google.com/compute/docs/reference/latest/instanceGroupManagers",
            "zone": link,
            "network": full_link(project, group.cluster["networkConfig"]["network"]),
            "subnetwork": full_link(project, group.cluster["networkConfig"]["subnetwork"]),
            "size": group.size if group.pool["status"] in LIVE else 0,
            "selfLink": f"{link}/instanceGroups/{group.name}",
        }
        document["fingerprint"] = fingerprint(document)
        yield document


def managers(project: Project) -> Iterator[Json]:
    """All as compute#instanceGroupManager."""
    for group in groups(project):
        yield _manager(project, group)


def _manager(project: Project, group: Group) -> Json:
    link, name, size = f"{LINK}projects/{project.id}/zones/{group.zone}", group.name, group.size
    template = f"{LINK}projects/{project.id}/regions/{region_of(group.zone)}/instanceTemplates/"
    template += name.removesuffix("-grp")
    document: Json = {
        "kind": "compute#instanceGroupManager",
        "id": stable_id(f"{link}/managers/{name}"),
        "creationTimestamp": project.document["createTime"],
        "name": name,
        "zone": link,
        "instanceTemplate": template,
        "instanceGroup": f"{link}/instanceGroups/{name}",
        "baseInstanceName": group.base,
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
            "isStable": group.pool["status"] == "RUNNING",
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
        "selfLink": f"{link}/instanceGroupManagers/{name}",
    }
    document["fingerprint"] = fingerprint(document)
    return document


def managed_instances(project: Project, manager: Json) -> Json:
    """The answer of listManagedInstances."""
    found = [
        {
            "id": instance["id"],
            "name": instance["name"],
            "instance": instance["selfLink"],
            "instanceStatus": instance["status"],
            "currentAction": "NONE",
            "targetStatus": "RUNNING",
            "version": {"instanceTemplate": manager["instanceTemplate"]},
        }
        for instance in _within(project, manager["name"], manager["zone"])
    ]
    return {"managedInstances": found} if found else {}


def listed_instances(project: Project, group: Json) -> Json:
    """The answer of listInstances."""
    path = f"{group['selfLink'].removeprefix(LINK)}/listInstances"
    items = [
        {"instance": instance["selfLink"], "status": instance["status"]}
        for instance in _within(project, group["name"], group["zone"])
    ]
    answer: Json = {"kind": "compute#instanceGroupsListInstances", "id": path, "selfLink": f"{LINK}{path}"}
    return {**answer, "items": items} if items else answer


def _within(project: Project, name: str, zone: str) -> Iterator[Json]:
    for machine in instances.machines(project):
        if machine.zone == zone.rpartition("/")[2] and name == group_name(
            machine.cluster["name"], machine.pool, machine.zone
        ):
            yield instances.render(project, machine)
