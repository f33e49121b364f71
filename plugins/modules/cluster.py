#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Create, change and delete GKE clusters
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Manages a GKE cluster. Only what is stated is compared with the live cluster.
  - A live cluster is changed setting by setting, each operation waited for. What cannot be changed in place
    fails and names the field; a cluster is never deleted and created anew.
  - A cluster that an earlier run left being created, changed or deleted is waited for first.
  - The default node pool is neither removed nor changed; it is a node pool like any other.
requirements:
  - google-cloud-container >= 2.65
options:
  name:
    description: Name of the cluster, up to 40 lower-case letters, digits and hyphens.
    type: str
    required: true
  location:
    description: A zone for a zonal cluster, a region for a regional one.
    type: str
    required: true
  state:
    description: Whether the cluster is to exist.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A text on the cluster. Cannot be changed.
    type: str
  network:
    description: The VPC, as a name, a path or a URL. Cannot be changed.
    type: str
  subnetwork:
    description: The subnetwork of the nodes, as a name, a path or a URL. Cannot be changed.
    type: str
  locations:
    description: Zones of the nodes, when they are to differ from those that GKE chooses.
    type: list
    elements: str
  release_channel:
    description: The release channel.
    type: dict
    suboptions:
      channel:
        description: Name of the channel. V(UNSPECIFIED) is none.
        type: str
        choices: [RAPID, REGULAR, STABLE, EXTENDED, UNSPECIFIED]
  initial_cluster_version:
    description:
      - Version to create the cluster with, such as V(1.34.1-gke.1829001), V(1.34) or V(latest).
      - Used at creation only. When left out it is the channel's default version, or the channel's lowest
        version that meets O(min_version) when the default does not.
    type: str
  master_version:
    description:
      - Version to upgrade the control plane to. A control plane that has reached it or is beyond it is left alone.
    type: str
  min_version:
    description:
      - The lowest version of the control plane that will do. A lower one fails the module.
    type: str
  initial_node_count:
    description:
      - Nodes of the default pool, in each zone; V(1) when left out and the cluster is not Autopilot.
      - Used at creation only; M(aiserving.gke.node_pool) resizes pools.
    type: int
  node_config:
    description:
      - Machines of the default pool. Compared with the pool C(default-pool) while there is one;
        M(aiserving.gke.node_pool) changes it.
    type: dict
    suboptions:
      machine_type:
        description: Machine type of the nodes, such as V(e2-standard-16) or V(ct6e-standard-4t).
        type: str
      disk_type:
        description: Type of the boot disk, such as V(pd-balanced) or V(hyperdisk-balanced).
        type: str
      disk_size_gb:
        description: Size of the boot disk in GB. Images of model servers are large; 100 is little for them.
        type: int
      image_type:
        description: Image of the nodes, such as V(COS_CONTAINERD).
        type: str
      labels:
        description:
          - Kubernetes labels of the nodes.
          - Labels that are not stated here are left alone.
        type: dict
      taints:
        description:
          - Kubernetes taints of the nodes. The list is the whole list, except for taints that GKE adds by itself.
        type: list
        elements: dict
        suboptions:
          key:
            description: Key of the taint.
            type: str
            required: true
          value:
            description: Value of the taint.
            type: str
          effect:
            description: What the taint does to Pods that do not tolerate it.
            type: str
            required: true
            choices: [NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE]
      tags:
        description: Network tags of the machines.
        type: list
        elements: str
      resource_labels:
        description: Labels of the machines in Compute Engine. Labels that are not stated here are left alone.
        type: dict
      metadata:
        description: Metadata of the machines. Cannot be changed.
        type: dict
      oauth_scopes:
        description: OAuth2 scopes of the nodes' service account. Cannot be changed.
        type: list
        elements: str
      service_account:
        description: Email of the nodes' service account; the default one when left out. Cannot be changed.
        type: str
      spot:
        description: Whether to use spot machines, which can be taken away at any time. Cannot be changed.
        type: bool
      workload_metadata_config:
        description: What Pods see of the metadata server.
        type: dict
        suboptions:
          mode:
            description: V(GKE_METADATA) is Workload Identity, V(GCE_METADATA) shows Pods the machine's own metadata.
            type: str
            choices: [GKE_METADATA, GCE_METADATA]
      shielded_instance_config:
        description: Shielded machines. Cannot be changed.
        type: dict
        suboptions:
          enable_secure_boot:
            description: Whether only signed software boots.
            type: bool
          enable_integrity_monitoring:
            description: Whether the boot is compared with a baseline.
            type: bool
  default_max_pods_constraint:
    description: Limit of Pods per node. Cannot be changed.
    type: dict
    suboptions:
      max_pods_per_node:
        description: The limit.
        type: int
        required: true
  autopilot:
    description: Autopilot, where GKE manages the nodes. Cannot be changed.
    type: dict
    suboptions:
      enabled:
        description: Whether it is on.
        type: bool
        required: true

  network_config:
    description: Networking of the cluster.
    type: dict
    suboptions:
      datapath_provider:
        description: V(ADVANCED_DATAPATH) is Dataplane V2, which managed DRANET needs. Cannot be changed.
        type: str
        choices: [ADVANCED_DATAPATH, LEGACY_DATAPATH]
      gateway_api_config:
        description: The Gateway API.
        type: dict
        suboptions:
          channel:
            description: V(CHANNEL_STANDARD) installs its definitions and controllers.
            type: str
            choices: [CHANNEL_STANDARD, CHANNEL_DISABLED]
      enable_multi_networking:
        description: Whether Pods can have several interfaces by Network objects. Managed DRANET does not need it.
        type: bool
      default_enable_private_nodes:
        description: Whether nodes have internal addresses only, unless their pool says otherwise.
        type: bool
      enable_intra_node_visibility:
        description: Whether traffic between Pods of one node passes through the VPC.
        type: bool
      enable_l4ilb_subsetting:
        description: Whether internal load balancers of layer 4 use a subset of the nodes.
        type: bool
      dns_config:
        description: DNS of the cluster.
        type: dict
        suboptions:
          cluster_dns:
            description: The provider.
            type: str
            choices: [PLATFORM_DEFAULT, CLOUD_DNS, KUBE_DNS]
          cluster_dns_scope:
            description: Where the names are known.
            type: str
            choices: [CLUSTER_SCOPE, VPC_SCOPE]
          cluster_dns_domain:
            description: Suffix of the names.
            type: str
  ip_allocation_policy:
    description: Addresses of Pods and Services. Cannot be changed.
    type: dict
    suboptions:
      use_ip_aliases:
        description: Whether the cluster is VPC-native.
        type: bool
      stack_type:
        description: Families of addresses.
        type: str
        choices: [IPV4, IPV4_IPV6]
      cluster_ipv4_cidr_block:
        description: Range of the Pods. C(/20) or an empty string leave the choice to GKE.
        type: str
      services_ipv4_cidr_block:
        description: Range of the Services. C(/20) or an empty string leave the choice to GKE.
        type: str
      cluster_secondary_range_name:
        description: Secondary range of the subnetwork for the Pods.
        type: str
      services_secondary_range_name:
        description: Secondary range of the subnetwork for the Services.
        type: str
  control_plane_endpoints_config:
    description: Ways to the control plane.
    type: dict
    suboptions:
      dns_endpoint_config:
        description: The endpoint by name, whose access IAM decides.
        type: dict
        suboptions:
          allow_external_traffic:
            description: Whether it is reachable from outside the VPC.
            type: bool
          enable_k8s_tokens_via_dns:
            description: Whether it takes tokens of Kubernetes service accounts.
            type: bool
      ip_endpoints_config:
        description: The endpoints by address.
        type: dict
        suboptions:
          enabled:
            description: Whether there are any.
            type: bool
          enable_public_endpoint:
            description: Whether there is one on the Internet.
            type: bool
          global_access:
            description: Whether the internal one answers clients in other regions.
            type: bool
          private_endpoint_subnetwork:
            description: Subnetwork of the internal one.
            type: str
          authorized_networks_config:
            description: Who may connect.
            type: dict
            suboptions:
              enabled:
                description: Whether only the ranges listed may.
                type: bool
              gcp_public_cidrs_access_enabled:
                description: Whether Google Cloud's public addresses may.
                type: bool
              cidr_blocks:
                description: The ranges.
                type: list
                elements: dict
                suboptions:
                  cidr_block:
                    description: A range.
                    type: str
                    required: true
                  display_name:
                    description: A text on it.
                    type: str
  workload_identity_config:
    description: Workload Identity Federation for GKE.
    type: dict
    suboptions:
      workload_pool:
        description: The pool, C(PROJECT.svc.id.goog).
        type: str
  addons_config:
    description: Add-ons. Those not stated are left alone.
    type: dict
    suboptions:
      http_load_balancing:
        description: The controller of Ingress and Gateway objects.
        type: dict
        suboptions:
          disabled:
            description: Whether it is off.
            type: bool
            required: true
      horizontal_pod_autoscaling:
        description: The metrics for horizontal Pod autoscaling.
        type: dict
        suboptions:
          disabled:
            description: Whether it is off.
            type: bool
            required: true
      network_policy_config:
        description: Network policies by Calico; Dataplane V2 has its own.
        type: dict
        suboptions:
          disabled:
            description: Whether it is off.
            type: bool
            required: true
      dns_cache_config:
        description: A DNS cache on each node.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
      gce_persistent_disk_csi_driver_config:
        description: The CSI driver of Persistent Disk.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
      gcp_filestore_csi_driver_config:
        description: The CSI driver of Filestore.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
      gcs_fuse_csi_driver_config:
        description: The CSI driver of Cloud Storage FUSE, by which Pods mount buckets.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
      ray_operator_config:
        description: The Ray operator.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
  logging_config:
    description: Logging.
    type: dict
    suboptions:
      component_config:
        description: What is logged.
        type: dict
        suboptions:
          enable_components:
            description: Components, such as V(SYSTEM_COMPONENTS) and V(WORKLOADS). The list is the whole list.
            type: list
            elements: str
  monitoring_config:
    description: Monitoring.
    type: dict
    suboptions:
      component_config:
        description: What is measured.
        type: dict
        suboptions:
          enable_components:
            description: Components, such as V(SYSTEM_COMPONENTS) and V(DCGM). The list is the whole list.
            type: list
            elements: str
      managed_prometheus_config:
        description: Google Cloud Managed Service for Prometheus.
        type: dict
        suboptions:
          enabled:
            description: Whether it is on.
            type: bool
            required: true
  pod_autoscaling:
    description: Horizontal Pod autoscaling.
    type: dict
    suboptions:
      hpa_profile:
        description: V(PERFORMANCE) reacts faster.
        type: str
        choices: [NONE, PERFORMANCE]
  cost_management_config:
    description: Costs by namespace and label in the billing export.
    type: dict
    suboptions:
      enabled:
        description: Whether it is on.
        type: bool
        required: true
  shielded_nodes:
    description: Shielded nodes.
    type: dict
    suboptions:
      enabled:
        description: Whether it is on.
        type: bool
        required: true
  vertical_pod_autoscaling:
    description: Vertical Pod autoscaling.
    type: dict
    suboptions:
      enabled:
        description: Whether it is on.
        type: bool
        required: true
  fleet:
    description: Registers the cluster in a fleet. Its membership then lies in the cluster's region, not in V(global).
    type: dict
    suboptions:
      project:
        description: ID or number of the fleet's host project.
        type: str
  resource_labels:
    description:
      - Labels of the cluster in Google Cloud. Labels that are not stated here stay, unless O(purge_labels=true).
    type: dict
  wait_timeout:
    default: 2700
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._labels
  - aiserving.gke._wait
  - aiserving.gke._attributes
  - aiserving.gke._attributes.actiongroup_gcp
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: aiserving.gke.cluster_info
  - module: aiserving.gke.node_pool
  - module: aiserving.gke.fleet_membership
