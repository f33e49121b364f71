# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node pool's document says, and when GKE refuses one (TPUs, the accelerator network profile)."""

from __future__ import annotations

import re

from ...instances import group_name
from ...interfaces import Json
from ..catalogue import region_of, zones
from ..compute import LINK, reference
from ..errors import Refusal, invalid
from ..store import Project, fingerprint, now

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
MACHINE = re.compile(r"[a-z][a-z0-9]*-[a-z0-9]+(-[a-z0-9]+)*")
PROFILE_LABEL = "gke.networks.io/accelerator-network-profile"
PROFILE_MACHINES = ("a3-", "a4-", "a4x-", "ct6e-", "tpu7x-")
TPU_MACHINES = ("ct4p-", "ct5l", "ct5p-", "ct6e-", "tpu7x-")
V6E_ZONES = (
    "us-central1-b",
    "us-east1-d",
    "us-east5-a",
    "us-east5-b",
    "europe-west4-a",
    "asia-northeast1-b",
    # Reported by users, not in Google's list when it was read.
    "southamerica-west1-a",
    "asia-southeast1-b",
    "asia-south1-b",
)
ACCELERATOR_MTU = 8896
DEFAULT_SCOPES = tuple(
    f"https://www.googleapis.com/auth/{scope}"
    for scope in (
        "devstorage.read_only",
        "logging.write",
        "monitoring",
        "service.management.readonly",
        "servicecontrol",
        "trace.append",
    )
)


KUBELET: Json = {"insecureKubeletReadonlyPortEnabled": False, "maxParallelImagePulls": 2}


def is_tpu(pool: Json) -> bool:
    return str(pool["config"].get("machineType", "")).startswith(TPU_MACHINES)


def build(project: Project, cluster: Json, body: Json) -> Json:
    """The document of a new pool in state PROVISIONING. Raises Refusal 400 for what GKE refuses at once."""
    name = str(body.get("name", ""))
    if not NAME.fullmatch(name):
        raise invalid(f'Invalid value for field "node_pool.name": "{name}".')
    config = node_config(project, cluster, body.get("config", {}))
    locations = body.get("locations") or list(cluster["locations"])
    for zone in locations:
        if zone not in zones(region_of(cluster["location"])):
            raise invalid(f'Zone "{zone}" is not in region "{region_of(cluster["location"])}".')
        if config["machineType"].startswith("ct6e-") and zone not in V6E_ZONES:
            raise invalid(f'Machine type with name "{config["machineType"]}" does not exist in zone "{zone}".')
    document: Json = {
        **{key: body[key] for key in _given() if key in body},
        "name": name,
        "config": config,
        "initialNodeCount": _count(body),
        "locations": locations,
        "management": body.get("management", {"autoRepair": True, "autoUpgrade": True}),
        "maxPodsConstraint": body.get("maxPodsConstraint") or {"maxPodsPerNode": "110"},
        "podIpv4CidrSize": 24,
        "upgradeSettings": body.get("upgradeSettings", {"maxSurge": 1, "strategy": "SURGE"}),
        "version": body.get("version") or cluster["currentNodeVersion"],
        "selfLink": f"{cluster['selfLink']}/nodePools/{name}",
        "status": "PROVISIONING",
    }
    document["networkConfig"] = _network_config(cluster, body.get("networkConfig", {}))
    _check_profile(cluster, document)
    document["instanceGroupUrls"] = [
        f"{LINK}projects/{project.id}/zones/{zone}/instanceGroupManagers/{group_name(cluster['name'], document, zone)}"
        for zone in locations
    ]
    return document


def _given() -> tuple[str, ...]:
    return ("autoscaling", "placementPolicy", "queuedProvisioning", "bestEffortProvisioning", "nodeDrainConfig")


def _count(body: Json) -> int:
    """A pool without a count starts with one node, or with what its autoscaling demands."""
    autoscaling = body.get("autoscaling", {})
    if autoscaling.get("enabled") and "initialNodeCount" not in body:
        return int(autoscaling.get("minNodeCount", 0))
    return int(body.get("initialNodeCount", 0))


def node_config(project: Project, cluster: Json, given: Json) -> Json:
    machine = given.get("machineType") or "e2-medium"
    if not MACHINE.fullmatch(machine):
        raise invalid(f'Machine type with name "{machine}" does not exist in zone "{cluster["locations"][0]}".')
    account = given.get("serviceAccount") or "default"
    if account.endswith(f"@{project.id}.iam.gserviceaccount.com") and not project.sees(account):
        raise invalid(f'Service account "{account}" does not exist.')
    newer = machine.startswith(("n4-", "c4-", "ct6e-", "tpu7x-"))
    disk = given.get("diskType") or ("hyperdisk-balanced" if newer else "pd-balanced")
    size = given.get("diskSizeGb") or 100
    model = "spot" if given.get("spot") else "flex-start" if given.get("flexStart") else "on-demand"
    affinity = given.get("reservationAffinity", {})
    if affinity.get("consumeReservationType") == "SPECIFIC_RESERVATION":
        model = "reservation"
        if not affinity.get("key") or not affinity.get("values"):
            raise invalid("A specific reservation affinity needs a key and at least one value.")
    config: Json = {
        "effectiveCgroupMode": "EFFECTIVE_CGROUP_MODE_V2",
        "imageType": "COS_CONTAINERD",
        "nodeImageConfig": node_image(cluster["currentNodeVersion"]),
        "oauthScopes": list(DEFAULT_SCOPES),
        "shieldedInstanceConfig": {"enableIntegrityMonitoring": True},
        "windowsNodeConfig": {},
        **given,
        "bootDisk": {"diskType": disk, "sizeGb": str(size), **given.get("bootDisk", {})},
        "diskSizeGb": size,
        "diskType": disk,
        "kubeletConfig": {**KUBELET, **given.get("kubeletConfig", {})},
        "machineType": machine,
        "metadata": {"disable-legacy-endpoints": "true", **given.get("metadata", {})},
        "resourceLabels": {"goog-gke-node-pool-provisioning-model": model, **given.get("resourceLabels", {})},
        "serviceAccount": account,
    }
    if cluster.get("workloadIdentityConfig"):
        config.setdefault("workloadMetadataConfig", {"mode": "GKE_METADATA"})
    return config


