# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The options of the modules cluster and node_pool, spelled as the API's fields."""

from __future__ import annotations

import typing as t

from .._gcp.spec import PURGE_SPEC

Spec = dict[str, t.Any]

_STR: Spec = {"type": "str"}
_INT: Spec = {"type": "int"}
_BOOL: Spec = {"type": "bool"}
_MAP: Spec = {"type": "dict"}
_STRINGS: Spec = {"type": "list", "elements": "str"}


def _group(**options: Spec) -> Spec:
    return {"type": "dict", "options": options}


def _groups(**options: Spec) -> Spec:
    return {"type": "list", "elements": "dict", "options": options}


def _choice(*choices: str) -> Spec:
    return {"type": "str", "choices": list(choices)}


_ENABLED = _group(enabled={"type": "bool", "required": True})
_DISABLED = _group(disabled={"type": "bool", "required": True})
_MAX_PODS = _group(max_pods_per_node={"type": "int", "required": True})

_MACHINE: Spec = {
    "machine_type": _STR,
    "disk_type": _STR,
    "disk_size_gb": _INT,
    "image_type": _STR,
    "labels": _MAP,
    "taints": _groups(
        key={"type": "str", "required": True, "no_log": False},
        value=_STR,
        effect={"type": "str", "required": True, "choices": ["NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"]},
    ),
    "tags": _STRINGS,
    "resource_labels": _MAP,
    "metadata": _MAP,
    "oauth_scopes": _STRINGS,
    "service_account": _STR,
    "spot": _BOOL,
    "workload_metadata_config": _group(mode=_choice("GKE_METADATA", "GCE_METADATA")),
    "shielded_instance_config": _group(enable_secure_boot=_BOOL, enable_integrity_monitoring=_BOOL),
}

# What only pools of accelerators want.
_ACCELERATED: Spec = {
    "flex_start": _BOOL,
    "max_run_duration": _STR,
    "reservation_affinity": _group(
        consume_reservation_type={
            "type": "str",
            "required": True,
            "choices": ["NO_RESERVATION", "ANY_RESERVATION", "SPECIFIC_RESERVATION", "ANY_RESERVATION_THEN_FAIL"],
        },
        key={"type": "str", "no_log": False},
        values=_STRINGS,
    ),
    "gvnic": _ENABLED,
    "gcfs_config": _ENABLED,
    "accelerators": _groups(
        accelerator_type={"type": "str", "required": True},
        accelerator_count={"type": "int", "required": True},
        gpu_driver_installation_config=_group(gpu_driver_version=_choice("DEFAULT", "LATEST", "INSTALLATION_DISABLED")),
    ),
    "ephemeral_storage_local_ssd_config": _group(local_ssd_count={"type": "int", "required": True}),
}

_STATE: Spec = {"type": "str", "choices": ["present", "absent"], "default": "present"}

