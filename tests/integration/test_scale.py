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
    with pytest.raises(ModuleFailed, match=rf"{namespace}/web to have 3 ready replicas.*generation 2"):
        scale(cluster, namespace, 3, wait_timeout=0)


def test_a_later_apply_takes_the_replicas_back_without_force(cluster: Cluster, namespace: str, web: str) -> None:
    scale(cluster, namespace, 0, wait=False)
    assert apply(cluster, deployment(namespace), wait=False)["changed"]
    assert wanted(cluster, web) == 2


def test_an_apply_after_down_and_back_has_nothing_to_do(cluster: Cluster, namespace: str, web: str) -> None:
    for replicas in (0, 2):
        scale(cluster, namespace, replicas, wait=False)
    again = apply(cluster, deployment(namespace), wait=False)
    assert not again["changed"], again["plan"]


def test_what_is_not_there(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ModuleFailed, match="not found"):
        scale(cluster, namespace, 1)
    planned = scale(cluster, namespace, 1, check=True)
    assert planned["changed"]
    assert "previous_replicas" not in planned


def test_a_negative_number_is_refused(cluster: Cluster, namespace: str, web: str) -> None:
    with pytest.raises(ModuleFailed, match="replicas: -1 is not valid"):
        scale(cluster, namespace, -1)
