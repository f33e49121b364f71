# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node pool's document says: GKE's defaults around what the request states."""

from __future__ import annotations

import copy
import math

from ...catalogue import machines
from ...instances import PROFILE_LABEL, group_name
from ...interfaces import Json
from ..bodies import fields
from ..compute import LINK, reference
from ..errors import Refusal
from ..store import Project, fingerprint
from . import admission, defaults, versions
from .documents import merged

KUBELET: Json = {"insecureKubeletReadonlyPortEnabled": False, "maxParallelImagePulls": 2}
MANAGEMENT: Json = {"autoRepair": True, "autoUpgrade": True}
DEFAULT_PODS = "110"
# Fields that Google alone decides: what a request says of them is passed over (the discovery document's readOnly).
OUTPUT = fields(
    "conditions etag instanceGroupUrls kubeletCertInfo podIpv4CidrSize selfLink status statusMessage updateInfo"
)


def is_tpu(pool: Json) -> bool:
    return bool(machines.named(pool["config"]["machineType"]).tpu)


def build(project: Project, cluster: Json, body: Json) -> Json:
    """The document of a new pool in state PROVISIONING. Raises Refusal 400 for what GKE refuses at once."""
    name = str(body.get("name", ""))
    admission.check_name(name)
    management = body.get("management", MANAGEMENT)
    version = versions.node(cluster, body.get("version", ""), upgraded=bool(management.get("autoUpgrade")))
    most = (body.get("maxPodsConstraint") or cluster["defaultMaxPodsConstraint"]).get("maxPodsPerNode", DEFAULT_PODS)
    given = {key: copy.deepcopy(value) for key, value in body.items() if key not in OUTPUT}
    document: Json = {
        **given,
        "name": name,
        "config": node_config(cluster, body.get("config", {}), version),
        "initialNodeCount": _count(body),
        "locations": body.get("locations") or list(cluster["locations"]),
        "management": management,
        "maxPodsConstraint": {"maxPodsPerNode": most},
        "podIpv4CidrSize": pod_block(int(most)),
        "upgradeSettings": body.get("upgradeSettings", {"maxSurge": 1, "strategy": "SURGE"}),
        "version": version,
        "selfLink": f"{cluster['selfLink']}/nodePools/{name}",
        "status": "PROVISIONING",
    }
    document["networkConfig"] = _network_config(project, cluster, body.get("networkConfig", {}))
    admission.check(admission.Asked(project, cluster, document, body))
    if profile := document["networkConfig"].get("acceleratorNetworkProfile"):
        document["config"]["labels"] = {**document["config"].get("labels", {}), PROFILE_LABEL: profile}
    document["instanceGroupUrls"] = [
        f"{LINK}projects/{project.id}/zones/{zone}/instanceGroupManagers/{group_name(cluster['name'], document, zone)}"
        for zone in document["locations"]
    ]
    return document


def pod_block(most: int) -> int:
    """The prefix length of the addresses that a node has for this many Pods: twice as many, rounded up.

    Source: https://cloud.google.com/kubernetes-engine/docs/how-to/flexible-pod-cidr
    """
    return 32 - math.ceil(math.log2(2 * max(most, 8)))


def _count(body: Json) -> int:
    """A pool without a count starts with what its autoscaling demands."""
    autoscaling = body.get("autoscaling", {})
    if autoscaling.get("enabled") and "initialNodeCount" not in body:
        return int(autoscaling.get("minNodeCount", 0))
    return int(body.get("initialNodeCount", 0))


