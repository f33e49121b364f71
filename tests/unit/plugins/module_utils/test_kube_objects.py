# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects as data: order, names, comparison, and no secret in what a user sees."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption
from ansible_collections.aiserving.gke.plugins.module_utils._kube import objects

Json = dict[str, t.Any]


def obj(kind: str, name: str = "x", **more: t.Any) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}


def secret(**data: str) -> Json:
    made = obj("Secret", data=data)
    made["metadata"]["annotations"] = {objects.LAST_APPLIED: json.dumps(data)}
    made["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    return made


def test_definitions_of_kinds_come_first_then_namespaces_then_the_rest_as_given() -> None:
    given = [
        obj("Service"),
        obj("Namespace", "b"),
        obj("ConfigMap"),
        obj("CustomResourceDefinition"),
        obj("Namespace", "a"),
    ]
    ranks = [[(item["kind"], item["metadata"]["name"]) for item in rank] for rank in objects.ranked(given)]
    assert ranks == [
        [("CustomResourceDefinition", "x")],
        [("Namespace", "b"), ("Namespace", "a")],
        [("Service", "x"), ("ConfigMap", "x")],
    ]


def test_lists_are_unfolded_and_the_input_is_left_alone() -> None:
    given = [{"apiVersion": "v1", "kind": "List", "items": [secret(a="1"), obj("ConfigMap")]}]
    flat = objects.checked(given)
    assert [item["kind"] for item in flat] == ["Secret", "ConfigMap"]
    assert "managedFields" not in flat[0]["metadata"]
    assert "managedFields" in given[0]["items"][0]["metadata"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("broken", "option"),
    [
        ({"kind": "ConfigMap", "metadata": {"name": "x"}}, r"definitions\[1\]\.apiVersion"),
        ({"apiVersion": "v1", "metadata": {"name": "x"}}, r"definitions\[1\]\.kind"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-"}}, r"definitions\[1\]\.metadata\.name"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": "x"}, r"definitions\[1\]\.metadata\.name"),
        ({}, r"definitions\[1\]\.apiVersion"),
    ],
)
def test_a_broken_definition_is_named(broken: Json, option: str) -> None:
    with pytest.raises(InvalidOption, match=option):
        objects.checked([obj("Service"), broken])


def test_secrets_show_their_keys_only() -> None:
    shown = objects.shown(secret(password="aHVudGVyMg=="))
    assert shown["data"] == {"password": objects.HIDDEN}
    assert "aHVudGVyMg" not in json.dumps(shown)
    assert "managedFields" not in shown["metadata"]


def test_a_diff_of_secrets_tells_which_keys_change_and_no_value() -> None:
    before, after = objects.shown_pair(secret(same="QQ==", new="Qg==", old="Qw=="), secret(same="QQ==", new="RA=="))
    assert before["data"] == dict.fromkeys(("same", "new", "old"), objects.HIDDEN)
    assert after["data"] == {"same": objects.HIDDEN, "new": objects.HIDDEN_CHANGED}
    assert not {"QQ==", "Qg==", "Qw==", "RA=="} & set(json.dumps([before, after]).replace('"', " ").split())


def test_a_new_secret_is_masked_in_the_diff_too() -> None:
    before, after = objects.shown_pair(None, obj("Secret", stringData={"token": "hunter2"}))
    assert before == {}
    assert after["stringData"] == {"token": objects.HIDDEN}


def test_what_the_server_notes_is_no_difference_whoever_owns_it() -> None:
    def live(version: str, owner: str, value: str = "1") -> Json:
        made = obj("ConfigMap", data={"a": value}, status={"seen": version})
        made["metadata"] |= {
            "resourceVersion": version,
            "generation": int(version),
            "managedFields": [{"manager": owner, "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}}],
        }
        return made

    assert objects.comparable(live("1", "me")) == objects.comparable(live("2", "other"))
    assert objects.comparable(live("1", "me")) != objects.comparable(live("1", "me", value="2"))
    assert objects.comparable(None) == {}


def test_a_claim_is_what_the_manager_applied_itself() -> None:
    image: Json = {"f:spec": {"f:template": {}}}
    replicas: Json = {"f:spec": {"f:replicas": {}}}
    made = obj("Deployment", spec={"replicas": 1})
    assert objects.claim(made, "me") == {}
    made["metadata"]["managedFields"] = [
        {"manager": "me", "operation": "Update", "subresource": "scale", "fieldsV1": replicas},
        {"manager": "me", "operation": "Apply", "subresource": "scale", "fieldsV1": replicas},
        {"manager": "helm", "operation": "Apply", "fieldsV1": replicas},
        {"manager": "me", "operation": "Apply", "fieldsV1": image},
    ]
    assert objects.claim(made, "me") == image


def test_changed_paths_name_the_deepest_fields() -> None:
    before = {"spec": {"replicas": 1, "template": {"a": 1}}, "kept": [1]}
    after = {"spec": {"replicas": 2, "template": {"a": 1, "b": 2}}, "kept": [1]}
    assert objects.changed_paths(before, after) == [".spec.replicas", ".spec.template.b"]
    assert objects.changed_paths(after, after) == []


def test_what_a_definition_speaks_of() -> None:
    live = {"spec": {"a": 1, "default": True, "items": [{"name": "x", "default": 1}], "more": [1, 2]}, "status": {}}
    definition = {"spec": {"a": 2, "items": [{"name": "y"}], "more": [1], "new": 1}}
    assert objects.stated(live, definition) == {"spec": {"a": 1, "items": [{"name": "x"}], "more": [1, 2]}}
