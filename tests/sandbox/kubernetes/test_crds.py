# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CustomResourceDefinitions of GKE: the same as the official ones, and the rules beside them."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from sandbox.kubernetes import crds
from sandbox.kubernetes.schema import Schema, builtin_schema, from_openapi

Json = dict[str, t.Any]

NOW = "1.34.1-gke.1829001"
ALL = {definition["spec"]["names"]["kind"]: definition for definition in (*crds.shipped(NOW), *crds.config_cluster())}

# Kind -> the official schema of it.
OFFICIAL = {
    "GatewayClass": "gateway.networking.k8s.io_gatewayclasses.yaml",
    "Gateway": "gateway.networking.k8s.io_gateways.yaml",
    "HTTPRoute": "gateway.networking.k8s.io_httproutes.yaml",
    "InferencePool": "inference.networking.k8s.io_inferencepools.yaml",
    "HealthCheckPolicy": "networking.gke.io_healthcheckpolicy_v1.json",
    "GCPBackendPolicy": "networking.gke.io_gcpbackendpolicy_v1.json",
    "GCPTrafficDistributionPolicy": "networking.gke.io_gcptrafficdistributionpolicy_v1.json",
    "PodMonitoring": "monitoring.googleapis.com_podmonitoring_v1.json",
}

# What Google documents although the extracted schema is older: fields, and words of fields.
POLICY = "spec.default"
NEWER = {
    f"{POLICY}.trafficDuration",
    f"{POLICY}.maxInFlightRequestsPerEndpoint",
    f"{POLICY}.scopes[].maxInFlightRequestsPerEndpoint",
}
DIFFERENT = {
    f"{POLICY}.balancingMode",
    f"{POLICY}.scopes[].balancingMode",
    f"{POLICY}.customMetrics[].name",
    f"{POLICY}.scopes[].customMetrics[].name",
}

# Words of a schema that do not constrain the value at its path.
SILENT = {"description", "properties", "additionalProperties", "items", "x-kubernetes-validations"}


def schemas(definition: Json) -> dict[str, Json]:
    return {one["name"]: one["schema"]["openAPIV3Schema"] for one in definition["spec"]["versions"]}


