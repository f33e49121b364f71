# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of node pools: which field of UpdateNodePoolRequest goes where, and the verbs of pools."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from ...catalogue import tpus
from ...catalogue.machines import named
from ...instances import PROFILE_LABEL
from ...interfaces import Json
from ..errors import Refusal, invalid
from ..store import Project
from . import admission, versions
from .documents import merged, put
from .pools import KUBELET, node_image

# Field of UpdateNodePoolRequest -> (where in the pool, key within the field's own wrapper or "").
PLACES = {
    "accelerators": ("config.accelerators", ""),
    "bootDisk": ("config.bootDisk", ""),
    "confidentialNodes": ("config.confidentialNodes", ""),
    "consolidationDelay": ("config.consolidationDelay", ""),
    "containerdConfig": ("config.containerdConfig", ""),
    "diskSizeGb": ("config.diskSizeGb", ""),
    "diskType": ("config.diskType", ""),
    "fastSocket": ("config.fastSocket", ""),
    "flexStart": ("config.flexStart", ""),
    "gcfsConfig": ("config.gcfsConfig", ""),
    "gvnic": ("config.gvnic", ""),
    "imageType": ("config.imageType", ""),
    "labels": ("config.labels", "labels"),
    "linuxNodeConfig": ("config.linuxNodeConfig", ""),
    "locations": ("locations", ""),
    "loggingConfig": ("config.loggingConfig", ""),
    "machineType": ("config.machineType", ""),
    "maxRunDuration": ("config.maxRunDuration", ""),
    "maintenancePolicy": ("maintenancePolicy", ""),
    "nodeDrainConfig": ("nodeDrainConfig", ""),
    "queuedProvisioning": ("queuedProvisioning", ""),
    "resourceLabels": ("config.resourceLabels", "labels"),
    "resourceManagerTags": ("config.resourceManagerTags", ""),
    "storagePools": ("config.storagePools", ""),
    "tags": ("config.tags", "tags"),
    "taintConfig": ("config.taintConfig", ""),
    "taints": ("config.taints", "taints"),
    "upgradeSettings": ("upgradeSettings", ""),
    "windowsNodeConfig": ("config.windowsNodeConfig", ""),
    "workloadMetadataConfig": ("config.workloadMetadataConfig", ""),
}
# These the request does not replace whole: (where in the pool, what that is afterwards).
MERGED: Mapping[str, tuple[str, Callable[[Json, Json], Json]]] = {
    "kubeletConfig": ("config.kubeletConfig", lambda _pool, value: merged(KUBELET, value)),
    "nodeNetworkConfig": ("networkConfig", lambda pool, value: merged(pool["networkConfig"], value)),
}
SPECIAL = ("nodeVersion",)
# Fields that nobody may state, and why.
REFUSED = {
    "image": "custom node images are not had here",
    "imageProject": "custom node images are not had here",
}
ADDRESS = {"name", "projectId", "zone", "clusterId", "nodePoolId", "etag"}


def pool(project: Project, parent: Json, document: Json, body: Json) -> Json:
    """The pool after this UpdateNodePoolRequest. Raises Refusal 400."""
    wanted, asked = copy.deepcopy(document), set(body) - ADDRESS
    if not asked:
        raise invalid("Must specify a field to update.")
    for field in sorted(asked & set(REFUSED)):
        raise invalid(f"Updating {field} is not supported: {REFUSED[field]}.")
    if "acceleratorNetworkProfile" in body.get("nodeNetworkConfig", {}):
        raise invalid("The accelerator network profile of a node pool cannot be changed.")
    for field in asked - set(SPECIAL):
        if field in MERGED:
            place, afterwards = MERGED[field]
            put(wanted, place, afterwards(wanted, body[field]))
            continue
        place, wrapper = PLACES[field]
        value = body[field]
        put(wanted, place, value.get(wrapper, [] if wrapper in ("tags", "taints") else {}) if wrapper else value)
    _keep_disk(wanted, body)
    if "nodeVersion" in body:
        upgraded = bool(wanted["management"].get("autoUpgrade"))
        wanted["version"] = versions.node(parent, body["nodeVersion"], upgraded=upgraded)
        wanted["config"]["nodeImageConfig"] = node_image(wanted["version"])
    stated: Json = {"config": {key: wanted["config"][key] for key in ("labels", "taints") if key in body}}
    admission.check(admission.Asked(project, parent, wanted, stated))
    if document["networkConfig"].get("acceleratorNetworkProfile"):
        wanted["config"].setdefault("labels", {})[PROFILE_LABEL] = "auto"
    for field in ("labels", "taints", "tags"):
        if not wanted["config"].get(field, True):
            del wanted["config"][field]
    return wanted


