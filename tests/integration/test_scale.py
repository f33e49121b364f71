# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module scale against the embedded API server; the test plays the Deployment's controller."""

from __future__ import annotations

import typing as t

import pytest

from tests.integration.kube_fixtures import Cluster, cluster, controller, namespace
from tests.integration.test_manifests import apply, deployment
from tests.module_runner import ModuleFailed, run_module

__all__ = ["cluster", "namespace"]

Json = dict[str, t.Any]

MERGE = "application/merge-patch+json"


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """Path of a Deployment with two replicas and their pods."""
    apply(cluster, deployment(namespace), wait=False)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    report(cluster, path, 2)
    template = deployment(namespace)["spec"]["template"]
    for name in ("web-1", "web-2"):
        pod = {**template, "metadata": {"name": name, "labels": {"app": "web"}}}
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    return path


def report(cluster: Cluster, path: str, count: int) -> None:
    live = cluster.get(path)
    assert live is not None
    cluster.set_status(
        path,
        observedGeneration=live["metadata"]["generation"],
        replicas=count,
        updatedReplicas=count,
        readyReplicas=count,
        availableReplicas=count,
    )


def scale(
    cluster: Cluster, namespace: str, replicas: int, *, check: bool = False, diff: bool = False, **more: t.Any
) -> Json:
    args = {"kubeconfig": cluster.kubeconfig, "namespace": namespace, "name": "web", "replicas": replicas, **more}
    return run_module("scale", {"wait_timeout": 20, **args}, check=check, diff=diff)


def wanted(cluster: Cluster, path: str) -> int:
    return int((cluster.get(path) or {})["spec"]["replicas"])


def test_down_to_nothing_and_back(cluster: Cluster, namespace: str, web: str) -> None:
    planned = scale(cluster, namespace, 0, check=True, diff=True)
    assert planned["previous_replicas"] == 2
    assert planned["diff"] == {"before": {"replicas": 2}, "after": {"replicas": 0}}
    assert wanted(cluster, web) == 2

    def obey() -> bool:
        if wanted(cluster, web):
            return False
        report(cluster, web, 0)
        for name in ("web-1", "web-2"):
            cluster.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 0})
        return True

    with controller(obey):
        result = scale(cluster, namespace, 0)
    assert (result["changed"], result["previous_replicas"], result["replicas"]) == (True, 2, 0)
    assert not scale(cluster, namespace, 0)["changed"]

    restored = scale(cluster, namespace, result["previous_replicas"], wait=False)
    assert (restored["changed"], wanted(cluster, web)) == (True, 2)


def test_pods_on_their_way_out_are_waited_for(cluster: Cluster, namespace: str, web: str) -> None:
    scale(cluster, namespace, 0, wait=False)
    report(cluster, web, 0)
    with pytest.raises(ModuleFailed, match="2 pods are there still, 0 wanted"):
        scale(cluster, namespace, 0, wait_timeout=0)


def test_replicas_that_do_not_get_ready_are_told(cluster: Cluster, namespace: str, web: str) -> None:
    with pytest.raises(ModuleFailed, match=rf"Deployment {namespace}/web to be ready: .*generation 2") as failure:
        scale(cluster, namespace, 3, wait_timeout=0)
    assert failure.value.result["changed"] is True
    with pytest.raises(ModuleFailed) as failure:
        scale(cluster, namespace, 3, wait_timeout=0)
    assert failure.value.result.get("changed", False) is False


def test_a_later_apply_takes_the_replicas_back_without_force(cluster: Cluster, namespace: str, web: str) -> None:
    scale(cluster, namespace, 0, wait=False)
    assert apply(cluster, deployment(namespace), wait=False)["changed"]
    assert wanted(cluster, web) == 2


@pytest.mark.parametrize("down", [0, 1])
def test_regained_replicas_are_no_change(cluster: Cluster, namespace: str, web: str, down: int) -> None:
    """As after every drill. Of what was scaled to none nobody owns the replicas any more."""
    for replicas in (down, 2):
        scale(cluster, namespace, replicas, wait=False)
    assert "f:replicas" not in owned(cluster, web)
    for check in (True, False):
        again = apply(cluster, deployment(namespace), wait=False, check=check, diff=True)
        assert not again["changed"], again["plan"]
        assert again["diff"] == {"before": {}, "after": {}}
        assert again["plan"] == {"action": "none", "changes": []}
    assert "f:replicas" in owned(cluster, web)
    version = (cluster.get(web) or {})["metadata"]["resourceVersion"]
    assert not apply(cluster, deployment(namespace), wait=False)["changed"]
    assert (cluster.get(web) or {})["metadata"]["resourceVersion"] == version

    left_out = deployment(namespace)
    del left_out["spec"]["replicas"]
    assert apply(cluster, left_out, wait=False)["changed"] is not bool(down)  # the scaling's own entry holds it there


def owned(cluster: Cluster, path: str) -> Json:
    """What applying owns of the spec."""
    rows = (cluster.get(path) or {})["metadata"]["managedFields"]
    [entry] = [row for row in rows if row["operation"] == "Apply"]
    return t.cast(Json, entry["fieldsV1"]["f:spec"])


def test_by_hand_meanwhile_is_told_with_field_manager_and_option(cluster: Cluster, namespace: str, web: str) -> None:
    cluster.request("PATCH", f"{web}/scale?fieldManager=kubectl", {"spec": {"replicas": 5}}, MERGE)
    with pytest.raises(
        ModuleFailed, match=r"Deployment .*/web: \.spec\.replicas is set by kubectl.*force_conflicts"
    ) as found:
        apply(cluster, deployment(namespace), wait=False)
    assert (found.value.result["managers"], found.value.result["fields"]) == (["kubectl"], [".spec.replicas"])
    assert apply(cluster, deployment(namespace), wait=False, force_conflicts=True)["changed"]
    assert wanted(cluster, web) == 2


def test_what_is_not_there(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ModuleFailed, match="not found"):
        scale(cluster, namespace, 1)
    planned = scale(cluster, namespace, 1, check=True)
    assert planned["changed"]
    assert "previous_replicas" not in planned


def test_a_negative_number_is_refused(cluster: Cluster, namespace: str, web: str) -> None:
    with pytest.raises(ModuleFailed, match="replicas: -1 is not valid"):
        scale(cluster, namespace, -1)
