#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service
short_description: Enable or disable APIs of a project
version_added: 1.0.0
description:
  - Enables APIs (services) of a Google Cloud project, those that are not enabled yet, at most 20 in one request.
  - Can have Google make the service agents of the APIs, the identities by which they act in the project.
options:
  name:
    description: Names of the APIs, such as V(container.googleapis.com).
    type: list
    elements: str
    required: true
  state:
    description: Whether the APIs shall be enabled.
    type: str
    choices: [present, absent]
    default: present
  service_identity:
    description:
      - Whether to make the service agent of each API and return its email.
      - Google answers with the agent that is there, so this alone is never reported as a change.
    type: bool
    default: false
  disable_dependent_services:
    description: With O(state=absent), whether APIs that depend on these are disabled too. Otherwise the module fails
      when there are any.
    type: bool
    default: false
  wait_timeout:
    default: 600
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
  - module: aiserving.gke.iam_member
"""

EXAMPLES = r"""
---
- name: Enable what the service needs
  aiserving.gke.service:
    project: my-project
    name:
      - compute.googleapis.com
      - container.googleapis.com
      - gkehub.googleapis.com

- name: Make sure that the ingress controller has its identity
  aiserving.gke.service:
    project: my-project
    name: [multiclusteringress.googleapis.com]
    service_identity: true
  register: ingress

- name: Show it
  ansible.builtin.debug:
    msg: "{{ ingress.identities['multiclusteringress.googleapis.com'] }}"

- name: Disable an API
  aiserving.gke.service:
    project: my-project
    name: [multiclusteringress.googleapis.com]
    state: absent
"""

RETURN = r"""
---
services:
  description: The APIs that were named, with their state.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "container.googleapis.com", "state": "ENABLED"}]
identities:
  description: Email of each API's service agent, by the API's name; empty without O(service_identity=true).
    In check mode the email that Google's rule of naming gives.
  returned: success
  type: dict
  sample: {"container.googleapis.com": "service-123456789012@container-engine-robot.iam.gserviceaccount.com"}
plan:
  description: What differs and what is done about it; in check mode, what would be done.
  returned: success
  type: dict
  contains:
    action:
      description: One of V(none) and V(update).
      type: str
      sample: update
    changes:
      description: The APIs whose state changes.
      type: list
      elements: dict
      sample: [{"field": "container.googleapis.com", "before": "DISABLED", "after": "ENABLED", "call": "batchEnable"}]
operations:
  description: Google's operations, when O(wait=false) and the change goes on in the background.
  returned: when O(wait=false) and something has changed
  type: list
  elements: dict
  sample: [{"name": "operations/acat.p2-123456789012-abc"}]
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.services import Services
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(600),
    "name": {"type": "list", "elements": "str", "required": True},
    "service_identity": {"type": "bool", "default": False},
    "disable_dependent_services": {"type": "bool", "default": False},
}


def core(call: Call) -> dict[str, t.Any]:
    result = Services(connect(call), call.params).run()
    if not call.diff:
        del result["diff"]
    return result


MODULE = Module(core, SPEC)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
