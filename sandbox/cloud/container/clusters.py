# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster's document says: Google's defaults around what the request states."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import ipaddress
import re
import secrets

from ...interfaces import ClusterKey, Json
from ..catalogue import VERSIONS, area, is_region, region_of, zones
from ..compute import full_link, lookup, reference
from ..errors import Refusal, invalid
from ..store import Project, Store, fingerprint, now
from . import pools

HOST = "https://container.googleapis.com/v1/"
NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
SERVICES_RANGE = "34.118.224.0/20"
POD_BLOCKS = range(128, 256, 16)  # third octets of the /20s that clusters get within the sandbox's block
# Fields that a cluster has only when the request states them.
TAKEN_OVER = (
    "authenticatorGroupsConfig",
    "compliancePostureConfig",
    "confidentialNodes",
    "costManagementConfig",
    "description",
    "enableK8sBetaApis",
    "enableKubernetesAlpha",
    "fleet",
    "identityServiceConfig",
    "meshCertificates",
    "networkPolicy",
    "resourceLabels",
    "resourceUsageExportConfig",
    "secretManagerConfig",
    "verticalPodAutoscaling",
    "workloadIdentityConfig",
)
# What a cluster gets where the request says nothing.
DEFAULTS: Json = {
    "addonsConfig": {
        "dnsCacheConfig": {"enabled": True},
        "gcePersistentDiskCsiDriverConfig": {"enabled": True},
        "kubernetesDashboard": {"disabled": True},
        "networkPolicyConfig": {"disabled": True},
    },
    "anonymousAuthenticationConfig": {"mode": "ENABLED"},
    "autopilot": {},
    "autoscaling": {
        "autoscalingProfile": "BALANCED",
        "autoprovisioningNodePoolDefaults": {
            "imageType": "COS_CONTAINERD",
            "management": {"autoRepair": True, "autoUpgrade": True},
            "oauthScopes": list(pools.DEFAULT_SCOPES),
            "serviceAccount": "default",
        },
    },
    "binaryAuthorization": {},
    "controlPlaneEgress": {"mode": "VIA_CONTROL_PLANE"},
    "databaseEncryption": {"state": "DECRYPTED", "currentState": "CURRENT_STATE_DECRYPTED"},
    "defaultMaxPodsConstraint": {"maxPodsPerNode": "110"},
    "enterpriseConfig": {"clusterTier": "STANDARD"},
    "legacyAbac": {},
    "loggingConfig": {"componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"]}},
    "loggingService": "logging.googleapis.com/kubernetes",
    "masterAuth": {"clientCertificateConfig": {}},
    "monitoringConfig": {
        "advancedDatapathObservabilityConfig": {},
        "componentConfig": {
            "enableComponents": [
                *("SYSTEM_COMPONENTS", "STORAGE", "HPA", "POD", "DAEMONSET", "DEPLOYMENT", "STATEFULSET"),
                *("CADVISOR", "KUBELET", "DCGM", "JOBSET"),
            ]
        },
        "managedPrometheusConfig": {"enabled": True},
    },
    "monitoringService": "monitoring.googleapis.com/kubernetes",
    "nodePoolAutoConfig": {"nodeKubeletConfig": {"insecureKubeletReadonlyPortEnabled": False}},
    "nodePoolDefaults": {
        "nodeConfigDefaults": {
            "loggingConfig": {"variantConfig": {"variant": "DEFAULT"}},
            "nodeKubeletConfig": {"insecureKubeletReadonlyPortEnabled": False},
        }
    },
    "notificationConfig": {"pubsub": {}},
    "podAutoscaling": {"hpaProfile": "PERFORMANCE"},
    "rbacBindingConfig": {
        "enableInsecureBindingSystemAuthenticated": True,
        "enableInsecureBindingSystemUnauthenticated": True,
    },
    "securityPostureConfig": {"mode": "BASIC", "vulnerabilityMode": "VULNERABILITY_MODE_UNSPECIFIED"},
    "shieldedNodes": {"enabled": True},
    "userManagedKeysConfig": {},
}
# What clusters of these versions and later get on top.
SINCE: dict[tuple[int, int], Json] = {
    (1, 35): {
        "addonsConfig": {"nodeReadinessConfig": {}},
        "anonymousAuthenticationConfig": {"mode": "LIMITED"},
        "nodeCreationConfig": {"nodeCreationMode": "VIA_KUBELET"},
    }
}


