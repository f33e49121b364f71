#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inference_pool
short_description: Manage an InferencePool, its endpoint picker and its export to the fleet
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Makes one InferencePool (C(inference.networking.k8s.io/v1)) complete - the pool, the endpoint picker that
    chooses the pod for each request (Deployment, Service, configuration, identity and its rights), and the
    annotation that exports the pool to the fleet.
  - With O(import_cluster) or its like it waits until the pool has arrived on the fleet's config cluster as
    C(GCPInferencePoolImport), which is what routes refer to.
notes:
  - Imports are written by the service agent of feature C(multiclusteringress)
    (C(service-NUMBER@gcp-sa-multiclusteringress.iam.gserviceaccount.com)). It needs C(roles/container.admin) in the
    project; without it the feature is ACTIVE all the same, and no import ever comes.
  - A config cluster that is gone, or gives no answer for a minute from the beginning, fails the task once the pool
    and its picker are as wanted. When it is lost with its region, leave the C(import_) options out.
  - A task that fails after it has changed something returns C(changed) as true.
  - The picker reads InferenceObjectives, whose CustomResourceDefinition GKE does not install. Apply it before
    with M(aiserving.gke.manifests).
  - The picker's metrics on port 9090 are served without authentication inside the cluster, so that it needs no
    rights beyond its namespace.
options:
  name:
    description:
      - Name of the pool, at most 59 characters. The picker's objects are called the same with C(-epp) behind.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the pool and of the model server's pods.
    type: str
    default: default
  match_labels:
    description:
      - Labels of the pods that serve the model. Needed with O(state=present).
      - Of a model server that spans several nodes, select the leader's pod alone.
    type: dict
  target_ports:
    description:
      - Ports on which the pods serve, 1 to 8. Needed with O(state=present).
    type: list
    elements: int
  endpoint_picker:
    description:
      - The endpoint picker.
    type: dict
    suboptions:
      image:
        description:
          - Image of the picker.
        type: str
        default: registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0
      replicas:
        description:
          - Number of pickers. Of several, one is the elected leader and the others stand by.
        type: int
        default: 1
      failure_mode:
        description:
          - What happens to requests while no picker answers. V(FailOpen) sends them to any ready pod,
            V(FailClose) refuses them.
        type: str
        choices: [FailOpen, FailClose]
        default: FailOpen
      resources:
        description:
          - Kubernetes resource requests and limits of a picker; they replace the default altogether.
          - The default is 4 CPUs and 8 GiB of memory requested and a limit of 16 GiB, as Google's guide has it.
            Request less where nodes are small.
        type: dict
      extra_args:
        description:
          - More arguments for the picker.
        type: list
        elements: str
      plugins_config:
        description:
          - The picker's EndpointPickerConfig, which replaces the default one. The default weighs free KV cache,
            the length of the queue and cached prefixes.
        type: dict
  export:
    description:
      - Whether the pool is exported to the fleet (annotation C(networking.gke.io/export)).
    type: bool
    default: false
  force_conflicts:
    description:
      - Whether to take over fields that another manager set, as Helm and C(kubectl scale) do. Otherwise the task
        fails, before anything is written, and names managers and fields.
    type: bool
    default: false
  state:
    description:
      - V(absent) deletes the pool and everything of its picker.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether to wait until the picker is ready and, where a config cluster is named, the import is there or gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for all of it together.
    type: int
    default: 900
extends_documentation_fragment:
  - aiserving.gke._gcp
  - aiserving.gke._kube
  - aiserving.gke._kube.import_cluster
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
  - module: aiserving.gke.inference_pool_info
"""

EXAMPLES = r"""
- name: Serve the vLLM pods of this region and wait until the config cluster knows the pool
  aiserving.gke.inference_pool:
    project: my-project
    cluster: serving-europe-west4
    location: europe-west4-a
    name: gemma
    match_labels:
      app: vllm
    target_ports: [8000]
    export: true
    import_cluster: serving-us-east5
    import_location: us-east5-a

- name: A picker for small nodes that refuses requests while it is away
  aiserving.gke.inference_pool:
    connection: "{{ found.connection }}"
    name: gemma
    match_labels:
      app: vllm
    target_ports: [8000]
    endpoint_picker:
      failure_mode: FailClose
      resources:
        requests:
          cpu: 500m
          memory: 1Gi

- name: Take the pool away and wait until its import is gone
  aiserving.gke.inference_pool:
    cluster: serving-europe-west4
    location: europe-west4-a
    name: gemma
    export: true
    import_cluster: serving-us-east5
    import_location: us-east5-a
    state: absent
"""

RETURN = r"""
inference_pool:
  description: The pool; empty when it is absent.
  returned: success
  type: dict
  contains:
    name:
      description: Name.
      type: str
      sample: gemma
    namespace:
      description: Namespace.
      type: str
      sample: default
    match_labels:
      description: Labels of the pods.
      type: dict
      sample: {"app": "vllm"}
    target_ports:
      description: Ports of the pods.
      type: list
      elements: int
      sample: [8000]
    endpoint_picker:
      description: Name and port of the picker's Service, and its failure mode.
      type: dict
      sample: {"name": "gemma-epp", "port": 9002, "failure_mode": "FailOpen"}
    exported:
      description: Whether it carries the annotation that exports it.
      type: bool
      sample: true
    ready:
      description: Whether every gateway that refers to it accepts it.
      type: bool
      sample: true
    reason:
      description: What is missing when it is not ready, or that it is not there yet (in check mode).
      type: str
      sample: ""
    conditions:
      description: The conditions, each with the parent that it speaks of.
      type: list
      elements: dict
      sample:
        - {"parent": "default/inference", "type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    imported:
      description: The GCPInferencePoolImport on the config cluster; empty when none was asked for, or it is not there.
      type: dict
objects:
  description: What was done to each object, as M(aiserving.gke.manifests) returns it.
  returned: success
  type: list
  elements: dict
plan:
  description: The changes alone, as M(aiserving.gke.manifests) returns them.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, STATE_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._inference.pool import manage
from ansible_collections.aiserving.gke.plugins.module_utils._kube.spec import (
    IMPORT_SPEC,
    KUBE_RULES,
    KUBE_SPEC,
    with_import,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

PICKER_SPEC = {
    "image": {"type": "str", "default": "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0"},
    "replicas": {"type": "int", "default": 1},
    "failure_mode": {"type": "str", "choices": ["FailOpen", "FailClose"], "default": "FailOpen"},
    "resources": {"type": "dict"},
    "extra_args": {"type": "list", "elements": "str"},
    "plugins_config": {"type": "dict"},
}

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **KUBE_SPEC,
    **IMPORT_SPEC,
    **STATE_SPEC,
    **wait_spec(900),
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "match_labels": {"type": "dict"},
    "target_ports": {"type": "list", "elements": "int"},
    "endpoint_picker": {"type": "dict", "options": PICKER_SPEC, "apply_defaults": True},
    "export": {"type": "bool", "default": False},
    "force_conflicts": {"type": "bool", "default": False},
}

MODULE = Module(
    manage, SPEC, required_if=[("state", "present", ("match_labels", "target_ports"))], **with_import(KUBE_RULES)
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
