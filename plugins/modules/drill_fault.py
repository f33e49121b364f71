#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_fault
short_description: Take the replicas of a workload away, and bring them back from a journal alone
version_added: 1.0.0
description:
  - With O(state=present) it writes down how many replicas the workload has, in a journal that says how to undo
    what follows, and then sets the number that the fault leaves.
  - With O(state=absent) it undoes what the journal names, waits until it is ready, and removes the journal.
    Only what is still as the fault left it is restored. A drill that was killed before its fault has broken
    nothing, and what somebody has scaled since is left as it is.
  - While the journal exists the fault has not been undone, and the journal alone says how to.
author: aiserving.gke contributors (@aiserving)
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
    support: partial
    details: A fault is made once; while its journal is open, another one is refused.
options:
  state:
    description: Whether the fault is made or undone.
    type: str
    choices: [present, absent]
    default: present
  journal:
    description: The journal's file; it is written with mode 0600, before the fault.
    type: path
    required: true
  cluster:
    description: Name of the workload's GKE cluster, for O(state=present).
    type: str
  location:
    description: Zone or region of O(cluster).
    type: str
  kind:
    description: Kind of the workload.
    type: str
    choices: [Deployment, StatefulSet, ReplicaSet]
    default: Deployment
  namespace:
    description: Namespace of the workload.
    type: str
    default: default
  name:
    description: Name of the workload.
    type: str
  replicas:
    description: How many replicas the fault leaves.
    type: int
    default: 0
  wait_timeout:
    description: How many seconds the restored replicas may take to get ready.
    type: int
    default: 600
  owner_pid:
    description:
      - The process that the drill belongs to. Other processes are refused while M(aiserving.gke.drill_session)
        has locked the journal's directory for it.
      - Set to the playbook's own process where the connection is local.
    type: int
requirements:
  - kubernetes >= 33.1 (Python package)
seealso:
  - module: aiserving.gke.drill_session
"""

EXAMPLES = r"""
- name: Take the model servers of a region away
  aiserving.gke.drill_fault:
    project: my-project
    journal: /var/lib/drills/undo.json
    cluster: gke-us-east5
    location: us-east5-b
    namespace: inference
    name: gemma-3-27b-it
  register: fault

- name: Bring back whatever a drill has taken away
  aiserving.gke.drill_fault:
    project: my-project
    journal: /var/lib/drills/undo.json
    state: absent
    wait_timeout: 2700

- name: See what would be brought back
  aiserving.gke.drill_fault:
    project: my-project
    journal: /var/lib/drills/undo.json
    state: absent
  check_mode: true
"""

RETURN = r"""
told:
  description: What was done, or in check mode would be done, to every workload.
  type: list
  elements: str
  returned: success
  sample: ["Deployment inference/gemma-3-27b-it in gke-us-east5: 0 -> 1 replicas, as before the fault"]
applied_at:
  description: When the API server had taken the change, in seconds since the epoch.
  type: float
  returned: when something was written, also when it did not get ready in time
  sample: 1790000000.25
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._drill.estate import break_or_restore
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._kube.scale import KINDS
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    "journal": {"type": "path", "required": True},
    "cluster": {"type": "str"},
    "location": {"type": "str"},
    "kind": {"type": "str", "choices": list(KINDS), "default": "Deployment"},
    "namespace": {"type": "str", "default": "default"},
    "name": {"type": "str"},
    "replicas": {"type": "int", "default": 0},
    "wait_timeout": {"type": "int", "default": 600},
    "owner_pid": {"type": "int"},
}

MODULE = Module(break_or_restore, SPEC, required_if=[("state", "present", ["cluster", "location", "name"])])


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