def build(project: Project, key: ClusterKey, body: Json, pod_cidr: str) -> Json:
    """The document of a new cluster in state PROVISIONING; ``pod_cidr`` is used unless the request names its own.

    Raises Refusal 400/404 for what Google refuses at once.
    """
    if not NAME.fullmatch(key.name):
        raise invalid(
            f'Invalid value for field "cluster.name": "{key.name}". Must be 1-40 characters of lowercase letters, '
            "numbers and hyphens, start with a letter and not end with a hyphen."
        )
    if body.get("autopilot", {}).get("enabled"):
        raise invalid("Autopilot clusters are not offered in this location.")
    wanted = body.get("initialClusterVersion", "")
    channel = body.get("releaseChannel", {}).get("channel") or channel_of(wanted)
    version = resolve_version(channel, wanted, "Master")
    _check_identity(project, body)
    document = {
        **_settings(body, channel, version),
        "name": key.name,
        "id": hashlib.sha256(secrets.token_bytes(16)).hexdigest(),
        "location": key.location,
        "locations": body.get("locations") or default_locations(key),
        "selfLink": f"{HOST}projects/{project.id}/{area(key.location)}/{key.location}/clusters/{key.name}",
        "createTime": now(),
        "status": "PROVISIONING",
        "initialClusterVersion": version,
        "currentMasterVersion": version,
        "currentNodeVersion": version,
        "nodePools": [],
    }
    if not is_region(key.location):
        document["zone"] = key.location
    _check_locations(key, document["locations"])
    _connect(project, key, document, body, pod_cidr)
    _add_pools(project, document, body)
    return document


def _connect(project: Project, key: ClusterKey, document: Json, body: Json, pod_cidr: str) -> None:
    """The networks, ranges and endpoints of a cluster."""
    network, subnetwork = _networks(project, key, body)
    document["network"] = network["name"]
    document["subnetwork"] = subnetwork["name"]
    document["networkConfig"] = {
        "defaultSnatStatus": {},
        "serviceExternalIpsConfig": {},
        **body.get("networkConfig", {}),
        "network": reference(network["selfLink"]),
        "subnetwork": reference(subnetwork["selfLink"]),
    }
    document["ipAllocationPolicy"] = {
        "clusterSecondaryRangeName": pod_range_name(document),
        "networkTierConfig": {"networkTier": "NETWORK_TIER_DEFAULT"},
        **ranges(body.get("ipAllocationPolicy", {}), subnetwork, pod_cidr),
    }
    document["clusterIpv4Cidr"] = document["ipAllocationPolicy"]["clusterIpv4Cidr"]
    document["servicesIpv4Cidr"] = document["ipAllocationPolicy"]["servicesIpv4Cidr"]
    block = body.get("privateClusterConfig", {}).get("masterIpv4CidrBlock")
    document["privateClusterConfig"] = {"masterIpv4CidrBlock": block} if block else {}
    document["controlPlaneEndpointsConfig"] = _endpoints(body, project, key)
    authorized = document["controlPlaneEndpointsConfig"]["ipEndpointsConfig"].get("authorizedNetworksConfig", {})
    document["masterAuthorizedNetworksConfig"] = dict(authorized)


def _settings(body: Json, channel: str, version: str) -> Json:
    """The parts of a cluster that depend on nothing else."""
    defaults = copy.deepcopy(DEFAULTS)
    for since, more in SINCE.items():
        if version_key(version)[:2] >= since:
            defaults = merged(defaults, copy.deepcopy(more))
    given: Json = {name: body[name] for name in defaults if name in body}
    given |= {name: body[name] for name in TAKEN_OVER if body.get(name)}
    settings = {**defaults, **given}
    for name in ("addonsConfig", "monitoringConfig"):
        settings[name] = {**defaults[name], **given.get(name, {})}
    for name in ("autoscaling", "databaseEncryption", "notificationConfig"):
        settings[name] = merged(defaults[name], given.get(name, {}))
    if settings["databaseEncryption"]["state"] == "ENCRYPTED":
        settings["databaseEncryption"]["currentState"] = "CURRENT_STATE_ENCRYPTED"
    settings |= {
        "labelFingerprint": fingerprint(body.get("resourceLabels", {})),
        "maintenancePolicy": maintenance(body.get("maintenancePolicy", {})),
        "releaseChannel": {"channel": channel},
    }
    if not settings.get("fleet", {}).get("project"):
        settings.pop("fleet", None)
    return settings


def maintenance(given: Json) -> Json:
    policy: Json = {key: value for key, value in given.items() if key == "window" and value}
    daily = policy.get("window", {}).get("dailyMaintenanceWindow")
    if daily:
        daily["duration"] = "PT4H0M0S"
    return {**policy, "resourceVersion": hashlib.sha256(repr(policy).encode()).hexdigest()[:8]}


