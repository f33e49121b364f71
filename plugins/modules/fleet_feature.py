#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_feature
short_description: Turn features of a fleet on and off
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Manages a feature of the project's fleet, such as C(multiclusteringress), which brings multi-cluster gateways,
    and C(multiclusterservicediscovery).
  - Waits until the feature is active and well, and well on every membership that is listed. A wait that fails says
    what each of them reports, and what can be done about it.
  - Changing the config membership moves the control of multi-cluster gateways to another cluster.
  - C(multiclusteringress) needs a grant besides. Its service agent,
    C(service-NUMBER@gcp-sa-multiclusteringress.iam.gserviceaccount.com), must hold C(roles/container.admin) on the
    project of the clusters; without it the feature is on, and the GatewayClass never comes. M(aiserving.gke.service)
    with O(aiserving.gke.service#module:service_identity=true) names the agent, and M(aiserving.gke.iam_member) grants
    the role.
options:
  name:
    description: Name of the feature.
    type: str
    required: true
  state:
    description: Whether the feature is to be on.
    type: str
    choices: [present, absent]
    default: present
  spec:
    description: Settings of the feature.
    type: dict
    suboptions:
      multiclusteringress:
        description: Settings of C(multiclusteringress).
        type: dict
        suboptions:
          config_membership:
            description:
              - Membership of the cluster whose Gateway objects count, as
                C(projects/PROJECT/locations/LOCATION/memberships/NAME), C(locations/LOCATION/memberships/NAME),
                or its name when it is in C(global).
            type: str
            required: true
  labels:
    description: Labels of the feature. Labels that are not stated here stay, unless O(purge_labels=true).
    type: dict
  memberships:
    description:
      - Memberships that the feature must work for before the module returns, named as
        O(spec.multiclusteringress.config_membership) is.
    type: list
    elements: str
    default: []
  force:
    description: Whether to delete the feature though resources of it are still there.
    type: bool
    default: false
  wait_timeout:
    default: 900
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
seealso:
  - module: aiserving.gke.service
  - module: aiserving.gke.iam_member
  - module: aiserving.gke.fleet_membership
  - module: aiserving.gke.fleet_info
"""

EXAMPLES = r"""
- name: Multi-cluster services
  aiserving.gke.fleet_feature:
    project: my-project
    name: multiclusterservicediscovery

- name: The service agent of multi-cluster gateways
  aiserving.gke.service:
    project: my-project
    name: multiclusteringress.googleapis.com
    service_identity: true
  register: ingress

- name: Let it manage the clusters
  aiserving.gke.iam_member:
    project: my-project
    role: roles/container.admin
    member: "serviceAccount:{{ ingress.identities['multiclusteringress.googleapis.com'] }}"

- name: Multi-cluster gateways, controlled from us-east5
  aiserving.gke.fleet_feature:
    project: my-project
    name: multiclusteringress
    spec:
      multiclusteringress:
        config_membership: projects/my-project/locations/global/memberships/serving-us-east5
    memberships:
      - serving-us-east5
      - serving-europe-west4

- name: Move the control to europe-west4
  aiserving.gke.fleet_feature:
    project: my-project
    name: multiclusteringress
    spec:
      multiclusteringress:
        config_membership: serving-europe-west4

- name: Turn it off
  aiserving.gke.fleet_feature:
    project: my-project
    name: multiclusteringress
    state: absent
"""

RETURN = r"""
feature:
  description:
    - The feature as the API answers it, keys in snake_case; empty when it is absent.
    - In check mode it is as it would be, from what is stated and what is there, with its C(name).
  returned: success
  type: dict
  sample:
    name: projects/my-project/locations/global/features/multiclusteringress
    resource_state:
      state: ACTIVE
    state:
      state:
        code: OK
        description: Ready to use
plan:
  description: What was done, or in check mode what would be.
  returned: success
  type: dict
  contains:
    action:
      description: V(none), V(create), V(update), V(delete).
      type: str
      sample: update
    changes:
      description: Per field that differs its value before and after, and the call that changes it.
      type: list
      elements: dict
      sample:
        - field: spec.multiclusteringress.config_membership
          before: projects/my-project/locations/global/memberships/serving-us-east5
          after: projects/my-project/locations/global/memberships/serving-europe-west4
          call: patch
operation:
  description: The last operation that was started.
  returned: when a change was made
  type: dict
  sample:
    name: projects/my-project/locations/global/operations/operation-1764000000000-abcdef
    done: true
"""

from ansible_collections.aiserving.gke.plugins.module_utils._fleet.cores import fleet_feature
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import (
    GCP_SPEC,
    LABELS_SPEC,
    STATE_SPEC,
    wait_spec,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

_INGRESS = {"type": "dict", "options": {"config_membership": {"type": "str", "required": True}}}

FEATURE_SPEC = {
    "name": {"type": "str", "required": True},
    "spec": {"type": "dict", "options": {"multiclusteringress": _INGRESS}},
    **LABELS_SPEC,
    "memberships": {"type": "list", "elements": "str", "default": []},
    "force": {"type": "bool", "default": False},
}


MODULE = Module(fleet_feature, {**GCP_SPEC, **STATE_SPEC, **wait_spec(900), **FEATURE_SPEC})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
