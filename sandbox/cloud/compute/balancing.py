# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the load balancers that GKE's controllers program, as compute's resources: users only read them.

A cross-region internal Application Load Balancer is made of global parts, endpoint groups in zones, and a forwarding
rule for each address: https://cloud.google.com/load-balancing/docs/l7-internal#components_cross-region
The controller of multi-cluster Gateways names them gkemcg1-NAMESPACE-NAME-HASH, the one of endpoint groups
k8s1-CLUSTER-NAMESPACE-NAME-PORT-HASH: https://cloud.google.com/kubernetes-engine/docs/concepts/gateway-api
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...interfaces import Backend, Json, Listener, Rule
from ..store import Project, Store, fingerprint, now, stable_id
from .links import LINK

NOUNS = {
    "networkEndpointGroups": "networkEndpointGroup",
    "healthChecks": "healthCheck",
    "backendServices": "backendService",
    "urlMaps": "urlMap",
    "targetHttpProxies": "targetHttpProxy",
    "forwardingRules": "forwardingRule",
}
FINGERPRINTED = {f"compute#{noun}" for noun in ("backendService", "urlMap", "targetHttpProxy", "forwardingRule")}
SCHEME = "INTERNAL_MANAGED"
NOT_FOUND = "kube-system/gw-serve404"  # answers what no route matches
RATE = 100000000  # requests per second and endpoint: no limit


