# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances: the nodes of GKE's node pools, read-only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ... import instances
from ...interfaces import Json
from ..store import Project, fingerprint, stable_id
from .links import LINK, full_link


@dataclasses.dataclass(frozen=True)
class Machine(instances.Instance):
    """An instance and the cluster that it belongs to."""

    cluster: Json

    @property
    def path(self) -> str:
        return f"zones/{self.zone}/instances/{self.name}"

    @property
    def subnetwork(self) -> str:
        """ "projects/P/regions/R/subnetworks/NAME"."""
        return str(self.cluster["networkConfig"]["subnetwork"])


def machines(project: Project) -> Iterator[Machine]:
    """Every machine of every node pool."""
    for key, cluster in project.clusters.items():
        network = full_link(project, cluster["networkConfig"]["network"])
        subnetworks = [
            item for path, item in project.compute.items() if "/subnetworks/" in path and item["network"] == network
        ]
        for one in instances.instances(cluster, key, subnetworks):
            yield Machine(one.name, one.pool, one.zone, one.address, cluster)


def documents(project: Project) -> Iterator[Json]:
    """All as compute#instance."""
    return (render(project, machine) for machine in machines(project))


def render(project: Project, machine: Machine) -> Json:
    zone, cluster, config = f"{LINK}projects/{project.id}/zones/{machine.zone}", machine.cluster, machine.pool["config"]
    account = config.get("serviceAccount") or "default"
    group = instances.group_name(cluster["name"], machine.pool, machine.zone)
    created_by = f"projects/{project.number}/zones/{machine.zone}/instanceGroupManagers/{group}"
    document: Json = {
        "kind": "compute#instance",
        "id": stable_id(f"{zone}/{machine.name}"),
        "creationTimestamp": cluster["createTime"],
        "name": machine.name,
        "zone": zone,
        "machineType": f"{zone}/machineTypes/{config['machineType']}",
        "status": "RUNNING",
        "canIpForward": False,
        "deletionProtection": False,
        "startRestricted": False,
        "disks": [_boot_disk(zone, machine)],
        "networkInterfaces": [_interface(project, machine)],
        "labels": {
            **config.get("resourceLabels", {}),
            "goog-gke-node": "",
            "goog-k8s-cluster-name": cluster["name"],
            "goog-k8s-cluster-location": cluster["location"],
            "goog-k8s-node-pool-name": machine.pool["name"],
        },
        "metadata": {"kind": "compute#metadata", "items": [{"key": "created-by", "value": created_by}]},
        "scheduling": _scheduling(config),
        "serviceAccounts": [
            {
                "email": f"{project.number}-compute@developer.gserviceaccount.com" if account == "default" else account,
                "scopes": config.get("oauthScopes", []),
            }
        ],
        "selfLink": f"{zone}/instances/{machine.name}",
    }
    if config.get("tags"):
        document["tags"] = {"items": config["tags"], "fingerprint": fingerprint(config["tags"])}
    document["labelFingerprint"] = fingerprint(document["labels"])
    document["fingerprint"] = fingerprint(document)
    return document


def _boot_disk(zone: str, machine: Machine) -> Json:
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "source": f"{zone}/disks/{machine.name}",
        "deviceName": "persistent-disk-0",
        "index": 0,
        "boot": True,
        "autoDelete": True,
        "diskSizeGb": str(machine.pool["config"].get("diskSizeGb") or 100),
    }


def _interface(project: Project, machine: Machine) -> Json:
    return {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": full_link(project, machine.cluster["networkConfig"]["network"]),
        "subnetwork": full_link(project, machine.subnetwork),
        "stackType": "IPV4_ONLY",
        **({"networkIP": machine.address} if machine.address else {}),
    }


def _scheduling(config: Json) -> Json:
    """Spot and flex-start machines end instead of moving, and are not started again."""
    model = "SPOT" if config.get("spot") else "FLEX_START" if config.get("flexStart") else "STANDARD"
    fleeting = model != "STANDARD"
    return {
        "provisioningModel": model,
        "preemptible": model == "SPOT",
        "automaticRestart": not fleeting,
        "onHostMaintenance": "TERMINATE" if fleeting else "MIGRATE",
    }
