#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_pool
short_description: Create, change, resize and delete node pools of GKE clusters
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Manages a node pool of a Standard cluster. Only what is stated is compared with the live pool; labels, taints
    and networks that GKE adds are no difference.
  - What cannot be changed in place fails and names the field, unless O(recreate=true).
  - A creation that ends in a stockout or without quota is a failure that says so, also when GKE keeps the pool;
    a later run finds that pool and fails too, or replaces it with O(recreate=true).
  - A pool that an earlier run left being created, changed or deleted is waited for first.
requirements:
  - google-cloud-container >= 2.65
options:
  name:
    description: Name of the pool, up to 40 lower-case letters, digits and hyphens.
    type: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  location:
    description: The cluster's zone or region.
    type: str
    required: true
  state:
    description: Whether the pool is to exist.
    type: str
    choices: [present, absent]
    default: present
  dranet:
    description:
      - Whether the pool has managed DRANET (dynamic resource allocation of network interfaces).
      - Sets O(network_config.accelerator_network_profile=auto) and the label
        C(cloud.google.com/gke-networking-dra-driver=true), and checks before anything is changed what it needs.
        That is a cluster of version 1.34.1-gke.1829001 or later with Dataplane V2, a machine of the families a3, a4,
        a4x, ct6e or tpu7x, one zone, and no additional networks. A network whose MTU is not 8896 is a warning, and
        so is, before the pool is made, a service agent of GKE that is not seen to hold C(roles/compute.networkAdmin).
    type: bool
    default: false
  recreate:
    description:
      - Whether to delete the pool and create it again where it cannot be changed in place, or where GKE calls it
        V(ERROR) or V(RUNNING_WITH_ERROR). Its nodes are lost, with all that runs on them.
    type: bool
    default: false
  version:
    description: Version of the nodes; that of the control plane when left out. Nodes beyond it are left alone.
    type: str
  initial_node_count:
    description: Nodes per zone at creation. Used at creation only.
    type: int
  node_count:
    description: Nodes per zone, at creation and later. Not together with O(autoscaling).
    type: int
  locations:
    description: Zones of the nodes; those of the cluster when left out.
    type: list
    elements: str
  config:
    description: The machines.
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
          - Labels that are not stated here stay, unless O(purge_labels=true).
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
        description:
          - Labels of the machines in Compute Engine.
          - Labels that are not stated here stay, unless O(purge_labels=true).
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
      flex_start:
        description:
          - Whether nodes come from the Dynamic Workload Scheduler (flex-start), as soon as there is capacity.
          - Implies O(initial_node_count=0) and no reservation; needs O(autoscaling) with a maximum.
        type: bool
      max_run_duration:
        description: How long a node may live, in seconds with a V(s) behind, at most V(604800s), which is 7 days.
        type: str
      reservation_affinity:
        description: Which reservation the machines come from. Cannot be changed.
        type: dict
        suboptions:
          consume_reservation_type:
            description: V(SPECIFIC_RESERVATION) takes the reservation named in O(config.reservation_affinity.values).
            type: str
            required: true
            choices: [NO_RESERVATION, ANY_RESERVATION, SPECIFIC_RESERVATION, ANY_RESERVATION_THEN_FAIL]
          key:
            description: Label that names reservations; V(compute.googleapis.com/reservation-name) when left out.
            type: str
          values:
            description:
              - The reservation's name; of another project C(projects/OWNER/reservations/NAME);
                of a block C(NAME/reservationBlocks/BLOCK).
            type: list
            elements: str
      gvnic:
        description: Google's virtual network interface.
        type: dict
        suboptions:
          enabled:
            description: Whether the nodes use it.
            type: bool
            required: true
      gcfs_config:
        description: Image streaming, which starts containers before their image is complete.
        type: dict
        suboptions:
          enabled:
            description: Whether the nodes stream images.
            type: bool
            required: true
      accelerators:
        description: GPUs of each node. TPUs follow from the machine type and are not listed here. Cannot be changed.
        type: list
        elements: dict
        suboptions:
          accelerator_type:
            description: Type of the GPU, such as V(nvidia-h200-141gb).
            type: str
            required: true
          accelerator_count:
            description: GPUs per node.
            type: int
            required: true
          gpu_driver_installation_config:
            description: The GPU driver.
            type: dict
            suboptions:
              gpu_driver_version:
                description: Which driver GKE installs.
                type: str
                choices: [DEFAULT, LATEST, INSTALLATION_DISABLED]
      ephemeral_storage_local_ssd_config:
        description: Local SSDs for ephemeral storage, as for the cache of Cloud Storage FUSE. Cannot be changed.
        type: dict
        suboptions:
          local_ssd_count:
            description: How many of them.
            type: int
            required: true
  autoscaling:
    description: The cluster autoscaler. Limits are per zone, or in total.
    type: dict
    suboptions:
      enabled:
        description: Whether the pool is scaled.
        type: bool
        required: true
      min_node_count:
        description: Least nodes per zone.
        type: int
      max_node_count:
        description: Most nodes per zone.
        type: int
      total_min_node_count:
        description: Least nodes in all zones.
        type: int
      total_max_node_count:
        description: Most nodes in all zones.
        type: int
      location_policy:
        description: How nodes are spread. V(ANY) takes them where there is capacity.
        type: str
        choices: [BALANCED, ANY]
  management:
    description: What GKE does to the nodes by itself.
    type: dict
    suboptions:
      auto_repair:
        description: Whether unhealthy nodes are repaired.
        type: bool
      auto_upgrade:
        description: Whether nodes follow the control plane's version.
        type: bool
  upgrade_settings:
    description: How nodes are upgraded.
    type: dict
    suboptions:
      strategy:
        description: V(SURGE) replaces them one after the other, V(BLUE_GREEN) all together.
        type: str
        choices: [SURGE, BLUE_GREEN, SHORT_LIVED]
      max_surge:
        description: How many nodes there may be in excess.
        type: int
      max_unavailable:
        description: How many nodes may be missing.
        type: int
      blue_green_settings:
        description: Settings of V(BLUE_GREEN).
        type: dict
        suboptions:
          node_pool_soak_duration:
            description: How long the old nodes are kept, in seconds with a V(s) behind.
            type: str
          standard_rollout_policy:
            description: In which steps the old nodes are drained.
            type: dict
            suboptions:
              batch_node_count:
                description: Nodes per step.
                type: int
              batch_soak_duration:
                description: Pause after a step, in seconds with a V(s) behind.
                type: str
  network_config:
    description: Networking of the nodes.
    type: dict
    suboptions:
      accelerator_network_profile:
        description: V(auto) makes GKE give the nodes all networks that their accelerators want. Cannot be changed.
        type: str
        choices: [auto]
      additional_node_network_configs:
        description: Further interfaces of the nodes. Cannot be changed.
        type: list
        elements: dict
        suboptions:
          network:
            description: The VPC.
            type: str
            required: true
          subnetwork:
            description: The subnetwork.
            type: str
            required: true
      enable_private_nodes:
        description: Whether nodes have internal addresses only.
        type: bool
      create_pod_range:
        description: Whether to make a secondary range for this pool. Used at creation only.
        type: bool
      pod_range:
        description: Secondary range of the Pods. Cannot be changed.
        type: str
      pod_ipv4_cidr_block:
        description: Range of the Pods. Cannot be changed.
        type: str
      subnetwork:
        description: Subnetwork of the nodes, where it differs from the cluster's. Cannot be changed.
        type: str
  placement_policy:
    description: How machines lie to each other. Cannot be changed.
    type: dict
    suboptions:
      type:
        description: V(COMPACT) puts them close together.
        type: str
        choices: [COMPACT]
      tpu_topology:
        description:
          - Topology of a TPU slice of several hosts, such as V(2x4) of C(ct6e-standard-4t).
          - Pools of single hosts take none, V(2x2) of C(ct6e-standard-4t) for instance.
        type: str
      policy_name:
        description: Name of a resource policy of your own.
        type: str
  queued_provisioning:
    description: Queued provisioning by the Dynamic Workload Scheduler; needs O(autoscaling).
    type: dict
    suboptions:
      enabled:
        description: Whether it is on.
        type: bool
        required: true

  max_pods_constraint:
    description: Limit of Pods per node. Cannot be changed.
    type: dict
    suboptions:
      max_pods_per_node:
        description: The limit.
        type: int
        required: true
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
  - module: aiserving.gke.cluster
  - module: aiserving.gke.node_pool_info
