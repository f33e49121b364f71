# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""How clusters and node pools are compared, and which call changes what.

The order of a table is the order in which changes are made. A call named
``update_cluster.X`` or ``update_node_pool.X`` sends the group X of that
method; GKE takes one group per request.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._gcp.projects import SameProject
from .._reconcile import Compare, Field, Json, Labels, Merge, overlay, same_link, same_set, same_stated, same_value
from .machines import is_tpu
from .names import reached

# Taints that GKE itself puts on pools with accelerators and other special machines.
SERVER_TAINTS = ("nvidia.com/gpu", "google.com/tpu", "cloud.google.com/", "kubernetes.io/arch", "node.kubernetes.io/")

BROKEN = frozenset({"ERROR", "DEGRADED", "RUNNING_WITH_ERROR"})
UNSETTLED = frozenset({"PROVISIONING", "RECONCILING", "STOPPING"})

ADDONS = (
    "http_load_balancing",
    "horizontal_pod_autoscaling",
    "network_policy_config",
    "dns_cache_config",
    "gce_persistent_disk_csi_driver_config",
    "gcp_filestore_csi_driver_config",
    "gcs_fuse_csi_driver_config",
    "ray_operator_config",
)


def same_range(desired: t.Any, live: t.Any) -> bool:
    """Address ranges: "" and "/20" leave the choice to GKE, so whatever it chose is right."""
    return desired == "" or str(desired).startswith("/") or same_value(desired, live)


def same_reservation(desired: t.Any, live: t.Any) -> bool:
    """An absent affinity is what NO_RESERVATION and ANY_RESERVATION may come back as."""
    if not live:
        return desired.get("consumeReservationType") in ("NO_RESERVATION", "ANY_RESERVATION")
    return same_stated(desired, live)


def same_taints(desired: t.Any, live: t.Any) -> bool:
    """Taints without order; those that GKE adds by itself are no difference."""
    wanted = [_taint(taint) for taint in desired]
    own = [_taint(taint) for taint in live or [] if _taint(taint) in wanted or not server_taint(taint)]
    return sorted(wanted) == sorted(own)


def merged_taints(desired: t.Any, live: t.Any) -> list[Json]:
    """Taints are replaced as a whole, so GKE's own are sent along."""
    keys = {taint.get("key") for taint in desired}
    return [*desired, *(taint for taint in live or [] if server_taint(taint) and taint.get("key") not in keys)]


def merged_strategy(desired: t.Any, live: t.Any) -> Json:
    """Upgrade settings: those of one strategy are no settings of another."""
    live = live or {}
    changes_strategy = desired.get("strategy", live.get("strategy")) != live.get("strategy")
    return t.cast(Json, desired if changes_strategy else {**live, **desired})


def merged(desired: t.Any, live: t.Any) -> t.Any:
    """A group that its call replaces as a whole: what is not stated is sent as it is."""
    return overlay(live, desired)


def server_taint(taint: Json) -> bool:
    return str(taint.get("key", "")).startswith(SERVER_TAINTS)


def _taint(taint: Json) -> tuple[str, str, str]:
    return str(taint.get("key", "")), str(taint.get("value") or ""), str(taint.get("effect", ""))


@dataclasses.dataclass(frozen=True)
class DefaultPoolField(Field):
    """A field of ``node_config``: it describes the default pool, and says nothing once that pool is gone."""

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        if document is None or "status" not in document:
            return super().read(document)
        pools = [pool for pool in document.get("nodePools") or [] if pool.get("name") == "default-pool"]
        return super().read({"nodeConfig": pools[0].get("config") or {}}) if pools else None


@dataclasses.dataclass(frozen=True)
class MasterVersionField(Field):
    """The control plane's version, which the API answers under another name."""

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        return super().read(document) or (document or {}).get("currentMasterVersion")

    def write(self, document: Json, value: t.Any) -> None:
        document["currentMasterVersion"] = value