"""

EXAMPLES = r"""
- name: A zonal cluster for model serving
  aiserving.gke.cluster:
    project: my-project
    name: serving-us-east5
    location: us-east5-a
    network: serving
    subnetwork: nodes-us-east5
    release_channel:
      channel: RAPID
    min_version: 1.34.1-gke.1829001
    node_config:
      machine_type: e2-standard-16
      oauth_scopes: [https://www.googleapis.com/auth/cloud-platform]
      workload_metadata_config:
        mode: GKE_METADATA
    network_config:
      datapath_provider: ADVANCED_DATAPATH
      gateway_api_config:
        channel: CHANNEL_STANDARD
    ip_allocation_policy:
      use_ip_aliases: true
    workload_identity_config:
      workload_pool: my-project.svc.id.goog
    addons_config:
      gcs_fuse_csi_driver_config:
        enabled: true

- name: Turn managed Prometheus on, on the live cluster, and nothing else
  aiserving.gke.cluster:
    project: my-project
    name: serving-us-east5
    location: us-east5-a
    monitoring_config:
      managed_prometheus_config:
        enabled: true

- name: Upgrade the control plane
  aiserving.gke.cluster:
    project: my-project
    name: serving-us-east5
    location: us-east5-a
    master_version: 1.34.1-gke.2909000

- name: Start the creation and go on
  aiserving.gke.cluster:
    project: my-project
    name: serving-europe-west4
    location: europe-west4-a
    network: serving
    subnetwork: nodes-europe-west4
    wait: false

- name: Delete the cluster with all its nodes
  aiserving.gke.cluster:
    project: my-project
    name: serving-us-east5
    location: us-east5-a
    state: absent
"""

RETURN = r"""
cluster:
  description:
    - The cluster as the API answers it, keys in snake_case; empty when it is absent.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name) and C(location).
  returned: success
  type: dict
  sample:
    name: serving-us-east5
    location: us-east5-a
    status: RUNNING
    endpoint: 203.0.113.10
    current_master_version: 1.34.1-gke.1829001
plan:
  description: What was done, or in check mode what would be.
  returned: success
  type: dict
  contains:
    action:
      description: V(none), V(create), V(update), V(delete).
      type: str
      sample: update
    changes:
      description: Per field that differs its value before and after, and the call that changes it.
      type: list
      elements: dict
      sample:
        - field: release_channel.channel
          before: REGULAR
          after: RAPID
          call: update_cluster.desiredReleaseChannel
operation:
  description: The last operation that was started.
  returned: when a change was made
  type: dict
  sample:
    name: operation-1764000000000-abcdef
    operation_type: CREATE_CLUSTER
    status: RUNNING
"""

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._gke.cores import cluster
from ansible_collections.aiserving.gke.plugins.module_utils._gke.spec import CLUSTER_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(cluster, {**GCP_SPEC, **wait_spec(2700), **CLUSTER_SPEC})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
