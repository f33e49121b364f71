# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What admission plug-ins and allocators do on a GKE cluster between defaulting and validation."""

from __future__ import annotations

import ipaddress
import typing as t

from sandbox.kubernetes import objects
from sandbox.kubernetes.resources import CRD_TABLE, ResourceType
from sandbox.kubernetes.store import Store

Json = dict[str, t.Any]

# The range that GKE Autopilot and recent Standard clusters give to Services.
SERVICES = ipaddress.ip_network("34.118.224.0/20")
NODE_PORTS = range(30000, 32768)
_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Admission:
    def __init__(self, store: Store) -> None:
        self._store = store

    def namespace_ready(self, rt: ResourceType, namespace: str, name: str) -> None:
        """Raises 404 when the namespace is missing, 403 when it is on its way out."""
        if not rt.namespaced:
            return
        found = self._store.get("/namespaces", "", namespace)
        if found is None:
            details = {"name": namespace, "kind": "namespaces"}
            raise objects.ApiStatus(404, "NotFound", f'namespaces "{namespace}" not found', details)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            raise objects.forbidden(rt, name, why, [{**cause, "field": "metadata.namespace"}])

    def admit(self, rt: ResourceType, new: Json, live: Json | None) -> None:
        """Complete ``new`` in place with what depends on other objects."""
        if rt.kind == "Pod" and not rt.group and live is None:
            self._priority(rt, new)
            _tolerations(new["spec"])
        elif rt.kind == "Service" and not rt.group:
            self._service(new, live)
        elif rt.table == CRD_TABLE:
            accept(new)

    def _priority(self, rt: ResourceType, pod: Json) -> None:
        name = pod["spec"].get("priorityClassName")
        if not name:
            return
        found = self._store.get("scheduling.k8s.io/priorityclasses", "", name)
        if found is None:
            raise objects.forbidden(rt, pod["metadata"].get("name", ""), f"no PriorityClass with name {name} was found")
        pod["spec"]["priority"] = found["value"]

    def _service(self, service: Json, live: Json | None) -> None:
        spec = service["spec"]
        before = (live or {}).get("spec") or {}
        if spec.get("type") == "ExternalName":
            return
        address = spec.get("clusterIP") or before.get("clusterIP") or self._free_address()
        spec["clusterIP"] = address
        spec["clusterIPs"] = [address]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec["type"] in ("NodePort", "LoadBalancer"):
            known = {port.get("port"): port.get("nodePort") for port in before.get("ports") or ()}
            for port in spec.get("ports") or ():
                port["nodePort"] = port.get("nodePort") or known.get(port.get("port")) or self._free_node_port(spec)

    def _free_address(self) -> str:
        used = {service["spec"].get("clusterIP") for service in self._store.items("/services")}
        return next(str(address) for address in SERVICES.hosts() if str(address) not in used)

    def _free_node_port(self, spec: Json) -> int:
        specs = [spec, *(service["spec"] for service in self._store.items("/services"))]
        used = {port.get("nodePort") for one in specs for port in one.get("ports") or ()}
        return next(port for port in NODE_PORTS if port not in used)


def _tolerations(spec: Json) -> None:
    """Extended resources (google.com/tpu) tolerate their own taint; every Pod stands a node's loss for 5 minutes."""
    tolerations = list(spec.get("tolerations") or ())
    asked: set[str] = set()
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        asked |= set((container.get("resources") or {}).get("requests") or ())
    for resource in sorted(asked):
        if "/" not in resource or "kubernetes.io/" in resource:
            continue
        if not any(row.get("key") == resource and row.get("operator") == "Exists" for row in tolerations):
            tolerations.append({"key": resource, "operator": "Exists", "effect": "NoSchedule"})
    for key in _NOT_READY:
        if not any(row.get("key") in (key, None) and row.get("effect") in ("NoExecute", None) for row in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = tolerations


def accept(crd: Json) -> None:
    """Write the status that tells clients that the definition is served."""
    spec = crd.get("spec") or {}
    status = crd.setdefault("status", {})
    known = {condition["type"]: condition for condition in status.get("conditions") or ()}
    for kind, reason, message in (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ):
        if (known.get(kind) or {}).get("status") != "True":
            now = objects.now()
            known[kind] = {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": now,
            }
    status["conditions"] = list(known.values())
    status["acceptedNames"] = dict(spec.get("names") or {})
    stored = [version["name"] for version in spec.get("versions") or () if version.get("storage")]
    status["storedVersions"] = list(dict.fromkeys([*(status.get("storedVersions") or ()), *stored]))