"""

EXAMPLES = r"""
- name: Four TPU v6e chips from a reservation, with managed DRANET
  aiserving.gke.node_pool:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: tpu-v6e
    dranet: true
    initial_node_count: 1
    config:
      machine_type: ct6e-standard-4t
      disk_size_gb: 200
      reservation_affinity:
        consume_reservation_type: SPECIFIC_RESERVATION
        values: [v6e-us-east5]
      workload_metadata_config:
        mode: GKE_METADATA

- name: The same on flex-start, as soon as there is capacity
  aiserving.gke.node_pool:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: tpu-flex
    dranet: true
    autoscaling:
      enabled: true
      max_node_count: 1
    config:
      machine_type: ct6e-standard-4t
      flex_start: true
      max_run_duration: 604800s

- name: Take the nodes of a region away, for a drill
  aiserving.gke.node_pool:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: tpu-v6e
    node_count: 0

- name: Replace a pool that a stockout has left behind
  aiserving.gke.node_pool:
    project: my-project
    cluster: serving-europe-west4
    location: europe-west4-a
    name: tpu-v6e
    dranet: true
    recreate: true
    initial_node_count: 1
    config:
      machine_type: ct6e-standard-4t

- name: Delete the pool
  aiserving.gke.node_pool:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: tpu-v6e
    state: absent
"""

RETURN = r"""
node_pool:
  description:
    - The pool as the API answers it, keys in snake_case; empty when it is absent.
    - With O(node_count) it also holds C(node_count).
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample:
    name: tpu-v6e
    status: RUNNING
    initial_node_count: 1
    config:
      machine_type: ct6e-standard-4t
plan:
  description: What was done, or in check mode what would be.
  returned: success
  type: dict
  contains:
    action:
      description: V(none), V(create), V(update), V(delete) or V(recreate).
      type: str
      sample: update
    changes:
      description: Per field that differs its value before and after, and the call that changes it.
      type: list
      elements: dict
      sample:
        - field: autoscaling
          before: {enabled: true, max_node_count: 1}
          after: {enabled: true, max_node_count: 2}
          call: set_node_pool_autoscaling
operation:
  description: The last operation that was started.
  returned: when a change was made
  type: dict
  sample:
    name: operation-1764000000000-abcdef
    operation_type: CREATE_NODE_POOL
    status: RUNNING
cause:
  description: What GKE says of a failed operation or a broken pool.
  returned: when GKE reports a failure
  type: str
  sample: "[GCE_STOCKOUT]: Instance creation failed"
remedy:
  description: What can be done about it.
  returned: when the failure is a known one
  type: str
  sample: the zone has no capacity of this kind now
"""

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._gke.cores import node_pool
from ansible_collections.aiserving.gke.plugins.module_utils._gke.spec import NODE_POOL_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(node_pool, {**GCP_SPEC, **wait_spec(2700), **NODE_POOL_SPEC})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
