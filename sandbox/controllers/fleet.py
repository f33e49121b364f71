# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's controllers of a fleet: multi-cluster GatewayClasses, pool imports, and the load balancer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from sandbox.client import (
    BACKEND_POLICIES,
    CRDS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HEALTH_CHECK_POLICIES,
    HTTP_ROUTES,
    INFERENCE_POOLS,
    NODES,
    PODS,
    POOL_IMPORTS,
    SERVICES,
    Resource,
    key_of,
)
from sandbox.interfaces import (
    Backend,
    CloudView,
    ClusterAccess,
    ClusterKey,
    DataPlane,
    Endpoint,
    Json,
    Listener,
    LoadBalancers,
)
from sandbox.kubernetes import crds
from sandbox.latency import ENDPOINT_DETACH, Latency

from . import gateway_status, pools, routing
from .addons import MULTI_CLUSTER_CLASSES, keep_classes, keep_definitions
from .backend_policies import effective, fault
from .cache import Cache, Signal, condition, drive, terminating
from .cluster import follow_cloud
from .gateway import CLASS, Fault, Key, Surroundings, Verdict, judge, proxy_ranges
from .members import Members, agent_permitted, cluster_of, config_cluster, feature_active
from .nodes import short_name
from .pools import Attachments, PoolKey, Site


class Timers:
    """Delays that begin when first asked for."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self.next: float | None = None

    def over(self, name: str, seconds: float) -> bool:
        """Whether ``seconds`` have passed since this was first asked; if not, ``next`` says when to ask again."""
        left = self._begun.setdefault(name, time.monotonic()) + seconds - time.monotonic()
        if left > 0:
            self.wake(left)
        return left <= 0

    def wake(self, seconds: float | None) -> None:
        if seconds is not None:
            self.next = seconds if self.next is None else min(self.next, seconds)

    def forget(self, prefix: str, keep: Collection[str] = ()) -> None:
        """Drop the delays of this prefix but those to ``keep``."""
        self._begun = {
            name: begun for name, begun in self._begun.items() if not name.startswith(prefix) or name in keep
        }


class Backoff:
    """Pauses between attempts that double from one second to half a minute."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._next = 0.0

    def next(self) -> float:
        """Begin the next pause; returns its length."""
        self._pause = min(max(1.0, self._pause * 2), 30.0)
        self._next = time.monotonic() + self._pause
        return self._pause

    def left(self) -> float:
        return max(0.0, self._next - time.monotonic())

    def due(self) -> bool:
        return self.left() == 0