def node_config(cluster: Json, given: Json, version: str) -> Json:
    """The nodes' configuration; what it demands is judged later."""
    machine = given.get("machineType") or machines.DEFAULT
    known, boot = machines.find(machine), given.get("bootDisk", {})
    disk = given.get("diskType") or boot.get("diskType") or (machines.disk_types(known)[0] if known else "pd-balanced")
    size = int(given.get("diskSizeGb") or boot.get("sizeGb") or 100)
    config: Json = {
        "effectiveCgroupMode": "EFFECTIVE_CGROUP_MODE_V2",
        "imageType": "COS_CONTAINERD",
        "nodeImageConfig": node_image(version),
        "oauthScopes": list(defaults.DEFAULT_SCOPES),
        "shieldedInstanceConfig": {"enableIntegrityMonitoring": True},
        "windowsNodeConfig": {},
        **copy.deepcopy(given),
        "bootDisk": {**boot, "diskType": disk, "sizeGb": str(size)},
        "diskSizeGb": size,
        "diskType": disk,
        "kubeletConfig": {**KUBELET, **given.get("kubeletConfig", {})},
        "machineType": machine,
        "metadata": {"disable-legacy-endpoints": "true", **given.get("metadata", {})},
        "resourceLabels": {
            "goog-gke-node-pool-provisioning-model": provisioning_model(given),
            **given.get("resourceLabels", {}),
        },
        "serviceAccount": given.get("serviceAccount") or "default",
    }
    if "gcfsConfig" not in given and (streaming := of_defaults(cluster, "gcfsConfig")):
        config["gcfsConfig"] = streaming
    if cluster.get("workloadIdentityConfig"):
        config.setdefault("workloadMetadataConfig", {"mode": "GKE_METADATA"})
    return config


def of_defaults(cluster: Json, field: str) -> Json:
    """What the cluster says for its new pools."""
    found = cluster["nodePoolDefaults"].get("nodeConfigDefaults", {}).get(field, {})
    return copy.deepcopy(found) if isinstance(found, dict) else {}


def provisioning_model(config: Json) -> str:
    if config.get("spot") or config.get("preemptible"):
        return "spot"
    if config.get("flexStart"):
        return "flex-start"
    specific = config.get("reservationAffinity", {}).get("consumeReservationType") == "SPECIFIC_RESERVATION"
    return "reservation" if specific else "on-demand"


def node_image(version: str) -> Json:
    """The image that nodes of a version ("1.35.6-gke.1127000") boot from."""
    numbers, _unused, build_number = version.partition("-gke.")
    name = f"gke-{numbers.replace('.', '')}-gke{build_number}-cos-125-19216-395-109-c-pre"
    return {"image": name, "imageProject": "gke-node-images"}


def _network_config(project: Project, cluster: Json, given: Json) -> Json:
    network = merged(
        {
            "networkTierConfig": {"networkTier": "NETWORK_TIER_DEFAULT"},
            "podIpv4CidrBlock": cluster["clusterIpv4Cidr"],
            "podRange": cluster["ipAllocationPolicy"]["clusterSecondaryRangeName"],
        },
        given,
    )
    if cluster["networkConfig"].get("defaultEnablePrivateNodes"):
        network.setdefault("enablePrivateNodes", True)
    network["subnetwork"] = reference(given.get("subnetwork") or cluster["networkConfig"]["subnetwork"])
    if given.get("podRange") and not given.get("createPodRange"):
        network["podIpv4CidrBlock"] = admission.pod_range(project, network["subnetwork"], given["podRange"])
    return network


def out_of_stock(project: Project, zone: str, pool: Json, minutes: float) -> Refusal:
    """What GKE says when it has given up, after so many minutes, on machines that a zone does not have."""
    nodes, instance = pool["initialNodeCount"], f"gke-{pool['name']}-{zone}"
    return Refusal(
        "RESOURCE_EXHAUSTED",
        f"Google Compute Engine: Not all instances running in IGM after {minutes:g}m0.0s. Expected {nodes}, running 0, "
        f"transitioning {nodes}. Current errors: [GCE_STOCKOUT]: Instance '{instance}' creation failed: The zone "
        f"'projects/{project.id}/zones/{zone}' does not have enough resources available to fulfill the request.  "
        "Try a different zone, or try again later.",
        reason="GCE_STOCKOUT",
    )


def rendered(document: Json) -> Json:
    return {**document, "etag": fingerprint(document)}
