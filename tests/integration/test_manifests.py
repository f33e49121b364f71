# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module manifests against the embedded API server."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import threading
import time
import types
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._kube import apply as waits
from ansible_collections.aiserving.gke.plugins.module_utils._kube import connection, plan

from tests.integration.kube_fixtures import TOKEN, Cluster, cluster, config, namespace
from tests.module_runner import ModuleFailed, run_module

__all__ = ["cluster", "config", "namespace"]

Json = dict[str, t.Any]

WIDGET_CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


def deployment(namespace: str, **spec: t.Any) -> Json:
    container = {"name": "main", "image": "python:3.11-slim", "command": ["sleep", "inf"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def config_map(namespace: str, name: str = "settings", **data: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def apply(cluster: Cluster, *definitions: Json, check: bool = False, diff: bool = False, **options: t.Any) -> Json:
    args = {"kubeconfig": cluster.kubeconfig, "definitions": list(definitions), "wait_timeout": 20, **options}
    return run_module("manifests", args, check=check, diff=diff)


def actions(result: Json) -> list[tuple[str, str]]:
    return [(obj["kind"], obj["action"]) for obj in result["objects"]]


def test_create_nothing_update_nothing_remove(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    planned = apply(cluster, config_map(namespace, a="1"), check=True, diff=True)
    assert (planned["changed"], actions(planned)) == (True, [("ConfigMap", "create")])
    assert planned["diff"]["before"] == {f"ConfigMap {namespace}/settings": {}}
    assert cluster.get(path) is None

    assert apply(cluster, config_map(namespace, a="1", b="2"))["changed"]
    first = cluster.get(path)
    assert first is not None
    assert first["data"] == {"a": "1", "b": "2"}
    assert first["metadata"]["managedFields"][0]["manager"] == "aiserving.gke"

    again = apply(cluster, config_map(namespace, a="1", b="2"), diff=True)
    assert (again["changed"], again["diff"]) == (False, {"before": {}, "after": {}})
    assert cluster.get(path) == first

    foreseen = apply(cluster, config_map(namespace, a="9"), check=True, diff=True)
    assert foreseen["plan"]["changes"][0]["fields"] == [".data.a", ".data.b"]
    assert cluster.get(path) == first
    updated = apply(cluster, config_map(namespace, a="9"))
    assert updated["objects"][0]["object"]["data"] == {"a": "9"}
    assert not apply(cluster, config_map(namespace, a="9"))["changed"]

    assert apply(cluster, config_map(namespace), state="absent", check=True)["changed"]
    assert cluster.get(path) is not None
    assert actions(apply(cluster, config_map(namespace), state="absent")) == [("ConfigMap", "delete")]
    assert cluster.get(path) is None
    assert not apply(cluster, config_map(namespace), state="absent")["changed"]


def test_defaults_of_the_server_are_no_difference(cluster: Cluster, namespace: str) -> None:
    assert apply(cluster, deployment(namespace), wait=False)["changed"]
    assert not apply(cluster, deployment(namespace), wait=False)["changed"]
    stored = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    assert stored is not None
    assert stored["spec"]["strategy"]["type"] == "RollingUpdate"


def test_an_unknown_field_stops_everything(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ModuleFailed, match="replica"):
        apply(cluster, config_map(namespace, a="1"), deployment(namespace, replica=3), wait=False)
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/settings") is None


def test_a_new_kind_in_a_new_namespace_in_one_list(cluster: Cluster) -> None:
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "made-here"},
        "spec": {"size": 1},
    }
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-here"}}
    everything = [widget, config_map("made-here", a="1"), place, WIDGET_CRD]
    wanted = ["CustomResourceDefinition", "Namespace", "Widget", "ConfigMap"]

    planned = apply(cluster, *everything, check=True)
    assert actions(planned) == [(kind, "create") for kind in wanted]
    assert cluster.get("/api/v1/namespaces/made-here") is None

    assert actions(apply(cluster, *everything)) == [(kind, "create") for kind in wanted]
    assert actions(apply(cluster, *everything)) == [(kind, "none") for kind in wanted]
    removed = apply(cluster, *everything, state="absent")
    assert actions(removed) == [(kind, "delete") for kind in reversed(wanted)]
    assert cluster.get("/api/v1/namespaces/made-here") is None


def test_a_field_of_another_manager(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.request(
        "PATCH",
        path + "?fieldManager=helm",
        deployment(namespace, replicas=5),
        "application/apply-patch+yaml",
    )
    with pytest.raises(ModuleFailed, match=r"\.spec\.replicas is set by helm.*force_conflicts: true") as failure:
        apply(cluster, deployment(namespace), wait=False)
    assert failure.value.result["managers"] == ["helm"]
    assert apply(cluster, deployment(namespace), wait=False, force_conflicts=True)["changed"]
    assert not apply(cluster, deployment(namespace), wait=False)["changed"]
    live = cluster.get(path)
    assert live is not None
    assert live["spec"]["replicas"] == 2


def test_check_mode_says_what_is_not_ready_and_shows_what_is_there(cluster: Cluster, namespace: str) -> None:
    apply(cluster, deployment(namespace), config_map(namespace), wait=False)
    for state in ("present", "ready"):
        result = apply(cluster, deployment(namespace), config_map(namespace), check=True, state=state)
        assert not result["changed"]
        assert [obj["object"]["metadata"]["name"] for obj in result["objects"]] == ["web", "settings"]
        assert result["objects"][0]["object"]["spec"]["replicas"] == 2
        [warning] = result["warnings"]
        assert warning.startswith(f"not ready now: Deployment {namespace}/web: its controller has not seen")
    assert apply(cluster, deployment(namespace), check=True, wait=False)["warnings"] == []
    planned = apply(cluster, deployment(namespace, replicas=3), check=True)
    assert (planned["changed"], planned["warnings"]) == (True, [])  # it would be another one then

    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "gone too far"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "download", "namespace": namespace},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "x"}]}}},
    }
    apply(cluster, job, wait=False)
    cluster.set_status(f"/apis/batch/v1/namespaces/{namespace}/jobs/download", conditions=[failed])
    assert "the Job failed" in str(apply(cluster, job, check=True)["warnings"])

    absent = {**config_map(namespace), "metadata": {"name": "to-come", "namespace": namespace}}
    waited = apply(cluster, absent, check=True, state="ready")
    assert waited["objects"][0]["object"]["metadata"]["name"] == "to-come"
    assert waited["warnings"] == []  # a task before it may make it


