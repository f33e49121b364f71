# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CEL rules of GKE's custom resources that matter here, as Python.

Each rule takes an object that its schema accepts and yields causes ``field: Invalid value: ...``.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

Json = dict[str, t.Any]
Rule = Callable[[Json], Iterable[str]]


def _broken(field: str, message: str, kind: str = "object") -> str:
    return f'{field}: Invalid value: "{kind}": {message}'


def _unique(items: Iterable[Hashable]) -> bool:
    seen = list(items)
    return len(seen) == len(set(seen))


def _gateway_listeners(obj: Json) -> Iterator[str]:
    listeners = obj["spec"]["listeners"]
    checks = (
        (
            _unique((one["port"], one["protocol"], one.get("hostname")) for one in listeners),
            "two listeners have the same port, protocol and hostname",
        ),
        (
            not any("tls" in one for one in listeners if one["protocol"] in ("HTTP", "TCP", "UDP")),
            "tls has no meaning for a listener of protocol HTTP, TCP or UDP",
        ),
        (
            not any(one.get("hostname") for one in listeners if one["protocol"] in ("TCP", "UDP")),
            "hostname has no meaning for a listener of protocol TCP or UDP",
        ),
        (
            all(one["tls"].get("mode", "Terminate") == "Terminate" for one in _with_tls(listeners, "HTTPS")),
            "a listener of protocol HTTPS terminates TLS: tls.mode must be Terminate",
        ),
    )
    yield from (_broken("spec.listeners", message, "array") for held, message in checks if not held)
    for number, one in enumerate(listeners):
        tls = one.get("tls")
        if (
            tls
            and tls.get("mode", "Terminate") == "Terminate"
            and not (tls.get("certificateRefs") or tls.get("options"))
        ):
            yield _broken(f"spec.listeners[{number}].tls", "mode Terminate needs certificateRefs or options")


def _with_tls(listeners: Sequence[Json], protocol: str) -> list[Json]:
    return [one for one in listeners if one["protocol"] == protocol and "tls" in one]


def _gateway_addresses(obj: Json) -> Iterator[str]:
    for kind in ("IPAddress", "Hostname"):
        values = [
            address["value"]
            for address in obj["spec"].get("addresses", ())
            if address.get("type") == kind and "value" in address
        ]
        if not _unique(values):
            yield _broken("spec.addresses", f"an address of type {kind} is given twice", "array")


def _httproute_parents(obj: Json) -> Iterator[str]:
    parents: dict[Hashable, list[str]] = {}
    for one in obj["spec"].get("parentRefs", ()):
        parent = (one.get("group"), one.get("kind"), one["name"], one.get("namespace", ""))
        parents.setdefault(parent, []).append(one.get("sectionName", ""))
    repeated = [sections for sections in parents.values() if len(sections) > 1]
    if any("" in sections and any(sections) for sections in repeated):
        yield _broken("spec.parentRefs", "several references to one parent need sectionName each", "array")
    if not all(_unique(sections) for sections in repeated):
        yield _broken("spec.parentRefs", "a parent is referred to twice with the same sectionName", "array")


_FILTERS = {
    "requestHeaderModifier": "RequestHeaderModifier",
    "responseHeaderModifier": "ResponseHeaderModifier",
    "requestMirror": "RequestMirror",
    "requestRedirect": "RequestRedirect",
    "urlRewrite": "URLRewrite",
    "extensionRef": "ExtensionRef",
}


def _httproute_rules(obj: Json) -> Iterator[str]:
    for number, rule in enumerate(obj["spec"].get("rules", ())):
        field = f"spec.rules[{number}]"
        filters = rule.get("filters", ())
        yield from _filters(f"{field}.filters", filters)
        if rule.get("backendRefs") and any("requestRedirect" in one for one in filters):
            yield _broken(field, "a rule that redirects has no backendRefs")
        for index, backend in enumerate(rule.get("backendRefs", ())):
            place = f"{field}.backendRefs[{index}]"
            if not backend.get("group") and backend.get("kind", "Service") == "Service" and "port" not in backend:
                yield _broken(place, "a reference to a Service needs port")
            yield from _filters(f"{place}.filters", backend.get("filters", ()))


def _filters(field: str, filters: Sequence[Json]) -> Iterator[str]:
    for number, one in enumerate(filters):
        for name, kind in _FILTERS.items():
            if name in one and one["type"] != kind:
                yield _broken(f"{field}[{number}]", f"{name} belongs to a filter of type {kind}")
            elif name not in one and one["type"] == kind:
                yield _broken(f"{field}[{number}]", f"a filter of type {kind} needs {name}")
    kinds = [one["type"] for one in filters]
    if "RequestRedirect" in kinds and "URLRewrite" in kinds:
        yield _broken(field, "RequestRedirect and URLRewrite exclude each other", "array")
    for kind in ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"):
        if kinds.count(kind) > 1:
            yield _broken(field, f"a filter of type {kind} may stand only once", "array")


