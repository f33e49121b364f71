#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bucket_objects_info
short_description: List the objects of a Cloud Storage bucket, and what is missing of them
version_added: 1.0.0
description:
  - Lists the objects of a bucket whose names begin with a prefix.
  - Compares their names and sizes with a manifest that lies among them, such as the one that role
    P(aiserving.gke.model#role) leaves beside the weights of a model.
options:
  bucket:
    description: Name of the bucket. One that does not exist has no objects.
    type: str
    required: true
  prefix:
    description: How the names of the objects begin; a folder ends with a slash.
    type: str
    default: ""
  manifest:
    description: Name, after O(prefix), of a JSON document whose C(files) maps the names (after O(prefix)) of all
      objects that belong there to their sizes in bytes.
    type: str
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
    support: full
author:
  - aiserving.gke contributors (@aiserving)
seealso:
  - module: aiserving.gke.bucket
"""

EXAMPLES = r"""
---
- name: See whether a model's weights are whole
  aiserving.gke.bucket_objects_info:
    project: my-project
    bucket: my-project-gemma-weights
    prefix: google/gemma-3-27b-it/main/
    manifest: .files.json
  register: weights

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ weights.missing | map(attribute='name') | join(', ') or 'nothing' }}"
  when: not weights.complete

- name: Count the objects of a bucket
  aiserving.gke.bucket_objects_info:
    project: my-project
    bucket: my-project-gemma-weights
  register: everything
"""

RETURN = r"""
---
objects:
  description: The objects, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name in the bucket.
      type: str
      sample: google/gemma-3-27b-it/main/config.json
    size:
      description: Size in bytes.
      type: int
      sample: 1180
    updated:
      description: When it was written last.
      type: str
      sample: "2026-11-24T12:00:00.000Z"
complete:
  description: Whether the manifest is there, and every object that it names, in its size.
  returned: when O(manifest) is given
  type: bool
missing:
  description: The objects that the manifest names and that are not there, or in another size. Empty without a manifest.
  returned: when O(manifest) is given
  type: list
  elements: dict
  contains:
    name:
      description: Name in the bucket.
      type: str
      sample: google/gemma-3-27b-it/main/model-00002-of-00012.safetensors
    size:
      description: The size in bytes that the manifest gives.
      type: int
      sample: 4954847344
    found:
      description: The size in bytes of the object that is there; null when there is none.
      type: int
      sample: 1048576
"""

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.storage import objects_info
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(
    objects_info,
    {
        **GCP_SPEC,
        "bucket": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "manifest": {"type": "str"},
    },
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
