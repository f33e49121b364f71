# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of clusters and node pools: which field of a request goes where."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Callable, Mapping

from ...interfaces import Json
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, fingerprint
from .clusters import maintenance, merged, resolve_version, stated_endpoints, version_key
from .pools import KUBELET, PROFILE_LABEL

# desired field of ClusterUpdate -> where its value is put; objects replace what is there.
PLACES = {
    "additionalPodRangesConfig": "ipAllocationPolicy.additionalPodRangesConfig",
    "desiredAdditionalIpRangesConfig": "ipAllocationPolicy.additionalIpRangesConfigs",
    "desiredAnonymousAuthenticationConfig": "anonymousAuthenticationConfig",
    "desiredAuthenticatorGroupsConfig": "authenticatorGroupsConfig",
    "desiredAutoIpamConfig": "ipAllocationPolicy.autoIpamConfig",
    "desiredBinaryAuthorization": "binaryAuthorization",
    "desiredCompliancePostureConfig": "compliancePostureConfig",
    "desiredContainerdConfig": "nodePoolDefaults.nodeConfigDefaults.containerdConfig",
    "desiredControlPlaneEgress": "controlPlaneEgress",
    "desiredCostManagementConfig": "costManagementConfig",
    "desiredDatabaseEncryption": "databaseEncryption",
    "desiredDefaultEnablePrivateNodes": "networkConfig.defaultEnablePrivateNodes",
    "desiredDefaultSnatStatus": "networkConfig.defaultSnatStatus",
    "desiredDisableL4LbFirewallReconciliation": "networkConfig.disableL4LbFirewallReconciliation",
    "desiredDnsConfig": "networkConfig.dnsConfig",
    "desiredEnableCiliumClusterwideNetworkPolicy": "networkConfig.enableCiliumClusterwideNetworkPolicy",
    "desiredEnableFqdnNetworkPolicy": "networkConfig.enableFqdnNetworkPolicy",
    "desiredEnableMultiNetworking": "networkConfig.enableMultiNetworking",
    "desiredEnterpriseConfig": "enterpriseConfig",
    "desiredFleet": "fleet",
    "desiredGatewayApiConfig": "networkConfig.gatewayApiConfig",
    "desiredGcfsConfig": "nodePoolDefaults.nodeConfigDefaults.gcfsConfig",
    "desiredIdentityServiceConfig": "identityServiceConfig",
    "desiredInTransitEncryptionConfig": "networkConfig.inTransitEncryptionConfig",
    "desiredIntraNodeVisibilityConfig": "networkConfig.enableIntraNodeVisibility",
    "desiredK8sBetaApis": "enableK8sBetaApis",
    "desiredL4ilbSubsettingConfig": "networkConfig.enableL4ilbSubsetting",
    "desiredLocations": "locations",
    "desiredLoggingConfig": "loggingConfig",
    "desiredLoggingService": "loggingService",
    "desiredMasterAuthorizedNetworksConfig": "masterAuthorizedNetworksConfig",
    "desiredMeshCertificates": "meshCertificates",
    "desiredMonitoringService": "monitoringService",
    "desiredNetworkPerformanceConfig": "networkConfig.networkPerformanceConfig",
    "desiredNetworkTierConfig": "ipAllocationPolicy.networkTierConfig",
    "desiredNodeCreationConfig": "nodeCreationConfig",
    "desiredNodeKubeletConfig": "nodePoolDefaults.nodeConfigDefaults.nodeKubeletConfig",
    "desiredNodePoolAutoConfigKubeletConfig": "nodePoolAutoConfig.nodeKubeletConfig",
    "desiredNodePoolAutoConfigLinuxNodeConfig": "nodePoolAutoConfig.linuxNodeConfig",
    "desiredNodePoolAutoConfigNetworkTags": "nodePoolAutoConfig.networkTags",
    "desiredNodePoolAutoConfigResourceManagerTags": "nodePoolAutoConfig.resourceManagerTags",
    "desiredNodePoolLoggingConfig": "nodePoolDefaults.nodeConfigDefaults.loggingConfig",
    "desiredNotificationConfig": "notificationConfig",
    "desiredPodAutoscaling": "podAutoscaling",
    "desiredPrivateIpv6GoogleAccess": "networkConfig.privateIpv6GoogleAccess",
    "desiredRbacBindingConfig": "rbacBindingConfig",
    "desiredReleaseChannel": "releaseChannel",
    "desiredResourceUsageExportConfig": "resourceUsageExportConfig",
    "desiredSecretManagerConfig": "secretManagerConfig",
    "desiredSecurityPostureConfig": "securityPostureConfig",
    "desiredServiceExternalIpsConfig": "networkConfig.serviceExternalIpsConfig",
    "desiredShieldedNodes": "shieldedNodes",
    "desiredStackType": "ipAllocationPolicy.stackType",
    "desiredUserManagedKeysConfig": "userManagedKeysConfig",
    "desiredVerticalPodAutoscaling": "verticalPodAutoscaling",
    "desiredWorkloadIdentityConfig": "workloadIdentityConfig",
}
# The request wraps what the cluster holds bare; an absent key is the zero value.
UNWRAPPED: Mapping[str, Callable[[Json], object]] = {
    "desiredAdditionalIpRangesConfig": lambda value: value.get("additionalIpRangesConfigs", []),
    "desiredEnterpriseConfig": lambda value: {"desiredTier": value["desiredTier"], "clusterTier": value["desiredTier"]},
    "desiredIntraNodeVisibilityConfig": lambda value: bool(value.get("enabled")),
    "desiredL4ilbSubsettingConfig": lambda value: bool(value.get("enabled")),
}
# Of these objects the request replaces only the parts that it states.
MERGED = {
    "desiredAddonsConfig": "addonsConfig",
    "desiredClusterAutoscaling": "autoscaling",
    "desiredMonitoringConfig": "monitoringConfig",
}
# These say to which pool or how, not what.
QUALIFIERS = {"etag", "desiredNodePoolId", "desiredImageType"}
TOGETHER = (
    {"desiredLoggingService", "desiredMonitoringService"},
    {"desiredLoggingConfig", "desiredMonitoringConfig"},
    {"desiredNodeVersion"},
)

