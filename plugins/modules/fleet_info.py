#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_info
short_description: Read the memberships and features of a fleet
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Lists the memberships and the features of the project's fleet, with their states.
options:
  location:
    description: Where memberships are looked for, V(global), a region, or V(-) for all.
    type: str
    default: "-"
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
seealso:
  - module: aiserving.gke.fleet_membership
  - module: aiserving.gke.fleet_feature
"""

EXAMPLES = r"""
- name: Read the fleet
  aiserving.gke.fleet_info:
    project: my-project
  register: fleet

- name: Memberships that are not ready
  ansible.builtin.debug:
    msg: "{{ fleet.memberships | rejectattr('state.code', 'eq', 'READY') | map(attribute='name') }}"

- name: Read the memberships of one region
  aiserving.gke.fleet_info:
    project: my-project
    location: us-east5
"""

RETURN = r"""
memberships:
  description: The memberships, as the API answers them, keys in snake_case.
  returned: success
  type: list
  elements: dict
  sample:
    - name: projects/my-project/locations/global/memberships/serving-us-east5
      state:
        code: READY
features:
  description: The features, as the API answers them, keys in snake_case.
  returned: success
  type: list
  elements: dict
  sample:
    - name: projects/my-project/locations/global/features/multiclusteringress
      resource_state:
        state: ACTIVE
"""

from ansible_collections.aiserving.gke.plugins.module_utils._fleet.cores import fleet_info
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(fleet_info, {**GCP_SPEC, "location": {"type": "str", "default": "-"}})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
