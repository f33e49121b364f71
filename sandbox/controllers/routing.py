# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load balancer that a config cluster's objects and the members' Pods make. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from sandbox.client import key_of
from sandbox.interfaces import Backend, ClusterKey, Endpoint, HealthCheck, Json, Listener

from . import backend_policies, gateway
from .cache import terminating
from .firewall import HEALTH_CHECK_RANGES, admits
from .gateway import Attachment, Key, Verdict
from .pools import Site, exported, pool_key, ready_endpoints, serves


@dataclasses.dataclass(frozen=True)
class Intent:
    """The config cluster's objects; kept when that cluster is lost, for the load balancer goes on serving."""

    gateways: Sequence[Json] = ()
    routes: Sequence[Json] = ()
    imports: Collection[Key] = ()
    health_checks: Sequence[Json] = ()
    backend_policies: Sequence[Json] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """The VPC network of a cluster as far as its Pods' reachability goes."""

    name: str
    firewalls: Sequence[Json]
    tags: Collection[str]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the objects amount to: verdicts on Gateways, attachments of routes by the route's key."""

    verdicts: Mapping[Key, Verdict]
    attachments: Mapping[Key, Sequence[Attachment]]

    def attached(self, key: Key, listener: str) -> int:
        """How many routes this Gateway's listener has."""
        return sum(
            any(one.gateway == key and listener in one.listeners for one in attachments)
            for attachments in self.attachments.values()
        )


def plan(intent: Intent, around: gateway.Surroundings) -> Plan:
    live = {key_of(obj): obj for obj in intent.gateways if not terminating(obj)}
    verdicts = {key: gateway.judge(obj, around) for key, obj in live.items()}
    taken = {key: obj for key, obj in live.items() if not _refused(verdicts[key])}
    attachments = {
        key_of(route): gateway.attach(route, taken, intent.imports) for route in intent.routes if not terminating(route)
    }
    return Plan(verdicts, attachments)


def _refused(verdict: Verdict) -> bool:
    return verdict.fault is not None and verdict.fault.condition == "Accepted"


def listeners(intent: Intent, planned: Plan, programmed: Callable[[Json], bool]) -> list[Listener]:
    """The listeners of the Gateways that are valid and ``programmed`` (or to be, now)."""
    by_age = sorted(intent.routes, key=lambda obj: (obj["metadata"]["creationTimestamp"], key_of(obj)))
    attached = [(route, one) for route in by_age for one in planned.attachments.get(key_of(route), ())]
    made: list[Listener] = []
    for obj in intent.gateways:
        verdict = planned.verdicts.get(key_of(obj))
        if verdict is not None and verdict.fault is None and programmed(obj):
            made += gateway.listeners(obj, verdict.vips, attached, intent.imports)
    return made


def used_backends(listeners: Sequence[Listener]) -> set[str]:
    return {name for listener in listeners for rule in listener.rules for name, _unused in rule.backends}


def candidates(sites: Sequence[Site]) -> set[tuple[str, Endpoint]]:
    """(backend, endpoint) of every ready Pod behind an exported pool."""
    return {
        (gateway.backend_name(pool_key(pool)), endpoint)
        for site in sites
        for pool in site.pools
        if exported(pool)
        for endpoint in ready_endpoints(pool, site)
    }


@dataclasses.dataclass(frozen=True)
class Reach:
    """What decides whether an attached endpoint gets traffic: its cluster, that cluster's network, the proxies."""

    network: str  # of the Gateway
    proxies: Collection[str]  # ranges of the proxy-only subnets in use
    networks: Mapping[ClusterKey, Network]


def backends(
    names: Collection[str],
    attached: Collection[tuple[str, Endpoint]],
    owners: Mapping[Endpoint, ClusterKey],
    intent: Intent,
    sites: Sequence[Site],
    reach: Reach,
) -> dict[str, Backend]:
    """The backends by name. ``owners``: the cluster of each endpoint; one whose cluster is gone stays reachable."""
    health = backend_policies.effective(intent.health_checks)
    rules = backend_policies.effective(intent.backend_policies)
    silent = {
        (gateway.backend_name(pool_key(pool)), site.key)
        for site in sites
        for pool in site.pools
        if not serves(pool, site)
    }
    made = {}
    for name in sorted(names):
        namespace, _unused, short = name.partition("/")
        check = backend_policies.health_check(health.get((namespace, short)))
        rule = rules.get((namespace, short))
        endpoints = [
            endpoint
            for backend, endpoint in attached
            if backend == name
            and (cluster := owners.get(endpoint)) is not None
            and (name, cluster) not in silent
            and not backend_policies.drained(rule, endpoint, cluster)
            and reachable(endpoint, cluster, check, reach)
        ]
        endpoints.sort(key=lambda item: (item.region, item.zone, item.address, item.port))
        made[name] = Backend(name, tuple(endpoints), check, backend_policies.timeout(rule))
    return made


def reachable(endpoint: Endpoint, cluster: ClusterKey, check: HealthCheck, reach: Reach) -> bool:
    """Whether the firewall lets Google's health checks and the proxies through to the endpoint."""
    network = reach.networks.get(cluster)
    if network is None:
        return True  # the cluster is gone: what its network admits is no longer known, its endpoints are leaving
    if network.name != reach.network:
        return False
    needed = [(source, check.port or endpoint.port) for source in HEALTH_CHECK_RANGES]
    needed += [(source, endpoint.port) for source in reach.proxies]
    return all(admits(network.firewalls, source, port, network.tags) for source, port in needed)
