# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinds that arrive at run time: served at once, held to their schema, cleaned up with their definition."""

from __future__ import annotations

import typing as t

import pytest
from kubernetes import dynamic

from sandbox.kubernetes import crds

Json = dict[str, t.Any]
API = "/apis/example.com/v1/namespaces"


def widget(name: str = "w", **spec: t.Any) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1, **spec}}


@pytest.fixture
def served(widgets: Json, dynamic_client: dynamic.DynamicClient) -> t.Any:
    return dynamic_client.resources.get(api_version="example.com/v1", kind="Widget")


def test_definition_is_established_at_once(widgets: Json) -> None:
    conditions = {one["type"]: one["status"] for one in widgets["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert widgets["status"]["storedVersions"] == ["v1"]
    assert widgets["spec"]["names"]["listKind"] == "WidgetList"


def test_status_and_generation(served: t.Any, namespace: str) -> None:
    made = served.create({**widget(), "status": {"phase": "Mine"}}, namespace=namespace)
    assert made.status is None
    report = {"metadata": {"name": "w"}, "status": {"phase": "Ready"}, "spec": {"size": 9}}
    reported = served.status.patch(report, name="w", namespace=namespace, content_type="application/merge-patch+json")
    assert (reported.status.phase, reported.spec.size, reported.metadata.generation) == ("Ready", 1, 1)
    grown = served.patch(
        {"spec": {"size": 2}, "status": {"phase": "Lost"}},
        name="w",
        namespace=namespace,
        content_type="application/merge-patch+json",
    )
    assert (grown.status.phase, grown.spec.size, grown.metadata.generation) == ("Ready", 2, 2)


def test_strategic_patches_are_for_builtin_kinds(served: t.Any, raw: t.Any, namespace: str) -> None:
    served.create(widget(), namespace=namespace)
    path = f"{API}/{namespace}/widgets/w"
    assert raw("PATCH", path, {"spec": {"size": 2}}, "application/strategic-merge-patch+json").status == 415


def test_update_needs_the_version(served: t.Any, raw: t.Any, namespace: str) -> None:
    made = served.create(widget(), namespace=namespace).to_dict()
    path = f"{API}/{namespace}/widgets/w"
    assert "metadata.resourceVersion" in raw("PUT", path, widget(size=3)).json()["message"]
    made["spec"]["size"] = 3
    assert raw("PUT", path, made).json()["spec"]["size"] == 3
    assert raw("PUT", path, made).json()["reason"] == "Conflict"


def test_scale_at_the_declared_paths(served: t.Any, namespace: str) -> None:
    served.create(widget(replicas=1), namespace=namespace)
    scaled = served.scale.patch(
        {"spec": {"replicas": 4}}, name="w", namespace=namespace, content_type="application/merge-patch+json"
    )
    assert scaled.spec.replicas == 4
    assert served.get(name="w", namespace=namespace).spec.replicas == 4


def test_apply_merges_by_owner(served: t.Any, raw: t.Any, namespace: str) -> None:
    path = f"{API}/{namespace}/widgets/w"
    apply = "application/apply-patch+yaml"
    made = raw("PATCH", f"{path}?fieldManager=one", widget(color="red"), apply)
    assert made.status == 201
    rival = raw("PATCH", f"{path}?fieldManager=two", widget(color="green"), apply)
    assert rival.status == 409 and rival.json()["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = raw("PATCH", f"{path}?fieldManager=two&force=true", widget(color="green"), apply)
    assert forced.status == 200 and forced.json()["spec"]["color"] == "green"
    again = raw("PATCH", f"{path}?fieldManager=two&force=true", widget(color="green"), apply)
    assert again.json()["metadata"]["resourceVersion"] == forced.json()["metadata"]["resourceVersion"]
    unknown = raw("PATCH", f"{path}?fieldManager=two&dryRun=All", widget(surplus=1), apply)
    assert ".spec.surplus: field not declared in schema" in unknown.json()["message"]
    assert raw("PATCH", path, widget(), apply).status == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"name": "wrong.example.com"}}, "metadata.name"),
        ({"spec": {"scope": "Galaxy"}}, "spec.scope"),
    ],
)
def test_wrong_definitions(raw: t.Any, build: t.Any, change: Json, field: str) -> None:
    definition = build.crd("wrongs", "example.com", "Wrong")
    for part, values in change.items():
        definition[part] |= values
    status = raw("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).json()
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, field)


def test_what_gke_ships_is_accepted(raw: t.Any) -> None:
    for definition in [*crds.shipped("1.34.1-gke.1829001"), *crds.config_cluster()]:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        made = raw("POST", f"{path}?fieldValidation=Strict", definition)
        assert made.status == 201, made.data
    pools = raw("GET", "/apis/inference.networking.k8s.io/v1/inferencepools")
    assert pools.json()["items"] == []