class FleetControllers:
    """Serves until cancelled. The clusters may come and go meanwhile."""

    def __init__(
        self,
        *,
        cloud: CloudView,
        latency: Latency,
        access: Callable[[ClusterKey], ClusterAccess | None],
        clusters: Callable[[], Sequence[ClusterKey]],
        dataplane: DataPlane,
        balancers: LoadBalancers,
    ) -> None:
        self._cloud = cloud
        self._latency = latency
        self._dataplane = dataplane
        self._balancers = balancers
        self._signal = Signal()
        self._members = Members(access, clusters, self._signal)
        self._timers = Timers()
        self._attachments = Attachments(latency.of("endpoint_attach"), ENDPOINT_DETACH)
        self._owners: dict[Endpoint, ClusterKey] = {}
        self._intent = routing.Intent()
        self._config: ClusterKey | None = None
        self._network = "default"  # of the config cluster, remembered when that is lost
        self._asked: tuple[list[Listener], dict[str, Backend]] = ([], {})  # of the data plane, last
        self._faults: Mapping[Listener, str] = {}  # what it could not serve of that
        self._again = Backoff()
        # By namespace and name, as Google names the parts of a load balancer: a new config cluster's Gateway of the
        # same name takes over what its predecessor's has made. That Google does so is documented nowhere.
        self._programmed: set[Key] = set()
        self._told: dict[str, str] = {}  # uid of a Gateway -> last event's message

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(follow_cloud(self._cloud, [self._signal]))
                group.create_task(drive("fleet", self._signal, self._reconcile))
        finally:
            await self._members.close()

    async def _reconcile(self) -> float | None:
        self._timers.next = None
        await self._members.refresh()
        config = config_cluster(self._cloud)
        sites = self._sites()
        # Traffic first, and each step on its own: a cluster that is away must not hold up the others.
        await attempt(
            lambda: self._route(config, sites),
            lambda: self._install(config),
            lambda: self._import(config, sites),
            lambda: self._report_pools(config, sites),
        )
        return self._timers.next

    def _sites(self) -> list[Site]:
        caches = self._members.caches()
        sites = []
        for membership in self._cloud.memberships():
            key = cluster_of(membership)
            cache = caches.get(key) if key is not None else None
            if key is not None and cache is not None:
                zones = {
                    node["metadata"]["name"]: node["metadata"].get("labels", {}).get("topology.kubernetes.io/zone", "")
                    for node in cache.list(NODES)
                }
                sites.append(
                    Site(
                        key=key,
                        membership=short_name(membership["name"]),
                        pools=cache.list(INFERENCE_POOLS),
                        pods=cache.list(PODS),
                        services=cache.list(SERVICES),
                        zones=zones,
                    )
                )
        return sites

    # -- multi-cluster classes ---------------------------------------------------------------------------------

    async def _install(self, config: ClusterKey | None) -> None:
        for key, other in self._members.caches().items():
            if key != config:
                await self._uninstall(other)
        cache = self._members.cache(config)
        if cache is None or not agent_permitted(self._cloud):
            self._timers.forget("classes ")
            return
        if await keep_definitions(cache, crds.config_cluster()) and self._timers.over(
            f"classes {config}", self._latency.of("gateway_classes")
        ):
            await keep_classes(cache, MULTI_CLUSTER_CLASSES)

    async def _uninstall(self, cache: Cache) -> None:
        names = {definition["metadata"]["name"] for definition in crds.config_cluster()}
        for resource, doomed in ((GATEWAY_CLASSES, MULTI_CLUSTER_CLASSES), (CRDS, names)):
            for obj in cache.list(resource):
                if obj["metadata"]["name"] in doomed and not terminating(obj):
                    await cache.delete(resource, obj)

    # -- pools -------------------------------------------------------------------------------------------------

    async def _import(self, config: ClusterKey | None, sites: Sequence[Site]) -> None:
        cache = self._members.cache(config)
        if cache is None or not agent_permitted(self._cloud):
            return
        exports: dict[PoolKey, list[tuple[Site, Json]]] = {}
        for site in sites:
            for pool in site.pools:
                if pools.exported(pool):
                    exports.setdefault(pools.pool_key(pool), []).append((site, pool))
        self._timers.forget("import ", [f"import {'/'.join(key)}" for key in exports])
        for live in cache.list(POOL_IMPORTS):
            if key_of(live) not in exports and not terminating(live):
                await cache.delete(POOL_IMPORTS, live)
        for key, listed in exports.items():
            await self._keep_import(cache, key, listed)

    async def _keep_import(self, cache: Cache, key: PoolKey, listed: list[tuple[Site, Json]]) -> None:
        wanted = pools.import_for(listed)
        live = cache.get(POOL_IMPORTS, *key)
        if live is None:
            if not self._timers.over(f"import {'/'.join(key)}", self._latency.of("pool_import")):
                return
            live = await cache.create(POOL_IMPORTS, wanted)
        elif live.get("spec") != wanted["spec"]:
            live = await cache.merge(POOL_IMPORTS, wanted)
        await cache.set_status(POOL_IMPORTS, live, {**(live.get("status") or {}), **pools.import_status(live, listed)})

    async def _report_pools(self, config: ClusterKey | None, sites: Sequence[Site]) -> None:
        cache = self._members.cache(config)
        if cache is None:
            return
        caches = self._members.caches()
        for site in sites:
            for pool in site.pools:
                imported = pools.exported(pool) and cache.get(POOL_IMPORTS, *pools.pool_key(pool)) is not None
                status = pools.pool_status(pool, site, imported=imported)
                if status or pool.get("status"):
                    await caches[site.key].set_status(INFERENCE_POOLS, pool, status)

    # -- the load balancer -------------------------------------------------------------------------------------

    async def _route(self, config: ClusterKey | None, sites: Sequence[Site]) -> None:
        cache = self._members.cache(config) if agent_permitted(self._cloud) else None
        if cache is not None and CLASS not in _accepted(cache):
            cache = None  # the controllers have not come to this cluster yet: what has been programmed stays so
        if not feature_active(self._cloud):
            self._intent, self._config = routing.Intent(), None
        elif config is not None and cache is not None:
            self._config = config
            self._network = short_name((self._cloud.cluster(config) or {}).get("network") or self._network)
            self._intent = _read(cache)
        surroundings = self._surroundings(cache)
        planned = routing.plan(self._intent, surroundings)
        wanted = routing.listeners(self._intent, planned, self._due)
        await self._program(wanted, self._backends(wanted, sites, surroundings))
        self._balancers.publish(self._network, [one for one in wanted if one not in self._faults], self._asked[1])
        served = {listener.gateway for listener in wanted} - {listener.gateway for listener in self._faults}
        self._programmed = {key_of(obj) for obj in self._intent.gateways if "/".join(key_of(obj)) in served}
        if cache is not None:
            await self._report(cache, planned)
        await self._refuse_elsewhere(config, surroundings)

    def _surroundings(self, cache: Cache | None) -> Surroundings:
        # A lost config cluster's classes count as still there: what has been programmed stays so.
        classes: Collection[str] = MULTI_CLUSTER_CLASSES
        if cache is not None:
            classes = _accepted(cache)
        region = self._config.region if self._config else ""
        return Surroundings(classes, region, self._cloud.subnetworks(self._network), self._cloud.address)

    def _due(self, gateway: Json) -> bool:
        """Whether a valid Gateway's load balancer is there by now; after a restart it is if its status says so."""
        uid = gateway["metadata"]["uid"]
        known = (condition(gateway, "Programmed") or {}).get("status") == "True"
        if key_of(gateway) in self._programmed or known:
            return True
        return self._timers.over(f"gateway {uid}", self._latency.of("gateway_program"))

    def _backends(
        self, listeners: Sequence[Listener], sites: Sequence[Site], around: Surroundings
    ) -> dict[str, Backend]:
        ready = routing.candidates(sites)
        for site in sites:
            for _unused, endpoint in routing.candidates([site]):
                self._owners[endpoint] = site.key
        attached, wait = self._attachments.update(time.monotonic(), ready)
        self._timers.wake(wait)
        current = {endpoint for _unused, endpoint in attached | ready}
        self._owners = {endpoint: key for endpoint, key in self._owners.items() if endpoint in current}
        regions = {listener.region for listener in listeners}
        proxies = [text for region in regions for text in proxy_ranges(around.subnetworks, region)]
        reach = routing.Reach(self._network, proxies, self._networks())
        names = routing.used_backends(listeners)
        return routing.backends(names, attached, self._owners, self._intent, sites, reach)

    def _networks(self) -> Mapping[ClusterKey, routing.Network]:
        found = {}
        for key in set(self._owners.values()):
            cluster = self._cloud.cluster(key)
            if cluster is not None:
                name = short_name(cluster.get("network") or "default")
                tags = {
                    tag for pool in cluster.get("nodePools") or [] for tag in pool.get("config", {}).get("tags") or []
                }
                found[key] = routing.Network(name, self._cloud.firewalls(name), tags)
        return found

    async def _program(self, listeners: list[Listener], backends: dict[str, Backend]) -> None:
        """Have it served when it is new, and again after a while as long as part of it could not be."""
        if self._asked[0] != listeners:
            self._again = Backoff()
        elif self._asked[1] == backends and not (self._faults and self._again.due()):
            self._timers.wake(self._again.left() if self._faults else None)
            return
        self._asked, self._faults = (listeners, backends), await self._dataplane.program(listeners, backends)
        if self._faults:
            self._timers.wake(self._again.next())

    async def _report(self, cache: Cache, planned: routing.Plan) -> None:
        intent = self._intent
        steps: list[Callable[[], Awaitable[None]]] = [
            lambda obj=obj: self._report_gateway(cache, obj, planned)  # type: ignore[misc]
            for obj in intent.gateways
            if key_of(obj) in planned.verdicts
        ]
        for obj in intent.routes:
            status = gateway_status.route(obj, planned.attachments.get(key_of(obj), ()))
            if status["parents"] or obj.get("status"):
                steps.append(_writing(cache, HTTP_ROUTES, obj, status))
        for resource, policies in (
            (HEALTH_CHECK_POLICIES, intent.health_checks),
            (BACKEND_POLICIES, intent.backend_policies),
        ):
            chosen = effective(policies)
            for obj in policies:
                status = gateway_status.policy(obj, fault(obj, chosen, intent.imports))
                steps.append(_writing(cache, resource, obj, status))
        await attempt(*steps)

    async def _report_gateway(self, cache: Cache, obj: Json, planned: routing.Plan) -> None:
        key: Key = key_of(obj)
        verdict = self._verdict(key, planned)
        uid = obj["metadata"]["uid"]
        attached = {item["name"]: planned.attached(key, item["name"]) for item in obj["spec"]["listeners"]}
        programmed = key in self._programmed
        status = gateway_status.gateway(obj, verdict, attached, programmed=programmed)
        await cache.set_status(GATEWAYS, obj, status)
        name = "/".join(key)
        if verdict.fault is not None:
            kind, text = "Warning", f"failed to sync {name}: {verdict.fault.message}"
        elif programmed:
            kind, text = "Normal", f"SYNC on {name} was a success"
        else:
            return
        if self._told.get(uid) != text:
            self._told[uid] = text
            await cache.client.event(obj, kind, "SYNC", text)

    def _verdict(self, key: Key, planned: routing.Plan) -> Verdict:
        """What the objects amount to, and whether the data plane could do it."""
        verdict = planned.verdicts[key]
        unusable = [why for listener, why in self._faults.items() if listener.gateway == "/".join(key)]
        if verdict.fault is not None or not unusable:
            return verdict
        return Verdict(verdict.vips, Fault("Programmed", "AddressNotUsable", f"error cause: {'; '.join(unusable)}"))

    async def _refuse_elsewhere(self, config: ClusterKey | None, around: Surroundings) -> None:
        """Say on Gateways whose multi-cluster class their cluster does not have why nobody takes them."""
        for key, cache in self._members.caches().items():
            if key == config and cache.get(GATEWAY_CLASSES, "", CLASS) is not None:
                continue
            for obj in cache.list(GATEWAYS):
                if obj["spec"]["gatewayClassName"] in MULTI_CLUSTER_CLASSES and not terminating(obj):
                    verdict = judge(obj, Surroundings((), "", (), around.address))
                    status = gateway_status.gateway(obj, verdict, {}, programmed=False)
                    await cache.set_status(GATEWAYS, obj, status)


def _accepted(cache: Cache) -> list[str]:
    """The names of the cluster's GatewayClasses that count."""
    return [
        obj["metadata"]["name"]
        for obj in cache.list(GATEWAY_CLASSES)
        if (condition(obj, "Accepted") or {}).get("status") == "True" and not terminating(obj)
    ]


def _read(cache: Cache) -> routing.Intent:
    return routing.Intent(
        gateways=cache.list(GATEWAYS),
        routes=cache.list(HTTP_ROUTES),
        imports={key_of(obj) for obj in cache.list(POOL_IMPORTS) if not terminating(obj)},
        health_checks=cache.list(HEALTH_CHECK_POLICIES),
        backend_policies=cache.list(BACKEND_POLICIES),
    )


def _writing(cache: Cache, resource: Resource, obj: Json, status: Json) -> Callable[[], Awaitable[None]]:
    return lambda: cache.set_status(resource, obj, status)


async def attempt(*steps: Callable[[], Awaitable[None]]) -> None:
    """Take every step; one that fails does not keep the others from being taken. Raises the first failure after."""
    failure: Exception | None = None
    for step in steps:
        try:
            await step()
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