def test_two_runs_at_once_end_converged(cluster: Cluster, namespace: str) -> None:
    """Ten rounds of three, each of which sees nothing and creates."""
    for number in range(10):
        definitions = [config_map(namespace, f"c{number}-{item}", a="1") for item in range(6)]
        gate = threading.Barrier(3)

        def run(definitions: list[Json] = definitions, gate: threading.Barrier = gate) -> list[tuple[str, str]]:
            planner = plan.Planner(connection.connect(kubeconfig_call(cluster)))
            steps = planner.present(definitions)
            gate.wait(20)
            waits.execute(planner, steps, waits.Deadline(20))
            return [(step.action, (step.after or {})["data"]["a"]) for step in steps]

        with ThreadPoolExecutor(3) as pool:
            ended = [future.result(60) for future in [pool.submit(run) for _run in range(3)]]
        assert ended == [[("create", "1")] * 6] * 3
        assert not apply(cluster, *definitions)["changed"]


def kubeconfig_call(cluster: Cluster) -> t.Any:
    names = ("project", "cluster", "location", "connection", "context")
    return types.SimpleNamespace(params={**dict.fromkeys(names), "kubeconfig": cluster.kubeconfig})


def test_secrets_stay_secret(cluster: Cluster, namespace: str) -> None:
    def secret(value: str) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "token", "namespace": namespace},
            "data": {"token": value},
        }

    created = apply(cluster, secret("aHVudGVyMg=="), diff=True)
    updated = apply(cluster, secret("c3dvcmRmaXNo"), diff=True)
    assert updated["plan"]["changes"][0]["fields"] == [".data.token"]
    seen = json.dumps([{**result, "invocation": None} for result in (created, updated)])
    assert "aHVudGVyMg" not in seen
    assert "c3dvcmRmaXNo" not in seen