def _check_identity(project: Project, body: Json) -> None:
    pool = body.get("workloadIdentityConfig", {}).get("workloadPool")
    if pool and pool != project.pool_name:
        raise invalid(
            f'Workload pool "{pool}" is invalid: the only pool that this cluster can use is "{project.pool_name}".'
        )
    fleet = body.get("fleet", {}).get("project")
    if fleet and fleet.removeprefix("projects/") not in (project.id, project.number):
        raise Refusal("PERMISSION_DENIED", f'The fleet host project "{fleet}" cannot be used from "{project.id}".')


def _networks(project: Project, key: ClusterKey, body: Json) -> tuple[Json, Json]:
    config = body.get("networkConfig", {})
    network = _existing(project, "global/networks", body.get("network") or config.get("network") or "default")
    folder = f"regions/{key.region}/subnetworks"
    subnetwork = _existing(project, folder, body.get("subnetwork") or config.get("subnetwork") or network["name"])
    if subnetwork["network"] != network["selfLink"]:
        raise invalid(f'Subnetwork "{subnetwork["name"]}" is not in network "{network["name"]}".')
    if subnetwork["purpose"] != "PRIVATE":
        raise invalid(f'Subnetwork "{subnetwork["name"]}" cannot be used: its purpose is {subnetwork["purpose"]}.')
    return network, subnetwork


def _existing(project: Project, folder: str, given: str) -> Json:
    """A compute resource named by its short name or by any form of its link."""
    link = given if "/" in given else f"{folder}/{given}"
    try:
        return lookup(project, link, "network")
    except Refusal as error:
        path = reference(full_link(project, link))
        if error.reason == "resourceNotReady":
            raise
        raise invalid(f'Network resource "{path}" does not exist.') from error


def pod_range(store: Store, prefix: str) -> str:
    """A free /20 of the sandbox's loopback block; beyond eight clusters, ranges that carry no traffic here."""
    used = {cluster["clusterIpv4Cidr"] for project in store.projects.values() for cluster in project.clusters.values()}
    inside = [f"{prefix}.{octet}.0/20" for octet in POD_BLOCKS]
    outside = [str(block) for block in ipaddress.ip_network("10.0.0.0/9").subnets(new_prefix=14)]
    return next(block for block in [*inside, *outside] if block not in used)


def ranges(given: Json, subnetwork: Json, pod_cidr: str) -> Json:
    """ipAllocationPolicy with the ranges that the cluster really gets."""

    def chosen(block: str, secondary: str, default: str) -> str:
        name = given.get(secondary)
        if name:
            for entry in subnetwork.get("secondaryIpRanges", []):
                if entry["rangeName"] == name:
                    return str(entry["ipCidrRange"])
            raise invalid(f'Pod secondary range "{name}" does not exist in subnetwork "{subnetwork["name"]}".')
        wanted = given.get(block) or given.get(block.removesuffix("Block")) or ""
        if not wanted or wanted.startswith("/"):  # a bare size: Google chooses the block
            return default
        try:
            return str(ipaddress.ip_network(wanted))
        except ValueError as error:
            raise invalid(f'Invalid CIDR "{wanted}" in ipAllocationPolicy.{block}.') from error

    pods = chosen("clusterIpv4CidrBlock", "clusterSecondaryRangeName", pod_cidr)
    services = chosen("servicesIpv4CidrBlock", "servicesSecondaryRangeName", SERVICES_RANGE)
    return {
        "podCidrOverprovisionConfig": {},
        "stackType": "IPV4",
        **given,
        "useIpAliases": True,
        "clusterIpv4Cidr": pods,
        "clusterIpv4CidrBlock": pods,
        "servicesIpv4Cidr": services,
        "servicesIpv4CidrBlock": services,
    }


def _endpoints(body: Json, project: Project, key: ClusterKey) -> Json:
    defaults: Json = {
        "dnsEndpointConfig": {
            "allowExternalTraffic": False,
            "enableK8sCertsViaDns": False,
            "enableK8sTokensViaDns": False,
            "endpoint": f"gke-{secrets.token_hex(6)}-{project.number}.{key.location}.gke.goog",
        },
        "ipEndpointsConfig": {
            "enabled": True,
            "enablePublicEndpoint": True,
            "authorizedNetworksConfig": {"gcpPublicCidrsAccessEnabled": True},
        },
    }
    given = stated_endpoints(body.get("controlPlaneEndpointsConfig", {}))
    if given.get("ipEndpointsConfig", {}).get("enabled") is False:
        defaults["ipEndpointsConfig"] = {}
    if "masterAuthorizedNetworksConfig" in body:
        defaults["ipEndpointsConfig"]["authorizedNetworksConfig"] |= body["masterAuthorizedNetworksConfig"]
    return merged(defaults, given)


