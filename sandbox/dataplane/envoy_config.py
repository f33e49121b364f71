# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an Envoy has to be told to behave like Google's proxies: pure functions from the seam's data to xDS.

Files: bootstrap.json, lds.json, cds.json, one rds-NAME.json per listener and
one eds-NAME.json per cluster; the last four are watched by Envoy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ..interfaces import Backend, Endpoint, HealthCheck, Json, Listener, Rule
from .regions import by_distance

_TYPES = "type.googleapis.com/envoy."
_CLUSTER = _TYPES + "config.cluster.v3.Cluster"
_LISTENER = _TYPES + "config.listener.v3.Listener"
_ROUTES = _TYPES + "config.route.v3.RouteConfiguration"
_ENDPOINTS = _TYPES + "config.endpoint.v3.ClusterLoadAssignment"
_CONNECTION_MANAGER = _TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _TYPES + "extensions.filters.http.router.v3.Router"

CONNECT_TIMEOUT = 5.0
NOBODY = 1  # a port on which no Pod listens
ADMIN_SOCKET = "admin.sock"  # relative to the Envoy's directory: a socket's path has room for 107 bytes

# Envoy's own limits (1024 requests, 3 retries at once) are none of Google's.
_UNLIMITED = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 1_000_000)

# Google retries what has no body once, and nothing else.
_RETRIED_METHODS = "GET|HEAD|OPTIONS"


