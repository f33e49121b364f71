# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules inference_pool and inference_pool_info on a target cluster and a config cluster."""

from __future__ import annotations

import json
import socket
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._kube import connection

from tests.integration.kube_fixtures import Cluster, cluster, config, controller, namespace
from tests.module_runner import ModuleFailed, run_module

__all__ = ["cluster", "config", "namespace"]

Json = dict[str, t.Any]

KINDS = ["ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Deployment", "Service", "InferencePool"]


def pool(cluster: Cluster, namespace: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> Json:
    args = {
        "kubeconfig": cluster.kubeconfig,
        "name": "gemma",
        "namespace": namespace,
        "match_labels": {"app": "vllm"},
        "target_ports": [8000],
        "wait_timeout": 20,
        **options,
    }
    return run_module("inference_pool", args, check=check, diff=diff)


def picker(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/gemma-epp"


def path(namespace: str) -> str:
    return f"/apis/inference.networking.k8s.io/v1/namespaces/{namespace}/inferencepools/gemma"


def imports(namespace: str) -> str:
    return f"/apis/networking.gke.io/v1/namespaces/{namespace}/gcpinferencepoolimports"


def serve(cluster: Cluster, namespace: str, available: int = 1) -> t.Callable[[], bool]:
    def step() -> bool:
        live = cluster.get(picker(namespace))
        if live is None:
            return False
        replicas = live["spec"]["replicas"]
        cluster.set_status(
            picker(namespace),
            observedGeneration=live["metadata"]["generation"],
            replicas=replicas,
            updatedReplicas=replicas,
            availableReplicas=available,
        )
        return True

    return step


def bring(source: Cluster, target: Cluster, namespace: str) -> t.Callable[[], bool]:
    """The fleet's controller: an exported pool appears on the config cluster."""

    def step() -> bool:
        live = source.get(path(namespace))
        if live is None or live["metadata"].get("annotations", {}).get("networking.gke.io/export") != "True":
            return False
        if target.get(f"/api/v1/namespaces/{namespace}") is None:
            target.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        target.request("POST", imports(namespace), {"metadata": {"name": "gemma"}})
        return True

    return step


def test_exported_imported_repeated_removed(cluster: Cluster, config: Cluster, namespace: str) -> None:
    options: Json = {"export": True, "import_kubeconfig": config.kubeconfig}
    planned = pool(cluster, namespace, check=True, diff=True, **options)
    assert [(o["kind"], o["action"]) for o in planned["objects"]] == [(kind, "create") for kind in KINDS]
    assert cluster.get(path(namespace)) is None

    with controller(serve(cluster, namespace)), controller(bring(cluster, config, namespace)):
        result = pool(cluster, namespace, **options)
    made = result["inference_pool"]
    assert (made["exported"], made["ready"], made["target_ports"]) == (True, True, [8000])
    assert made["endpoint_picker"] == {"name": "gemma-epp", "port": 9002, "failure_mode": "FailOpen"}
    assert made["imported"]["metadata"]["name"] == "gemma"

    before = cluster.get(path(namespace))
    assert not pool(cluster, namespace, **options)["changed"]
    assert cluster.get(path(namespace)) == before

    changed = pool(cluster, namespace, **{**options, "target_ports": [8000, 8001]}, check=True)
    assert changed["plan"]["changes"] == [
        {"object": f"InferencePool {namespace}/gemma", "action": "update", "fields": [".spec.targetPorts"]}
    ]

    found = info(cluster, namespace, name="gemma", import_kubeconfig=config.kubeconfig)
    assert found["inference_pools"][0]["imported"]["metadata"]["namespace"] == namespace

    def forget() -> bool:
        if cluster.get(path(namespace)):
            return False
        config.request("DELETE", imports(namespace) + "/gemma")
        return True

    with controller(forget):
        removed = pool(cluster, namespace, state="absent", **options)
    assert [o["action"] for o in removed["objects"]] == ["delete"] * len(KINDS)
    assert removed["inference_pool"] == {}
    assert cluster.get(picker(namespace)) is None
    assert not pool(cluster, namespace, state="absent", **options)["changed"]


def info(cluster: Cluster, namespace: str, **options: t.Any) -> Json:
    return run_module("inference_pool_info", {"kubeconfig": cluster.kubeconfig, "namespace": namespace, **options})


def test_an_import_that_does_not_come_is_explained(cluster: Cluster, config: Cluster, namespace: str) -> None:
    options: Json = {"export": True, "wait": False}
    pool(cluster, namespace, **options)
    serve(cluster, namespace)()
    refused = {
        "type": "Exported",
        "status": "False",
        "reason": "NotSupported",
        "message": "no such class",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    met = [{**refused, "type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
    cluster.set_status(path(namespace), parents=[{"parentRef": {"name": "gw"}, "conditions": [*met, refused]}])
    with pytest.raises(ModuleFailed) as failure:
        pool(cluster, namespace, export=True, import_kubeconfig=config.kubeconfig, wait_timeout=0)
    said = failure.value.result["msg"]
    assert f"there is no GCPInferencePoolImport {namespace}/gemma" in said
    assert "Exported is False: no such class" in said
    assert "multiclusteringress" in said

    # The feature is on, but its agent must not write: the cluster never gets to know the kind.
    with pytest.raises(ModuleFailed, match=r"does not know GCPInferencePoolImport.*roles/container\.admin"):
        pool(cluster, namespace, export=True, import_kubeconfig=cluster.kubeconfig, wait_timeout=0)


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A kubeconfig of a config cluster that does not answer."""
    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound, but nobody listens
        clusters = [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{unheard.getsockname()[1]}"}}]
        users, contexts = [{"name": "u", "user": {}}], [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
        access = {"clusters": clusters, "users": users, "contexts": contexts, "current-context": "c"}
        file = tmp_path / "lost"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **access}))
        yield str(file)


def test_a_lost_config_cluster_ends_the_wait_and_the_pool_is_made(cluster: Cluster, namespace: str, lost: str) -> None:
    options: Json = {"export": True, "import_kubeconfig": lost, "wait_timeout": 600}
    begun = time.monotonic()
    with controller(serve(cluster, namespace)), pytest.raises(ModuleFailed) as failure:
        pool(cluster, namespace, **options)
    assert time.monotonic() - begun < 30
    assert failure.value.result["changed"] is True
    said = failure.value.result["msg"]
    assert (
        f"pool {namespace}/gemma and its picker are as wanted" in said and "no answer from the Kubernetes API" in said
    )
    assert "Leave out the import_ options" in said
    assert cluster.get(path(namespace))

    checked = pool(cluster, namespace, check=True, **options)
    assert (checked["changed"], checked["inference_pool"]["imported"]) == (False, {})
    assert "not ready now: no answer from the Kubernetes API" in str(checked["warnings"])
    assert not pool(cluster, namespace, export=True)["changed"]

    found = info(cluster, namespace, import_kubeconfig=lost)
    assert [(one["name"], one["imported"]) for one in found["inference_pools"]] == [("gemma", {})]
    assert "the imports on the config cluster cannot be seen" in str(found["warnings"])


def test_check_mode_returns_what_is_promised(cluster: Cluster, config: Cluster, namespace: str) -> None:
    options: Json = {"export": True, "import_kubeconfig": config.kubeconfig}
    planned = pool(cluster, namespace, check=True, **options)["inference_pool"]
    with controller(serve(cluster, namespace)), controller(bring(cluster, config, namespace)):
        made = pool(cluster, namespace, **options)["inference_pool"]
    told = {"ready": False, "reason": "it is not there yet", "imported": {}}
    assert planned == {**made, **told}
    again = pool(cluster, namespace, check=True, **options)
    assert (again["changed"], again["warnings"], again["inference_pool"]) == (False, [], made)
    google = {"project": "p", "auth_kind": "accesstoken", "access_token": "a-token-of-some-length"}
    stated = {"name": "gemma", "namespace": namespace, "match_labels": {"app": "vllm"}, "target_ports": [8000]}
    missing = {**google, **stated, **options, "connection": {"endpoint": None}}
    assert run_module("inference_pool", missing, check=True)["inference_pool"] == planned


def test_the_export_ends_with_the_option(cluster: Cluster, namespace: str) -> None:
    pool(cluster, namespace, export=True, wait=False)
    assert not pool(cluster, namespace, wait=False)["inference_pool"]["exported"]
    cluster.merge(path(namespace), {"metadata": {"annotations": {"networking.gke.io/export": "True"}}})
    with pytest.raises(ModuleFailed, match="exported still.*kubectl annotate inferencepool gemma"):
        pool(cluster, namespace, wait=False)


def test_of_several_pickers_only_the_leader_is_ready(cluster: Cluster, namespace: str) -> None:
    with controller(serve(cluster, namespace, available=1)):
        pool(cluster, namespace, endpoint_picker={"replicas": 2})
    serve(cluster, namespace, available=0)()
    with pytest.raises(ModuleFailed, match="2 of 2 replicas updated, 0 is the leader"):
        pool(cluster, namespace, endpoint_picker={"replicas": 2}, wait_timeout=0)


def test_a_changed_configuration_starts_a_new_picker(cluster: Cluster, namespace: str) -> None:
    pool(cluster, namespace, wait=False)
    config = {"apiVersion": "inference.networking.x-k8s.io/v1alpha1", "kind": "EndpointPickerConfig", "plugins": []}
    again = pool(cluster, namespace, wait=False, endpoint_picker={"plugins_config": config}, check=True)
    fields = {change["object"].split()[0]: change["fields"] for change in again["plan"]["changes"]}
    assert fields["ConfigMap"] == [".data.endpoint-picker.yaml"]
    assert fields["Deployment"] == [".spec.template.metadata.annotations.aiserving.gke/config"]


def test_information_of_several_pools(cluster: Cluster, namespace: str) -> None:
    assert info(cluster, namespace)["inference_pools"] == []
    pool(cluster, namespace, wait=False)
    pool(cluster, namespace, name="other", export=True, wait=False)
    found = info(cluster, namespace)["inference_pools"]
    assert [(p["name"], p["exported"], p["imported"]) for p in found] == [("gemma", False, {}), ("other", True, {})]
    assert info(cluster, namespace, name="none")["inference_pools"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Gemma"}, "name: 'Gemma' is not valid"),
        ({"name": "g" * 60}, "1 to 59"),
        ({"match_labels": {}}, "match_labels"),
        ({"target_ports": []}, "target_ports"),
        ({"target_ports": [80, 80]}, "1 to 8 different ports"),
        ({"target_ports": [0]}, "a port from 1 to 65535"),
        ({"endpoint_picker": {"replicas": 0}}, r"endpoint_picker\.replicas"),
        ({"import_kubeconfig": "/somewhere"}, "export: False is not valid"),
    ],
)
def test_bad_input_is_named(cluster: Cluster, options: Json, message: str) -> None:
    with pytest.raises(ModuleFailed, match=message):
        pool(cluster, "default", **options)
    assert cluster.get(path("default")) is None
