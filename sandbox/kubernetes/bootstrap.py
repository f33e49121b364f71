# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a GKE cluster before anybody does anything."""

from __future__ import annotations

import typing as t

from sandbox.interfaces import ClusterAccess
from sandbox.kubernetes.operations import Operations, Options

Json = dict[str, t.Any]

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "gke-managed-system", "gmp-system")
_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def populate(ops: Operations, access: ClusterAccess) -> None:
    """Create the namespaces with what every namespace has, priority and storage classes, the Service kubernetes."""
    options = Options(manager="kube-apiserver")

    def create(group: str, kind: str, obj: Json, namespace: str = "") -> None:
        rt = ops.registry.by_kind(group, kind)
        if rt:
            ops.create(rt, namespace, obj, options)

    for name in _NAMESPACES:
        create("", "Namespace", {"metadata": {"name": name}})
        furnish(ops, name, access.ca_pem)
    for name, value in _PRIORITIES.items():
        create("scheduling.k8s.io", "PriorityClass", {"metadata": {"name": name}, "value": value})
    for name, disk in (("standard-rwo", "pd-balanced"), ("premium-rwo", "pd-ssd")):
        create(
            "storage.k8s.io",
            "StorageClass",
            {
                "metadata": {"name": name},
                "provisioner": "pd.csi.storage.gke.io",
                "parameters": {"type": disk},
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": True,
            },
        )
    host, _unused, port = access.endpoint.partition(":")
    ports = [{"name": "https", "port": 443, "targetPort": int(port)}]
    create("", "Service", {"metadata": {"name": "kubernetes"}, "spec": {"ports": ports}}, "default")
    subsets = [{"addresses": [{"ip": host}], "ports": [{"name": "https", "port": int(port), "protocol": "TCP"}]}]
    create("", "Endpoints", {"metadata": {"name": "kubernetes"}, "subsets": subsets}, "default")


def furnish(ops: Operations, namespace: str, ca_pem: str) -> None:
    """What the controller manager puts into every new namespace; what is there already stays."""
    options = Options(manager="kube-controller-manager")
    for kind, obj in (
        ("ServiceAccount", {"metadata": {"name": "default"}}),
        ("ConfigMap", {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ca_pem}}),
    ):
        rt = ops.registry.by_kind("", kind)
        if rt and not ops.store.get(rt.table, namespace, obj["metadata"]["name"]):
            ops.create(rt, namespace, t.cast(Json, obj), options)
