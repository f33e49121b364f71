# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three patches, against the examples of their specifications and what kubectl sends."""

from __future__ import annotations

import copy
import typing as t

import pytest

from sandbox.kubernetes.errors import ApiStatus
from sandbox.kubernetes.patch import json_patch, merge_patch, strategic_merge
from sandbox.kubernetes.schema import Schema, builtin_schema

Json = dict[str, t.Any]

# RFC 6902, appendix A: document, patch, result.
RFC_6902 = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"g": {}}}], {"foo": "bar", "child": {"g": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a", "b"]}], {"foo": ["bar", ["a", "b"]]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
]

REFUSED = [
    ({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}, 422),
    ({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": "qux"}, 422),
    ({"foo": ["a"]}, {"op": "add", "path": "/foo/2", "value": "x"}, 422),
    ({"foo": ["a"]}, {"op": "remove", "path": "/foo/01"}, 422),
    ({"foo": "bar"}, {"op": "remove", "path": "/baz"}, 422),
    ({"foo": "bar"}, {"op": "replace", "path": "/baz", "value": 1}, 422),
    ({"a": {"b": 1}}, {"op": "move", "from": "/a", "path": "/a/b"}, 422),
    ({"a": 1}, {"op": "test", "path": "/a", "value": True}, 422),
    ({"a": 1}, {"op": "remove", "path": ""}, 422),
    ({"a": 1}, {"op": "test", "path": "a", "value": 1}, 422),
    ({"a": 1}, {"op": "spam", "path": "/a"}, 400),
    ({"a": 1}, {"op": "add", "path": "/a"}, 400),
    ({"a": 1}, {"op": "move", "path": "/a"}, 400),
]


@pytest.mark.parametrize(("document", "ops", "wanted"), RFC_6902)
def test_json_patch_does_what_the_rfc_says(document: Json, ops: list[Json], wanted: Json) -> None:
    before = copy.deepcopy(document)
    assert json_patch(document, ops) == wanted
    assert document == before


@pytest.mark.parametrize(("document", "op", "code"), REFUSED)
def test_json_patch_refuses_what_does_not_fit(document: Json, op: Json, code: int) -> None:
    with pytest.raises(ApiStatus) as refusal:
        json_patch(document, [op])
    assert refusal.value.code == code


def test_json_patch_shares_nothing_with_its_operations() -> None:
    value: Json = {"deep": []}
    patched = json_patch({}, [{"op": "add", "path": "/a", "value": value}, {"op": "copy", "from": "/a", "path": "/b"}])
    patched["a"]["deep"].append(1)
    assert value == {"deep": []}
    assert patched["b"] == {"deep": []}


# RFC 7386, appendix A.
RFC_7386: list[tuple[t.Any, t.Any, t.Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "wanted"), RFC_7386)
def test_merge_patch_does_what_the_rfc_says(target: t.Any, patch: t.Any, wanted: t.Any) -> None:
    before = copy.deepcopy(target)
    assert merge_patch(target, patch) == wanted
    assert target == before


def schema_of(kind: str) -> Schema:
    found = builtin_schema("" if kind in ("Pod", "Service") else "apps", "v1", kind)
    if found is None:
        pytest.fail(f"no schema of {kind}")
    return found


def pod(**spec: t.Any) -> Json:
    return {"spec": spec}


STRATEGIC: list[tuple[str, Json, Json, Json]] = [
    (
        "containers merge by name, arguments are replaced",
        pod(containers=[{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "2"}]),
        pod(containers=[{"name": "a", "args": ["y"]}]),
        pod(containers=[{"name": "a", "image": "1", "args": ["y"]}, {"name": "b", "image": "2"}]),
    ),
    (
        "a new item is added",
        pod(containers=[{"name": "a"}]),
        pod(containers=[{"name": "b", "env": None, "image": "2"}]),
        pod(containers=[{"name": "a"}, {"name": "b", "image": "2"}]),
    ),
    (
        "an item is deleted",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        pod(containers=[{"name": "b", "$patch": "delete"}]),
        pod(containers=[{"name": "a"}]),
    ),
    (
        "a list is replaced by directive",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        pod(containers=[{"$patch": "replace"}, {"name": "c"}]),
        pod(containers=[{"name": "c"}]),
    ),
    (
        "a map is replaced by directive",
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
        {"metadata": {"labels": {"c": "3"}}},
    ),
    (
        "a map is deleted by directive",
        pod(affinity={"nodeAffinity": {}}, dnsPolicy="Default"),
        pod(affinity={"$patch": "delete"}),
        pod(dnsPolicy="Default"),
    ),
    (
        "lists without a merge strategy are replaced",
        pod(tolerations=[{"key": "a"}]),
        pod(tolerations=[{"key": "b"}]),
        pod(tolerations=[{"key": "b"}]),
    ),
    (
        "nodeSelector merges by key although apply takes it as one",
        pod(nodeSelector={"a": "1", "b": "2"}),
        pod(nodeSelector={"a": None, "c": "3"}),
        pod(nodeSelector={"b": "2", "c": "3"}),
    ),
    (
        "the order is set",
        pod(containers=[{"name": "a"}, {"name": "b"}]),
        pod(
            **{
                "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                "containers": [{"name": "c"}],
            }
        ),
        pod(containers=[{"name": "c"}, {"name": "b"}, {"name": "a"}]),
    ),
    (
        "finalizers are a set",
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
    ),
    (
        "a volume keeps only the source that is stated",
        pod(volumes=[{"name": "v", "emptyDir": {}}]),
        pod(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]),
        pod(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
    ),
]


@pytest.mark.parametrize(("live", "patch", "wanted"), [row[1:] for row in STRATEGIC], ids=[row[0] for row in STRATEGIC])
def test_strategic_merge(live: Json, patch: Json, wanted: Json) -> None:
    before = copy.deepcopy(live)
    assert strategic_merge(live, patch, schema_of("Pod")) == wanted
    assert live == before


def test_strategic_merge_switches_a_deployments_strategy() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic_merge(live, patch, schema_of("Deployment")) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_strategic_merge_finds_service_ports_by_port() -> None:
    live = {"spec": {"ports": [{"port": 80, "targetPort": 1}, {"port": 81}]}}
    patch = {"spec": {"ports": [{"port": 80, "targetPort": 2}]}}
    wanted = {"spec": {"ports": [{"port": 80, "targetPort": 2}, {"port": 81}]}}
    assert strategic_merge(live, patch, schema_of("Service")) == wanted


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"containers": [{"image": "1"}]}},
        {"spec": {"$patch": "spam"}},
        {"spec": {"$retainKeys": ["hostname"], "subdomain": "x"}},
    ],
)
def test_strategic_merge_refuses_what_it_cannot_place(patch: Json) -> None:
    with pytest.raises(ApiStatus) as refusal:
        strategic_merge({"spec": {}}, patch, schema_of("Pod"))
    assert refusal.value.code == 400
