#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_session
short_description: Judge a failover drill before it begins, and let no second one begin
version_added: 1.0.0
description:
  - Judges all options of the drill, takes the report's directory for this drill alone, and looks at the estate.
    Every region's model servers must be ready, and every region's address must be answered by its own region,
    with the header C(x-serving-region). Whatever is wrong is told in one list, and no drill is begun.
  - An undo journal that an earlier drill has left open is told, with what undoing it would do. What that drill has
    broken counts as whole, since M(aiserving.gke.drill_fault) brings it back first.
  - The report of an earlier drill is moved into a directory under C(earlier), so that it does not stand beside a
    drill that was cut short.
  - The lock names the process that it belongs to. One whose process has gone is taken over, with a warning.
author: aiserving.gke contributors (@aiserving)
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._attributes
  - aiserving.gke._attributes.actiongroup_gcp
attributes:
  check_mode:
    support: full
    details: In check mode it judges and looks, and takes no lock.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: A second session is refused until the first is closed or its process has gone.
options:
  state:
    description: Whether the session is opened or closed; closing needs O(report_directory) alone.
    type: str
    choices: [open, closed]
    default: open
  report_directory:
    description: Where report, records, undo journal and lock are kept.
    type: path
    required: true
  owner_pid:
    description:
      - The process that the drill belongs to; when it has gone, so has the drill.
      - Set to the playbook's own process where the connection is local. Without it the lock counts as held until it
        is closed or deleted.
    type: int
  variable_prefix:
    description: What stands before the options' names where the user states them, for messages.
    type: str
    default: ""
  hosts:
    description: The hosts that this drill is played on; more than one is refused.
    type: list
    elements: str
    default: []
  regions:
    description: The regions of the service, at least two.
    type: list
    elements: dict
    suboptions:
      region:
        description: The region.
        type: str
        required: true
      cluster:
        description: Its cluster.
        type: str
        required: true
      location:
        description: The cluster's zone or region.
        type: str
        required: true
      address_name:
        description: The name of the gateway's address in the region.
        type: str
        required: true
      capacity:
        description: What the region was built of; for the report only.
        type: str
        default: ""
  primary:
    description: The region that is going to be broken.
    type: str
  model:
    description: The name of the served model.
    type: str
  namespace:
    description: The namespace of the model servers.
    type: str
    default: default
  deployment:
    description: The Deployment of the model servers.
    type: str
  gateway_port:
    description: The gateway's port.
    type: int
    default: 80
  rate:
    description: Requests per second from each region's clients.
    type: float
    default: 10
  max_tokens:
    description: The longest answer, in tokens.
    type: int
    default: 16
  request_timeout:
    description: Seconds after which a request without a complete answer is lost.
    type: float
    default: 30
  stable:
    description: Seconds without a lost request that make a steady state.
    type: float
    default: 10
  hold:
    description: Seconds that the survivors carry everything.
    type: float
    default: 10
  recovery_timeout:
    description: Seconds after which the drill stops waiting for recovery.
    type: float
    default: 180
  restore_timeout:
    description: Seconds that the primary may take to serve again.
    type: float
    default: 2700
  objective_recovery_seconds:
    description: The longest recovery that passes, in seconds.
    type: float
  objective_lost_percent:
    description: The largest RV(aiserving.gke.drill_report#module:summary) C(lost_percent) that passes.
    type: float
  objective_latency_p95_seconds:
    description: The longest 95th percentile of latency after recovery that passes, in seconds.
    type: float
requirements:
  - kubernetes >= 33.1 (Python package)
  - aiohttp >= 3.12
seealso:
  - module: aiserving.gke.drill_fault
  - module: aiserving.gke.inference_probe
"""

EXAMPLES = r"""
- name: Begin a drill
  aiserving.gke.drill_session: &drill
    project: my-project
    report_directory: /var/lib/drills
    primary: us-east5
    model: gemma-3-27b-it
    namespace: inference
    deployment: gemma-3-27b-it
    regions:
      - {region: us-east5, cluster: gke-us-east5, location: us-east5-b, address_name: gateway-us-east5}
      - {region: europe-west4, cluster: gke-europe-west4, location: europe-west4-a, address_name: gateway-europe-west4}
  register: drill

- name: See whether a drill could begin
  aiserving.gke.drill_session: *drill
  check_mode: true

- name: End it
  aiserving.gke.drill_session:
    report_directory: /var/lib/drills
    state: closed
"""

RETURN = r"""
paths:
  description: The files of the drill, absolute (C(directory), C(journal), C(records), C(stop)).
  type: dict
  returned: when O(state=open)
  sample: {directory: /var/lib/drills, journal: /var/lib/drills/undo.json}
primary:
  description: The region that is going to be broken.
  type: str
  returned: when O(state=open)
victim:
  description: Region, cluster, location and address_name of the primary.
  type: dict
  returned: when O(state=open)
replicas:
  description: The model servers wanted per region.
  type: dict
  returned: when O(state=open)
  sample: {us-east5: 1, europe-west4: 1}
urls:
  description: The base URL of every region's address.
  type: dict
  returned: when O(state=open)
  sample: {us-east5: "http://10.0.1.2:80"}
answers:
  description: What every region's address answered, and which region served that.
  type: dict
  returned: when O(state=open)
  sample: {us-east5: {text: "I am", served_by: us-east5}}
everyone_at_home:
  description: For M(aiserving.gke.drill_watch), the steady state.
  type: dict
  returned: when O(state=open)
everyone_at_survivors:
  description: For M(aiserving.gke.drill_watch), the state while the primary is broken.
  type: dict
  returned: when O(state=open)
longest:
  description: Seconds after which no such drill can still be at work.
  type: int
  returned: when O(state=open)
undo:
  description: What undoing the open journal of an earlier drill does, a sentence per workload; empty without one.
  type: list
  elements: str
  returned: when O(state=open)
undo_phase:
  description: How far that drill had come, one of V(planned), V(made) and V(undoing); empty without one.
  type: str
  returned: when O(state=open)
undo_began:
  description: When that drill wrote its journal, in seconds since the epoch.
  type: float
  returned: when O(state=open)
earlier:
  description: Where the report of an earlier drill went; empty when there was none.
  type: str
  returned: when O(state=open)
owner_pid:
  description: The process that the drill belongs to; V(0) when it is not known.
  type: int
  returned: when O(state=open)
rate:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
max_tokens:
  description: As stated, a number.
  type: int
  returned: when O(state=open)
request_timeout:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
stable:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
hold:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
recovery_timeout:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
restore_timeout:
  description: As stated, a number.
  type: float
  returned: when O(state=open)
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._drill.estate import hold_session
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

_REGION = {name: {"type": "str", "required": True} for name in ("region", "cluster", "location", "address_name")}

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
    "report_directory": {"type": "path", "required": True},
    "owner_pid": {"type": "int"},
    "variable_prefix": {"type": "str", "default": ""},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "regions": {
        "type": "list",
        "elements": "dict",
        "options": {**_REGION, "capacity": {"type": "str", "default": ""}},
    },
    "primary": {"type": "str"},
    "model": {"type": "str"},
    "namespace": {"type": "str", "default": "default"},
    "deployment": {"type": "str"},
    "gateway_port": {"type": "int", "default": 80},
    "rate": {"type": "float", "default": 10},
    "max_tokens": {"type": "int", "default": 16, "no_log": False},
    "request_timeout": {"type": "float", "default": 30},
    "stable": {"type": "float", "default": 10},
    "hold": {"type": "float", "default": 10},
    "recovery_timeout": {"type": "float", "default": 180},
    "restore_timeout": {"type": "float", "default": 2700},
    "objective_recovery_seconds": {"type": "float"},
    "objective_lost_percent": {"type": "float"},
    "objective_latency_p95_seconds": {"type": "float"},
}

MODULE = Module(hold_session, SPEC, required_if=[("state", "open", ["regions", "primary", "model", "deployment"])])


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