def paths(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field's path with its constraints; order of names does not matter."""
    said = {word: value for word, value in schema.items() if word not in SILENT}
    for word in ("required", "enum"):
        if word in said:
            said[word] = sorted(said[word])
    yield path, said
    for name, child in schema.get("properties", {}).items():
        yield from paths(child, f"{path}.{name}" if path else name)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from paths(schema["additionalProperties"], f"{path}[*]")
    if isinstance(schema.get("items"), dict):
        yield from paths(schema["items"], f"{path}[]")


def official(shared: Path, kind: str) -> Json:
    file = shared / "schemas" / OFFICIAL[kind]
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    return t.cast(Json, yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("kind", OFFICIAL)
def test_every_field_is_as_in_the_official_schema(shared: Path, kind: str) -> None:
    reference = official(shared, kind)
    theirs = schemas(reference) if "spec" in reference else {"v1": reference}
    ours = schemas(ALL[kind])
    assert list(ours) == list(theirs)
    for version, schema in theirs.items():
        wanted, got = dict(paths(schema)), dict(paths(ours[version]))
        newer = NEWER if kind == "GCPBackendPolicy" else set()
        different = DIFFERENT if kind == "GCPBackendPolicy" else set()
        assert set(got) - newer == set(wanted)
        assert {path: got[path] for path in wanted if path not in different} == {
            path: said for path, said in wanted.items() if path not in different
        }


@pytest.mark.parametrize("kind", [kind for kind, file in OFFICIAL.items() if file.endswith(".yaml")])
def test_names_scope_and_subresources_are_the_official_ones(shared: Path, kind: str) -> None:
    reference, ours = official(shared, kind)["spec"], ALL[kind]["spec"]
    for part in ("group", "names", "scope"):
        assert ours[part] == reference[part]
    for own, other in zip(ours["versions"], reference["versions"], strict=True):
        for part in ("name", "served", "storage", "subresources"):
            assert own[part] == other[part]


@pytest.mark.parametrize("kind", ALL)
def test_a_definition_is_itself_a_valid_object(kind: str) -> None:
    definition = ALL[kind]
    schema = builtin_schema("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    if schema is None:
        pytest.fail("no schema of CustomResourceDefinition")
    assert schema.unknown_fields(definition) == []
    assert schema.validate(definition) == []
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert sum(version["storage"] for version in spec["versions"]) == 1


SELECTOR = {"matchLabels": {"app": "gemma"}}
METRIC = {"port": 8000, "path": "/metrics", "metrics": [{"name": "vllm:kv_cache_usage_perc", "exportName": "kv-cache"}]}
IMPORT = {"group": "networking.gke.io", "kind": "GCPInferencePoolImport", "name": "gemma"}

# The objects that make the chain: kind -> spec.
CHAIN: dict[str, Json] = {
    "GatewayClass": {"controllerName": "networking.gke.io/gateway"},
    "Gateway": {
        "gatewayClassName": "gke-l7-cross-regional-internal-managed-mc",
        "addresses": [
            {"type": "networking.gke.io/named-address-with-region", "value": "regions/us-east5/addresses/vip"},
            {"type": "networking.gke.io/ephemeral-ipv4-address/europe-west4", "value": "europe-west4"},
        ],
        "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080}],
    },
    "HTTPRoute": {
        "parentRefs": [{"name": "gateway", "kind": "Gateway"}],
        "rules": [{"backendRefs": [{**IMPORT, "port": 8000}], "matches": [{"path": {"value": "/v1"}}]}],
    },
    "InferencePool": {
        "selector": SELECTOR,
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "gemma-epp", "port": {"number": 9002}, "failureMode": "FailOpen"},
    },
    "HealthCheckPolicy": {
        "targetRef": IMPORT,
        "default": {
            "checkIntervalSec": 5,
            "timeoutSec": 5,
            "config": {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health", "port": 8000}},
        },
    },
    "GCPBackendPolicy": {
        "targetRef": IMPORT,
        "default": {
            "timeoutSec": 600,
            "balancingMode": "CUSTOM_METRICS",
            "trafficDuration": "LONG",
            "customMetrics": [{"name": "gke.named_metrics.kv-cache", "dryRun": False, "maxUtilizationPercent": 60}],
        },
    },
    "GCPTrafficDistributionPolicy": {
        "targetRefs": [{"group": "", "kind": "Service", "name": "s"}],
        "default": {"serviceLbAlgorithm": "SPRAY_TO_REGION"},
    },
    "AutoscalingMetric": {"selector": SELECTOR, "endpoints": [METRIC]},
    "PodMonitoring": {"selector": SELECTOR, "endpoints": [{"port": "metrics"}], "targetLabels": {}},
    "GCPInferencePoolImport": {"targetPorts": [{"number": 8000}]},
}


def schema_of(kind: str) -> Schema:
    return from_openapi(schemas(ALL[kind])[ALL[kind]["spec"]["versions"][0]["name"]])


def sample(kind: str, **spec: t.Any) -> Json:
    definition = ALL[kind]["spec"]
    version = definition["versions"][0]["name"]
    return {
        "apiVersion": f"{definition['group']}/{version}",
        "kind": kind,
        "metadata": {"name": "gemma", "namespace": "default"},
        "spec": copy.deepcopy(spec or CHAIN[kind]),
    }


def causes(obj: Json) -> list[str]:
    """What the API server would say to the object."""
    schema = schema_of(obj["kind"])
    full = schema.default(obj)
    return schema.validate(full) or crds.validate_rules(obj["kind"], full)


def test_the_chain_names_every_kind() -> None:
    assert set(CHAIN) == set(ALL)


@pytest.mark.parametrize("kind", CHAIN)
def test_the_objects_of_the_chain_are_valid(kind: str) -> None:
    obj = sample(kind)
    assert schema_of(kind).unknown_fields(obj) == []
    assert causes(obj) == []


@pytest.mark.parametrize("kind", [kind for kind in OFFICIAL if kind != "GCPBackendPolicy"])
def test_the_objects_of_the_chain_are_valid_by_the_official_schema(shared: Path, kind: str) -> None:
    reference = official(shared, kind)
    jsonschema.validate(sample(kind), schemas(reference)["v1"] if "spec" in reference else reference)


@pytest.mark.parametrize("kind", CHAIN)
def test_a_typing_error_is_found_in_every_kind(kind: str) -> None:
    assert schema_of(kind).unknown_fields({**sample(kind), "spek": {}}) == ["spek"]
    assert schema_of(kind).unknown_fields(sample(kind, tpyo=1)) == ["spec.tpyo"]


def test_defaults_of_gateway_and_route_are_filled_in() -> None:
    gateway = schema_of("Gateway").default(sample("Gateway"))
    assert gateway["spec"]["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "Same"}}
    pending = [(one["type"], one["status"], one["reason"]) for one in gateway["status"]["conditions"]]
    assert pending == [("Accepted", "Unknown", "Pending"), ("Programmed", "Unknown", "Pending")]
    route = schema_of("HTTPRoute").default(sample("HTTPRoute"))
    assert route["spec"]["parentRefs"][0]["group"] == "gateway.networking.k8s.io"
    rule = route["spec"]["rules"][0]
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/v1"}
    assert rule["backendRefs"][0]["weight"] == 1
    pool = schema_of("InferencePool").default(sample("InferencePool"))
    assert pool["spec"]["endpointPickerRef"]["kind"] == "Service"


HTTP = {"name": "http", "protocol": "HTTP", "port": 80}
TLS = {"name": "https", "protocol": "HTTPS", "port": 443}
GATEWAY = {"gatewayClassName": "c", "listeners": [HTTP]}
SERVICE = {"name": "s", "port": 80}
FILTER = {"type": "RequestRedirect", "requestRedirect": {"hostname": "example.org"}}
POOL = CHAIN["InferencePool"]
TARGET = {"targetRef": IMPORT}
CHECK = CHAIN["HealthCheckPolicy"]["default"]["config"]


def listeners(*rows: Json) -> Json:
    return {**GATEWAY, "listeners": list(rows)}


def rule(**values: t.Any) -> Json:
    return {"rules": [values]}


def health(**default: t.Any) -> Json:
    return {**TARGET, "default": {"config": CHECK, **default}}


def http_check(**check: t.Any) -> Json:
    return health(config={"type": "HTTP", "httpHealthCheck": check})


def backend(kind: str = "GCPInferencePoolImport", **default: t.Any) -> Json:
    return {"targetRef": {**IMPORT, "kind": kind}, "default": default}


# kind, spec, "field: words of the complaint" (empty: none)
RULES: list[tuple[str, Json, str]] = [
    ("Gateway", listeners(HTTP, {**HTTP, "port": 81}), 'spec.listeners[1]: Duplicate value: {"name":"http"}'),
    ("Gateway", listeners(HTTP, {**HTTP, "name": "b"}), "spec.listeners: same port"),
    ("Gateway", listeners(HTTP, {**HTTP, "name": "b", "hostname": "a.example"}), ""),
    ("Gateway", listeners({**HTTP, "tls": {"options": {"a": "b"}}}), "spec.listeners: tls has no meaning"),
    ("Gateway", listeners({**TLS, "tls": {"mode": "Passthrough"}}), "spec.listeners: must be Terminate"),
    ("Gateway", listeners({**TLS, "tls": {}}), "spec.listeners[0].tls: certificateRefs"),
    ("Gateway", listeners({**TLS, "tls": {"certificateRefs": [{"name": "c"}]}}), ""),
    (
        "Gateway",
        listeners({"name": "t", "protocol": "TCP", "port": 1, "hostname": "a.example"}),
        "spec.listeners: hostname has no meaning",
    ),
    (
        "Gateway",
        {**GATEWAY, "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}] * 2},
        "spec.addresses: IPAddress is given twice",
    ),
    ("Gateway", {**GATEWAY, "addresses": [{"type": "IPAddress", "value": "ten"}]}, "spec.addresses[0]: (oneOf)"),
    ("HTTPRoute", {"parentRefs": [{"name": "g", "sectionName": "a"}, {"name": "g", "sectionName": "b"}]}, ""),
    ("HTTPRoute", {"parentRefs": [{"name": "g"}, {"name": "g", "sectionName": "b"}]}, "spec.parentRefs: sectionName"),
    ("HTTPRoute", {"parentRefs": [{"name": "g"}, {"name": "g"}]}, "spec.parentRefs: twice"),
    ("HTTPRoute", rule(backendRefs=[SERVICE]), ""),
    ("HTTPRoute", rule(backendRefs=[{"name": "s"}]), "spec.rules[0].backendRefs[0]: needs port"),
    ("HTTPRoute", rule(backendRefs=[IMPORT]), ""),
    ("HTTPRoute", rule(filters=[FILTER]), ""),
    ("HTTPRoute", rule(filters=[FILTER], backendRefs=[SERVICE]), "spec.rules[0]: no backendRefs"),
    ("HTTPRoute", rule(filters=[FILTER, FILTER]), "spec.rules[0].filters: only once"),
    ("HTTPRoute", rule(filters=[{"type": "URLRewrite"}]), "spec.rules[0].filters[0]: needs urlRewrite"),
    ("HTTPRoute", rule(filters=[{**FILTER, "urlRewrite": {}}]), "spec.rules[0].filters[0]: of type URLRewrite"),
    (
        "HTTPRoute",
        rule(filters=[FILTER, {"type": "URLRewrite", "urlRewrite": {"hostname": "example.org"}}]),
        "spec.rules[0].filters: exclude each other",
    ),
    (
        "HTTPRoute",
        rule(backendRefs=[{**SERVICE, "filters": [{"type": "RequestMirror"}]}]),
        "spec.rules[0].backendRefs[0].filters[0]: needs requestMirror",
    ),
    ("InferencePool", {**POOL, "targetPorts": [{"number": 1}, {"number": 2}]}, ""),
    ("InferencePool", {**POOL, "targetPorts": [{"number": 1}, {"number": 1}]}, "spec.targetPorts: twice"),
    ("InferencePool", {**POOL, "endpointPickerRef": {"name": "epp"}}, "spec.endpointPickerRef: needs port"),
    ("InferencePool", {**POOL, "endpointPickerRef": {"name": "epp", "kind": "Other"}}, ""),
    ("InferencePool", {**POOL, "targetPorts": []}, "spec.targetPorts: at least 1 items"),
    ("HealthCheckPolicy", health(checkIntervalSec=2, timeoutSec=2), ""),
    ("HealthCheckPolicy", health(checkIntervalSec=2, timeoutSec=3), "spec.default: timeoutSec must not be above"),
    ("HealthCheckPolicy", health(checkIntervalSec=2), "spec.default: (unset: 5)"),
    ("HealthCheckPolicy", health(timeoutSec=6), "spec.default: (unset: 5)"),
    ("HealthCheckPolicy", health(timeoutSec=5), ""),
    ("HealthCheckPolicy", http_check(portSpecification="USE_FIXED_PORT", port=8000), ""),
    (
        "HealthCheckPolicy",
        http_check(portSpecification="USE_FIXED_PORT"),
        "spec.default.config.httpHealthCheck: port alone",
    ),
    (
        "HealthCheckPolicy",
        http_check(portSpecification="USE_NAMED_PORT", port=1),
        "spec.default.config.httpHealthCheck: portName alone",
    ),
    (
        "HealthCheckPolicy",
        http_check(portSpecification="USE_SERVING_PORT", port=1),
        "spec.default.config.httpHealthCheck: neither port",
    ),
    ("HealthCheckPolicy", http_check(portSpecification="USE_SERVING_PORT"), ""),
    ("HealthCheckPolicy", health(config={"type": "HTTP"}), "spec.default.config: at least 2 properties"),
    ("GCPBackendPolicy", backend(trafficDuration="LONG"), "spec.default: needs balancingMode"),
    (
        "GCPBackendPolicy",
        backend(trafficDuration="LONG", balancingMode="RATE"),
        "spec.default: excludes balancingMode RATE",
    ),
    ("GCPBackendPolicy", backend(trafficDuration="LONG", balancingMode="UTILIZATION"), ""),
    ("GCPBackendPolicy", backend(balancingMode="IN_FLIGHT"), "spec.default: needs trafficDuration LONG"),
    (
        "GCPBackendPolicy",
        backend(trafficDuration="LONG", balancingMode="IN_FLIGHT", maxInFlightRequestsPerEndpoint=1000),
        "",
    ),
    (
        "GCPBackendPolicy",
        backend(maxInFlightRequestsPerEndpoint=5),
        "spec.default: maxInFlightRequestsPerEndpoint needs",
    ),
    (
        "GCPBackendPolicy",
        backend(trafficDuration="LONG", balancingMode="UTILIZATION", maxRatePerEndpoint=5),
        "spec.default: excludes maxRatePerEndpoint",
    ),
    ("GCPBackendPolicy", backend("Service", maxRatePerEndpoint=5), ""),
    ("GCPBackendPolicy", backend("Service", scopes=[]), "spec: scopes need"),
    (
        "GCPBackendPolicy",
        backend(scopes=[{"selector": {"gke.io/region": "us-east5"}, "capacityScalerPercent": 50}]),
        "",
    ),
    ("GCPBackendPolicy", backend(scopes=[{"selector": {"region": "x"}}]), "spec.default.scopes[0].selector: keys"),
    (
        "GCPBackendPolicy",
        backend(scopes=[{"selector": {"gke.io/zone": "z" * 31}}]),
        "spec.default.scopes[0].selector: 30 characters",
    ),
    (
        "GCPBackendPolicy",
        backend(scopes=[{"capacityScalerPercent": 1}], capacityScalerPercent=2),
        "spec.default: both in default and in its scopes",
    ),
    ("GCPBackendPolicy", backend("InferencePool", sessionAffinity={"type": "NONE"}), "spec: no sessionAffinity"),
    ("GCPBackendPolicy", backend("Service", sessionAffinity={"type": "NONE"}), ""),
    (
        "GCPBackendPolicy",
        backend(customMetrics=[{"name": "a"}]),
        "spec.default.customMetrics[0].dryRun: Required value",
    ),
    ("AutoscalingMetric", {}, "spec: either"),
    ("AutoscalingMetric", {"endpoints": [METRIC]}, "spec: need selector"),
]


@pytest.mark.parametrize(("kind", "spec", "complaint"), RULES)
def test_the_rules_beside_the_schemas(kind: str, spec: Json, complaint: str) -> None:
    obj = sample(kind)
    obj["spec"] = spec
    found = causes(obj)
    field, _unused, words = complaint.partition(": ")
    assert len(found) == bool(complaint)
    assert [cause for cause in found if not cause.startswith(f"{field}: ") or words not in cause] == []


def test_a_kind_without_rules_has_no_causes() -> None:
    assert crds.validate_rules("ConfigMap", {}) == []


VERSIONS = [
    ("1.35.2-gke.1842000", "v1.5.0", True),
    ("1.34.1-gke.1829001", "v1.4.0", True),
    ("1.33.2-gke.1335000", "v1.3.0", False),
    ("1.32.9-gke.1", "v1.2.0", False),
    ("1.30.0-gke.1", "v1.1.0", False),
]


@pytest.mark.parametrize(("version", "bundle", "pool"), VERSIONS)
def test_what_is_shipped_depends_on_the_version(version: str, bundle: str, pool: bool) -> None:
    kinds = {definition["spec"]["names"]["kind"]: definition for definition in crds.shipped(version)}
    annotations = kinds["Gateway"]["metadata"]["annotations"]
    assert annotations["gateway.networking.k8s.io/bundle-version"] == bundle
    assert ("InferencePool" in kinds) is pool
    assert "InferenceObjective" not in kinds
    assert "GCPInferencePoolImport" not in kinds


def test_callers_get_their_own_copies() -> None:
    crds.shipped(NOW)[0]["spec"].clear()
    assert crds.shipped(NOW)[0]["spec"]
