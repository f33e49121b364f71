#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: serving_info
short_description: Tell who serves the clients of a region, and why its own model servers do not
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Asks a region's gateway address for a completion and looks at what stands behind it, in the region's cluster
    (the InferencePool and its Pods) and, when it is named, on the fleet's config cluster (Gateway, HTTPRoute, import,
    HealthCheckPolicy). Names what is wrong, each cause with the command that mends it or shows more.
  - Changes nothing. Clusters or objects that are not there are no failure.
  - With O(wait=true) it returns when the region answers its own clients, and fails with the causes when it does not.
options:
  region:
    description: The region.
    type: str
    required: true
  model:
    description: Name of the served model, which is the InferencePool's too.
    type: str
    required: true
  namespace:
    description: Namespace of the pool, the Gateway and the HTTPRoute.
    type: str
    default: default
  gateway:
    description: Name of the Gateway and of its HTTPRoute.
    type: str
    required: true
  url:
    description:
      - Base URL of the gateway in this region, such as C(http://10.0.1.5:80).
      - Without it and O(address) nobody is asked, and O(wait=true) waits for a ready model server.
    type: str
  address:
    description: Name of the reserved address in O(region) that the gateway has there; O(url) is made of it.
    type: str
  gateway_port:
    description: Port of the gateway at O(address).
    type: int
    default: 80
  port:
    description: Port of the model servers, to which the firewall must admit health checkers and proxies.
    type: int
    default: 8000
  match_labels:
    description: Labels of the model servers' Pods, looked for when there is no pool to say it.
    type: dict
  network:
    description:
      - Name of the VPC network whose firewall rules are looked at when the region does not answer its own clients.
      - Without it they are not looked at, nor where they cannot be read.
    type: str
  region_header:
    description:
      - Header of an answer that names the region it comes from.
      - Where an answer lacks it, or with an empty string, it counts as the region's own while the region has ready
        model servers; RV(serving.symptom) then says that it cannot be told.
    type: str
    default: x-serving-region
  follow_route:
    description:
      - Whether to look at the pool that the HTTPRoute leads to when that is not O(model), as before a change that is
        only being checked. Needs the config cluster.
    type: bool
    default: false
  request_timeout:
    description: How many seconds one answer may take.
    type: float
    default: 30
  wait:
    description: Whether to wait; not in check mode.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 600
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
  - module: aiserving.gke.inference_pool_info
  - module: aiserving.gke.fleet_info
"""

EXAMPLES = r"""
- name: Look at a region
  aiserving.gke.serving_info:
    project: my-project
    cluster: serving-europe-west4
    location: europe-west4-a
    import_cluster: serving-us-east5
    import_location: us-east5-a
    region: europe-west4
    model: gemma
    namespace: serving
    gateway: inference
    address: gateway-europe-west4
    network: serving
  register: found

- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ found.serving.findings }}"
  when: found.serving.state != 'serving'

- name: Go on when the region serves its own clients
  aiserving.gke.serving_info:
    kubeconfig: ~/.kube/config
    region: europe-west4
    model: gemma
    namespace: serving
    gateway: inference
    url: http://10.0.2.5:80
    wait: true
    wait_timeout: 300
"""

RETURN = r"""
serving:
  description: What was seen.
  returned: success
  type: dict
  contains:
    region:
      description: The region.
      type: str
      sample: europe-west4
    state:
      description:
        - V(serving) when the region answers its own clients and nothing is wrong; V(degraded) when its clients are
          answered, but by others or not by all that should; V(down) when they are not; V(absent) when nothing has
          been built in it.
      type: str
      sample: degraded
    url:
      description: What was asked; empty when there is no address.
      type: str
      sample: http://10.0.2.5:80
    answer:
      description: The answer; empty when nobody was asked.
      type: dict
      contains:
        status:
          description: HTTP status, 0 when no answer came.
          type: int
          sample: 200
        text:
          description: The completion, the beginning of what came instead, or why nothing came.
          type: str
          sample: I am part of a service in several regions.
        served_by:
          description: The region that O(region_header) names; empty without it.
          type: str
          sample: us-east5
        seconds:
          description: How long it took.
          type: float
          sample: 0.213
    symptom:
      description: What clients of the region see, in a sentence.
      type: str
      sample: http://10.0.2.5:80 is answered by us-east5 and not by its own region europe-west4
    findings:
      description: What is wrong, that first on which the rest depends; empty when nothing is.
      type: list
      elements: dict
      contains:
        cause:
          description: What is wrong.
          type: str
          sample: "0 endpoints: no Pod on cluster serving-europe-west4 has the pool's labels app=vllm"
        command:
          description: What mends it, or shows more.
          type: str
          sample: kubectl get pods -n serving --show-labels
    endpoints:
      description: How many model servers of the region are ready.
      type: int
      sample: 1
    match_labels:
      description: The labels by which they were looked for.
      type: dict
      sample: {"app": "vllm"}
    unrouted_pools:
      description:
        - Exported pools of O(namespace) in the region's cluster, besides that of O(model), that no HTTPRoute of the
          config cluster leads to.
        - Empty when the config cluster is not named.
      type: list
      elements: str
      sample: []
"""

import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._kube.spec import (
    IMPORT_SPEC,
    KUBE_RULES,
    KUBE_SPEC,
    with_import,
)
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module
from ansible_collections.aiserving.gke.plugins.module_utils._serving.look import info

RULES = with_import(KUBE_RULES)

SPEC: dict[str, t.Any] = {
    **GCP_SPEC,
    **KUBE_SPEC,
    **IMPORT_SPEC,
    "region": {"type": "str", "required": True},
    "model": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "gateway": {"type": "str", "required": True},
    "url": {"type": "str"},
    "address": {"type": "str"},
    "gateway_port": {"type": "int", "default": 80},
    "port": {"type": "int", "default": 8000},
    "match_labels": {"type": "dict"},
    "network": {"type": "str"},
    "region_header": {"type": "str", "default": "x-serving-region"},
    "follow_route": {"type": "bool", "default": False},
    "request_timeout": {"type": "float", "default": 30},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 600},
}

MODULE = Module(info, SPEC, **{**RULES, "mutually_exclusive": [*RULES["mutually_exclusive"], ("url", "address")]})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