@pytest.mark.parametrize("access", [{"connection": {}}, {"connection": {"endpoint": None}}])
def test_without_a_cluster_check_mode_plans_creation(access: Json) -> None:
    args = {
        **access,
        "definitions": [config_map("default")],
        "project": "p",
        "auth_kind": "accesstoken",
        "access_token": "a-token-of-some-length",
    }
    planned = run_module("manifests", args, check=True)
    assert actions(planned) == [("ConfigMap", "create")]
    assert "does not exist yet" in str(planned["warnings"])
    with pytest.raises(ModuleFailed, match="does not exist yet"):
        run_module("manifests", args)
    assert not run_module("manifests", {**args, "state": "absent"})["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"definitions": [{"kind": "ConfigMap"}]}, r"definitions\[0\]\.apiVersion"),
        ({"kubeconfig": "/nowhere/kubeconfig"}, r"kubeconfig: '/nowhere/kubeconfig' is not valid"),
        ({"context": "elsewhere"}, "elsewhere"),
        ({"cluster": "c"}, "mutually exclusive"),
    ],
)
def test_bad_input_is_named(cluster: Cluster, options: Json, message: str) -> None:
    given = {"kubeconfig": cluster.kubeconfig, "definitions": [config_map("default", "unmade")], **options}
    with pytest.raises(ModuleFailed, match=message):
        run_module("manifests", given)
    assert cluster.get("/api/v1/namespaces/default/configmaps/unmade") is None


GOOGLE: Json = {"project": "p", "auth_kind": "accesstoken", "access_token": TOKEN}


@pytest.fixture
def container_api(cluster: Cluster) -> Iterator[str]:
    """Base URL of a container API that knows one cluster, us-east5-a/serving."""
    path = "/container/v1/projects/p/locations/us-east5-a/clusters/serving"
    encoded = base64.b64encode(cluster.ca_pem.encode()).decode()
    known = {"endpoint": cluster.endpoint, "masterAuth": {"clusterCaCertificate": encoded}, "status": "RUNNING"}
    missing = {"error": {"code": 404, "status": "NOT_FOUND", "message": "Not found: the cluster"}}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == path
            body = json.dumps(known if found else missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: t.Any) -> None:
            """Nothing to the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/container/"
    server.shutdown()
    server.server_close()
    thread.join(30)


def test_the_cluster_is_looked_up_by_name(cluster: Cluster, namespace: str, container_api: str) -> None:
    args = {**GOOGLE, "api_endpoints": {"container": container_api}, "location": "us-east5-a"}
    wanted = {"definitions": [config_map(namespace, a="1")]}
    assert run_module("manifests", {**args, **wanted, "cluster": "serving"})["changed"]
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/settings")

    missing = {**args, **wanted, "cluster": "missing"}
    with pytest.raises(ModuleFailed, match="there is no cluster projects/p/locations/us-east5-a/clusters/missing"):
        run_module("manifests", missing)
    assert actions(run_module("manifests", missing, check=True)) == [("ConfigMap", "create")]


def test_only_the_clusters_own_authority_is_trusted(cluster: Cluster, config: Cluster, namespace: str) -> None:
    def args(endpoint: str, authority: str) -> Json:
        access = {"endpoint": endpoint, "ca_certificate": authority}
        return {**GOOGLE, "connection": access, "definitions": [config_map(namespace, a="1")]}

    assert run_module("manifests", args(cluster.endpoint, cluster.ca_pem))["changed"]
    with pytest.raises(ModuleFailed, match=r"no answer from the Kubernetes API .*certificate verify failed"):
        run_module("manifests", args(cluster.endpoint, config.ca_pem))


def test_a_dead_api_server_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by one patience for each object."""
    monkeypatch.setattr(connection, "PATIENCE", 1.0, raising=False)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound, but nobody listens
        server = f"https://127.0.0.1:{unheard.getsockname()[1]}"
        access = tmp_path / "kubeconfig"
        clusters = {"clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}]}
        contexts = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
        access.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **clusters, **contexts}))
        begun = time.monotonic()
        with pytest.raises(
            ModuleFailed, match=f"no answer from the Kubernetes API {server}.*see that the cluster runs"
        ):
            args = {"kubeconfig": str(access), "definitions": [config_map("default", f"c{n}") for n in range(12)]}
            run_module("manifests", args)
    assert time.monotonic() - begun < 5
