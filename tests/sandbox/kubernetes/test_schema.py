# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schemas: what they refuse and in which words, what they fill in, what they drop."""

from __future__ import annotations

import copy
import typing as t

import pytest
from kubernetes.client import models

from sandbox.kubernetes import builtin, builtin_tables
from sandbox.kubernetes.errors import bad_request, invalid
from sandbox.kubernetes.formats import canonical_quantity
from sandbox.kubernetes.schema import Schema, builtin_schema, from_openapi

Json = dict[str, t.Any]


def crd(**properties: Json) -> Schema:
    return from_openapi({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def obj(**spec: t.Any) -> Json:
    return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}


INTEGER: Json = {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9}
STRING: Json = {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"}
KEYED: Json = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
}
ADDRESS: Json = {
    "type": "object",
    "oneOf": [
        {"properties": {"type": {"enum": ["IP"]}, "value": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}}},
        {"properties": {"type": {"not": {"enum": ["IP"]}}}},
    ],
    "properties": {"type": {"type": "string"}, "value": {"type": "string"}},
}

# schema of spec.x, its value, the causes
VALUES: list[tuple[Json, t.Any, list[str]]] = [
    (INTEGER, 5, []),
    (INTEGER, "a", ['spec.x: Invalid value: "string": spec.x in body must be of type integer: "string"']),
    (INTEGER, True, ['spec.x: Invalid value: "boolean": spec.x in body must be of type integer: "boolean"']),
    (INTEGER, None, ['spec.x: Invalid value: "null": spec.x in body must be of type integer: "null"']),
    ({**INTEGER, "nullable": True}, None, []),
    (INTEGER, 0, ["spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1"]),
    (INTEGER, 10, ["spec.x: Invalid value: 10: spec.x in body should be less than or equal to 9"]),
    (
        {"type": "integer", "format": "int32"},
        2**31,
        ['spec.x: Invalid value: 2147483648: spec.x in body must be of type int32: "2147483648"'],
    ),
    ({"type": "number"}, 1.5, []),
    (STRING, "abc", []),
    (STRING, "a", ['spec.x: Invalid value: "a": spec.x in body should be at least 2 chars long']),
    (STRING, "abcde", ["spec.x: Too long: may not be more than 4 bytes"]),
    (STRING, "A1", ["spec.x: Invalid value: \"A1\": spec.x in body should match '^[a-z]+$'"]),
    (STRING, "ab\n", ["spec.x: Invalid value: \"ab\\n\": spec.x in body should match '^[a-z]+$'"]),
    ({"type": "string", "enum": ["A", "B"]}, "C", ['spec.x: Unsupported value: "C": supported values: "A", "B"']),
    ({"type": "array", "maxItems": 1}, [1, 2], ["spec.x: Too many: 2: must have at most 1 items"]),
    ({"type": "array", "minItems": 1}, [], ["spec.x: Invalid value: 0: spec.x in body should have at least 1 items"]),
    (
        {"type": "array", "items": INTEGER},
        [1, 0],
        ["spec.x[1]: Invalid value: 0: spec.x[1] in body should be greater than or equal to 1"],
    ),
    ({"type": "array", "x-kubernetes-list-type": "set"}, ["a", "a"], ['spec.x[1]: Duplicate value: "a"']),
    (KEYED, [{"name": "a"}, {"name": "b"}], []),
    (KEYED, [{"name": "a"}, {"name": "a"}], ['spec.x[1]: Duplicate value: {"name":"a"}']),
    (KEYED, [{}], ["spec.x[0].name: Required value"]),
    ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["spec.x: Too many: 2: must have at most 1 items"]),
    (
        {"type": "object", "minProperties": 1},
        {},
        ["spec.x: Invalid value: 0: spec.x in body should have at least 1 properties"],
    ),
    (
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"a": 1},
        ['spec.x[a]: Invalid value: "integer": spec.x[a] in body must be of type string: "integer"'],
    ),
    ({"x-kubernetes-int-or-string": True}, "80%", []),
    ({"x-kubernetes-int-or-string": True}, 80, []),
    (
        {"x-kubernetes-int-or-string": True},
        [],
        ['spec.x: Invalid value: "array": spec.x in body must be of type integer,string: "array"'],
    ),
    ({"type": "string", "format": "date-time"}, "2026-01-31T10:00:00Z", []),
    (
        {"type": "string", "format": "date-time"},
        "2026-02-31T10:00:00Z",
        [
            'spec.x: Invalid value: "2026-02-31T10:00:00Z": spec.x in body must be of type date-time: '
            '"2026-02-31T10:00:00Z"'
        ],
    ),
    (ADDRESS, {"type": "IP", "value": "10.0.0.1"}, []),
    (ADDRESS, {"type": "Name", "value": "anything"}, []),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"a": 1, "b": 2},
        ['spec.x: Invalid value: "object": "spec.x" must validate one and only one schema (oneOf). Found 2 valid'],
    ),
    (
        ADDRESS,
        {"type": "IP", "value": "anything"},
        ['spec.x: Invalid value: "object": "spec.x" must validate one and only one schema (oneOf). Found none valid'],
    ),
]