@dataclasses.dataclass(frozen=True)
class HealthField(Field):
    """Whether the object works; desired is always RUNNING, so that recreate replaces what GKE calls broken."""

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        return (document or {}).get("status") or "RUNNING"


def _unless_gone(same: Compare) -> Compare:
    return lambda want, have: have is None or same(want, have)


def _update(method: str, group: str, *paths: str, same: Compare = same_stated) -> list[Field]:
    return [Field(path, f"{method}.{group}", same) for path in paths]


def _fixed(*paths: str, same: Compare = same_stated) -> list[Field]:
    return [Field(path, None, same) for path in paths]


_NODE_FIXED: tuple[tuple[str, Compare], ...] = (
    ("oauth_scopes", same_set),
    ("service_account", same_stated),
    ("spot", same_stated),
    ("preemptible", same_stated),
    ("reservation_affinity", same_reservation),
    ("accelerators", same_stated),
    ("metadata", same_stated),
    ("shielded_instance_config", same_stated),
    ("ephemeral_storage_local_ssd_config", same_stated),
)
_NODE_CHANGEABLE: tuple[tuple[str, str, Compare, Merge | None], ...] = (
    ("machine", "machine_type", same_stated, None),
    ("machine", "disk_type", same_stated, None),
    ("machine", "disk_size_gb", same_stated, None),
    ("imageType", "image_type", same_stated, None),
    ("taints", "taints", same_taints, merged_taints),
    ("tags", "tags", same_set, None),
    ("workloadMetadataConfig", "workload_metadata_config", same_stated, None),
    ("gvnic", "gvnic", same_stated, None),
    ("gcfsConfig", "gcfs_config", same_stated, None),
    ("flexStart", "max_run_duration", same_stated, None),
    ("flexStart", "flex_start", same_stated, None),
)
_NODE_LABELS = (("labels", "labels"), ("resourceLabels", "resource_labels"))

CLUSTER_FIELDS: tuple[Field, ...] = (
    *_fixed("description", "autopilot.enabled", "default_max_pods_constraint"),
    *_fixed("network", "subnetwork", same=same_link),
    *_fixed("network_config.datapath_provider"),
    *_fixed("ip_allocation_policy.stack_type"),
    # GKE makes new clusters VPC-native also where false is asked for.
    *_fixed("ip_allocation_policy.use_ip_aliases", same=lambda want, have: not want or bool(have)),
    *_fixed(
        "ip_allocation_policy.cluster_ipv4_cidr_block", "ip_allocation_policy.services_ipv4_cidr_block", same=same_range
    ),
    *_fixed("ip_allocation_policy.cluster_secondary_range_name", "ip_allocation_policy.services_secondary_range_name"),
    *(
        DefaultPoolField(f"node_config.{name}", None, _unless_gone(same))
        for name, same in (
            *_NODE_FIXED,
            *((name, same) for _group, name, same, _merge in _NODE_CHANGEABLE),
            *((name, same_stated) for _group, name in _NODE_LABELS),
        )
    ),
    *_update("update_cluster", "desiredReleaseChannel", "release_channel.channel"),
    MasterVersionField("master_version", "update_cluster.desiredMasterVersion", reached),
    *_update("update_cluster", "desiredWorkloadIdentityConfig", "workload_identity_config.workload_pool"),
    *_update("update_cluster", "desiredAddonsConfig", *(f"addons_config.{name}" for name in ADDONS)),
    *_update("update_cluster", "desiredGatewayApiConfig", "network_config.gateway_api_config.channel"),
    *_update("update_cluster", "desiredEnableMultiNetworking", "network_config.enable_multi_networking"),
    *_update("update_cluster", "desiredDefaultEnablePrivateNodes", "network_config.default_enable_private_nodes"),
    *_update("update_cluster", "desiredIntraNodeVisibilityConfig", "network_config.enable_intra_node_visibility"),
    *_update("update_cluster", "desiredL4ilbSubsettingConfig", "network_config.enable_l4ilb_subsetting"),
    *_update("update_cluster", "desiredDnsConfig", "network_config.dns_config"),
    *_update(
        "update_cluster", "desiredLoggingConfig", "logging_config.component_config.enable_components", same=same_set
    ),
    *_update(
        "update_cluster",
        "desiredMonitoringConfig",
        "monitoring_config.component_config.enable_components",
        same=same_set,
    ),
    *_update("update_cluster", "desiredMonitoringConfig", "monitoring_config.managed_prometheus_config"),
    *_update("update_cluster", "desiredPodAutoscaling", "pod_autoscaling.hpa_profile"),
    *_update("update_cluster", "desiredCostManagementConfig", "cost_management_config.enabled"),
    *_update("update_cluster", "desiredShieldedNodes", "shielded_nodes.enabled"),
    *_update("update_cluster", "desiredVerticalPodAutoscaling", "vertical_pod_autoscaling.enabled"),
    *_update(
        "update_cluster",
        "desiredControlPlaneEndpointsConfig",
        "control_plane_endpoints_config.dns_endpoint_config",
        "control_plane_endpoints_config.ip_endpoints_config",
    ),
    *_update("update_cluster", "desiredLocations", "locations", same=same_set),
    *_update("update_cluster", "desiredFleet", "fleet.project"),
    Labels("resource_labels", "set_labels"),
)