def _inference_pool(obj: Json) -> Iterator[str]:
    if not _unique(port["number"] for port in obj["spec"]["targetPorts"]):
        yield _broken("spec.targetPorts", "a port number is given twice", "array")
    picker = obj["spec"].get("endpointPickerRef")
    if picker and picker.get("kind", "Service") == "Service" and "port" not in picker:
        yield _broken("spec.endpointPickerRef", "a reference to a Service needs port")


_CHECK_SECONDS = 5  # GKE's default of both times


def _health_check_times(obj: Json) -> Iterator[str]:
    policy = obj["spec"].get("default", {})
    interval, timeout = (policy.get(name, _CHECK_SECONDS) for name in ("checkIntervalSec", "timeoutSec"))
    if timeout > interval:
        unset = f" (unset: {_CHECK_SECONDS})" if len({"checkIntervalSec", "timeoutSec"} & set(policy)) < 2 else ""
        yield _broken("spec.default", f"timeoutSec must not be above checkIntervalSec{unset}")


_PORTS = {
    "USE_FIXED_PORT": ({"port"}, "port alone"),
    "USE_NAMED_PORT": ({"portName"}, "portName alone"),
    "USE_SERVING_PORT": (set[str](), "neither port nor portName"),
}


def _health_check_ports(obj: Json) -> Iterator[str]:
    config = obj["spec"].get("default", {}).get("config", {})
    for name, check in config.items():
        kind = check.get("portSpecification") if isinstance(check, dict) else None
        if kind is None:
            continue
        wanted, described = _PORTS[kind]
        if {"port", "portName"} & set(check) != wanted:
            yield _broken(f"spec.default.config.{name}", f"portSpecification {kind} takes {described}")


_POOLS = ("InferencePool", "InferencePoolImport", "GCPInferencePoolImport")
_IMPORTS = ("ServiceImport", "InferencePoolImport", "GCPInferencePoolImport")


def _backend_policy_target(obj: Json) -> Iterator[str]:
    kind = obj["spec"]["targetRef"]["kind"]
    policy = obj["spec"].get("default", {})
    if "scopes" in policy and kind not in _IMPORTS:
        yield _broken("spec", "scopes need a target of kind GCPInferencePoolImport or ServiceImport")
    if "sessionAffinity" in policy and kind in _POOLS:
        yield _broken("spec", f"a target of kind {kind} has no sessionAffinity")


def _backend_policy_load(obj: Json) -> Iterator[str]:
    policy = obj["spec"].get("default", {})
    mode, long = policy.get("balancingMode"), policy.get("trafficDuration") == "LONG"
    rules = (
        (long and mode is None, "trafficDuration LONG needs balancingMode"),
        (long and mode == "RATE", "trafficDuration LONG excludes balancingMode RATE"),
        (mode == "IN_FLIGHT" and not long, "balancingMode IN_FLIGHT needs trafficDuration LONG"),
        (
            "maxInFlightRequestsPerEndpoint" in policy and (not long or mode == "RATE"),
            "maxInFlightRequestsPerEndpoint needs trafficDuration LONG and a balancingMode other than RATE",
        ),
        (
            "maxRatePerEndpoint" in policy and long,
            "trafficDuration LONG excludes maxRatePerEndpoint",
        ),
    )
    yield from (_broken("spec.default", message) for broken, message in rules if broken)


_SCOPED = (
    "capacityScalerPercent",
    "maxRatePerEndpoint",
    "maxInFlightRequestsPerEndpoint",
    "balancingMode",
    "backendPreference",
    "customMetrics",
)
_SCOPE_KEYS = ("gke.io/zone", "gke.io/region", "gke.io/cluster-name")


def _backend_policy_scopes(obj: Json) -> Iterator[str]:
    policy = obj["spec"].get("default", {})
    scopes = policy.get("scopes", ())
    for name in _SCOPED:
        if name in policy and any(name in scope for scope in scopes):
            yield _broken("spec.default", f"{name} stands both in default and in its scopes")
    for number, scope in enumerate(scopes):
        selector, field = scope.get("selector", {}), f"spec.default.scopes[{number}].selector"
        if not set(selector) <= set(_SCOPE_KEYS):
            message = "selector keys are gke.io/zone, gke.io/region and gke.io/cluster-name"
            yield _broken(field, message)
        if any(len(value) > 30 for value in selector.values()):
            yield _broken(field, "a selector value has at most 30 characters")


def _autoscaling_metric(obj: Json) -> Iterator[str]:
    spec = obj["spec"]
    if ("endpoints" in spec) == ("metrics" in spec):
        yield _broken("spec", "give either endpoints or metrics")
    elif "endpoints" in spec and "selector" not in spec:
        yield _broken("spec", "endpoints need selector")


RULES: Mapping[str, tuple[Rule, ...]] = {
    "Gateway": (_gateway_listeners, _gateway_addresses),
    "HTTPRoute": (_httproute_parents, _httproute_rules),
    "InferencePool": (_inference_pool,),
    "HealthCheckPolicy": (_health_check_times, _health_check_ports),
    "GCPBackendPolicy": (_backend_policy_target, _backend_policy_load, _backend_policy_scopes),
    "AutoscalingMetric": (_autoscaling_metric,),
}
