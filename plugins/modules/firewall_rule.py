#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: firewall_rule
short_description: Manage a firewall rule of a VPC network
version_added: 1.0.0
description:
  - Creates, changes and deletes a firewall rule.
  - Only what you state is compared; the order of ranges, tags, protocols and ports says nothing.
options:
  name:
    description: Name of the rule.
    type: str
    required: true
  state:
    description: Whether the rule shall be there.
    type: str
    choices: [present, absent]
    default: present
  network:
    description:
      - The network, by name, path or URL; needed with O(state=present).
      - It cannot change later.
    type: str
  direction:
    description: Which traffic the rule is about. It cannot change later. Google takes V(INGRESS) when nothing is
      stated.
    type: str
    choices: [INGRESS, EGRESS]
  priority:
    description: 0 to 65535; the smallest number wins. Google takes 1000 when nothing is stated.
    type: int
  source_ranges:
    description: CIDR ranges that the traffic comes from.
    type: list
    elements: str
  destination_ranges:
    description: CIDR ranges that the traffic goes to; for O(direction=EGRESS).
    type: list
    elements: str
  source_tags:
    description: Tags of the machines that the traffic comes from.
    type: list
    elements: str
  target_tags:
    description: Tags of the machines that the rule holds for; all machines of the network when not stated.
    type: list
    elements: str
  target_service_accounts:
    description: Service accounts of the machines that the rule holds for.
    type: list
    elements: str
  allowed:
    description: What is let through. Exactly one of this and O(denied) is needed with O(state=present).
    type: list
    elements: dict
    suboptions:
      ip_protocol:
        description: V(tcp), V(udp), V(icmp), V(esp), V(ah), V(sctp), V(ipip), V(all) or a protocol's number.
        type: str
        required: true
      ports:
        description: Ports and ranges such as V(8000-8100); every port when not stated.
        type: list
        elements: str
  denied:
    description: What is refused.
    type: list
    elements: dict
    suboptions:
      ip_protocol:
        description: V(tcp), V(udp), V(icmp), V(esp), V(ah), V(sctp), V(ipip), V(all) or a protocol's number.
        type: str
        required: true
      ports:
        description: Ports and ranges such as V(8000-8100); every port when not stated.
        type: list
        elements: str
  disabled:
    description: Whether the rule is kept but not applied.
    type: bool
  log_config:
    description: Firewall logs.
    type: dict
    suboptions:
      enable:
        description: Whether decisions of this rule are logged.
        type: bool
        required: true
      metadata:
        description: Which metadata a record carries.
        type: str
        choices: [INCLUDE_ALL_METADATA, EXCLUDE_ALL_METADATA]
  description:
    description: A text on the rule.
    type: str
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
  - module: aiserving.gke.network
"""

EXAMPLES = r"""
---
- name: Let Google's health checkers reach the model servers
  aiserving.gke.firewall_rule:
    project: my-project
    name: allow-health-checks
    network: llm-vpc
    direction: INGRESS
    source_ranges: [130.211.0.0/22, 35.191.0.0/16]
    allowed:
      - ip_protocol: tcp
        ports: ["8000"]

- name: Let the nodes talk to each other
  aiserving.gke.firewall_rule:
    project: my-project
    name: allow-internal
    network: llm-vpc
    source_ranges: [10.0.0.0/8]
    allowed:
      - ip_protocol: all

- name: Switch a rule off without losing it
  aiserving.gke.firewall_rule:
    project: my-project
    name: allow-internal
    network: llm-vpc
    allowed:
      - ip_protocol: all
    disabled: true

- name: Delete a rule
  aiserving.gke.firewall_rule:
    project: my-project
    name: allow-internal
    state: absent
"""

RETURN = r"""
---
firewall_rule:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "allow-internal", "direction": "INGRESS", "priority": 1000, "allowed": [{"ip_protocol": "all"}]}
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
      sample: [{"field": "disabled", "before": false, "after": true, "call": "patch"}]
operation:
  description: Google's operation, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: dict
  sample: {"name": "operation-1764000000000-abc", "status": "RUNNING"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.network import FirewallRule
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

PROTOCOLS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "ip_protocol": {"type": "str", "required": True},
        "ports": {"type": "list", "elements": "str"},
    },
}

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "name": {"type": "str", "required": True},
    "network": {"type": "str"},
    "direction": {"type": "str", "choices": ["INGRESS", "EGRESS"]},
    "priority": {"type": "int"},
    "source_ranges": {"type": "list", "elements": "str"},
    "destination_ranges": {"type": "list", "elements": "str"},
    "source_tags": {"type": "list", "elements": "str"},
    "target_tags": {"type": "list", "elements": "str"},
    "target_service_accounts": {"type": "list", "elements": "str"},
    "allowed": PROTOCOLS,
    "denied": PROTOCOLS,
    "disabled": {"type": "bool"},
    "log_config": {
        "type": "dict",
        "options": {
            "enable": {"type": "bool", "required": True},
            "metadata": {"type": "str", "choices": ["INCLUDE_ALL_METADATA", "EXCLUDE_ALL_METADATA"]},
        },
    },
    "description": {"type": "str"},
}


def core(call: Call) -> dict[str, t.Any]:
    resource = FirewallRule(connect(call), call.params)
    return run_resource(call, "firewall_rule", resource, resource.desired())


MODULE = Module(
    core,
    SPEC,
    mutually_exclusive=[("allowed", "denied")],
    required_if=[("state", "present", ["network"]), ("state", "present", ["allowed", "denied"], True)],
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