# Field of UpdateNodePoolRequest -> (where in the pool, key within the field's own wrapper or "").
POOL_PLACES = {
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
    "nodeVersion": ("version", ""),
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
POOL_MERGED: Mapping[str, tuple[str, Callable[[Json, Json], Json]]] = {
    "kubeletConfig": ("config.kubeletConfig", lambda _pool, value: merged(KUBELET, value)),
    "nodeNetworkConfig": ("networkConfig", lambda pool, value: merged(pool["networkConfig"], value)),
}
POOL_ADDRESS = {"name", "projectId", "zone", "clusterId", "nodePoolId", "etag"}


def cluster(project: Project, document: Json, update: Json) -> Json:
    """The cluster after this ClusterUpdate. Raises Refusal 400 unless it asks for exactly one change."""
    asked = set(update) - QUALIFIERS
    if not asked and "desiredImageType" in update:
        asked = {"desiredImageType"}
    if not asked:
        raise invalid("Must specify a field to update.")
    if len(asked) > 1 and not any(asked <= together for together in TOGETHER):
        raise invalid(f"Exactly one update can be applied per request, got {', '.join(sorted(asked))}.")
    wanted = copy.deepcopy(document)
    for field in sorted(asked):
        _apply(project, wanted, field, update)
    return wanted


def _apply(project: Project, wanted: Json, field: str, update: Json) -> None:
    value = update[field]
    if field in SPECIAL:
        SPECIAL[field](project, wanted, update)
    elif field in MERGED:
        put(wanted, MERGED[field], {**wanted.get(MERGED[field], {}), **value})
    elif field in PLACES:
        put(wanted, PLACES[field], UNWRAPPED[field](value) if field in UNWRAPPED else value)
    else:
        raise invalid(f"Updating {field} is not supported for this cluster.")


def _identity(project: Project, wanted: Json, update: Json) -> None:
    pool = update["desiredWorkloadIdentityConfig"].get("workloadPool")
    if pool and pool != project.pool_name:
        raise invalid(f'Workload pool "{pool}" is invalid: the only valid pool is "{project.pool_name}".')
    wanted.pop("workloadIdentityConfig", None)
    if pool:
        wanted["workloadIdentityConfig"] = {"workloadPool": pool}


def _fleet(project: Project, wanted: Json, update: Json) -> None:
    given = update["desiredFleet"].get("project", "").removeprefix("projects/")
    if given and given not in (project.id, project.number):
        raise Refusal("PERMISSION_DENIED", f'The fleet host project "{given}" cannot be used from "{project.id}".')
    if not given:
        wanted.pop("fleet", None)
    elif not wanted.get("fleet"):
        wanted["fleet"] = {"project": given}


def _master_version(_project: Project, wanted: Json, update: Json) -> None:
    version = resolve_version(wanted["releaseChannel"]["channel"], update["desiredMasterVersion"], "Master")
    if version_key(version)[:2] < version_key(wanted["currentMasterVersion"])[:2]:
        raise invalid(f'Master cannot be downgraded to "{version}".')
    wanted["currentMasterVersion"] = version


def _named_pool(wanted: Json, update: Json) -> Json:
    name = update.get("desiredNodePoolId")
    pools = [pool for pool in wanted["nodePools"] if pool["name"] == name or not name]
    if not pools:
        raise not_found(f'Not found: node pool "{name}" not found.')
    return t.cast(Json, pools[0])


def _node_version(_project: Project, wanted: Json, update: Json) -> None:
    pool = _named_pool(wanted, update)
    version = update["desiredNodeVersion"]
    if version in ("", "-"):
        version = wanted["currentMasterVersion"]
    version = resolve_version(wanted["releaseChannel"]["channel"], version, "Node")
    if version_key(version) > version_key(wanted["currentMasterVersion"]):
        raise invalid(f'Node version "{version}" must not be newer than the master\'s.')
    pool["version"] = version
    if update.get("desiredImageType"):
        pool["config"]["imageType"] = update["desiredImageType"]


def _image_type(_project: Project, wanted: Json, update: Json) -> None:
    _named_pool(wanted, update)["config"]["imageType"] = update["desiredImageType"]


def _pool_autoscaling(_project: Project, wanted: Json, update: Json) -> None:
    _named_pool(wanted, update)["autoscaling"] = update["desiredNodePoolAutoscaling"]


def _endpoints(_project: Project, wanted: Json, update: Json) -> None:
    given = stated_endpoints(update["desiredControlPlaneEndpointsConfig"])
    wanted["controlPlaneEndpointsConfig"] = merged(wanted["controlPlaneEndpointsConfig"], given)
    live = wanted["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    if live.get("authorizedNetworksConfig"):
        wanted["masterAuthorizedNetworksConfig"] = dict(live["authorizedNetworksConfig"])
    if live.get("enabled") and not live.get("enablePublicEndpoint"):
        live.pop("publicEndpoint", None)
        wanted["privateClusterConfig"]["enablePrivateEndpoint"] = True


def _private_nodes(_project: Project, wanted: Json, update: Json) -> None:
    private = bool(update["desiredDefaultEnablePrivateNodes"])
    wanted["networkConfig"]["defaultEnablePrivateNodes"] = private
    wanted["privateClusterConfig"]["enablePrivateNodes"] = private


SPECIAL: dict[str, Callable[[Project, Json, Json], None]] = {
    "desiredControlPlaneEndpointsConfig": _endpoints,
    "desiredDefaultEnablePrivateNodes": _private_nodes,
    "desiredFleet": _fleet,
    "desiredImageType": _image_type,
    "desiredMasterVersion": _master_version,
    "desiredNodePoolAutoscaling": _pool_autoscaling,
    "desiredNodeVersion": _node_version,
    "desiredWorkloadIdentityConfig": _identity,
}


def set_labels(_project: Project, document: Json, body: Json) -> Json:
    if body.get("labelFingerprint", "") != document["labelFingerprint"]:
        raise precondition("Labels could not be set due to fingerprint mismatch.")
    wanted = copy.deepcopy(document)
    wanted.pop("resourceLabels", None)
    if body.get("resourceLabels"):
        wanted["resourceLabels"] = body["resourceLabels"]
    wanted["labelFingerprint"] = fingerprint(body.get("resourceLabels", {}))
    return wanted


def set_maintenance(_project: Project, document: Json, body: Json) -> Json:
    given = body.get("maintenancePolicy", {})
    if given.get("resourceVersion", "") not in ("", document["maintenancePolicy"]["resourceVersion"]):
        raise precondition("The maintenance policy was changed in between: its resource version does not match.")
    return {**copy.deepcopy(document), "maintenancePolicy": maintenance(given)}


def as_update(field: str, source: str) -> Callable[[Project, Json, Json], Json]:
    """A verb that does what ``field`` of ClusterUpdate does, with its value in ``source`` of the body."""
    return lambda project, document, body: cluster(project, document, {field: body.get(source, {})})


# Verb -> (request message, operation type, change).
CLUSTER_VERBS: Mapping[str, tuple[str, str, Callable[[Project, Json, Json], Json]]] = {
    "setResourceLabels": ("SetLabelsRequest", "SET_LABELS", set_labels),
    "setMaintenancePolicy": ("SetMaintenancePolicyRequest", "UPDATE_CLUSTER", set_maintenance),
    "setAddons": ("SetAddonsConfigRequest", "UPDATE_CLUSTER", as_update("desiredAddonsConfig", "addonsConfig")),
    "setLogging": ("SetLoggingServiceRequest", "UPDATE_CLUSTER", as_update("desiredLoggingService", "loggingService")),
    "setMonitoring": (
        "SetMonitoringServiceRequest",
        "UPDATE_CLUSTER",
        as_update("desiredMonitoringService", "monitoringService"),
    ),
    "setLocations": ("SetLocationsRequest", "UPDATE_CLUSTER", as_update("desiredLocations", "locations")),
    "updateMaster": ("UpdateMasterRequest", "UPGRADE_MASTER", as_update("desiredMasterVersion", "masterVersion")),
}


def pool(parent: Json, document: Json, body: Json) -> Json:
    """The pool after this UpdateNodePoolRequest."""
    wanted = copy.deepcopy(document)
    for field in set(body) - POOL_ADDRESS:
        if field in POOL_MERGED:
            place, afterwards = POOL_MERGED[field]
            put(wanted, place, afterwards(wanted, body[field]))
            continue
        if field not in POOL_PLACES:
            raise invalid(f"Updating {field} is not supported for this node pool.")
        place, wrapper = POOL_PLACES[field]
        value = body[field]
        put(wanted, place, value.get(wrapper, [] if wrapper in ("tags", "taints") else {}) if wrapper else value)
    if "nodeVersion" in body:
        version = body["nodeVersion"] if body["nodeVersion"] not in ("", "-") else parent["currentMasterVersion"]
        wanted["version"] = resolve_version(parent["releaseChannel"]["channel"], version, "Node")
    if document["networkConfig"].get("acceleratorNetworkProfile"):
        wanted["config"].setdefault("labels", {})[PROFILE_LABEL] = "auto"
    for field in ("labels", "taints", "tags"):
        if not wanted["config"].get(field, True):
            del wanted["config"][field]
    return wanted


def set_size(document: Json, body: Json) -> Json:
    return {**copy.deepcopy(document), "initialNodeCount": int(body.get("nodeCount", 0))}


def set_autoscaling(document: Json, body: Json) -> Json:
    return {**copy.deepcopy(document), "autoscaling": body.get("autoscaling", {})}


def set_management(document: Json, body: Json) -> Json:
    return {**copy.deepcopy(document), "management": body.get("management", {})}


POOL_VERBS: Mapping[str, tuple[str, str, Callable[[Json, Json], Json]]] = {
    "setSize": ("SetNodePoolSizeRequest", "SET_NODE_POOL_SIZE", set_size),
    "setAutoscaling": ("SetNodePoolAutoscalingRequest", "UPDATE_CLUSTER", set_autoscaling),
    "setManagement": ("SetNodePoolManagementRequest", "SET_NODE_POOL_MANAGEMENT", set_management),
}


def put(document: Json, place: str, value: object) -> None:
    """Set the field at the dotted ``place``."""
    *parents, last = place.split(".")
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value
