# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Looks at one region of a service, and changes nothing: who answers at its address, and what stands behind it."""

from __future__ import annotations

import dataclasses
import typing as t

from .._call import Call
from .._errors import CollectionError, InvalidOption, WaitTimeout
from .._gcp.connect import connect as google
from .._inference.builders import IMPORT_KIND, IMPORT_VERSION, POOL_VERSION
from .._inference.pool import exported
from .._kube.connection import ClusterMissing, Connection, Resource, UnknownKind, connect, named
from .._kube.diagnosis import PODS, pod_reasons
from .._kube.objects import name_of, namespace_of
from .._kube.readiness import NeverReady, ready
from .._wait import Backoff, wait_for
from .answers import ask
from .findings import ABSENT, Facts, Routing, Seen, Servers, findings, state, symptom, told
from .firewall import HEALTH_CHECKERS, refused

Json = dict[str, t.Any]

IMPORT = "import_"
GATEWAY_VERSION = "gateway.networking.k8s.io/v1"
POLICY_VERSION = "networking.gke.io/v1"

# A load balancer takes a minute or two to take what has become ready.
PAUSES = Backoff(first=0.5, factor=1.3, cap=5.0)


def info(call: Call) -> Json:
    """The core of module serving_info."""
    params = call.params
    if not 1 <= params["port"] <= 65535:
        raise InvalidOption("port", params["port"], "give a port from 1 to 65535")
    if params["request_timeout"] <= 0:
        raise InvalidOption("request_timeout", params["request_timeout"], "give seconds, more than 0")
    look = Look(call)
    if params["follow_route"]:
        look.follow()
    facts = look.around(look.wait() if params["wait"] and not call.check_mode else look.at())
    return {"changed": False, "serving": described(facts, look.unrouted)}


def described(facts: Facts, unrouted: t.Sequence[str]) -> Json:
    """As the module returns it."""
    answer = dataclasses.asdict(facts.answer) if facts.answer else {}
    return {
        "region": facts.region,
        "state": state(facts),
        "url": facts.url,
        "answer": answer,
        "symptom": symptom(facts),
        "findings": [dataclasses.asdict(finding) for finding in findings(facts)],
        "endpoints": facts.servers.ready if facts.servers else 0,
        "match_labels": facts.servers.selector if facts.servers else {},
        "unrouted_pools": list(unrouted),
    }


