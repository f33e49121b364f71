#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: subnetwork
short_description: Manage a subnetwork of a VPC network
version_added: 1.0.0
description:
  - Creates, changes and deletes a subnetwork, among them the proxy-only ones that regional and cross-regional
    load balancers need.
  - Only what you state is compared; secondary ranges that GKE adds are left alone.
options:
  name:
    description: Name of the subnetwork.
    type: str
    required: true
  region:
    description: Region of the subnetwork.
    type: str
    required: true
  state:
    description: Whether the subnetwork shall be there.
    type: str
    choices: [present, absent]
    default: present
  network:
    description:
      - The network, by name, path or URL; needed with O(state=present).
      - It cannot change later.
    type: str
  ip_cidr_range:
    description:
      - Range of the subnetwork; needed with O(state=present).
      - It can be expanded later, never shrunk or moved.
    type: str
  purpose:
    description:
      - What the subnetwork is for. It cannot change later.
      - V(GLOBAL_MANAGED_PROXY) is for the proxies of cross-regional gateways, V(REGIONAL_MANAGED_PROXY) for
        those of regional ones. Google takes V(PRIVATE) when nothing is stated.
    type: str
    choices: [PRIVATE, GLOBAL_MANAGED_PROXY, REGIONAL_MANAGED_PROXY, PRIVATE_SERVICE_CONNECT, PRIVATE_NAT]
  role:
    description: Whether a proxy-only subnetwork is in use or a reserve.
    type: str
    choices: [ACTIVE, BACKUP]
  private_ip_google_access:
    description: Whether machines without external address reach Google's APIs.
    type: bool
  secondary_ip_ranges:
    description: Further ranges, for Pods and Services. Ranges that are not stated stay.
    type: list
    elements: dict
    suboptions:
      range_name:
        description: Name of the range.
        type: str
        required: true
      ip_cidr_range:
        description: The range.
        type: str
        required: true
  log_config:
    description: VPC flow logs.
    type: dict
    suboptions:
      enable:
        description: Whether flows are logged.
        type: bool
        required: true
      aggregation_interval:
        description: Over which time flows are put together.
        type: str
        choices: [INTERVAL_5_SEC, INTERVAL_30_SEC, INTERVAL_1_MIN, INTERVAL_5_MIN, INTERVAL_10_MIN, INTERVAL_15_MIN]
      flow_sampling:
        description: Share of the flows that is logged, 0.0 to 1.0.
        type: float
      metadata:
        description: Which metadata a record carries.
        type: str
        choices: [INCLUDE_ALL_METADATA, EXCLUDE_ALL_METADATA]
  description:
    description: A text on the subnetwork; it cannot change later.
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
  - module: aiserving.gke.address
"""

EXAMPLES = r"""
---
- name: Create the subnetwork of the nodes
  aiserving.gke.subnetwork:
    project: my-project
    name: nodes-us-east5
    region: us-east5
    network: llm-vpc
    ip_cidr_range: 10.0.1.0/24
    private_ip_google_access: true

- name: Create the proxy-only subnetwork of the cross-regional gateway
  aiserving.gke.subnetwork:
    project: my-project
    name: proxies-us-east5
    region: us-east5
    network: llm-vpc
    ip_cidr_range: 10.1.1.0/24
    purpose: GLOBAL_MANAGED_PROXY
    role: ACTIVE

- name: Make room for more nodes
  aiserving.gke.subnetwork:
    project: my-project
    name: nodes-us-east5
    region: us-east5
    network: llm-vpc
    ip_cidr_range: 10.0.0.0/23

- name: Delete a subnetwork
  aiserving.gke.subnetwork:
    project: my-project
    name: proxies-us-east5
    region: us-east5
    state: absent
"""

RETURN = r"""
---
subnetwork:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "nodes-us-east5", "ip_cidr_range": "10.0.1.0/24", "purpose": "PRIVATE", "state": "READY"}
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
      sample: [{"field": "ip_cidr_range", "before": "10.0.1.0/24", "after": "10.0.0.0/23", "call": "expandIpCidrRange"}]
operation:
  description: Google's operation, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: dict
  sample: {"name": "operation-1764000000000-abc", "status": "RUNNING"}
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.network import Subnetwork
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "name": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "network": {"type": "str"},
    "ip_cidr_range": {"type": "str"},
    "purpose": {
        "type": "str",
        "choices": [
            "PRIVATE",
            "GLOBAL_MANAGED_PROXY",
            "REGIONAL_MANAGED_PROXY",
            "PRIVATE_SERVICE_CONNECT",
            "PRIVATE_NAT",
        ],
    },
    "role": {"type": "str", "choices": ["ACTIVE", "BACKUP"]},
    "private_ip_google_access": {"type": "bool"},
    "secondary_ip_ranges": {
        "type": "list",
        "elements": "dict",
        "options": {
            "range_name": {"type": "str", "required": True},
            "ip_cidr_range": {"type": "str", "required": True},
        },
    },
    "log_config": {
        "type": "dict",
        "options": {
            "enable": {"type": "bool", "required": True},
            "aggregation_interval": {
                "type": "str",
                "choices": [
                    "INTERVAL_5_SEC",
                    "INTERVAL_30_SEC",
                    "INTERVAL_1_MIN",
                    "INTERVAL_5_MIN",
                    "INTERVAL_10_MIN",
                    "INTERVAL_15_MIN",
                ],
            },
            "flow_sampling": {"type": "float"},
            "metadata": {"type": "str", "choices": ["INCLUDE_ALL_METADATA", "EXCLUDE_ALL_METADATA"]},
        },
    },
    "description": {"type": "str"},
}


def core(call: Call) -> dict[str, t.Any]:
    resource = Subnetwork(connect(call), call.params)
    return run_resource(call, "subnetwork", resource, resource.desired())


MODULE = Module(core, SPEC, required_if=[("state", "present", ["network", "ip_cidr_range"])])


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