CLUSTER_SPEC: Spec = {
    "name": {"type": "str", "required": True},
    "location": {"type": "str", "required": True},
    "state": _STATE,
    "description": _STR,
    "network": _STR,
    "subnetwork": _STR,
    "locations": _STRINGS,
    "release_channel": _group(channel=_choice("RAPID", "REGULAR", "STABLE", "EXTENDED", "UNSPECIFIED")),
    "initial_cluster_version": _STR,
    "master_version": _STR,
    "min_version": _STR,
    "initial_node_count": _INT,
    "node_config": {"type": "dict", "options": _MACHINE},
    "default_max_pods_constraint": _MAX_PODS,
    "autopilot": _ENABLED,
    "network_config": _group(
        datapath_provider=_choice("ADVANCED_DATAPATH", "LEGACY_DATAPATH"),
        gateway_api_config=_group(channel=_choice("CHANNEL_STANDARD", "CHANNEL_DISABLED")),
        enable_multi_networking=_BOOL,
        default_enable_private_nodes=_BOOL,
        enable_intra_node_visibility=_BOOL,
        enable_l4ilb_subsetting=_BOOL,
        dns_config=_group(
            cluster_dns=_choice("PLATFORM_DEFAULT", "CLOUD_DNS", "KUBE_DNS"),
            cluster_dns_scope=_choice("CLUSTER_SCOPE", "VPC_SCOPE"),
            cluster_dns_domain=_STR,
        ),
    ),
    "ip_allocation_policy": _group(
        use_ip_aliases=_BOOL,
        stack_type=_choice("IPV4", "IPV4_IPV6"),
        cluster_ipv4_cidr_block=_STR,
        services_ipv4_cidr_block=_STR,
        cluster_secondary_range_name=_STR,
        services_secondary_range_name=_STR,
    ),
    "control_plane_endpoints_config": _group(
        dns_endpoint_config=_group(
            allow_external_traffic=_BOOL,
            enable_k8s_tokens_via_dns={"type": "bool", "no_log": False},
        ),
        ip_endpoints_config=_group(
            enabled=_BOOL,
            enable_public_endpoint=_BOOL,
            global_access=_BOOL,
            private_endpoint_subnetwork=_STR,
            authorized_networks_config=_group(
                enabled=_BOOL,
                gcp_public_cidrs_access_enabled=_BOOL,
                cidr_blocks=_groups(cidr_block={"type": "str", "required": True}, display_name=_STR),
            ),
        ),
    ),
    "workload_identity_config": _group(workload_pool=_STR),
    "addons_config": _group(
        http_load_balancing=_DISABLED,
        horizontal_pod_autoscaling=_DISABLED,
        network_policy_config=_DISABLED,
        dns_cache_config=_ENABLED,
        gce_persistent_disk_csi_driver_config=_ENABLED,
        gcp_filestore_csi_driver_config=_ENABLED,
        gcs_fuse_csi_driver_config=_ENABLED,
        ray_operator_config=_ENABLED,
    ),
    "logging_config": _group(component_config=_group(enable_components=_STRINGS)),
    "monitoring_config": _group(
        component_config=_group(enable_components=_STRINGS), managed_prometheus_config=_ENABLED
    ),
    "pod_autoscaling": _group(hpa_profile=_choice("NONE", "PERFORMANCE")),
    "cost_management_config": _ENABLED,
    "shielded_nodes": _ENABLED,
    "vertical_pod_autoscaling": _ENABLED,
    "fleet": _group(project=_STR),
    "resource_labels": _MAP,
    **PURGE_SPEC,
}

NODE_POOL_SPEC: Spec = {
    "name": {"type": "str", "required": True},
    "cluster": {"type": "str", "required": True},
    "location": {"type": "str", "required": True},
    "state": _STATE,
    "dranet": {"type": "bool", "default": False},
    "recreate": {"type": "bool", "default": False},
    **PURGE_SPEC,
    "version": _STR,
    "initial_node_count": _INT,
    "node_count": _INT,
    "locations": _STRINGS,
    "config": {"type": "dict", "options": {**_MACHINE, **_ACCELERATED}},
    "autoscaling": _group(
        enabled={"type": "bool", "required": True},
        min_node_count=_INT,
        max_node_count=_INT,
        total_min_node_count=_INT,
        total_max_node_count=_INT,
        location_policy=_choice("BALANCED", "ANY"),
    ),
    "management": _group(auto_repair=_BOOL, auto_upgrade=_BOOL),
    "upgrade_settings": _group(
        strategy=_choice("SURGE", "BLUE_GREEN", "SHORT_LIVED"),
        max_surge=_INT,
        max_unavailable=_INT,
        blue_green_settings=_group(
            node_pool_soak_duration=_STR,
            standard_rollout_policy=_group(batch_node_count=_INT, batch_soak_duration=_STR),
        ),
    ),
    "network_config": _group(
        accelerator_network_profile=_choice("auto"),
        additional_node_network_configs=_groups(
            network={"type": "str", "required": True}, subnetwork={"type": "str", "required": True}
        ),
        enable_private_nodes=_BOOL,
        create_pod_range=_BOOL,
        pod_range=_STR,
        pod_ipv4_cidr_block=_STR,
        subnetwork=_STR,
    ),
    "placement_policy": _group(type=_choice("COMPACT"), tpu_topology=_STR, policy_name=_STR),
    "queued_provisioning": _ENABLED,
    "max_pods_constraint": _MAX_PODS,
}