class LoadBalancers:
    """Implements interfaces.LoadBalancers over the sandbox's main project."""

    def __init__(self, store: Store) -> None:
        self._project = store.main
        self._told: tuple[str, Sequence[Listener], Mapping[str, Backend]] = ("", (), {})

    def publish(self, network: str, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> None:
        if self._told == (network, listeners, backends):
            return
        self._told = network, list(listeners), dict(backends)
        project = self._project
        parts = _Parts(project, network)
        for listener in listeners:
            parts.add_listener(listener)
        if listeners:
            parts.add_backend(NOT_FOUND, None)
            for name, backend in backends.items():
                parts.add_backend(name, backend)
        before = project.balancing
        project.balancing = {path: _kept(document, before.get(path)) for path, document in parts.made.items()}
        project.endpoints = parts.endpoints


def documents(project: Project, collection: str) -> Iterator[Json]:
    return (document for path, document in project.balancing.items() if f"/{collection}/" in path)


def users(project: Project, document: Json) -> list[str]:
    """The parts that refer to this one."""
    link = f'"{document["selfLink"]}"'
    return [
        f"projects/{project.id}/{path}"
        for path, other in project.balancing.items()
        if other is not document and link in json.dumps(other).replace(f'"selfLink": {link}', "")
    ]


def listed_endpoints(project: Project, group: Json) -> Json:
    """The answer of listNetworkEndpoints."""
    path = group["selfLink"].removeprefix(LINK)
    items = [{"networkEndpoint": endpoint} for endpoint in project.endpoints.get(path.split("/", 2)[2], [])]
    answer: Json = {"kind": "compute#networkEndpointGroupsListNetworkEndpoints", "id": f"{path}/listNetworkEndpoints"}
    return {**answer, "items": items} if items else answer


def _kept(document: Json, before: Json | None) -> Json:
    """The document with the time of the one that it takes the place of."""
    stamp = before["creationTimestamp"] if before else now()
    answer = {**document, "creationTimestamp": stamp}
    return answer | ({"fingerprint": fingerprint(document)} if document["kind"] in FINGERPRINTED else {})


@dataclasses.dataclass
class _Parts:
    """Collects the documents: path below the project -> document."""

    project: Project
    network: str
    made: dict[str, Json] = dataclasses.field(default_factory=dict)
    endpoints: dict[str, list[Json]] = dataclasses.field(default_factory=dict)

    def add(self, scope: str, collection: str, name: str, content: Json) -> str:
        """Returns the link."""
        path = f"{scope}/{collection}/{name}"
        link = f"{LINK}projects/{self.project.id}/{path}"
        place: Json = {} if scope == "global" else {"zone": f"{LINK}projects/{self.project.id}/{scope}"}
        self.made[path] = {
            "kind": f"compute#{NOUNS[collection]}",
            "id": stable_id(link),
            "name": name,
            "selfLink": link,
            **place,
            **content,
        }
        return link

    def link(self, collection: str, name: str) -> str:
        return f"{LINK}projects/{self.project.id}/global/{collection}/{name}"

    def add_backend(self, name: str, backend: Backend | None) -> None:
        """A backend service with its health check and, in every zone that has endpoints, a group of them."""
        called = service_name(name)
        check = self.add("global", "healthChecks", called, _health_check(backend))
        groups = self._add_groups(name, backend) if backend else []
        content = {
            "description": json.dumps({"kubernetes.io/service-name": name}),
            "protocol": "HTTP",
            "loadBalancingScheme": SCHEME,
            "healthChecks": [check],
            "backends": [
                {"group": group, "balancingMode": "RATE", "capacityScaler": 1.0, "maxRatePerEndpoint": float(RATE)}
                for group in groups
            ],
            "timeoutSec": math.ceil(backend.timeout) if backend else 30,
            "connectionDraining": {"drainingTimeoutSec": 0},
            "sessionAffinity": "NONE",
            "localityLbPolicy": "ROUND_ROBIN",
        }
        self.add("global", "backendServices", called, content)

    def _add_groups(self, name: str, backend: Backend) -> list[str]:
        """A group stays, empty, where its last endpoint has gone: it ends with its backend service."""
        called = group_name(name)
        zones: dict[str, list[Json]] = {
            path.split("/")[1]: [] for path in self.project.balancing if path.endswith(f"/{called}")
        }
        regions: dict[str, str] = {zone: zone.rpartition("-")[0] for zone in zones}
        for endpoint in backend.endpoints:
            if endpoint.zone:
                zones.setdefault(endpoint.zone, []).append({"ipAddress": endpoint.address, "port": endpoint.port})
                regions[endpoint.zone] = endpoint.region
        links = []
        for zone, found in sorted(zones.items()):
            subnetwork = self._subnetwork(regions[zone])
            content: Json = {
                "networkEndpointType": "GCE_VM_IP_PORT",
                "network": self.link("networks", self.network),
                **({"subnetwork": subnetwork} if subnetwork else {}),
                "size": len(found),
            }
            links.append(self.add(f"zones/{zone}", "networkEndpointGroups", called, content))
            self.endpoints[f"zones/{zone}/networkEndpointGroups/{called}"] = found
        return links

    def add_listener(self, listener: Listener) -> None:
        """A forwarding rule, and the proxy and the URL map of the Gateway, which all its addresses share."""
        namespace, _unused, gateway = listener.gateway.partition("/")
        called = _name(namespace, gateway, "url-map", listener.name)
        route = self.add("global", "urlMaps", called, self._url_map(listener.rules))
        proxy = self.add("global", "targetHttpProxies", called, {"urlMap": route})
        subnetwork = self._subnetwork(listener.region, listener.address)
        content: Json = {
            "IPAddress": listener.address,
            "IPProtocol": "TCP",
            "portRange": f"{listener.port}-{listener.port}",
            "target": proxy,
            "loadBalancingScheme": SCHEME,
            "network": self.link("networks", self.network),
            **({"subnetwork": subnetwork} if subnetwork else {}),
            "networkTier": "PREMIUM",
        }
        rule = _name(namespace, gateway, "rule", listener.name, listener.region, listener.address)
        self.add("global", "forwardingRules", rule, content)

    def _url_map(self, rules: Iterable[Rule]) -> Json:
        default = self.link("backendServices", service_name(NOT_FOUND))
        by_host: dict[tuple[str, ...], list[Rule]] = defaultdict(list)
        for rule in rules:
            by_host[rule.hostnames].append(rule)
        matchers = {hosts: f"host{_digest(*hosts)}" for hosts in by_host}
        content: Json = {"defaultService": default}
        if by_host:
            content["hostRules"] = [{"hosts": list(hosts), "pathMatcher": name} for hosts, name in matchers.items()]
            content["pathMatchers"] = [
                {
                    "name": matchers[hosts],
                    "defaultService": default,
                    "routeRules": [self._route(number, rule) for number, rule in enumerate(found, 1)],
                }
                for hosts, found in by_host.items()
            ]
        return content

    def _route(self, priority: int, rule: Rule) -> Json:
        weighted = [
            {"backendService": self.link("backendServices", service_name(name)), "weight": weight}
            for name, weight in rule.backends
        ]
        default = [{"backendService": self.link("backendServices", service_name(NOT_FOUND)), "weight": 1}]
        return {
            "priority": priority,
            "matchRules": [{"prefixMatch": prefix} for prefix in rule.path_prefixes],
            "routeAction": {"weightedBackendServices": weighted or default},
        }

    def _subnetwork(self, region: str, address: str = "") -> str:
        """The subnetwork of the network in a region that has the address, or the first for machines."""
        network = self.link("networks", self.network)
        for path, item in self.project.compute.items():
            here = path.startswith(f"regions/{region}/subnetworks/") and item["network"] == network
            if here and item["purpose"] == "PRIVATE" and _within(address, item["ipCidrRange"]):
                return str(item["selfLink"])
        return ""


def _within(address: str, text: str) -> bool:
    return not address or ipaddress.ip_address(address) in ipaddress.ip_network(text)


def _health_check(backend: Backend | None) -> Json:
    if backend is None:
        return {"type": "TCP", "tcpHealthCheck": {"portSpecification": "USE_SERVING_PORT", "proxyHeader": "NONE"}}
    check = backend.health_check
    port: Json = {"portSpecification": "USE_FIXED_PORT", "port": check.port}
    return {
        "type": "HTTP",
        "httpHealthCheck": {
            "requestPath": check.path,
            "proxyHeader": "NONE",
            **(port if check.port else {"portSpecification": "USE_SERVING_PORT"}),
        },
        "checkIntervalSec": math.ceil(check.interval),
        "timeoutSec": math.ceil(check.timeout),
        "healthyThreshold": check.healthy_threshold,
        "unhealthyThreshold": check.unhealthy_threshold,
    }


def service_name(backend: str) -> str:
    """The name of the backend service of "namespace/name"."""
    return _name(*backend.split("/"), "backend")


def group_name(backend: str) -> str:
    namespace, _unused, name = backend.partition("/")
    return f"k8s1-{_digest(namespace)[:8]}-{namespace[:14]}-{name[:18]}-{_digest(backend)[:8]}"


def _name(namespace: str, name: str, *more: str) -> str:
    stem = f"{namespace}-{name}"[:41].rstrip("-")
    return f"gkemcg1-{stem}-{_digest(namespace, name, *more)}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
