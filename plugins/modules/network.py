#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: network
short_description: Manage a VPC network
version_added: 1.0.0
description:
  - Creates, changes and deletes a VPC network of a Google Cloud project.
  - Only what you state is compared; what Google adds is left alone.
options:
  name:
    description: Name of the network.
    type: str
    required: true
  state:
    description: Whether the network shall be there.
    type: str
    choices: [present, absent]
    default: present
  auto_create_subnetworks:
    description:
      - Whether Google creates a subnetwork in every region by itself. A new network has V(false) when nothing is
        stated.
      - An auto mode network can be turned into a custom one, not the other way round.
    type: bool
  description:
    description: A text on the network; it cannot change later.
    type: str
  mtu:
    description: Largest packet in bytes, 1300 to 8896. Accelerators profit from 8896.
    type: int
  network_firewall_policy_enforcement_order:
    description: Whether firewall policies are looked at before or after firewall rules.
    type: str
    choices: [BEFORE_CLASSIC_FIREWALL, AFTER_CLASSIC_FIREWALL]
  routing_config:
    description: How routes are shared between regions.
    type: dict
    suboptions:
      routing_mode:
        description: V(GLOBAL) shares dynamic routes between all regions.
        type: str
        choices: [REGIONAL, GLOBAL]
        required: true
  wait_timeout:
    default: 300
extends_documentation_fragment:
  - aiserving.gke._gcp
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
author:
  - aiserving.gke contributors (@aiserving)
seealso:
  - module: aiserving.gke.subnetwork
"""

EXAMPLES = r"""
---
- name: Create the network of the service
  aiserving.gke.network:
    project: my-project
    name: llm-vpc
    mtu: 8896
    routing_config:
      routing_mode: GLOBAL

- name: See what a change would do
  aiserving.gke.network:
    project: my-project
    name: llm-vpc
    mtu: 1460
  check_mode: true
  diff: true

- name: Start the creation and go on
  aiserving.gke.network:
    project: my-project
    name: llm-vpc
    wait: false

- name: Delete the network
  aiserving.gke.network:
    project: my-project
    name: llm-vpc
    state: absent
"""

RETURN = r"""
---
network:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "llm-vpc", "auto_create_subnetworks": false, "mtu": 8896}
plan:
  description: What differs and what is done about it; in check mode, what would be done.
  returned: success
  type: dict
  contains:
    action:
      description: One of V(none), V(create), V(update), V(delete) and V(recreate).
      type: str
      sample: update
    changes:
      description: The differing fields, each with its value before and after and the API call that changes it.
      type: list
      elements: dict
      sample: [{"field": "mtu", "before": 1460, "after": 8896, "call": "patch"}]
operation:
  description: Google's operation, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: dict
  sample: {"name": "operation-1764000000000-abc", "status": "RUNNING"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.network import Network
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "name": {"type": "str", "required": True},
    "auto_create_subnetworks": {"type": "bool"},
    "description": {"type": "str"},
    "mtu": {"type": "int"},
    "network_firewall_policy_enforcement_order": {
        "type": "str",
        "choices": ["BEFORE_CLASSIC_FIREWALL", "AFTER_CLASSIC_FIREWALL"],
    },
    "routing_config": {
        "type": "dict",
        "options": {"routing_mode": {"type": "str", "choices": ["REGIONAL", "GLOBAL"], "required": True}},
    },
}


def core(call: Call) -> dict[str, t.Any]:
    resource = Network(connect(call), call.params)
    return run_resource(call, "network", resource, resource.desired())


MODULE = Module(core, SPEC)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
