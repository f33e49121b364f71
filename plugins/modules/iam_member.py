#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: iam_member
short_description: Give one member one role on a project, a bucket or a service account
version_added: 1.0.0
description:
  - Adds one member to one role in an IAM policy, or removes it. All other members and roles stay.
  - Changes of others in between are noticed by the policy's etag, and the change is made again on the new policy.
  - Google's IAM learns of new service accounts and identity pools with a delay. While it says that they do not
    exist, the module tries again until O(wait_timeout) is over.
options:
  role:
    description: The role, such as V(roles/storage.objectViewer).
    type: str
    required: true
  member:
    description:
      - Who gets the role, such as V(serviceAccount:EMAIL), V(group:EMAIL) or
        V(principal://iam.googleapis.com/...).
      - V(serviceAccount:PROJECT.svc.id.goog[NAMESPACE/NAME]) is a Kubernetes ServiceAccount.
    type: str
    required: true
  state:
    description: Whether the member shall have the role.
    type: str
    choices: [present, absent]
    default: present
  bucket:
    description: Name of the bucket whose policy it is. Without this and O(service_account) it is the project's.
    type: str
  service_account:
    description: Email of the service account whose policy it is.
    type: str
  condition:
    description:
      - When the role holds. A member with a condition and one without are two different ones.
    type: dict
    suboptions:
      title:
        description: Name of the condition.
        type: str
        required: true
      expression:
        description: The condition in Common Expression Language.
        type: str
        required: true
      description:
        description: A text on the condition.
        type: str
  wait:
    description: Whether to try again while Google does not know the member yet.
  wait_timeout:
    description: How many seconds to try again, for that reason and because of changes of others in between.
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
  - module: aiserving.gke.service_account
"""

EXAMPLES = r"""
---
- name: Let an identity read and write a bucket
  aiserving.gke.iam_member:
    project: my-project
    bucket: my-project-gemma-weights
    role: roles/storage.objectAdmin
    member: serviceAccount:model-reader@my-project.iam.gserviceaccount.com

- name: Let a Kubernetes ServiceAccount act as that identity
  aiserving.gke.iam_member:
    project: my-project
    service_account: model-reader@my-project.iam.gserviceaccount.com
    role: roles/iam.workloadIdentityUser
    member: "serviceAccount:my-project.svc.id.goog[models/vllm]"

- name: Give a role of the project for a time
  aiserving.gke.iam_member:
    project: my-project
    role: roles/container.viewer
    member: group:operators@example.com
    condition:
      title: until-spring
      expression: request.time < timestamp("2027-03-21T00:00:00Z")

- name: Take a role away
  aiserving.gke.iam_member:
    project: my-project
    role: roles/container.viewer
    member: group:operators@example.com
    state: absent
"""

RETURN = r"""
---
iam_member:
  description: The member as it is in the policy; empty when it is not there.
  returned: success
  type: dict
  sample: {"role": "roles/container.viewer", "member": "group:operators@example.com", "resource": "project my-project"}
plan:
  description: What is done; in check mode, what would be done.
  returned: success
  type: dict
  contains:
    action:
      description: One of V(none), V(create) and V(delete).
      type: str
      sample: create
    changes:
      description: Always empty, since a member is there or not.
      type: list
      elements: dict
      sample: []
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.iam import Member
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(300),
    "role": {"type": "str", "required": True},
    "member": {"type": "str", "required": True},
    "bucket": {"type": "str"},
    "service_account": {"type": "str"},
    "condition": {
        "type": "dict",
        "options": {
            "title": {"type": "str", "required": True},
            "expression": {"type": "str", "required": True},
            "description": {"type": "str"},
        },
    },
}


def core(call: Call) -> dict[str, t.Any]:
    resource = Member(connect(call), call.params)
    return run_resource(call, "iam_member", resource, resource.desired())


MODULE = Module(core, SPEC, mutually_exclusive=[("bucket", "service_account")])


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