def file_name(kind: str, name: str) -> str:
    """A file for a name that may hold any character: "eds", "inference/gemma" -> eds-inference_gemma-5f3a9c21.json."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{kind}-{re.sub(r'[^A-Za-z0-9.-]', '_', name)[:100]}-{digest}.json"


def render(type_url: str, resources: Iterable[Json]) -> tuple[str, str]:
    """A discovery response and its version, which is a digest: the same content is the same version."""
    typed = [{"@type": type_url, **resource} for resource in resources]
    version = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps({"version_info": version, "type_url": type_url, "resources": typed}, indent=1), version


def bootstrap(directory: Path, region: str) -> Json:
    return {
        "node": {"id": region, "cluster": "sandbox", "locality": {"region": region}},
        # Whoever reaches it may stop the proxy: its user only.
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _source(directory / "lds.json"),
            "cds_config": _source(directory / "cds.json"),
        },
    }


def clusters(directory: Path, backends: Mapping[str, Backend]) -> tuple[str, str]:
    return render(_CLUSTER, [_cluster(directory, backends[name]) for name in sorted(backends)])


def endpoints(backend: Backend, region: str, unchecked: Collection[Endpoint] = ()) -> tuple[str, str]:
    """The backend's endpoints as seen from a region: its own first, then the next nearest.

    Health checkers do not reach the ``unchecked`` ones: they knock where nobody is.

    The overprovisioning factor keeps all traffic in a region as long as one
    endpoint there is healthy: Google moves traffic by capacity, not by the share
    of endpoints that are left.
    """
    order = by_distance(region, (endpoint.region for endpoint in backend.endpoints))
    localities = []
    for priority, place in enumerate(order):
        zones = sorted({endpoint.zone for endpoint in backend.endpoints if endpoint.region == place})
        for zone in zones:
            here = [e for e in backend.endpoints if (e.region, e.zone) == (place, zone)]
            localities.append(
                {
                    "priority": priority,
                    "locality": {"region": place, "zone": zone},
                    "lb_endpoints": [
                        {
                            "endpoint": _endpoint(
                                e.address, e.port, NOBODY if e in unchecked else backend.health_check.port
                            )
                        }
                        for e in sorted(here, key=lambda e: (e.address, e.port))
                    ],
                }
            )
    factor = 100 * max(1, len(backend.endpoints))
    assignment = {
        "cluster_name": backend.name,
        "endpoints": localities,
        "policy": {"overprovisioning_factor": factor},
    }
    return render(_ENDPOINTS, [assignment])


def listeners(directory: Path, wanted: Iterable[Listener]) -> tuple[str, str]:
    return render(_LISTENER, [_listener(directory, listener) for listener in wanted])


def routes(listener: Listener, backends: Mapping[str, Backend]) -> tuple[str, str]:
    """The listener's rules: more specific hosts are Envoy's business, longer prefixes go first."""
    hosts: dict[str, list[tuple[str, Rule]]] = {}
    for rule in listener.rules:
        for host in rule.hostnames or ("*",):
            hosts.setdefault(host, []).extend((prefix, rule) for prefix in rule.path_prefixes)
    hosts.setdefault("*", [])
    virtual_hosts = [
        {
            "name": host,
            "domains": [host],
            "routes": [
                route
                for prefix, rule in sorted(rules, key=lambda pair: -len(pair[0]))
                for route in _routes(prefix, rule, backends)
            ]
            + [{"match": {"prefix": "/"}, "direct_response": _answer(404, "fault filter abort")}],
        }
        for host, rules in sorted(hosts.items())
    ]
    # A route may be in force a moment before its cluster is; clusters are programmed first for that reason.
    config = {"name": route_name(listener), "virtual_hosts": virtual_hosts, "validate_clusters": False}
    return render(_ROUTES, [config])


def route_name(listener: Listener) -> str:
    return f"{listener.gateway}/{listener.name}/{listener.address}:{listener.port}"


def listener_name(listener: Listener) -> str:
    """Named by its address: Envoy cannot have two listeners on one."""
    return f"{listener.address}:{listener.port}"


def _routes(prefix: str, rule: Rule, backends: Mapping[str, Backend]) -> list[Json]:
    match = {"prefix": "/"} if prefix in ("", "/") else {"path_separated_prefix": prefix.rstrip("/")}
    weighted = [(name, weight) for name, weight in rule.backends if weight > 0]
    if not weighted:
        return [{"match": match, "direct_response": _answer(503, "no healthy upstream")}]
    timeout = max(backends[name].timeout if name in backends else 0 for name, _unused in weighted)
    action: Json = {"timeout": _seconds(timeout or 30), "cluster_not_found_response_code": "SERVICE_UNAVAILABLE"}
    if len(weighted) == 1:
        action["cluster"] = weighted[0][0]
    else:
        action["weighted_clusters"] = {"clusters": [{"name": name, "weight": weight} for name, weight in weighted]}
    bodiless = {"name": ":method", "string_match": {"safe_regex": {"regex": _RETRIED_METHODS}}}
    retry = {"retry_on": "gateway-error,connect-failure,reset", "num_retries": 1}
    return [
        {"match": {**match, "headers": [bodiless]}, "route": {**action, "retry_policy": retry}},
        {"match": match, "route": action},
    ]


def _listener(directory: Path, listener: Listener) -> Json:
    manager = {
        "@type": _CONNECTION_MANAGER,
        "stat_prefix": "ingress",
        "rds": {
            "route_config_name": route_name(listener),
            "config_source": _source(directory / file_name("rds", route_name(listener))),
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        "via": "1.1 google",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": True,
        "strip_any_host_port": True,
        # A stream may be silent as long as its route allows: long generations are normal here.
        "stream_idle_timeout": "0s",
    }
    return {
        "name": listener_name(listener),
        "address": _address(listener.address, listener.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(directory: Path, backend: Backend) -> Json:
    return {
        "name": backend.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _source(directory / file_name("eds", backend.name))},
        "connect_timeout": _seconds(CONNECT_TIMEOUT),
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [_UNLIMITED]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "ignore_health_on_host_removal": True,
        "health_checks": [_health_check(backend.health_check)],
    }


def _health_check(check: HealthCheck) -> Json:
    interval = _seconds(check.interval)
    return {
        "timeout": _seconds(min(check.timeout, check.interval)),
        "interval": interval,
        # Without these Envoy looks once a minute at a cluster that has no traffic.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "healthy_threshold": check.healthy_threshold,
        "unhealthy_threshold": check.unhealthy_threshold,
        "reuse_connection": False,
        "http_health_check": {
            "host": "health-check",
            "path": check.path,
            # An answer other than 200 counts like no answer; by default Envoy ejects at the first one.
            "retriable_statuses": [{"start": 100, "end": 200}, {"start": 201, "end": 600}],
        },
    }


def _endpoint(address: str, port: int, health_port: int | None) -> Json:
    endpoint: Json = {"address": _address(address, port)}
    if health_port is not None and health_port != port:
        endpoint["health_check_config"] = {"port_value": health_port}
    return endpoint


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _answer(status: int, body: str) -> Json:
    return {"status": status, "body": {"inline_string": body}}


def _source(path: Path) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}s"