class Look:
    """One module call's way of looking; ``unrouted``: exported pools of the namespace that no route names."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._params = call.params
        self.unrouted: list[str] = []
        self._pools: list[str] = []
        self._model: str = call.params["model"]
        self._url: str = call.params["url"] or ""

    def follow(self) -> None:
        """Look at what is served now, when the route leads elsewhere."""
        if not named(self._call, IMPORT):
            return
        try:
            connection = connect(self._call, IMPORT)
            place = self._params["namespace"], self._params["gateway"]
            route = _found(connection, GATEWAY_VERSION, "HTTPRoute", *place)
        except CollectionError:
            return  # said when everything is looked at
        leads_to = backends(route, place[0]) if route else []
        if leads_to and self._model not in leads_to:
            self._model = leads_to[0]

    @property
    def _addressed(self) -> bool:
        return bool(self._params["url"] or self._params["address"])

    def wait(self) -> Facts:
        """Until the region answers its own clients; without an address until it has an endpoint. Raises WaitTimeout."""
        goal = "answer its own clients" if self._addressed else "have a model server that is ready"
        try:
            return wait_for(
                self.at,
                lambda facts: facts.at_home if self._addressed else bool(facts.servers and facts.servers.ready),
                timeout=self._params["wait_timeout"],
                what=f"{self._params['region']} to {goal}",
                why=lambda seen: told(self.around(seen)),
                backoff=PAUSES,
            )
        except WaitTimeout as error:
            found = described(error.details["last"], ())
            raise WaitTimeout(error.message, waited=error.details["waited"], serving=found) from None

    def at(self) -> Facts:
        """Who answers; where no answer tells, what servers the region has counts."""
        params, facts = self._params, self._blank()
        if not self._addressed:
            return self._with_servers(facts)
        self._url = self._url or self._address()
        if not self._url:
            return facts
        answer = ask(self._url, self._model, header=params["region_header"], timeout=params["request_timeout"])
        facts = dataclasses.replace(facts, url=self._url, answer=answer)
        return self._with_servers(facts) if answer.complete and not answer.served_by else facts

    def around(self, facts: Facts) -> Facts:
        """The same with all that stands behind the address."""
        if facts.servers is None and not facts.cluster:
            facts = self._with_servers(facts)
        facts = self._with_routing(facts)
        if facts.answer is not None and not facts.at_home:
            facts = dataclasses.replace(facts, refused=self._refused(facts))
        return facts

    def _blank(self) -> Facts:
        params = self._params
        return Facts(
            address=params["address"] or "",
            region=params["region"],
            model=self._model,
            namespace=params["namespace"],
            gateway=params["gateway"],
            cluster_name=params["cluster"] or params["context"] or "of the region",
            header=params["region_header"],
        )

    def _address(self) -> str:
        """The gateway's URL by its reserved address, "" before that is there."""
        gcp = google(self._call)
        path = f"projects/{gcp.project}/regions/{self._params['region']}/addresses/{self._params['address']}"
        found = (gcp.rest("compute").find(path) or {}).get("address", "")
        return f"http://{found}:{self._params['gateway_port']}" if found else ""

    def _with_servers(self, facts: Facts) -> Facts:
        try:
            connection = connect(self._call)
            resource = connection.resource(POOL_VERSION, "InferencePool")
            pools = connection.list(resource, facts.namespace)
            self._pools = [name_of(pool) for pool in pools if exported(pool)]
            pool = next((pool for pool in pools if name_of(pool) == facts.model), None)
            selector = ((pool or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or {}
            selector = selector or self._params["match_labels"] or {}
            return dataclasses.replace(facts, servers=_servers(connection, facts.namespace, _seen(pool), selector))
        except UnknownKind:
            return dataclasses.replace(facts, servers=Servers(ABSENT))
        except CollectionError as error:
            return dataclasses.replace(facts, cluster=error.message)

    def _with_routing(self, facts: Facts) -> Facts:
        if not named(self._call, IMPORT):
            return facts
        try:
            connection = connect(self._call, IMPORT)
            routes = _listed(connection, GATEWAY_VERSION, "HTTPRoute")
            routed = {name for route in routes for name in backends(route, facts.namespace)}
            self.unrouted = sorted(set(self._pools) - routed - {facts.model})
            route = next((r for r in routes if (namespace_of(r), name_of(r)) == (facts.namespace, facts.gateway)), None)

            def one(version: str, kind: str, name: str) -> Seen:
                return _seen(_found(connection, version, kind, facts.namespace, name))

            routing = Routing(
                gateway=one(GATEWAY_VERSION, "Gateway", facts.gateway),
                route=_seen(route),
                backends=backends(route, facts.namespace) if route else [],
                imported=one(IMPORT_VERSION, IMPORT_KIND, facts.model),
                health_check=one(POLICY_VERSION, "HealthCheckPolicy", facts.model),
            )
            return dataclasses.replace(facts, routing=routing)
        except ClusterMissing as error:
            # A first build has none yet; a service that answers had one.
            return dataclasses.replace(facts, config=error.message if facts.built else "")
        except CollectionError as error:
            return dataclasses.replace(facts, config=error.message)

    def _refused(self, facts: Facts) -> list[str]:
        """What the firewall keeps out; nothing where that cannot be read or the network is not named."""
        network = self._params["network"]
        if not network:
            return []
        try:
            gcp = google(self._call)
            rest = gcp.rest("compute")

            def of_network(item: Json) -> bool:
                return str(item.get("network", "")).rpartition("/")[2] == network

            place = f"projects/{gcp.project}"
            rules = [rule for rule in rest.pages(f"{place}/global/firewalls", "items") if of_network(rule)]
            subnets = rest.pages(f"{place}/regions/{facts.region}/subnetworks", "items")
            proxies = [
                s["ipCidrRange"] for s in subnets if of_network(s) and s.get("purpose") == "GLOBAL_MANAGED_PROXY"
            ]
        except CollectionError:
            return []
        missing = [] if proxies else [f"network {network} has no proxy-only subnet in {facts.region}"]
        return missing + refused(rules, [*HEALTH_CHECKERS, *proxies], self._params["port"])


def backends(route: Json, namespace: str) -> list[str]:
    """The imports of this namespace that an HTTPRoute sends requests to."""
    return [
        str(ref["name"])
        for rule in (route.get("spec") or {}).get("rules") or []
        for ref in rule.get("backendRefs") or []
        if ref.get("kind") == IMPORT_KIND and (ref.get("namespace") or namespace_of(route)) == namespace
    ]


def _servers(connection: Connection, namespace: str, pool: Seen, selector: dict[str, str]) -> Servers:
    if not selector:
        return Servers(pool)
    labels = ",".join(f"{name}={value}" for name, value in selector.items())
    pods = [
        pod
        for pod in connection.list(PODS, namespace, labelSelector=labels)
        if not pod["metadata"].get("deletionTimestamp")
    ]
    unready = [pod for pod in pods if not _is_ready(pod)]
    reasons = [line for pod in unready[:3] for line in pod_reasons(pod)]
    return Servers(pool, selector, len(pods), len(pods) - len(unready), reasons)


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _listed(connection: Connection, version: str, kind: str) -> list[Json]:
    try:
        return connection.list(connection.resource(version, kind))
    except UnknownKind:
        return []


def _found(connection: Connection, version: str, kind: str, namespace: str, name: str) -> Json | None:
    try:
        resource: Resource = connection.resource(version, kind)
    except UnknownKind:
        return None
    return connection.get(resource, namespace, name)


def _seen(obj: Json | None) -> Seen:
    if obj is None:
        return ABSENT
    try:
        return Seen(*ready(obj))
    except NeverReady as error:
        return Seen(False, error.message)
