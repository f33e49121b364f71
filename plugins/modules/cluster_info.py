#!/usr/bin/python

# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Read GKE clusters and how to connect to one
version_added: 1.0.0
author: aiserving.gke contributors (@aiserving)
description:
  - Lists the clusters of a location, or reads one together with the connection to its Kubernetes API.
  - The connection holds no credentials; the access token of Google Cloud is the one that GKE takes.
requirements:
  - google-cloud-container >= 2.65
options:
  name:
    description: Name of one cluster. A cluster that does not exist is no failure.
    type: str
  location:
    description: A zone, a region, or V(-) for all.
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
  - module: aiserving.gke.cluster
"""

EXAMPLES = r"""
- name: Read one cluster
  aiserving.gke.cluster_info:
    project: my-project
    name: serving-us-east5
    location: us-east5-a
  register: serving

- name: Apply objects through the connection that was read
  aiserving.gke.manifests:
    project: my-project
    connection: "{{ serving.connection }}"
    definitions: "{{ objects }}"
  when: serving.exists

- name: List all clusters of the project
  aiserving.gke.cluster_info:
    project: my-project
  register: everything

- name: Clusters that are not well
  ansible.builtin.debug:
    msg: "{{ everything.clusters | rejectattr('status', 'eq', 'RUNNING') | map(attribute='name') }}"
"""

RETURN = r"""
clusters:
  description: The clusters found, as the API answers them, keys in snake_case.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "serving-us-east5", "location": "us-east5-a", "status": "RUNNING"}]
exists:
  description: Whether the cluster is there.
  returned: when O(name) is given
  type: bool
  sample: true
cluster:
  description: The cluster; empty when it does not exist.
  returned: when O(name) is given
  type: dict
  sample: {"name": "serving-us-east5", "location": "us-east5-a", "status": "RUNNING"}
connection:
  description:
    - How to reach the cluster's Kubernetes API; empty while there is no endpoint.
    - The modules for Kubernetes objects take it as their option C(connection).
  returned: when O(name) is given
  type: dict
  contains:
    endpoint:
      description: Host, or host and port.
      type: str
      sample: 203.0.113.10
    ca_certificate:
      description: Certificate of the cluster's authority (PEM); null where a public authority has signed.
      type: str
      sample: "-----BEGIN CERTIFICATE----- ..."
"""

from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._gke.cores import cluster_info
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module

MODULE = Module(cluster_info, {**GCP_SPEC, "name": {"type": "str"}, "location": {"type": "str", "default": "-"}})


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
