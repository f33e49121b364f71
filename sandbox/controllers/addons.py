# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What GKE itself puts into a cluster: namespaces, service accounts, the Gateway API."""

from __future__ import annotations

from sandbox.client import CRDS, GATEWAY_CLASSES, NAMESPACES, SERVICE_ACCOUNTS, Resource, now
from sandbox.instances import live_pools
from sandbox.interfaces import CloudView, ClusterKey, Json
from sandbox.kubernetes import crds

from .cache import Cache, condition, each, terminating
from .dra import managed

CONTROLLER = "networking.gke.io/gateway"
_NAMESPACES = ("kube-public", "kube-node-lease", "gke-managed-system", "gke-managed-cim", "gmp-system", "gmp-public")
_DRIVER_NAMESPACE = "gke-managed-networking-dra-driver"

SINGLE_CLUSTER_CLASSES = (
    "gke-l7-cross-regional-internal-managed",
    "gke-l7-global-external-managed",
    "gke-l7-gxlb",
    "gke-l7-regional-external-managed",
    "gke-l7-rilb",
)
MULTI_CLUSTER_CLASSES = (
    "gke-l7-cross-regional-internal-managed-mc",
    "gke-l7-global-external-managed-mc",
    "gke-l7-gxlb-mc",
    "gke-l7-regional-external-managed-mc",
    "gke-l7-rilb-mc",
)


def gateway_class(name: str) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {"controllerName": CONTROLLER, "description": f"GKE Gateway class {name}"},
    }


async def keep_classes(cache: Cache, names: tuple[str, ...]) -> None:
    """Have these GatewayClasses exist and be accepted. Raises KubeError 404 before the CRD is served."""
    for name in names:
        live = cache.get(GATEWAY_CLASSES, "", name)
        if live is None:
            live = await cache.create(GATEWAY_CLASSES, gateway_class(name))
        accepted = condition(live, "Accepted") or {}
        generation = live["metadata"].get("generation", 1)
        if accepted.get("status") != "True" or accepted.get("observedGeneration") != generation:
            verdict = {
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": now(),
            }
            await cache.set_status(GATEWAY_CLASSES, live, {"conditions": [verdict]})


async def keep_definitions(cache: Cache, definitions: list[Json]) -> bool:
    """Have these CustomResourceDefinitions installed at their version; whether all are served."""
    for definition in definitions:
        live = cache.get(CRDS, "", definition["metadata"]["name"])
        if live is None or not _contains(
            live["metadata"].get("annotations"), definition["metadata"].get("annotations")
        ):
            await cache.apply(CRDS, definition)
    installed = [cache.get(CRDS, "", definition["metadata"]["name"]) or {} for definition in definitions]
    return all((condition(item, "Established") or {}).get("status") == "True" for item in installed)


def _contains(live: Json | None, wanted: Json | None) -> bool:
    return (wanted or {}).items() <= (live or {}).items()


def gateway_api(cluster: Json) -> bool:
    config = (cluster.get("networkConfig") or {}).get("gatewayApiConfig") or {}
    return config.get("channel") in ("CHANNEL_STANDARD", "CHANNEL_EXPERIMENTAL")


class AddonController:
    watches: tuple[Resource, ...] = (NAMESPACES, SERVICE_ACCOUNTS, CRDS, GATEWAY_CLASSES)
    cloud_events = True

    def __init__(self, key: ClusterKey, cache: Cache, cloud: CloudView) -> None:
        self._key = key
        self._cache = cache
        self._cloud = cloud

    async def reconcile(self) -> float | None:
        cluster = self._cloud.cluster(self._key) or {}
        wanted = [*_NAMESPACES]
        if any(managed(pool) for pool in live_pools(cluster)):
            wanted.append(_DRIVER_NAMESPACE)
        for name in wanted:
            if self._cache.get(NAMESPACES, "", name) is None:
                await self._cache.create(NAMESPACES, {"metadata": {"name": name}})
        alive = [item for item in self._cache.list(NAMESPACES) if not terminating(item)]
        await each(alive, self._default_account)
        if gateway_api(cluster):
            version = cluster.get("currentMasterVersion") or cluster.get("initialClusterVersion") or ""
            if await keep_definitions(self._cache, crds.shipped(version)):
                await keep_classes(self._cache, SINGLE_CLUSTER_CLASSES)
        return None

    async def _default_account(self, namespace: Json) -> None:
        name = namespace["metadata"]["name"]
        if self._cache.get(SERVICE_ACCOUNTS, name, "default") is None:
            await self._cache.create(SERVICE_ACCOUNTS, {"metadata": {"namespace": name, "name": "default"}})