def _keep_disk(wanted: Json, body: Json) -> None:
    """The boot disk is told in two places."""
    config, boot = wanted["config"], body.get("bootDisk", {})
    config["diskType"] = body.get("diskType") or boot.get("diskType") or config["diskType"]
    config["diskSizeGb"] = int(body.get("diskSizeGb") or boot.get("sizeGb") or config["diskSizeGb"])
    config["bootDisk"] |= {"diskType": config["diskType"], "sizeGb": str(config["diskSizeGb"])}


def set_size(_project: Project, parent: Json, document: Json, body: Json) -> Json:
    nodes = int(body.get("nodeCount", 0))
    if document.get("queuedProvisioning", {}).get("enabled") and nodes:
        raise invalid(
            f"Manual resizing of queued provisioning node pool ({document['name']}) to a value other than 0 is not "
            "allowed."
        )
    return {**copy.deepcopy(document), "initialNodeCount": nodes}


def gang(pool_document: Json) -> Refusal | None:
    """What resizing a pool of one slice to another number of nodes ends in. Words: AI-Hypercomputer/xpk issue 751."""
    topology = pool_document.get("placementPolicy", {}).get("tpuTopology", "")
    nodes = pool_document["initialNodeCount"]
    if not topology or not named(pool_document["config"]["machineType"]).tpu or nodes in (0, tpus.hosts(topology)):
        return None
    return invalid(
        f"Google Compute Engine: Invalid value for field 'resource.resizeBy': '{nodes}'. Requested invalid target size "
        f"'{nodes}' for a Managed Instance Group in the gang mode of size '{tpus.hosts(topology)}'. Should be equal to "
        "the gang size."
    )


def set_autoscaling(project: Project, parent: Json, document: Json, body: Json) -> Json:
    return _judged(project, parent, {**copy.deepcopy(document), "autoscaling": body.get("autoscaling", {})})


def set_management(project: Project, parent: Json, document: Json, body: Json) -> Json:
    return _judged(project, parent, {**copy.deepcopy(document), "management": body.get("management", {})})


def rollback(_project: Project, _parent: Json, document: Json, _body: Json) -> Json:
    """Nothing changes where the last upgrade went well; one that failed has left the old version, in state ERROR."""
    return copy.deepcopy(document)


def _judged(project: Project, parent: Json, wanted: Json) -> Json:
    admission.check(admission.Asked(project, parent, wanted, {}))
    return wanted


# Verb -> (request message, operation type, change).
VERBS: Mapping[str, tuple[str, str, Callable[[Project, Json, Json, Json], Json]]] = {
    "setSize": ("SetNodePoolSizeRequest", "SET_NODE_POOL_SIZE", set_size),
    "setAutoscaling": ("SetNodePoolAutoscalingRequest", "UPDATE_CLUSTER", set_autoscaling),
    "setManagement": ("SetNodePoolManagementRequest", "SET_NODE_POOL_MANAGEMENT", set_management),
    "rollback": ("RollbackNodePoolUpgradeRequest", "UPGRADE_NODES", rollback),
}
# Ends of the deprecated paths below projects.zones.clusters.nodePools -> the verb that they stand for.
LEGACY_VERBS = {
    "autoscaling": "setAutoscaling",
    "setManagement": "setManagement",
    "setSize": "setSize",
}
