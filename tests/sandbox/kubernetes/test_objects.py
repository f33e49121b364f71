# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an object goes through: create, conflicts, generation, status, defaults, validation, dry run."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

Json = dict[str, t.Any]


def refused(work: t.Callable[[], t.Any]) -> Json:
    """The Status object with which the server refuses."""
    with pytest.raises(ApiException) as error:
        work()
    status: Json = json.loads(error.value.body or "")
    assert status["kind"] == "Status" and status["code"] == error.value.status
    return status


def test_create_sets_what_only_the_server_knows(core: t.Any, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"generateName": "made-"}, "data": {"a": "b"}})
    assert made.metadata.name.startswith("made-") and len(made.metadata.name) == len("made-") + 5
    assert made.metadata.uid and made.metadata.creation_timestamp and made.metadata.namespace == namespace
    assert core.read_namespaced_config_map(made.metadata.name, namespace).data == {"a": "b"}


def test_create_of_what_exists_and_in_a_missing_namespace(core: t.Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "twice"}})
    again = refused(lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": "twice"}}))
    assert (again["code"], again["reason"]) == (409, "AlreadyExists")
    assert again["message"] == 'configmaps "twice" already exists'
    missing = refused(lambda: core.create_namespaced_config_map("nowhere", {"metadata": {"name": "x"}}))
    assert (missing["code"], missing["message"]) == (404, 'namespaces "nowhere" not found')
    absent = refused(lambda: core.read_namespaced_pod("absent", namespace))
    assert absent["details"] == {"name": "absent", "group": "", "kind": "pods"}


def test_stale_update_conflicts_and_empty_update_changes_nothing(core: t.Any, namespace: str) -> None:
    first = core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}, "data": {"n": "1"}})
    first.data = {"n": "2"}
    second = core.replace_namespaced_config_map("c", namespace, first)
    assert second.metadata.resource_version != first.metadata.resource_version
    status = refused(lambda: core.replace_namespaced_config_map("c", namespace, first))
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert "the object has been modified; please apply your changes" in status["message"]
    same = core.replace_namespaced_config_map("c", namespace, second)
    assert same.metadata.resource_version == second.metadata.resource_version


def test_generation_counts_changes_of_the_spec_alone(apps: t.Any, namespace: str, build: t.Any) -> None:
    made = apps.create_namespaced_deployment(namespace, build.deployment())
    assert made.metadata.generation == 1
    labelled = apps.patch_namespaced_deployment("web", namespace, {"metadata": {"labels": {"x": "y"}}})
    assert labelled.metadata.generation == 1
    report = {"status": {"replicas": 2, "observedGeneration": 1}, "spec": {"replicas": 9}}
    reported = apps.patch_namespaced_deployment_status("web", namespace, report)
    assert (reported.status.replicas, reported.spec.replicas, reported.metadata.generation) == (2, 2, 1)
    scaled = apps.patch_namespaced_deployment("web", namespace, {"spec": {"replicas": 3}, "status": {"replicas": 7}})
    assert (scaled.spec.replicas, scaled.status.replicas, scaled.metadata.generation) == (3, 2, 2)


def test_scale_subresource(apps: t.Any, namespace: str, build: t.Any) -> None:
    apps.create_namespaced_deployment(namespace, build.deployment())
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=web")
    scale.spec.replicas = 6
    assert apps.replace_namespaced_deployment_scale("web", namespace, scale).spec.replicas == 6
    assert apps.read_namespaced_deployment("web", namespace).spec.replicas == 6
    stale = refused(lambda: apps.replace_namespaced_deployment_scale("web", namespace, scale))
    assert stale["reason"] == "Conflict"
    negative = {"spec": {"replicas": -1}}
    assert refused(lambda: apps.patch_namespaced_deployment_scale("web", namespace, negative))["code"] == 422


def test_defaults_of_builtin_kinds(core: t.Any, apps: t.Any, namespace: str, build: t.Any) -> None:
    desired = build.deployment()
    del desired["spec"]["replicas"]
    spec = apps.create_namespaced_deployment(namespace, desired).spec
    assert (spec.replicas, spec.strategy.type, spec.strategy.rolling_update.max_surge) == (1, "RollingUpdate", "25%")
    assert (spec.template.spec.restart_policy, spec.template.spec.termination_grace_period_seconds) == ("Always", 30)
    assert spec.template.spec.containers[0].image_pull_policy == "IfNotPresent"
    service = core.create_namespaced_service(namespace, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    assert service.spec.type == "ClusterIP" and service.spec.cluster_ip.startswith("34.118.")
    assert service.spec.ports[0].target_port == 80
    secret = core.create_namespaced_secret(namespace, {"metadata": {"name": "k"}, "stringData": {"token": "abc"}})
    assert secret.type == "Opaque" and base64.b64decode(secret.data["token"]) == b"abc" and not secret.string_data


def test_tpu_pods_tolerate_the_taint_of_their_nodes(core: t.Any, namespace: str, build: t.Any) -> None:
    desired = build.pod()
    desired["spec"]["containers"][0]["resources"] = {"limits": {"google.com/tpu": "4"}}
    made = core.create_namespaced_pod(namespace, desired)
    assert made.spec.containers[0].resources.requests == {"google.com/tpu": "4"}
    assert ("google.com/tpu", "Exists") in [(one.key, one.operator) for one in made.spec.tolerations]
    assert made.status.phase == "Pending" and made.spec.service_account_name == "default"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels", "`selector` does not match"),
        ({"replicas": -1}, "spec.replicas", "greater than or equal to 0"),
        ({"selector": None}, "spec.selector", "Required value"),
    ],
)
def test_invalid_deployments(raw: t.Any, namespace: str, build: t.Any, change: Json, field: str, words: str) -> None:
    desired = build.deployment()
    desired["spec"].update(change)
    response = raw("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", desired)
    status = response.json()
    assert (response.status, status["reason"]) == (422, "Invalid")
    assert field in [cause["field"] for cause in status["details"]["causes"]] and words in status["message"]


