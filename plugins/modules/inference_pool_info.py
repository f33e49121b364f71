#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inference_pool_info
short_description: Describe the InferencePools of a GKE cluster
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Returns InferencePools (C(inference.networking.k8s.io/v1)) with what their gateways say of them, whether they
    are exported, and their imports on the fleet's config cluster when that is named.
  - Returns no pools, with a warning, when the cluster does not exist or does not know the kind; and no imports, with
    a warning, when the config cluster does not exist or gives no answer.
options:
  name:
    description:
      - Name of one pool; all of them when not given.
    type: str
  namespace:
    description:
      - Namespace of the pools. When not given, all namespaces; together with O(name), V(default).
    type: str
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
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: aiserving.gke.inference_pool
"""

EXAMPLES = r"""
- name: All pools of a cluster
  aiserving.gke.inference_pool_info:
    project: my-project
    cluster: serving-us-east5
    location: us-east5-a
  register: found

- name: One pool, and whether it has arrived on the config cluster
  aiserving.gke.inference_pool_info:
    cluster: serving-europe-west4
    location: europe-west4-a
    name: gemma
    import_cluster: serving-us-east5
    import_location: us-east5-a

- name: The pools of one namespace by kubeconfig
  aiserving.gke.inference_pool_info:
    kubeconfig: ~/.kube/config
    namespace: serving
"""

RETURN = r"""
inference_pools:
  description: The pools.
  returned: success
  type: list
  elements: dict
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
      description: What is missing when it is not ready.
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
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._inference.pool import info
from ansible_collections.aiserving.gke.plugins.module_utils._kube.spec import (
    IMPORT_SPEC,
    KUBE_RULES,
    KUBE_SPEC,
    with_import,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **KUBE_SPEC,
    **IMPORT_SPEC,
    "name": {"type": "str"},
    "namespace": {"type": "str"},
}

MODULE = Module(info, SPEC, **with_import(KUBE_RULES))


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