def stated_endpoints(given: Json) -> Json:
    """controlPlaneEndpointsConfig without what GKE leaves out of its answers."""
    stated = copy.deepcopy(given)
    addresses = stated.get("ipEndpointsConfig", {})
    for key in ("privateEndpointSubnetwork", "globalAccess"):
        if not addresses.get(key, True):
            del addresses[key]
    return stated


def _add_pools(project: Project, document: Json, body: Json) -> None:
    given = body.get("nodePools")
    if given and (body.get("nodeConfig") or body.get("initialNodeCount")):
        raise invalid("Cannot specify both nodePools and initialNodeCount or nodeConfig.")
    if not given:
        if not body.get("initialNodeCount"):
            raise invalid("Cluster.initial_node_count must be greater than zero.")
        default = {"name": "default-pool", "initialNodeCount": body["initialNodeCount"]}
        given = [{**default, "config": body.get("nodeConfig", {})}]
    for pool in given:
        document["nodePools"].append(pools.build(project, document, pool))


def channel_of(wanted: str) -> str:
    """The channel that a cluster joins when the request names none: the first that offers the version."""
    for channel in ("REGULAR", "STABLE", "RAPID", "EXTENDED"):
        with contextlib.suppress(Refusal):
            resolve_version(channel, wanted, "Master")
            return channel
    return "REGULAR"


def pod_range_name(document: Json) -> str:
    """The secondary range that GKE makes for a cluster's Pods."""
    return f"gke-{document['name']}-pods-{document['id'][:8]}"


def resolve_version(channel: str, wanted: str, what: str) -> str:
    """The version that "", "-", "latest", a prefix ("1.34") or a full version names in the channel."""
    offered = VERSIONS.get(channel) or tuple({version for many in VERSIONS.values() for version in many})
    if wanted in ("", "-"):
        return offered[0]
    order = sorted(offered, key=version_key, reverse=True)
    if wanted == "latest":
        return order[0]
    if wanted in order:
        return wanted
    for version in order:
        if version.startswith((f"{wanted}.", f"{wanted}-")):
            return version
    raise invalid(f'{what} version "{wanted}" is unsupported.')


def version_key(version: str) -> tuple[int, ...]:
    """ "1.34.1-gke.1829001" -> (1, 34, 1, 1829001)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def default_locations(key: ClusterKey) -> list[str]:
    return zones(key.location)[:3] if is_region(key.location) else [key.location]


def _check_locations(key: ClusterKey, locations: list[str]) -> None:
    for zone in locations:
        if zone not in zones(region_of(key.location)):
            raise invalid(f'Zone "{zone}" is not in region "{region_of(key.location)}".')


def set_endpoint(document: Json, endpoint: str) -> None:
    """Write the address of the control plane to all the places that tell it; by its DNS name alone if so stated."""
    config = document["controlPlaneEndpointsConfig"]
    addresses = config["ipEndpointsConfig"]
    if document["networkConfig"].get("defaultEnablePrivateNodes"):
        document["privateClusterConfig"]["enablePrivateNodes"] = True
    if addresses.get("enabled"):
        document["endpoint"] = endpoint
        addresses["privateEndpoint"] = addresses["publicEndpoint"] = endpoint
        document["privateClusterConfig"] |= {"privateEndpoint": endpoint, "publicEndpoint": endpoint}
    else:
        document["endpoint"] = config["dnsEndpointConfig"]["endpoint"]


def set_status(document: Json, status: str) -> None:
    document["status"] = status
    document.pop("statusMessage", None)
    document.pop("conditions", None)


def rendered(document: Json) -> Json:
    """The cluster as GET answers it: with what follows from its pools, and the etag."""
    found = [pools.rendered(pool) for pool in document["nodePools"]]
    answer = {
        **document,
        "nodePools": found,
        "currentNodeCount": sum(pool.get("initialNodeCount", 0) * len(pool["locations"]) for pool in found),
        "instanceGroupUrls": [url for pool in found for url in pool["instanceGroupUrls"]],
    }
    if found:
        answer["nodeConfig"] = found[0]["config"]
        answer["initialNodeCount"] = found[0].get("initialNodeCount", 0)
    answer["etag"] = fingerprint(document)
    return answer


def merged(defaults: Json, given: Json) -> Json:
    """``given`` over ``defaults``, objects merged; neither is changed."""
    result = dict(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(result.get(key, {}), dict)
        result[key] = merged(result.get(key, {}), value) if both else value
    return result
