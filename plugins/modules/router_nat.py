#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: router_nat
short_description: Manage a Cloud NAT on a Cloud Router
version_added: 1.0.0
description:
  - Creates, changes and deletes a NAT gateway, through which machines without external address reach the internet.
  - The Cloud Router is created when it is missing. With O(state=absent) a router that this module created goes with
    its last NAT; other routers stay.
  - Only what you state is compared.
options:
  name:
    description: Name of the NAT.
    type: str
    required: true
  router:
    description: Name of the Cloud Router.
    type: str
    required: true
  region:
    description: Region of the router.
    type: str
    required: true
  state:
    description: Whether the NAT shall be there.
    type: str
    choices: [present, absent]
    default: present
  network:
    description:
      - The network, by name, path or URL; needed when the router has to be created.
      - It cannot change later.
    type: str
  nat_ip_allocate_option:
    description: Whether Google chooses the external addresses or O(nat_ips) does. A new NAT has V(AUTO_ONLY) when
      nothing is stated.
    type: str
    choices: [AUTO_ONLY, MANUAL_ONLY]
  nat_ips:
    description: Addresses to use, by name, path or URL; for O(nat_ip_allocate_option=MANUAL_ONLY).
    type: list
    elements: str
  source_subnetwork_ip_ranges_to_nat:
    description: Which subnetworks of the region are served. A new NAT has V(ALL_SUBNETWORKS_ALL_IP_RANGES) when
      nothing is stated.
    type: str
    choices: [ALL_SUBNETWORKS_ALL_IP_RANGES, ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES, LIST_OF_SUBNETWORKS]
  subnetworks:
    description: The subnetworks that are served; for O(source_subnetwork_ip_ranges_to_nat=LIST_OF_SUBNETWORKS).
    type: list
    elements: dict
    suboptions:
      name:
        description: The subnetwork, by name, path or URL.
        type: str
        required: true
      source_ip_ranges_to_nat:
        description: Which of its ranges are served.
        type: list
        elements: str
        choices: [ALL_IP_RANGES, PRIMARY_IP_RANGE, LIST_OF_SECONDARY_IP_RANGES]
        default: [ALL_IP_RANGES]
      secondary_ip_range_names:
        description: The secondary ranges, for V(LIST_OF_SECONDARY_IP_RANGES).
        type: list
        elements: str
  min_ports_per_vm:
    description: How many ports a machine gets at least.
    type: int
  max_ports_per_vm:
    description: How many ports a machine gets at most; for O(enable_dynamic_port_allocation=true).
    type: int
  enable_dynamic_port_allocation:
    description: Whether a machine gets more ports as it needs them.
    type: bool
  log_config:
    description: Logs of the NAT.
    type: dict
    suboptions:
      enable:
        description: Whether the NAT logs.
        type: bool
        required: true
      filter:
        description: What is logged. A new NAT has V(ALL) when nothing is stated.
        type: str
        choices: [ALL, ERRORS_ONLY, TRANSLATIONS_ONLY]
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
- name: Give the nodes of a region a way out
  aiserving.gke.router_nat:
    project: my-project
    name: nat-us-east5
    router: router-us-east5
    region: us-east5
    network: llm-vpc
    log_config:
      enable: true
      filter: ERRORS_ONLY

- name: Serve one subnetwork only
  aiserving.gke.router_nat:
    project: my-project
    name: nat-us-east5
    router: router-us-east5
    region: us-east5
    network: llm-vpc
    source_subnetwork_ip_ranges_to_nat: LIST_OF_SUBNETWORKS
    subnetworks:
      - name: nodes-us-east5

- name: Leave through a reserved address
  aiserving.gke.router_nat:
    project: my-project
    name: nat-us-east5
    router: router-us-east5
    region: us-east5
    nat_ip_allocate_option: MANUAL_ONLY
    nat_ips: [way-out-us-east5]

- name: Remove the NAT
  aiserving.gke.router_nat:
    project: my-project
    name: nat-us-east5
    router: router-us-east5
    region: us-east5
    state: absent
"""

RETURN = r"""
---
router_nat:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "nat-us-east5", "router": "router-us-east5", "nat_ip_allocate_option": "AUTO_ONLY"}
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
      sample: [{"field": "min_ports_per_vm", "before": 64, "after": 128, "call": "patch"}]
operation:
  description: Google's operation, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: dict
  sample: {"name": "operation-1764000000000-abc", "status": "RUNNING"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.nat import RouterNat
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "name": {"type": "str", "required": True},
    "router": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "network": {"type": "str"},
    "nat_ip_allocate_option": {"type": "str", "choices": ["AUTO_ONLY", "MANUAL_ONLY"]},
    "nat_ips": {"type": "list", "elements": "str"},
    "source_subnetwork_ip_ranges_to_nat": {
        "type": "str",
        "choices": ["ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES", "LIST_OF_SUBNETWORKS"],
    },
    "subnetworks": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "source_ip_ranges_to_nat": {
                "type": "list",
                "elements": "str",
                "choices": ["ALL_IP_RANGES", "PRIMARY_IP_RANGE", "LIST_OF_SECONDARY_IP_RANGES"],
                "default": ["ALL_IP_RANGES"],
            },
            "secondary_ip_range_names": {"type": "list", "elements": "str"},
        },
    },
    "min_ports_per_vm": {"type": "int"},
    "max_ports_per_vm": {"type": "int"},
    "enable_dynamic_port_allocation": {"type": "bool"},
    "log_config": {
        "type": "dict",
        "options": {
            "enable": {"type": "bool", "required": True},
            "filter": {"type": "str", "choices": ["ALL", "ERRORS_ONLY", "TRANSLATIONS_ONLY"]},
        },
    },
}


def core(call: Call) -> dict[str, t.Any]:
    resource = RouterNat(connect(call), call.params)
    return run_resource(call, "router_nat", resource, resource.desired())


MODULE = Module(
    core,
    SPEC,
    required_if=[
        ("nat_ip_allocate_option", "MANUAL_ONLY", ["nat_ips"]),
        ("source_subnetwork_ip_ranges_to_nat", "LIST_OF_SUBNETWORKS", ["subnetworks"]),
    ],
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
