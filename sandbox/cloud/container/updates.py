# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of clusters: which field of ClusterUpdate goes where, and the verbs that say the same."""

from __future__ import annotations

import copy
import dataclasses
import typing as t
from collections.abc import Callable, Mapping

from ...catalogue.places import is_region
from ...interfaces import Json
from ..errors import invalid, not_found, precondition
from ..store import Project, fingerprint
from . import admission, networking, versions
from .clusters import check_fleet, check_identity, encrypted
from .documents import get, merged, put
from .maintenance import policy

# desired field of ClusterUpdate -> where its value is put; objects replace what is there.
PLACES = {
    "desiredAdditionalIpRangesConfig": "ipAllocationPolicy.additionalIpRangesConfigs",
    "desiredAnonymousAuthenticationConfig": "anonymousAuthenticationConfig",
    "desiredAuthenticatorGroupsConfig": "authenticatorGroupsConfig",
    "desiredAutoIpamConfig": "ipAllocationPolicy.autoIpamConfig",
    "desiredAutopilotClusterPolicyConfig": "autopilot.clusterPolicyConfig",
    "desiredAutopilotWorkloadPolicyConfig": "autopilot.workloadPolicyConfig",
    "desiredBinaryAuthorization": "binaryAuthorization",
    "desiredCompliancePostureConfig": "compliancePostureConfig",
    "desiredContainerdConfig": "nodePoolDefaults.nodeConfigDefaults.containerdConfig",
    "desiredControlPlaneEgress": "controlPlaneEgress",
    "desiredCostManagementConfig": "costManagementConfig",
    "desiredDefaultSnatStatus": "networkConfig.defaultSnatStatus",
    "desiredDisableL4LbFirewallReconciliation": "networkConfig.disableL4LbFirewallReconciliation",
    "desiredDnsConfig": "networkConfig.dnsConfig",
    "desiredEnableCiliumClusterwideNetworkPolicy": "networkConfig.enableCiliumClusterwideNetworkPolicy",
    "desiredEnableFqdnNetworkPolicy": "networkConfig.enableFqdnNetworkPolicy",
    "desiredEnableMultiNetworking": "networkConfig.enableMultiNetworking",
    "desiredEnterpriseConfig": "enterpriseConfig",
    "desiredGatewayApiConfig": "networkConfig.gatewayApiConfig",
    "desiredGcfsConfig": "nodePoolDefaults.nodeConfigDefaults.gcfsConfig",
    "desiredIdentityServiceConfig": "identityServiceConfig",
    "desiredInTransitEncryptionConfig": "networkConfig.inTransitEncryptionConfig",
    "desiredIntraNodeVisibilityConfig": "networkConfig.enableIntraNodeVisibility",
    "desiredK8sBetaApis": "enableK8sBetaApis",
    "desiredL4ilbSubsettingConfig": "networkConfig.enableL4ilbSubsetting",
    "desiredLoggingConfig": "loggingConfig",
    "desiredLoggingService": "loggingService",
    "desiredManagedMachineLearningDiagnosticsConfig": "managedMachineLearningDiagnosticsConfig",
    "desiredManagedOpentelemetryConfig": "managedOpentelemetryConfig",
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
    "desiredPrivilegedAdmissionConfig": "autopilot.privilegedAdmissionConfig",
    "desiredRbacBindingConfig": "rbacBindingConfig",
    "desiredReleaseChannel": "releaseChannel",
    "desiredResourceUsageExportConfig": "resourceUsageExportConfig",
    "desiredRollbackSafeUpgrade": "rollbackSafeUpgrade",
    "desiredSecretManagerConfig": "secretManagerConfig",
    "desiredSecretSyncConfig": "secretSyncConfig",
    "desiredSecurityPostureConfig": "securityPostureConfig",
    "desiredServiceExternalIpsConfig": "networkConfig.serviceExternalIpsConfig",
    "desiredShieldedNodes": "shieldedNodes",
    "desiredStackType": "ipAllocationPolicy.stackType",
    "desiredUserManagedKeysConfig": "userManagedKeysConfig",
    "desiredVerticalPodAutoscaling": "verticalPodAutoscaling",
    "gkeAutoUpgradeConfig": "gkeAutoUpgradeConfig",
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
# Fields that nobody may state, and why.
REFUSED = {
    "desiredDatapathProvider": "the datapath provider of a cluster cannot be changed",
    "desiredEmulatedVersion": "emulated versions are for control plane upgrades in two steps, which are not had here",
    "desiredImage": "custom node images are not had here",
    "desiredImageProject": "custom node images are not had here",
    "enableK8sBetaApis": "it was replaced by desiredK8sBetaApis",
    "userManagedKeysConfig": "it was replaced by desiredUserManagedKeysConfig",
}
# These say to which pool or how, not what.
QUALIFIERS = {"etag", "desiredNodePoolId", "desiredImageType"}
TOGETHER = (
    {"desiredLoggingService", "desiredMonitoringService"},
    {"desiredLoggingConfig", "desiredMonitoringConfig"},
    {"additionalPodRangesConfig", "removedAdditionalPodRangesConfig"},
    {"desiredNodeVersion"},
)


@dataclasses.dataclass(frozen=True)
class Change:
    """``wanted``: the cluster that a rule turns into what it is afterwards."""

    project: Project
    wanted: Json
    update: Json


def cluster(project: Project, document: Json, update: Json) -> Json:
    """The cluster after this ClusterUpdate. Raises Refusal 400 unless it asks for exactly one change."""
    asked = set(update) - QUALIFIERS
    if not asked and "desiredImageType" in update:
        asked = {"desiredImageType"}
    if not asked:
        raise invalid("Must specify a field to update.")
    for field in sorted(asked & set(REFUSED)):
        raise invalid(f"Updating {field} is not supported: {REFUSED[field]}.")
    if len(asked) > 1 and not any(asked <= together for together in TOGETHER):
        raise invalid(f"Exactly one update can be applied per request, got {', '.join(sorted(asked))}.")
    wanted = copy.deepcopy(document)
    for field in sorted(asked):
        _apply(Change(project, wanted, update), field)
    networking.check_gateway(wanted)
    return wanted


def _apply(change: Change, field: str) -> None:
    value, wanted = change.update[field], change.wanted
    if field in SPECIAL:
        SPECIAL[field](change)
    elif field in MERGED:
        put(wanted, MERGED[field], {**wanted.get(MERGED[field], {}), **value})
    elif field in PLACES:
        put(wanted, PLACES[field], UNWRAPPED[field](value) if field in UNWRAPPED else value)
    else:
        raise invalid(f"Updating {field} is not supported for this cluster.")


def _identity(change: Change) -> None:
    pool = change.update["desiredWorkloadIdentityConfig"].get("workloadPool", "")
    check_identity(change.project, pool)
    change.wanted.pop("workloadIdentityConfig", None)
    if pool:
        change.wanted["workloadIdentityConfig"] = {"workloadPool": pool}


def _fleet(change: Change) -> None:
    given = change.update["desiredFleet"].get("project", "")
    check_fleet(change.project, given)
    if not given:
        change.wanted.pop("fleet", None)
    elif not change.wanted.get("fleet"):
        change.wanted["fleet"] = {**change.update["desiredFleet"], "project": given.removeprefix("projects/")}


def _master_version(change: Change) -> None:
    channel = change.wanted["releaseChannel"].get("channel", "")
    version = versions.master(channel, change.update["desiredMasterVersion"], stated=False)
    versions.check_upgrade(change.wanted, version)
    change.wanted["currentMasterVersion"] = version


def _named_pool(change: Change) -> Json:
    name = change.update.get("desiredNodePoolId")
    found = [pool for pool in change.wanted["nodePools"] if pool["name"] == name or not name]
    if not found:
        raise not_found(f'Not found: node pool "{name}" not found.')
    return t.cast(Json, found[0])


def _judged(change: Change, pool: Json, stated: Json) -> None:
    admission.check(admission.Asked(change.project, change.wanted, pool, stated))


def _node_version(change: Change) -> None:
    pool = _named_pool(change)
    upgraded = bool(pool["management"].get("autoUpgrade"))
    pool["version"] = versions.node(change.wanted, change.update["desiredNodeVersion"], upgraded=upgraded)
    if change.update.get("desiredImageType"):
        _image_type(change)


def _image_type(change: Change) -> None:
    pool = _named_pool(change)
    pool["config"]["imageType"] = change.update["desiredImageType"]
    _judged(change, pool, {})


def _pool_autoscaling(change: Change) -> None:
    pool = _named_pool(change)
    pool["autoscaling"] = change.update["desiredNodePoolAutoscaling"]
    _judged(change, pool, {})


def _locations(change: Change) -> None:
    given = change.update["desiredLocations"]
    networking.check_locations(change.wanted["location"], given)
    before = change.wanted["locations"]
    change.wanted["locations"] = given
    for pool in change.wanted["nodePools"]:
        if pool["locations"] == before and is_region(change.wanted["location"]):
            pool["locations"] = list(given)


def _encryption(change: Change) -> None:
    change.wanted["databaseEncryption"] = encrypted(change.update["desiredDatabaseEncryption"])


def _endpoints(change: Change, given: Json) -> None:
    wanted = change.wanted
    wanted["controlPlaneEndpointsConfig"] = networking.endpoints(wanted["controlPlaneEndpointsConfig"], given)
    networking.show_authorized(wanted)


def _authorized(change: Change) -> None:
    given = change.update["desiredMasterAuthorizedNetworksConfig"]
    live = change.wanted["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    live["authorizedNetworksConfig"] = {**live.get("authorizedNetworksConfig", {}), **given}
    networking.show_authorized(change.wanted)


def _private_endpoint(change: Change) -> None:
    public = not change.update["desiredEnablePrivateEndpoint"]
    _endpoints(change, {"ipEndpointsConfig": {"enablePublicEndpoint": public}})


def _private_cluster(change: Change) -> None:
    given = change.update["desiredPrivateClusterConfig"]
    if given.get("masterIpv4CidrBlock", "") not in (
        "",
        change.wanted["privateClusterConfig"].get("masterIpv4CidrBlock"),
    ):
        raise invalid("The master CIDR block of a cluster cannot be changed.")
    change.wanted["privateClusterConfig"] |= given
    _endpoints(change, networking.of_private(given))
    if "enablePrivateNodes" in given:
        change.wanted["networkConfig"]["defaultEnablePrivateNodes"] = bool(given["enablePrivateNodes"])


def _private_nodes(change: Change) -> None:
    change.wanted["networkConfig"]["defaultEnablePrivateNodes"] = bool(
        change.update["desiredDefaultEnablePrivateNodes"]
    )


def _more_pod_ranges(change: Change) -> None:
    place = "ipAllocationPolicy.additionalPodRangesConfig"
    names = list((t.cast(Json, get(change.wanted, place)) or {}).get("podRangeNames", []))
    names += change.update.get("additionalPodRangesConfig", {}).get("podRangeNames", [])
    gone = change.update.get("removedAdditionalPodRangesConfig", {}).get("podRangeNames", [])
    put(change.wanted, place, {"podRangeNames": [name for name in dict.fromkeys(names) if name not in gone]})


SPECIAL: dict[str, Callable[[Change], None]] = {
    "additionalPodRangesConfig": _more_pod_ranges,
    "desiredControlPlaneEndpointsConfig": lambda change: _endpoints(
        change, change.update["desiredControlPlaneEndpointsConfig"]
    ),
    "desiredDatabaseEncryption": _encryption,
    "desiredDefaultEnablePrivateNodes": _private_nodes,
    "desiredEnablePrivateEndpoint": _private_endpoint,
    "desiredFleet": _fleet,
    "desiredImageType": _image_type,
    "desiredLocations": _locations,
    "desiredMasterAuthorizedNetworksConfig": _authorized,
    "desiredMasterVersion": _master_version,
    "desiredNodePoolAutoscaling": _pool_autoscaling,
    "desiredNodeVersion": _node_version,
    "desiredPrivateClusterConfig": _private_cluster,
    "desiredWorkloadIdentityConfig": _identity,
    "removedAdditionalPodRangesConfig": _more_pod_ranges,
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
    return {**copy.deepcopy(document), "maintenancePolicy": policy(given)}


def set_legacy_abac(_project: Project, document: Json, body: Json) -> Json:
    return {**copy.deepcopy(document), "legacyAbac": {"enabled": True} if body.get("enabled") else {}}


def set_network_policy(_project: Project, document: Json, body: Json) -> Json:
    return merged(document, {"networkPolicy": body.get("networkPolicy", {})})


def as_update(field: str, source: str) -> Callable[[Project, Json, Json], Json]:
    """A verb that does what ``field`` of ClusterUpdate does, with its value in ``source`` of the body."""
    return lambda project, document, body: cluster(project, document, {field: body.get(source, {})})


# Verb -> (request message, operation type, change).
CLUSTER_VERBS: Mapping[str, tuple[str, str, Callable[[Project, Json, Json], Json]]] = {
    "setResourceLabels": ("SetLabelsRequest", "SET_LABELS", set_labels),
    "setMaintenancePolicy": ("SetMaintenancePolicyRequest", "UPDATE_CLUSTER", set_maintenance),
    "setAddons": ("SetAddonsConfigRequest", "UPDATE_CLUSTER", as_update("desiredAddonsConfig", "addonsConfig")),
    "setLegacyAbac": ("SetLegacyAbacRequest", "UPDATE_CLUSTER", set_legacy_abac),
    "setLogging": ("SetLoggingServiceRequest", "UPDATE_CLUSTER", as_update("desiredLoggingService", "loggingService")),
    "setMonitoring": (
        "SetMonitoringServiceRequest",
        "UPDATE_CLUSTER",
        as_update("desiredMonitoringService", "monitoringService"),
    ),
    "setNetworkPolicy": ("SetNetworkPolicyRequest", "SET_NETWORK_POLICY", set_network_policy),
    "setLocations": ("SetLocationsRequest", "UPDATE_CLUSTER", as_update("desiredLocations", "locations")),
    "updateMaster": ("UpdateMasterRequest", "UPGRADE_MASTER", as_update("desiredMasterVersion", "masterVersion")),
}
# Ends of the deprecated paths below projects.zones.clusters -> the verb that they stand for (discovery document).
LEGACY_VERBS = {
    "addons": "setAddons",
    "legacyAbac": "setLegacyAbac",
    "locations": "setLocations",
    "logging": "setLogging",
    "master": "updateMaster",
    "monitoring": "setMonitoring",
    "resourceLabels": "setResourceLabels",
}
