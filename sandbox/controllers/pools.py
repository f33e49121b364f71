# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""InferencePools across clusters: what is exported, which Pods stand behind it, when they take traffic. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from sandbox.client import POOL_IMPORTS
from sandbox.interfaces import ClusterKey, Endpoint, Json

from .addons import CONTROLLER
from .cache import pod_ready, terminating, with_condition
from .services import selected

EXPORT = "networking.gke.io/export"

PoolKey = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Site:
    """A member cluster as the load balancer's controller sees it; ``membership`` is its short name."""

    key: ClusterKey
    membership: str
    pools: Sequence[Json]
    pods: Sequence[Json]
    services: Sequence[Json]
    zones: Mapping[str, str]  # Node -> zone


def exported(pool: Json) -> bool:
    annotations = pool["metadata"].get("annotations") or {}
    return annotations.get(EXPORT, "").lower() == "true" and not terminating(pool)


def pool_key(pool: Json) -> PoolKey:
    return pool["metadata"]["namespace"], pool["metadata"]["name"]


def target_ports(pool: Json) -> list[int]:
    return [port["number"] for port in pool["spec"]["targetPorts"]]


def ready_endpoints(pool: Json, site: Site) -> set[Endpoint]:
    """Address and port of every ready Pod that the pool selects."""
    wanted = (pool["spec"]["selector"].get("matchLabels") or {}).items()
    zone = site.key.location
    return {
        Endpoint(pod["status"]["podIP"], port, site.key.region, site.zones.get(pod["spec"].get("nodeName", ""), zone))
        for pod in site.pods
        if pod["metadata"]["namespace"] == pool["metadata"]["namespace"]
        and wanted <= (pod["metadata"].get("labels") or {}).items()
        and pod_ready(pod)
        and (pod.get("status") or {}).get("podIP")
        for port in target_ports(pool)
    }


def picker_service(pool: Json, site: Site) -> Json | None:
    """The Service of the pool's endpoint picker, or None."""
    reference = pool["spec"].get("endpointPickerRef") or {}
    namespace = pool["metadata"]["namespace"]
    for service in site.services:
        if (service["metadata"]["namespace"], service["metadata"]["name"]) == (namespace, reference.get("name")):
            return service
    return None


def serves(pool: Json, site: Site) -> bool:
    """Whether the pool's Pods may take traffic: with FailClose only while its endpoint picker has a ready Pod."""
    if (pool["spec"].get("endpointPickerRef") or {}).get("failureMode", "FailClose") == "FailOpen":
        return True
    service = picker_service(pool, site)
    return service is not None and any(pod_ready(pod) for pod in selected(service, site.pods))


def pool_status(pool: Json, site: Site, *, imported: bool) -> Json:
    """The pool's status: its export is a parent; entries of other controllers are kept."""
    before = (pool.get("status") or {}).get("parents") or []
    ours: Json = next((item for item in before if _is_ours(item)), {})
    others = [item for item in before if not _is_ours(item)]
    if not imported:
        return {"parents": others} if others else {}
    generation = pool["metadata"].get("generation", 1)
    reference = (pool["spec"].get("endpointPickerRef") or {}).get("name", "")
    if picker_service(pool, site) is not None:
        resolved = ("True", "ResolvedRefs", "")
    else:
        resolved = ("False", "InvalidExtensionRef", f'Service "{reference}" of the endpoint picker is not found')
    conditions = ours.get("conditions") or []
    for kind, status, reason, message in (
        ("Accepted", "True", "Accepted", ""),
        ("ResolvedRefs", *resolved),
        ("Exported", "True", "Exported", ""),
    ):
        verdict = {"type": kind, "status": status, "reason": reason, "message": message}
        conditions = with_condition(conditions, {**verdict, "observedGeneration": generation})
    namespace, name = pool_key(pool)
    parent = {"group": POOL_IMPORTS.group, "kind": POOL_IMPORTS.kind, "name": name, "namespace": namespace}
    return {"parents": [*others, {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}]}


def _is_ours(parent: Json) -> bool:
    return parent["parentRef"].get("kind") == POOL_IMPORTS.kind


def import_for(pools: Sequence[tuple[Site, Json]]) -> Json:
    """The GCPInferencePoolImport for the pools of one name in all clusters, without status."""
    namespace, name = pool_key(pools[0][1])
    ports = [{"number": number} for number in target_ports(pools[0][1])]
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"targetPorts": ports}}


def import_status(live: Json, pools: Sequence[tuple[Site, Json]]) -> Json:
    verdict = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": live["metadata"].get("generation", 1),
    }
    conditions = with_condition((live.get("status") or {}).get("conditions") or [], verdict)
    clusters = [{"name": site.membership, "location": site.key.location} for site, _unused in pools]
    return {"conditions": conditions, "clusters": sorted(clusters, key=lambda item: item["name"])}


@dataclasses.dataclass
class _Entry:
    since: float  # when it became ready
    attached: bool = False
    lost: float | None = None


class Attachments:
    """The endpoints that a load balancer has: they come late and go late.

    ``attach`` and ``detach`` are seconds: from ready to taking traffic, and from not ready (or gone) to taking none.
    """

    def __init__(self, attach: float, detach: float) -> None:
        self._attach = attach
        self._detach = detach
        self._entries: dict[tuple[str, Endpoint], _Entry] = {}

    def update(
        self, time: float, ready: Collection[tuple[str, Endpoint]]
    ) -> tuple[set[tuple[str, Endpoint]], float | None]:
        """What is attached at ``time`` (monotonic) given what is ready, and the seconds until that may change."""
        for key in ready:
            self._entries.setdefault(key, _Entry(time))
        waits: list[float] = []
        for key, entry in list(self._entries.items()):
            if key in ready:
                entry.lost = None
                wait = entry.since + self._attach - time
                if wait <= 0:
                    entry.attached = True
                elif not entry.attached:
                    waits.append(wait)
            elif not entry.attached:
                del self._entries[key]
            else:
                entry.lost = time if entry.lost is None else entry.lost
                wait = entry.lost + self._detach - time
                if wait <= 0:
                    del self._entries[key]
                else:
                    waits.append(wait)
        attached = {key for key, entry in self._entries.items() if entry.attached}
        return attached, min(waits, default=None)
