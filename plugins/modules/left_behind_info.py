#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: left_behind_info
short_description: Tell which clusters, node pools and memberships nobody names any more
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Compares the clusters on a VPC network, their node pools and the memberships of the fleet with those that an
    inventory names. What is there besides was renamed or dropped from the inventory, stays, and is billed.
  - Memberships are named only when their cluster is gone.
  - Changes nothing, and what may not be listed is no failure.
options:
  network:
    description: Name of the VPC network that is the service's own.
    type: str
    required: true
  clusters:
    description:
      - The clusters that are wanted, each as C(LOCATION/NAME), with a list of the names of its node pools.
      - With an empty list the cluster's node pools are not looked at. Its C(default-pool) never is.
      - Without a location, as C(/NAME), a cluster of that name is wanted wherever it is.
    type: dict
    required: true
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._attributes
  - aiserving.gke._attributes.actiongroup_gcp
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: aiserving.gke.cluster_info
  - module: aiserving.gke.fleet_info
"""

EXAMPLES = r"""
- name: See what is left of regions and pools that are no longer wanted
  aiserving.gke.left_behind_info:
    project: my-project
    network: serving
    clusters:
      us-east5-a/serving-us-east5: [tpu-v6e]
      europe-west4-a/serving-europe-west4: [tpu-v6e]
  register: found

- name: Say what would remove it
  ansible.builtin.debug:
    msg: "{{ found.left_behind | map(attribute='command') }}"
"""

RETURN = r"""
left_behind:
  description: What is there and not named.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(cluster), V(node pool) or V(membership).
      type: str
      sample: node pool
    name:
      description: Its name.
      type: str
      sample: tpu-old
    location:
      description: Where it is; of a node pool C(LOCATION/CLUSTER).
      type: str
      sample: us-east5-a/serving-us-east5
    detail:
      description: What it consists of, or what is known of it.
      type: str
      sample: tpu-old of ct6e-standard-4t
    command:
      description: What removes it.
      type: str
      sample: gcloud container node-pools delete tpu-old --cluster serving-us-east5 --location us-east5-a
unknown:
  description: What could not be listed, with the reason.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.aiserving.gke.plugins.module_utils._fleet.left_behind import info
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(
    info,
    {**GCP_SPEC, "network": {"type": "str", "required": True}, "clusters": {"type": "dict", "required": True}},
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
