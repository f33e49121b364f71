#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifests
short_description: Apply, await and delete Kubernetes objects on a GKE cluster
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Applies a list of Kubernetes objects as one, by server-side apply with strict field validation.
  - Everything is planned by dry runs before anything is written, so that a mistake in the last object
    stops the first one too. An object without a difference is not written at all.
  - CustomResourceDefinitions go first and are awaited until they are established, then Namespaces,
    then the rest in the order given. Deletion goes the other way round.
  - Waits until every object is ready by the rule of its kind, with the observed generation compared;
    for an HTTPRoute or an InferencePool that means the conditions of every parent.
    A wait that fails says which condition is unmet, the last events and what the pods wait for.
  - A wait ends early when the pods of a workload show that it is in vain - an image that the registry refuses for
    30 seconds or that cannot be had for 180, a container that cannot be made for as long, the fourth crash of a
    container or any later one. A pod that waits for a node is waited for.
  - While a task waits, it says every half minute for what (not when it runs as a module in a process of its own).
  - In check mode, and with O(wait), it warns of objects that it would leave as they are and that are not ready.
notes:
  - Data of Secrets appears neither in results nor in diffs.
  - A Job is ready when it is complete. A Job that failed fails the task at once.
  - A field whose value stays is no change, also when O(field_manager) comes to own it anew.
  - A task that fails after it has changed something returns C(changed) as true.
  - An API server that gives no answer for a minute fails the task, unless it has answered and is only waited for.
  - An InferencePool that no gateway refers to is ready; whether its export arrives is the business of
    M(aiserving.gke.inference_pool).
options:
  definitions:
    description:
      - The objects, each with C(apiVersion), C(kind) and C(metadata.name). Objects of kind C(List) are unfolded.
    type: list
    elements: dict
    required: true
  state:
    description:
      - V(present) applies the objects, V(absent) deletes them.
      - V(ready) writes nothing and waits until the objects, which somebody else makes, are there and ready.
        Of O(definitions) only C(apiVersion), C(kind) and the metadata's name and namespace count then.
    type: str
    choices: [present, absent, ready]
    default: present
  namespace:
    description:
      - Namespace of the objects that name none.
    type: str
    default: default
  field_manager:
    description:
      - Name under which the API server records the fields that are set.
      - A field that is later left out of O(definitions) is removed only if this manager set it.
    type: str
    default: aiserving.gke
  force_conflicts:
    description:
      - Whether to take over fields that another manager set, as C(kubectl scale) and C(kubectl set image) do.
        Otherwise the task fails, before anything is written, and names managers and fields.
    type: bool
    default: false
  recreate:
    description:
      - Whether an object whose difference cannot be changed in place, as the template of a Job, is deleted and
        created again. Otherwise the task fails and names the field.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the objects are ready, or gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for all objects together.
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
- name: Route to the pools of all regions
  aiserving.gke.manifests:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
    definitions:
      - apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata:
          name: inference
        spec:
          gatewayClassName: gke-l7-cross-regional-internal-managed-mc
          addresses:
            - type: networking.gke.io/named-address-with-region
              value: regions/us-east5/addresses/inference-us-east5
          listeners:
            - name: http
              protocol: HTTP
              port: 80
    wait_timeout: 1200

- name: Apply what a file holds, through the access that cluster_info returned
  aiserving.gke.manifests:
    connection: "{{ found.connection }}"
    definitions: "{{ lookup('ansible.builtin.file', 'model.yaml') | from_yaml_all | list }}"
    namespace: serving

- name: Download the weights again, though a Job cannot be changed
  aiserving.gke.manifests:
    kubeconfig: ~/.kube/config
    context: us-east5
    definitions: "{{ [download_job] }}"
    recreate: true
    wait_timeout: 3600

- name: Wait for the GatewayClass that the fleet's ingress feature brings
  aiserving.gke.manifests:
    cluster: serving-us-east5
    location: us-east5-a
    definitions:
      - apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata:
          name: gke-l7-cross-regional-internal-managed-mc
    state: ready
    wait_timeout: 1200

- name: Take the objects away, in reverse order, and wait until they are gone
  aiserving.gke.manifests:
    cluster: serving-us-east5
    location: us-east5-a
    definitions: "{{ model_objects }}"
    state: absent
"""

RETURN = r"""
objects:
  description: What was done, or in check mode would be done, to each object, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    api_version:
      description: Group and version.
      type: str
      sample: apps/v1
    kind:
      description: Kind.
      type: str
      sample: Deployment
    name:
      description: Name.
      type: str
      sample: vllm
    namespace:
      description: Namespace; empty for objects that have none.
      type: str
      sample: default
    action:
      description: V(none), V(create), V(update), V(recreate) or V(delete).
      type: str
      sample: update
    object:
      description: >-
        The object as the API server has it, or in check mode would have it; the definition where the server cannot
        tell. Without managedFields, and without the data of a Secret. Empty for an object that is deleted or absent.
      type: dict
plan:
  description: The changes alone.
  returned: success
  type: dict
  contains:
    action:
      description: The one action of all changes, V(update) when they differ, V(none) without changes.
      type: str
      sample: update
    changes:
      description: One entry for each object that changes.
      type: list
      elements: dict
      contains:
        object:
          description: Kind, namespace and name.
          type: str
          sample: Deployment default/vllm
        action:
          description: V(create), V(update), V(recreate) or V(delete).
          type: str
          sample: update
        fields:
          description: Paths of the fields that an update changes.
          type: list
          elements: str
          sample: [.spec.replicas]
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC, wait_spec
from ansible_collections.aiserving.gke.plugins.module_utils._kube.manage import manage
from ansible_collections.aiserving.gke.plugins.module_utils._kube.spec import KUBE_RULES, KUBE_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **KUBE_SPEC,
    **wait_spec(600),
    "state": {"type": "str", "choices": ["present", "absent", "ready"], "default": "present"},
    "definitions": {"type": "list", "elements": "dict", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "field_manager": {"type": "str", "default": "aiserving.gke"},
    "force_conflicts": {"type": "bool", "default": False},
    "recreate": {"type": "bool", "default": False},
}

MODULE = Module(manage, SPEC, **KUBE_RULES)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
