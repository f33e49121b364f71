#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_judge
short_description: Judge a whole inventory before anything is made of it
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Reads the variables that the collection's roles would see on every host of a group of regions, and fails with
    all that is wrong in one list. Each problem names the option, where it stands, what was given and what would be
    right.
  - Judges types, names by the rule of each API, bounds, unknown keys of dictionaries, zones and the machines they
    sell, IP ranges, what all regions must share and what each must have for itself, and whether the model servers
    fit the node pools.
  - Needs no cloud and no credentials, changes nothing, and does the same in check mode.
  - Regions that C(--limit) leaves out are read, since ranges and names of all must fit together, but what is wrong
    with them alone is a warning.
notes:
  - It runs on the controller, in an action plugin of its own. One task for all regions is enough (C(run_once)).
  - Variables that are given to a role where it is used (C(roles:), C(import_role)) are not seen; state them in the
    inventory or in the play.
  - The playbooks of the collection run it first under the tag C(judge), so C(--skip-tags judge) leaves it out.
options:
  group:
    description: The group whose hosts are the regions.
    type: str
    default: regions
  config_group:
    description: The group that holds the one region whose cluster has the Gateway.
    type: str
    default: config_region
  roles:
    description:
      - The roles that will be used. Their required variables must be there, and what they want of each other is
        judged. Variables of other roles are judged by themselves.
    type: list
    elements: str
    choices: [network, cluster, fleet, model, gateway, failover]
    default: [network, cluster, fleet, model, gateway, failover]
  zones:
    description:
      - What Google sells beyond what this release of the collection knows. A dictionary of zones, each with a list
        of machine types or beginnings of them.
      - A zone in here is known, and so is its region.
    type: dict
    default: {}
extends_documentation_fragment:
  - aiserving.gke._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Judge the inventory before the first role
  aiserving.gke.inventory_judge:
  run_once: true

- name: Only what two of the roles want, in an estate with groups of its own
  aiserving.gke.inventory_judge:
    group: serving
    config_group: serving_config
    roles: [network, cluster]
  run_once: true

- name: With a zone that Google has opened since
  aiserving.gke.inventory_judge:
    zones:
      us-east5-d: [ct6e-, tpu7x-standard-4t]
  run_once: true
"""

RETURN = r"""
regions:
  description: The regions that were judged.
  type: list
  elements: str
  returned: always
  sample: [europe-west4, us-east5]
problems:
  description: What is wrong. The task fails when there is any.
  type: list
  elements: dict
  returned: always
  contains:
    region:
      description: The host, or several; empty for the whole inventory.
      type: str
      sample: us-east5
    option:
      description: The variable, with the way into it.
      type: str
      sample: network_proxy_only_cidr
    given:
      description: What was given; empty when there was nothing, or when it is a secret.
      type: str
      sample: "'10.0.1.0/26'"
    wrong:
      description: What is wrong with it.
      type: str
      sample: overlaps network_node_cidr 10.0.1.0/24
    wanted:
      description: What would be right.
      type: str
      sample: give it a range of its own, at least /26 (/23 recommended)
    where:
      description: File and line where it stands, or the host.
      type: str
      sample: inventories/example/us-east5.yml:9
"""
