# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""From a Plan's changes to the bodies of GKE's update methods."""

from __future__ import annotations

import typing as t

from .._naming import camel
from .._reconcile import Change, Json

# Group of ClusterUpdate -> the option that it holds; what a change names below that path is nested in the group.
_CLUSTER_ROOTS = {
    "desiredReleaseChannel": "release_channel",
    "desiredMasterVersion": "master_version",
    "desiredWorkloadIdentityConfig": "workload_identity_config",
    "desiredAddonsConfig": "addons_config",
    "desiredGatewayApiConfig": "network_config.gateway_api_config",
    "desiredEnableMultiNetworking": "network_config.enable_multi_networking",
    "desiredDefaultEnablePrivateNodes": "network_config.default_enable_private_nodes",
    "desiredIntraNodeVisibilityConfig": "network_config.enable_intra_node_visibility",
    "desiredL4ilbSubsettingConfig": "network_config.enable_l4ilb_subsetting",
    "desiredDnsConfig": "network_config.dns_config",
    "desiredLoggingConfig": "logging_config",
    "desiredMonitoringConfig": "monitoring_config",
    "desiredPodAutoscaling": "pod_autoscaling",
    "desiredCostManagementConfig": "cost_management_config",
    "desiredShieldedNodes": "shielded_nodes",
    "desiredVerticalPodAutoscaling": "vertical_pod_autoscaling",
    "desiredControlPlaneEndpointsConfig": "control_plane_endpoints_config",
    "desiredLocations": "locations",
    "desiredFleet": "fleet",
}
# Switches of the cluster that their group wraps once more.
_SWITCHES = {"desiredIntraNodeVisibilityConfig": "enabled", "desiredL4ilbSubsettingConfig": "enabled"}

_NODE_POOL_ROOTS = {
    "machine": "config",
    "flexStart": "config",
    "nodeNetworkConfig": "network_config",
    "queuedProvisioning": "queued_provisioning",
}
# Maps and lists that UpdateNodePoolRequest wraps once more: the group -> the inner key.
_WRAPPED = {"labels": "labels", "taints": "taints", "tags": "tags", "resourceLabels": "labels"}


def cluster_update(group: str, changes: t.Sequence[Change]) -> Json:
    """The ``update`` of UpdateCluster for one group."""
    value = _below(_CLUSTER_ROOTS[group], changes)
    return {group: {_SWITCHES[group]: value} if group in _SWITCHES else value}


def resource_labels(changes: t.Sequence[Change], live: Json) -> Json:
    """The body of SetLabels: it replaces the whole map; the fingerprint guards what others set."""
    return {"resourceLabels": changes[0].after, "labelFingerprint": live.get("labelFingerprint", "")}


def node_pool_update(group: str, changes: t.Sequence[Change]) -> Json:
    """The fields of UpdateNodePoolRequest for one group."""
    if group in ("machine", "flexStart"):
        return t.cast(Json, _below("config", changes))
    if group in _NODE_POOL_ROOTS:
        return {group: _below(_NODE_POOL_ROOTS[group], changes)}
    value = changes[0].after
    return {group: {_WRAPPED[group]: value} if group in _WRAPPED else value}


def node_pool_setting(call: str, changes: t.Sequence[Change]) -> Json:
    """The body of the methods that set one thing."""
    change = changes[0]
    return {"nodeCount" if call == "set_node_pool_size" else change.field.path: change.after}


def _below(root: str, changes: t.Sequence[Change]) -> t.Any:
    """What the changes say, nested below the root; a change of the root itself is its value."""
    nested: Json = {}
    for change in changes:
        rest = change.field.path.removeprefix(root).strip(".")
        if not rest:
            return change.after
        *parents, last = [camel(part) for part in rest.split(".")]
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = change.after
    return nested
