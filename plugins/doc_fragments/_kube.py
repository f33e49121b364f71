# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of how a module reaches a cluster's Kubernetes API; specification: module_utils/_kube/spec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cluster:
    description:
      - Name of the GKE cluster; its endpoint and CA are looked up with the options for Google Cloud.
      - Exactly one of O(cluster), O(connection) and O(kubeconfig) names the cluster.
      - A cluster without IP endpoint is reached through its DNS endpoint.
      - In check mode the cluster may be missing; every object is then reported as to be created, with a warning.
    type: str
  location:
    description:
      - Zone or region of O(cluster), which needs it.
    type: str
  connection:
    description:
      - The cluster's access as RV(aiserving.gke.cluster_info#module:connection) returns it.
        The token comes from the options for Google Cloud.
    type: dict
    suboptions:
      endpoint:
        description:
          - Host name or address of the Kubernetes API, with a port when it is not 443.
          - Without it the cluster counts as missing.
        type: str
      ca_certificate:
        description:
          - Certificate of the cluster's authority, PEM or base64 of PEM.
          - Without it the server's certificate must come from a public authority, as that of a DNS endpoint does.
        type: str
  kubeconfig:
    description:
      - Path of a kubeconfig file, which brings its own credentials.
    type: path
  context:
    description:
      - Context of O(kubeconfig); its current context when not given.
    type: str
requirements:
  - kubernetes >= 33.1 (Python package)
"""

    # A second cluster: the config cluster of the fleet, where imports appear.
    IMPORT_CLUSTER = r"""
options:
  import_cluster:
    description:
      - Name of the fleet's config cluster, looked up as O(cluster).
      - At most one of O(import_cluster), O(import_connection) and O(import_kubeconfig).
    type: str
  import_location:
    description:
      - Zone or region of O(import_cluster), which needs it.
    type: str
  import_connection:
    description:
      - The config cluster's access as RV(aiserving.gke.cluster_info#module:connection) returns it.
    type: dict
    suboptions:
      endpoint:
        description:
          - Host name or address of the Kubernetes API, with a port when it is not 443.
        type: str
      ca_certificate:
        description:
          - Certificate of the cluster's authority, PEM or base64 of PEM.
        type: str
  import_kubeconfig:
    description:
      - Path of a kubeconfig file of the config cluster.
    type: path
  import_context:
    description:
      - Context of O(import_kubeconfig); its current context when not given.
    type: str
"""
