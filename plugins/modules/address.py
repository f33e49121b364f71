#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: address
short_description: Reserve a regional IP address
version_added: 1.0.0
description:
  - Reserves and releases a regional address, such as the virtual address of a gateway.
  - An address that is there is never released to change it. Everything but the labels is fixed at creation;
    a difference fails and names the field. To replace an address, state O(state=absent) first.
options:
  name:
    description: Name of the address.
    type: str
    required: true
  region:
    description: Region of the address.
    type: str
    required: true
  state:
    description: Whether the address shall be reserved. V(absent) releases it.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: The address itself; Google chooses a free one when nothing is stated.
    type: str
  address_type:
    description: Whether the address is internal to the network. Google takes V(EXTERNAL) when nothing is stated.
    type: str
    choices: [INTERNAL, EXTERNAL]
  purpose:
    description:
      - What an internal address is for.
      - V(SHARED_LOADBALANCER_VIP) may be shared by several forwarding rules.
    type: str
    choices: [GCE_ENDPOINT, SHARED_LOADBALANCER_VIP, PRIVATE_SERVICE_CONNECT]
  subnetwork:
    description: The subnetwork that an internal address comes from, by name, path or URL.
    type: str
  network_tier:
    description: Network tier of an external address.
    type: str
    choices: [PREMIUM, STANDARD]
  labels:
    description: Labels; those that are not stated stay, unless O(purge_labels=true).
    type: dict
  description:
    description: A text on the address.
    type: str
  wait_timeout:
    default: 300
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
author:
  - aiserving.gke contributors (@aiserving)
seealso:
  - module: aiserving.gke.subnetwork
"""

EXAMPLES = r"""
---
- name: Reserve the gateway's address in a region
  aiserving.gke.address:
    project: my-project
    name: gateway-us-east5
    region: us-east5
    address_type: INTERNAL
    purpose: SHARED_LOADBALANCER_VIP
    subnetwork: nodes-us-east5
  register: vip

- name: Show it
  ansible.builtin.debug:
    msg: "{{ vip.address.address }}"

- name: Label it
  aiserving.gke.address:
    project: my-project
    name: gateway-us-east5
    region: us-east5
    labels:
      team: serving

- name: Release it
  aiserving.gke.address:
    project: my-project
    name: gateway-us-east5
    region: us-east5
    state: absent
"""

RETURN = r"""
---
address:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "gateway-us-east5", "address": "10.0.1.5", "address_type": "INTERNAL", "status": "RESERVED"}
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
      sample: [{"field": "labels", "before": {}, "after": {"team": "serving"}, "call": "setLabels"}]
operation:
  description: Google's operation, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: dict
  sample: {"name": "operation-1764000000000-abc", "status": "RUNNING"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.network import Address
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import (
    GCP_SPEC,
    LABELS_SPEC,
    STATE_SPEC,
    wait_spec,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "name": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "address": {"type": "str"},
    "address_type": {"type": "str", "choices": ["INTERNAL", "EXTERNAL"]},
    "purpose": {"type": "str", "choices": ["GCE_ENDPOINT", "SHARED_LOADBALANCER_VIP", "PRIVATE_SERVICE_CONNECT"]},
    "subnetwork": {"type": "str"},
    "network_tier": {"type": "str", "choices": ["PREMIUM", "STANDARD"]},
    **LABELS_SPEC,
    "description": {"type": "str"},
}


def core(call: Call) -> dict[str, t.Any]:
    resource = Address(connect(call), call.params)
    return run_resource(call, "address", resource, resource.desired())


MODULE = Module(core, SPEC)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
