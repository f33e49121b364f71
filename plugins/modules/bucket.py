#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bucket
short_description: Manage a Cloud Storage bucket
version_added: 1.0.0
description:
  - Creates, changes and deletes a bucket, such as the one that holds the weights of a model.
  - Only what you state is compared.
options:
  name:
    description: Name of the bucket; unique among all buckets of Google Cloud.
    type: str
    required: true
  state:
    description: Whether the bucket shall be there.
    type: str
    choices: [present, absent]
    default: present
  location:
    description: Region, dual-region or multi-region such as V(US). It cannot change later. Google takes V(US) when
      nothing is stated.
    type: str
  storage_class:
    description: Storage class of new objects. Google takes V(STANDARD) when nothing is stated.
    type: str
    choices: [STANDARD, NEARLINE, COLDLINE, ARCHIVE]
  uniform_bucket_level_access:
    description: Whether access is by IAM alone, without access control lists of objects.
    type: bool
  public_access_prevention:
    description: Whether objects can be made public.
    type: str
    choices: [inherited, enforced]
  versioning:
    description: Whether replaced and deleted objects are kept as older versions.
    type: bool
  labels:
    description: Labels; those that are not stated stay, unless O(purge_labels=true).
    type: dict
  force_destroy:
    description: With O(state=absent), whether the objects in the bucket are deleted with it. Otherwise a bucket
      that is not empty stays, and the module fails.
    type: bool
    default: false
  wait:
    description: Buckets change at once; there is nothing to wait for.
  wait_timeout:
    description: Buckets change at once; there is nothing to wait for.
    default: 60
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
  - module: aiserving.gke.iam_member
"""

EXAMPLES = r"""
---
- name: Create the bucket of the weights
  aiserving.gke.bucket:
    project: my-project
    name: my-project-gemma-weights
    location: US
    uniform_bucket_level_access: true
    public_access_prevention: enforced

- name: Keep older versions, and label the bucket
  aiserving.gke.bucket:
    project: my-project
    name: my-project-gemma-weights
    versioning: true
    labels:
      model: gemma

- name: Delete the bucket if it is empty
  aiserving.gke.bucket:
    project: my-project
    name: my-project-gemma-weights
    state: absent

- name: Delete the bucket with all that is in it
  aiserving.gke.bucket:
    project: my-project
    name: my-project-gemma-weights
    state: absent
    force_destroy: true
"""

RETURN = r"""
---
bucket:
  description:
    - The object as Google answers it, keys in snake_case; empty when there is none.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample: {"name": "my-project-gemma-weights", "location": "US", "storage_class": "STANDARD"}
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
      sample: [{"field": "versioning.enabled", "before": null, "after": true, "call": "patch"}]
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call, run_resource
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import (
    GCP_SPEC,
    LABELS_SPEC,
    STATE_SPEC,
    wait_spec,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.storage import Bucket
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **STATE_SPEC,
    **wait_spec(60),
    "name": {"type": "str", "required": True},
    "location": {"type": "str"},
    "storage_class": {"type": "str", "choices": ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]},
    "uniform_bucket_level_access": {"type": "bool"},
    "public_access_prevention": {"type": "str", "choices": ["inherited", "enforced"]},
    "versioning": {"type": "bool"},
    **LABELS_SPEC,
    "force_destroy": {"type": "bool", "default": False},
}


def core(call: Call) -> dict[str, t.Any]:
    resource = Bucket(connect(call), call.params)
    return run_resource(call, "bucket", resource, resource.desired())


MODULE = Module(core, SPEC)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
