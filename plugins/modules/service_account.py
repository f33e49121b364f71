#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_account
short_description: Manage a service account
version_added: 1.0.0
description:
  - Creates, changes and deletes a service account of a Google Cloud project.
  - Only what you state is compared.
options:
  name:
    description: The account's ID, which is the part of its email before the @.
    type: str
    required: true
  state:
    description: Whether the account shall be there.
    type: str
    choices: [present, absent]
    default: present
  display_name:
    description: Name for people.
    type: str
  description:
    description: A text on the account.
    type: str
  disabled:
    description: Whether the account is kept but cannot be used.
    type: bool
  wait:
    description: Whether to wait until a new account can be read.
  wait_timeout:
    description: How many seconds to wait for that.
    default: 60
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
- name: Create the identity of the model servers
  aiserving.gke.service_account:
    project: my-project
    name: model-reader
    display_name: Reads the weights
  register: account

- name: Show its email
  ansible.builtin.debug:
    msg: "{{ account.service_account.email }}"

- name: Disable it
  aiserving.gke.service_account:
    project: my-project
    name: model-reader
    disabled: true

- name: Delete it
  aiserving.gke.service_account:
    project: my-project
    name: model-reader
    state: absent
"""

RETURN = r"""
---
service_account:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name) and C(email).
  returned: success
  type: dict
  sample: {"email": "model-reader@my-project.iam.gserviceaccount.com", "display_name": "Reads the weights"}
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
      sample: [{"field": "display_name", "before": "Reader", "after": "Reads the weights", "call": "patch"}]
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.iam import ServiceAccount
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(60),
    "name": {"type": "str", "required": True},
    "display_name": {"type": "str"},
    "description": {"type": "str"},
    "disabled": {"type": "bool"},
}


def core(call: Call) -> dict[str, t.Any]:
    resource = ServiceAccount(connect(call), call.params)
    return run_resource(call, "service_account", resource, resource.desired())


MODULE = Module(core, SPEC)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