def test_what_never_changes(apps: t.Any, api_client: client.ApiClient, namespace: str, build: t.Any) -> None:
    apps.create_namespaced_deployment(namespace, build.deployment())
    new = {"app": "new"}
    moved = {"spec": {"selector": {"matchLabels": new}, "template": {"metadata": {"labels": new}}}}
    status = refused(lambda: apps.patch_namespaced_deployment("web", namespace, moved))
    assert status["code"] == 422 and "field is immutable" in status["message"]
    batch: t.Any = client.BatchV1Api(api_client)
    container = {"name": "main", "image": "busybox:1"}
    job = {
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
    }
    made = batch.create_namespaced_job(namespace, job)
    assert (made.spec.backoff_limit, made.spec.completions, made.spec.parallelism) == (6, 1, 1)
    assert made.spec.template.metadata.labels["batch.kubernetes.io/job-name"] == "j"
    other = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}}}
    status = refused(lambda: batch.patch_namespaced_job("j", namespace, other))
    assert status["details"]["causes"][0]["field"] == "spec.template"
    assert batch.replace_namespaced_job("j", namespace, {**job, "metadata": {"name": "j", "labels": {"a": "b"}}})


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254])
def test_names_are_dns_names(core: t.Any, namespace: str, name: str) -> None:
    status = refused(lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": name}}))
    assert status["code"] == 422 and status["details"]["causes"][0]["field"] == "metadata.name"


def test_dry_run_answers_and_stores_nothing(core: t.Any, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "dry"}}, dry_run="All")
    assert made.metadata.uid
    assert refused(lambda: core.read_namespaced_config_map("dry", namespace))["code"] == 404
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "wet"}, "data": {"a": "1"}})
    changed = core.patch_namespaced_config_map("wet", namespace, {"data": {"a": "2"}}, dry_run="All")
    assert changed.data == {"a": "2"}
    core.delete_namespaced_config_map("wet", namespace, dry_run="All")
    assert core.read_namespaced_config_map("wet", namespace).data == {"a": "1"}


def test_unknown_fields_are_refused_warned_about_or_dropped(raw: t.Any, namespace: str, build: t.Any) -> None:
    desired = build.deployment()
    desired["spec"]["replica"] = 3
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All&fieldValidation="
    strict = raw("POST", path + "Strict", desired)
    assert strict.status == 400 and strict.json()["reason"] == "BadRequest"
    assert 'strict decoding error: unknown field "spec.replica"' in strict.json()["message"]
    warned = raw("POST", path + "Warn", desired)
    assert warned.status == 201 and 'unknown field \\"spec.replica\\"' in warned.headers["Warning"]
    assert "replica" not in warned.json()["spec"]
    ignored = raw("POST", path + "Ignore", desired)
    assert ignored.status == 201 and "Warning" not in ignored.headers
    assert raw("POST", path + "Perhaps", desired).status == 400


def test_patch_kinds(api_client: client.ApiClient, apps: t.Any, namespace: str, build: t.Any) -> None:
    apps.create_namespaced_deployment(namespace, build.deployment())
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:1"}]}}}}
    strategic = apps.patch_namespaced_deployment(
        "web", namespace, sidecar, _content_type="application/strategic-merge-patch+json"
    )
    assert sorted(one.name for one in strategic.spec.template.spec.containers) == ["main", "side"]
    merged = apps.patch_namespaced_deployment("web", namespace, sidecar, _content_type="application/merge-patch+json")
    assert [one.name for one in merged.spec.template.spec.containers] == ["side"]
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
    ]
    replaced = apps.patch_namespaced_deployment(
        "web", namespace, operations, _content_type="application/json-patch+json"
    )
    assert replaced.spec.replicas == 4


def test_reviews_say_yes(api_client: client.ApiClient) -> None:
    authorization: t.Any = client.AuthorizationV1Api(api_client)
    review = authorization.create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    )
    assert review.status.allowed
    authentication: t.Any = client.AuthenticationV1Api(api_client)
    me = authentication.create_self_subject_review({})
    assert "system:masters" in me.status.user_info.groups