def node_image(version: str) -> Json:
    """The image that nodes of a version ("1.35.6-gke.1127000") boot from."""
    numbers, _unused, build_number = version.partition("-gke.")
    name = f"gke-{numbers.replace('.', '')}-gke{build_number}-cos-125-19216-395-109-c-pre"
    return {"image": name, "imageProject": "gke-node-images"}


def _network_config(cluster: Json, given: Json) -> Json:
    network = {
        "networkTierConfig": {"networkTier": "NETWORK_TIER_DEFAULT"},
        "podIpv4CidrBlock": cluster["clusterIpv4Cidr"],
        "podRange": cluster["ipAllocationPolicy"]["clusterSecondaryRangeName"],
        **given,
    }
    if cluster["networkConfig"].get("defaultEnablePrivateNodes"):
        network.setdefault("enablePrivateNodes", True)
    network["subnetwork"] = reference(given.get("subnetwork") or cluster["networkConfig"]["subnetwork"])
    return network


def _check_profile(cluster: Json, pool: Json) -> None:
    """The rules of networkConfig.acceleratorNetworkProfile; the server's label is added."""
    network, config = pool["networkConfig"], pool["config"]
    profile = network.get("acceleratorNetworkProfile")
    if not profile:
        return
    if profile != "auto":
        raise invalid(f'Accelerator network profile "{profile}" is invalid. The only valid value is "auto".')
    if cluster["networkConfig"].get("datapathProvider") != "ADVANCED_DATAPATH":
        raise invalid("Accelerator network profile requires a cluster with GKE Dataplane V2 (ADVANCED_DATAPATH).")
    if not config["machineType"].startswith(PROFILE_MACHINES):
        raise invalid(f'Accelerator network profile is not supported for machine type "{config["machineType"]}".')
    if len(pool["locations"]) != 1:
        raise invalid("Accelerator network profile requires a node pool in a single zone.")
    if network.get("additionalNodeNetworkConfigs"):
        raise invalid("Accelerator network profile cannot be combined with additional node network configs.")
    config["labels"] = {**config.get("labels", {}), PROFILE_LABEL: profile}


def add_accelerator_networks(project: Project, cluster: Json, pool: Json) -> None:
    """The network that GKE makes for a pool with the profile: its own VPC with MTU 8896."""
    if not pool["networkConfig"].get("acceleratorNetworkProfile"):
        return
    region = region_of(cluster["location"])
    name = f"gke-{cluster['name'][:20]}-{cluster['id'][:8]}-{pool['name'][:20]}-net-0"
    link = f"{LINK}projects/{project.id}/global/networks/{name}"
    subnetwork = f"{LINK}projects/{project.id}/regions/{region}/subnetworks/{name}"
    common = {"creationTimestamp": now(), "name": name}
    project.compute[f"global/networks/{name}"] = {
        **common,
        "kind": "compute#network",
        "id": str(abs(hash(name))),
        "selfLink": link,
        "selfLinkWithId": link,
        "autoCreateSubnetworks": False,
        "mtu": ACCELERATOR_MTU,
        "routingConfig": {"routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY"},
        "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        "subnetworks": [subnetwork],
    }
    document: Json = {
        **common,
        "kind": "compute#subnetwork",
        "id": str(abs(hash(subnetwork))),
        "selfLink": subnetwork,
        "network": link,
        "region": f"{LINK}projects/{project.id}/regions/{region}",
        "ipCidrRange": "192.168.0.0/20",
        "gatewayAddress": "192.168.0.1",
        "purpose": "PRIVATE",
        "privateIpGoogleAccess": False,
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "stackType": "IPV4_ONLY",
        "state": "READY",
    }
    document["fingerprint"] = fingerprint(document)
    project.compute[f"regions/{region}/subnetworks/{name}"] = document
    pool["networkConfig"]["additionalNodeNetworkConfigs"] = [{"network": name, "subnetwork": name}]


def remove_accelerator_networks(project: Project, pool: Json) -> None:
    if not pool["networkConfig"].get("acceleratorNetworkProfile"):
        return
    for entry in pool["networkConfig"].get("additionalNodeNetworkConfigs", []):
        project.compute.pop(f"global/networks/{entry['network']}", None)
        for path in [path for path in project.compute if path.endswith(f"/subnetworks/{entry['subnetwork']}")]:
            project.compute.pop(path)


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