@pytest.mark.parametrize(("schema", "value", "causes"), VALUES)
def test_a_custom_resource_is_judged_as_by_kube_apiserver(schema: Json, value: t.Any, causes: list[str]) -> None:
    assert crd(x=schema).validate(obj(x=value)) == causes


def test_a_required_field_must_be_there() -> None:
    schema = from_openapi({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object"}}})
    assert schema.validate({"metadata": {}}) == ["spec: Required value"]


def test_defaults_fill_what_is_absent_and_nothing_else() -> None:
    port = {"type": "object", "default": {}, "properties": {"number": {"type": "integer", "default": 80}}}
    schema = crd(port=port, mode={"type": "string", "default": "A"}, rows={"type": "array", "items": port})
    given = obj(mode="B", rows=[{}, {"number": 1}])
    before = copy.deepcopy(given)
    full = schema.default(given)
    assert full["spec"] == {"mode": "B", "rows": [{"number": 80}, {"number": 1}], "port": {"number": 80}}
    assert given == before
    assert schema.default(obj(mode=None))["spec"]["mode"] == "A"
    assert schema.default({"metadata": {}}) == {"metadata": {}}


def test_defaults_are_not_shared_between_objects() -> None:
    schema = crd(labels={"type": "object", "default": {}, "additionalProperties": {"type": "string"}})
    schema.default(obj())["spec"]["labels"]["a"] = "b"
    assert schema.default(obj())["spec"]["labels"] == {}


FREE: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": KEYED}}
EMBEDDED: Json = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}

UNKNOWN: list[tuple[Json, Json, list[str], Json]] = [
    ({"a": {"type": "string"}}, {"a": "x", "b": 1}, ["spec.b"], {"a": "x"}),
    ({"a": KEYED}, {"a": [{"name": "x", "y": 1}]}, ["spec.a[0].y"], {"a": [{"name": "x"}]}),
    ({"a": FREE}, {"a": {"any": {"thing": 1}}}, [], {"a": {"any": {"thing": 1}}}),
    ({"a": FREE}, {"a": {"known": [{"y": 1}]}}, ["spec.a.known[0].y"], {"a": {"known": [{}]}}),
    ({"a": EMBEDDED}, {"a": {"kind": "K", "x": 1}}, ["spec.a.x"], {"a": {"kind": "K"}}),
    ({"a": {"type": "object", "additionalProperties": True}}, {"a": {"b": 1}}, [], {"a": {"b": 1}}),
]


@pytest.mark.parametrize(("properties", "spec", "paths", "left"), UNKNOWN)
def test_unknown_fields_are_named_and_pruned(properties: Json, spec: Json, paths: list[str], left: Json) -> None:
    schema, given = crd(**properties), obj(**spec)
    assert schema.unknown_fields(given) == paths
    assert schema.prune(given) == obj(**left)
    assert schema.unknown_fields(schema.prune(given)) == []


def test_metadata_of_a_custom_resource_is_kubernetes_own() -> None:
    schema = crd()
    given = obj()
    given["metadata"].update(creationTimestamp=None, labels={"a": "b"}, labelz={})
    assert schema.unknown_fields(given) == ["metadata.labelz"]
    assert schema.prune(given)["metadata"] == {"name": "t", "labels": {"a": "b"}}
    assert schema.validate(given) == []


def native(group: str, kind: str, version: str = "v1") -> Schema:
    found = builtin_schema(group, version, kind)
    if found is None:
        pytest.fail(f"no schema of {group}/{version} {kind}")
    return found


def deployment(container: Json | None = None, **spec: t.Any) -> Json:
    containers = [{"name": "c", "image": "i", **(container or {})}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
    body = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": body}


CONTAINER = "spec.template.spec.containers[0]"
DEPLOYMENTS: list[tuple[Json, list[str]]] = [
    (deployment(), []),
    (deployment(replicas=None), []),
    (deployment(replicas=-1), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
    (deployment(selector=None), ["spec.selector: Required value"]),
    (deployment({"name": None}), [f"{CONTAINER}.name: Required value"]),
    (
        deployment({"imagePullPolicy": "Often"}),
        [
            f'{CONTAINER}.imagePullPolicy: Unsupported value: "Often": '
            'supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        deployment({"resources": {"limits": {"cpu": "lots"}}}),
        [
            f'{CONTAINER}.resources.limits[cpu]: Invalid value: "lots": quantities must match the regular expression '
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ],
    ),
    (deployment({"resources": {"limits": {"google.com/tpu": 4}}}), []),
    (deployment({"readinessProbe": {"httpGet": {"port": "http"}}}), []),
    (deployment({"readinessProbe": {"httpGet": {"port": 80}}}), []),
    (deployment({"ports": [{"containerPort": 80}, {"containerPort": 80}]}), []),
    (
        deployment({"ports": [{"containerPort": 70000}]}),
        [f"{CONTAINER}.ports[0].containerPort: Invalid value: 70000: must be less than or equal to 65535"],
    ),
    (
        deployment(template={"spec": {"containers": []}}),
        ["spec.template.spec.containers: Required value"],
    ),
    (
        deployment({"command": "sh"}),
        [f'{CONTAINER}.command: Invalid value: "string": {CONTAINER}.command in body must be of type array: "string"'],
    ),
]


@pytest.mark.parametrize(("given", "causes"), DEPLOYMENTS)
def test_a_deployment_is_judged_as_by_kube_apiserver(given: Json, causes: list[str]) -> None:
    assert native("apps", "Deployment").validate(given) == causes


def test_typing_errors_in_kubernetes_own_kinds_are_found() -> None:
    given = deployment({"imagee": "x"}, replica=2)
    schema = native("apps", "Deployment")
    assert sorted(schema.unknown_fields(given)) == ["spec.replica", f"{CONTAINER}.imagee"]


def test_a_controller_may_leave_required_fields_of_a_status_out() -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [{"name": "c"}]}}
    assert native("", "Pod").validate(pod) == []


def test_nulls_of_structs_are_absent() -> None:
    given = deployment({"resources": None}, strategy=None)
    given["metadata"]["creationTimestamp"] = None
    assert native("apps", "Deployment").prune(given) == deployment()


def test_quantities_are_stored_in_canonical_form() -> None:
    given = deployment({"resources": {"limits": {"google.com/tpu": 4, "memory": "1024Mi"}}})
    stored = native("apps", "Deployment").default(given)
    container = stored["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"google.com/tpu": "4", "memory": "1Gi"}


QUANTITIES: list[tuple[t.Any, str]] = [
    (4, "4"),
    ("4", "4"),
    ("0", "0"),
    ("0.5", "500m"),
    (0.5, "500m"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    ("1024Mi", "1Gi"),
    ("1.5Gi", "1536Mi"),
    ("1536", "1536"),
    ("1000", "1k"),
    ("100k", "100k"),
    ("1000k", "1M"),
    ("1e3", "1e3"),
    ("100e3", "100e3"),
    ("512Ki", "512Ki"),
    ("0.5Gi", "512Mi"),
    ("1023Ki", "1023Ki"),
    ("-2", "-2"),
    ("0.1n", "1n"),
]


@pytest.mark.parametrize(("given", "wanted"), QUANTITIES)
def test_canonical_quantities(given: t.Any, wanted: str) -> None:
    assert canonical_quantity(given) == wanted


@pytest.mark.parametrize("given", ["", "abc", "1ki", "1 Gi", "--1", True, None, "1Gi2"])
def test_what_is_no_quantity_is_refused(given: t.Any) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        canonical_quantity(given)


KINDS = [
    ("", "v1", "Event", {"involvedObject", "source", "firstTimestamp"}),
    ("events.k8s.io", "v1", "Event", {"regarding", "deprecatedSource", "eventTime"}),
    ("resource.k8s.io", "v1", "ResourceClaim", {"spec", "status"}),
    ("resource.k8s.io", "v1", "DeviceClass", {"spec"}),
    ("resource.k8s.io", "v1beta1", "ResourceSlice", {"spec"}),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", {"spec", "status"}),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", {"spec", "status"}),
]


@pytest.mark.parametrize(("group", "version", "kind", "fields"), KINDS)
def test_a_kind_is_found_by_its_group(group: str, version: str, kind: str, fields: set[str]) -> None:
    document = native(group, kind, version).openapi()
    assert fields <= set(document["properties"])
    gvk = [{"group": group, "version": version, "kind": kind}]
    assert document["x-kubernetes-group-version-kind"] == gvk


@pytest.mark.parametrize(
    ("group", "version", "kind"),
    [("x.io", "v1", "Pod"), ("apps", "v1", "Pod"), ("", "v9", "Pod"), ("", "v1", "Container"), ("batch", "v1", "Nope")],
)
def test_what_kubernetes_does_not_serve_has_no_schema(group: str, version: str, kind: str) -> None:
    assert builtin_schema(group, version, kind) is None


def node(document: Json, *steps: str) -> Json:
    for step in steps:
        document = document["items"] if step == "[]" else document["properties"][step]
    return document


def test_lists_and_maps_carry_their_semantics() -> None:
    document = native("apps", "Deployment").openapi()
    pod = node(document, "spec", "template", "spec")
    containers = node(pod, "containers")
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    ports = node(containers, "[]", "ports")
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert node(ports, "[]", "protocol")["default"] == "TCP"
    assert node(pod, "tolerations")["x-kubernetes-list-type"] == "atomic"
    assert node(pod, "nodeSelector")["x-kubernetes-map-type"] == "atomic"
    assert node(pod, "volumes")["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    assert node(document, "spec", "selector")["x-kubernetes-map-type"] == "atomic"
    assert node(document, "status", "conditions")["x-kubernetes-list-map-keys"] == ["type"]
    assert node(document, "metadata", "finalizers")["x-kubernetes-list-type"] == "set"
    assert node(containers, "[]", "lifecycle", "preStop", "exec")["type"] == "object"


def test_the_tables_name_fields_that_exist() -> None:
    known: set[str] = set()
    for name in dir(models):
        model = getattr(models, name)
        if hasattr(model, "model_fields") and hasattr(model, "attribute_map"):
            known |= {f"{builtin._short(model)}.{field}" for field in model.attribute_map.values()}
    named = {
        *builtin_tables.LISTS,
        *builtin_tables.ATOMIC_FIELDS,
        *builtin_tables.RETAIN_KEYS,
        *builtin_tables.QUANTITIES,
        *builtin_tables.DEFAULTS,
        *builtin_tables.ENUMS,
        *builtin_tables.LIMITS,
        *builtin_tables.NOT_EMPTY,
        *builtin_tables.OPTIONAL,
    }
    assert named - known == set()
    assert builtin_tables.ATOMIC_MODELS - {place.partition(".")[0] for place in known} == set()


def test_causes_become_a_status() -> None:
    causes = [
        "spec.a: Required value",
        'spec.b: Unsupported value: "x": supported values: "y"',
        "spec.c: Invalid value: 1: no",
    ]
    body = invalid("apps", "Deployment", "d", causes).body()
    assert body["code"] == 422
    assert body["message"] == f'Deployment.apps "d" is invalid: [{", ".join(causes)}]'
    assert [(cause["reason"], cause["field"]) for cause in body["details"]["causes"]] == [
        ("FieldValueRequired", "spec.a"),
        ("FieldValueNotSupported", "spec.b"),
        ("FieldValueInvalid", "spec.c"),
    ]
    assert invalid("", "Pod", "p", causes[:1]).message == 'Pod "p" is invalid: spec.a: Required value'
    assert bad_request("no").body() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "no",
        "reason": "BadRequest",
        "code": 400,
    }
