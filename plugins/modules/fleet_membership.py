#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_membership
short_description: Register GKE clusters in a fleet
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Manages the membership of a GKE cluster in the fleet of a project.
  - The cluster behind a membership cannot be changed; O(recreate=true) registers it anew.
  - A membership whose cluster is gone is stale, and a failure that says so.
options:
  name:
    description: Name of the membership, up to 63 lower-case letters, digits and hyphens.
    type: str
    required: true
  location:
    description:
      - Where the membership is kept, V(global) or a region.
      - Clusters that register themselves (option O(aiserving.gke.cluster#module:fleet) of
        M(aiserving.gke.cluster)) do so in their region.
    type: str
    default: global
  state:
    description: Whether the membership is to exist.
    type: str
    choices: [present, absent]
    default: present
  cluster:
    description: Name of the cluster. Required with O(state=present).
    type: str
  cluster_location:
    description: The cluster's zone or region. Required with O(state=present).
    type: str
  cluster_project:
    description: The cluster's project, when it is not O(project).
    type: str
  authority:
    description: Who vouches for the cluster's service accounts in the fleet. Cannot be changed.
    type: dict
    suboptions:
      issuer:
        description:
          - URL of the issuer; at creation the cluster's own when left out. An empty string registers without one,
            for clusters without Workload Identity.
        type: str
        required: true
  description:
    description: A text on the membership.
    type: str
  labels:
    description: Labels of the membership. Labels that are not stated here stay, unless O(purge_labels=true).
    type: dict
  recreate:
    description:
      - Whether to unregister and register anew a membership that is stale, that is of another cluster, or whose
        connection a feature of the fleet reports as lost.
      - While it is away, multi-cluster gateways send no traffic to that cluster.
    type: bool
    default: false
  force:
    description: Whether to delete the membership though resources of the fleet depend on it.
    type: bool
    default: false
  wait_timeout:
    default: 600
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
  - module: aiserving.gke.fleet_feature
  - module: aiserving.gke.fleet_info
"""

EXAMPLES = r"""
- name: Register a cluster
  aiserving.gke.fleet_membership:
    project: my-project
    name: serving-us-east5
    cluster: serving-us-east5
    cluster_location: us-east5-a

- name: Register it anew, after the fleet has lost its connection
  aiserving.gke.fleet_membership:
    project: my-project
    name: serving-us-east5
    cluster: serving-us-east5
    cluster_location: us-east5-a
    recreate: true

- name: Label it
  aiserving.gke.fleet_membership:
    project: my-project
    name: serving-us-east5
    cluster: serving-us-east5
    cluster_location: us-east5-a
    labels:
      role: serving

- name: Unregister it
  aiserving.gke.fleet_membership:
    project: my-project
    name: serving-us-east5
    state: absent
"""

RETURN = r"""
membership:
  description:
    - The membership as the API answers it, keys in snake_case; empty when it is absent.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample:
    name: projects/my-project/locations/global/memberships/serving-us-east5
    state:
      code: READY
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
        - field: labels
          before: null
          after: {role: serving}
          call: patch
operation:
  description: The last operation that was started.
  returned: when a change was made
  type: dict
  sample:
    name: projects/my-project/locations/global/operations/operation-1764000000000-abcdef
    done: true
"""

from ansible_collections.aiserving.gke.plugins.module_utils._fleet.cores import fleet_membership
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import (
    GCP_SPEC,
    LABELS_SPEC,
    STATE_SPEC,
    wait_spec,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MEMBERSHIP_SPEC = {
    "name": {"type": "str", "required": True},
    "location": {"type": "str", "default": "global"},
    "cluster": {"type": "str"},
    "cluster_location": {"type": "str"},
    "cluster_project": {"type": "str"},
    "authority": {"type": "dict", "options": {"issuer": {"type": "str", "required": True}}},
    "description": {"type": "str"},
    **LABELS_SPEC,
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


MODULE = Module(
    fleet_membership,
    {**GCP_SPEC, **STATE_SPEC, **wait_spec(600), **MEMBERSHIP_SPEC},
    required_if=[("state", "present", ("cluster", "cluster_location"))],
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
