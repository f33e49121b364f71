#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scale
short_description: Set the number of replicas of a workload on a GKE cluster
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Sets the replicas of a Deployment, StatefulSet or ReplicaSet through the scale subresource,
    so that no other field of the object is touched.
  - Returns how many replicas were wanted before, so that a later task can restore that.
  - A wait ends early when the pods show that it is in vain, as with M(aiserving.gke.manifests).
  - A task that fails to see the replicas ready after it has changed their number returns C(changed) as true.
options:
  kind:
    description:
      - Kind of the workload.
    type: str
    choices: [Deployment, StatefulSet, ReplicaSet]
    default: Deployment
  name:
    description:
      - Name of the workload.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the workload.
    type: str
    default: default
  replicas:
    description:
      - How many replicas to have, V(0) or more.
    type: int
    required: true
  wait:
    description:
      - Whether to wait until all replicas are ready and the superfluous pods are gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait. A big model loads for many minutes.
    type: int
    default: 600
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._kube
  - aiserving.gke._attributes
  - aiserving.gke._attributes.actiongroup_gcp
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Take the model servers of a region away
  aiserving.gke.scale:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: vllm
    replicas: 0
  register: outage

- name: Bring them back
  aiserving.gke.scale:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    name: vllm
    replicas: "{{ outage.previous_replicas }}"
    wait_timeout: 1800

- name: Scale a StatefulSet by kubeconfig and do not wait
  aiserving.gke.scale:
    kubeconfig: ~/.kube/config
    kind: StatefulSet
    namespace: serving
    name: cache
    replicas: 3
    wait: false
"""

RETURN = r"""
replicas:
  description: How many replicas are wanted now.
  returned: success
  type: int
  sample: 0
previous_replicas:
  description: How many replicas were wanted before.
  returned: when the workload exists; in check mode it may not
  type: int
  sample: 2
applied_at:
  description: When the API server had taken the new number, before any waiting, in seconds since the epoch.
  returned: success, but not in check mode
  type: float
  sample: 1790000000.25
plan:
  description: What changes.
  returned: success
  type: dict
  contains:
    action:
      description: V(update) or V(none).
      type: str
      sample: update
    changes:
      description: Field, value before and after.
      type: list
      elements: dict
      sample: [{"field": "replicas", "before": 2, "after": 0, "call": "scale"}]
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._kube.scale import KINDS, scale
from ansible_collections.aiserving.gke.plugins.module_utils._kube.spec import KUBE_RULES, KUBE_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **KUBE_SPEC,
    **wait_spec(600),
    "kind": {"type": "str", "choices": list(KINDS), "default": "Deployment"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "replicas": {"type": "int", "required": True},
}

MODULE = Module(scale, SPEC, **KUBE_RULES)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
