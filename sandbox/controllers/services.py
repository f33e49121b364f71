# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints and EndpointSlices: the Pods behind a Service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sandbox.client import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES, Resource, key_of
from sandbox.interfaces import Json

from .cache import Cache, each, owner_reference, pod_ready, terminating
from .claims import finished


def selected(service: Json, pods: Sequence[Json]) -> list[Json]:
    """The Pods of the Service that have an address, ready or not."""
    selector = (service["spec"].get("selector") or {}).items()
    return [
        pod
        for pod in pods
        if selector
        and pod["metadata"].get("namespace") == service["metadata"].get("namespace")
        and selector <= (pod["metadata"].get("labels") or {}).items()
        and (pod.get("status") or {}).get("podIP")
        and not finished(pod)
    ]


def ports(service: Json, pods: Sequence[Json]) -> list[Json]:
    """The Service's ports as the Pods serve them; a named target port is looked up in their containers."""
    listed = []
    for port in service["spec"].get("ports") or []:
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else _named(target, pods)
        if number is not None:
            name = {"name": port["name"]} if port.get("name") else {}
            listed.append({**name, "port": number, "protocol": port.get("protocol", "TCP")})
    return listed


def _named(name: str, pods: Sequence[Json]) -> int | None:
    for pod in pods:
        for container in pod["spec"].get("containers") or []:
            for port in container.get("ports") or []:
                if port.get("name") == name:
                    number: int = port["containerPort"]
                    return number
    return None


def _target(pod: Json) -> Json:
    namespace, name = key_of(pod)
    return {"kind": "Pod", "namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]}


def endpoints(service: Json, pods: Sequence[Json]) -> Json:
    """The Endpoints object of the Service."""
    namespace, name = key_of(service)

    def addresses(ready: bool) -> list[Json]:
        return [
            {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName"), "targetRef": _target(pod)}
            for pod in pods
            if pod_ready(pod) == ready and not terminating(pod)
        ]

    subset: Json = {"ports": ports(service, pods)}
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        if listed := addresses(ready):
            subset[field] = listed
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": service["metadata"].get("labels") or {}},
        "subsets": [subset] if len(subset) > 1 else [],
    }


def endpoint_slice(service: Json, pods: Sequence[Json]) -> Json:
    """The Service's one EndpointSlice: as many Pods as a sandbox has fit in."""
    namespace, name = key_of(service)
    suffix = hashlib.sha256(service["metadata"]["uid"].encode()).hexdigest()[:5]
    labels = {
        **(service["metadata"].get("labels") or {}),
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": name,
    }
    return {
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {
                    "ready": pod_ready(pod),
                    "serving": pod_ready(pod),
                    "terminating": terminating(pod),
                },
                "nodeName": pod["spec"].get("nodeName"),
                "targetRef": _target(pod),
            }
            for pod in pods
        ],
        "ports": ports(service, pods),
    }


class ServiceController:
    watches: tuple[Resource, ...] = (SERVICES, PODS, ENDPOINTS, ENDPOINT_SLICES)
    cloud_events = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        # What was written last: the server's defaults in the live object are not a reason to write again.
        self._written: dict[tuple[Resource, str, str], Json] = {}

    async def reconcile(self) -> float | None:
        services = [
            service
            for service in self._cache.list(SERVICES)
            if service["spec"].get("selector") and not terminating(service)
        ]
        await each(services, self._keep)
        names = {key_of(service) for service in self._cache.list(SERVICES)}
        for live in self._cache.list(ENDPOINTS):
            if key_of(live) not in names and not terminating(live):
                await self._cache.delete(ENDPOINTS, live)
        return None

    async def _keep(self, service: Json) -> None:
        pods = selected(service, self._cache.list(PODS))
        for resource, wanted in (
            (ENDPOINTS, endpoints(service, pods)),
            (ENDPOINT_SLICES, endpoint_slice(service, pods)),
        ):
            key = (resource, *key_of(wanted))
            live = self._cache.get(resource, *key_of(wanted))
            if live is None:
                await self._cache.create(resource, wanted)
            elif self._written.get(key) != wanted:
                await self._cache.replace(resource, wanted)
            self._written[key] = wanted