def cluster_fields(same_project: SameProject) -> tuple[Field, ...]:
    """The table; ``same_project`` knows an id from the number that GKE may answer."""

    def same(desired: t.Any, live: t.Any) -> bool:
        return bool(live) and same_project(str(desired), str(live))

    return tuple(
        dataclasses.replace(field, same=same) if field.path == "fleet.project" else field for field in CLUSTER_FIELDS
    )


_NODE_POOL_FIELDS: tuple[Field, ...] = (
    HealthField("status", None, lambda _want, have: have not in BROKEN),
    *_fixed("network_config.accelerator_network_profile"),
    # The accelerator network profile makes GKE fill in networks of its own.
    *_fixed(
        "network_config.additional_node_network_configs", same=lambda want, have: not want or same_stated(want, have)
    ),
    *_fixed("network_config.pod_range", "network_config.pod_ipv4_cidr_block"),
    *_fixed("network_config.subnetwork", same=same_link),
    *_fixed("placement_policy", "max_pods_constraint"),
    *(Field(f"config.{name}", None, same) for name, same in _NODE_FIXED),
    *_update("update_node_pool", "nodeVersion", "version", same=reached),
    *(
        Field(f"config.{name}", f"update_node_pool.{group}", same, merge)
        for group, name, same, merge in _NODE_CHANGEABLE
    ),
    *(Labels(f"config.{name}", f"update_node_pool.{group}") for group, name in _NODE_LABELS),
    *_update("update_node_pool", "nodeNetworkConfig", "network_config.enable_private_nodes"),
    Field("upgrade_settings", "update_node_pool.upgradeSettings", merge=merged_strategy),
    *_update("update_node_pool", "queuedProvisioning", "queued_provisioning.enabled"),
    *_update("update_node_pool", "locations", "locations", same=same_set),
    Field("management", "set_node_pool_management", merge=merged),
    Field("autoscaling", "set_node_pool_autoscaling", merge=merged),
    Field("node_count", "set_node_pool_size"),
)
# The slice's accelerator and topology follow from a TPU machine, so such a pool keeps its machine type.
_TPU_POOL_FIELDS = tuple(
    dataclasses.replace(field, call=None) if field.path == "config.machine_type" else field
    for field in _NODE_POOL_FIELDS
)


def node_pool_fields(*machine_types: str | None) -> tuple[Field, ...]:
    """The table for a pool whose machine is, or is to become, one of these."""
    return _TPU_POOL_FIELDS if any(map(is_tpu, machine_types)) else _NODE_POOL_FIELDS
