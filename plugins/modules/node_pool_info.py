#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_pool_info
short_description: Read the node pools of a GKE cluster
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Lists the node pools of a cluster, or reads one. A pool or cluster that does not exist is no failure.
requirements:
  - google-cloud-container >= 2.65
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  location:
    description: The cluster's zone or region.
    type: str
    required: true
  name:
    description: Name of one pool.
    type: str
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._attributes
  - aiserving.gke._attributes.actiongroup_gcp
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: aiserving.gke.node_pool
"""

EXAMPLES = r"""
- name: List the pools
  aiserving.gke.node_pool_info:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
  register: pools

- name: Pools with managed DRANET
  ansible.builtin.debug:
    msg: "{{ pools.node_pools | selectattr('network_config.accelerator_network_profile', 'defined') | list }}"

- name: Read one pool
  aiserving.gke.node_pool_info:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: tpu-v6e
  register: tpu

- name: Be sure of the capacity
  ansible.builtin.assert:
    that:
      - tpu.exists
      - tpu.node_pool.status == 'RUNNING'
"""

RETURN = r"""
node_pools:
  description: The pools found, as the API answers them, keys in snake_case.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "tpu-v6e", "status": "RUNNING"}]
exists:
  description: Whether the pool is there.
  returned: when O(name) is given
  type: bool
  sample: true
node_pool:
  description: The pool; empty when it does not exist.
  returned: when O(name) is given
  type: dict
  sample: {"name": "tpu-v6e", "status": "RUNNING"}
"""

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._gke.cores import node_pool_info
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

NAMES = {
    "cluster": {"type": "str", "required": True},
    "location": {"type": "str", "required": True},
    "name": {"type": "str"},
}


MODULE = Module(node_pool_info, {**GCP_SPEC, **NAMES})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
