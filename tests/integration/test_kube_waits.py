# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How module manifests waits: for what, when it gives up early, and what it says then."""

from __future__ import annotations

import itertools
import time
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._kube import apply as waits
from ansible_collections.aiserving.gke.plugins.module_utils._kube import pods

from tests.integration.kube_fixtures import Cluster, cluster, controller, namespace
from tests.integration.test_manifests import apply, deployment
from tests.module_runner import ModuleFailed

__all__ = ["cluster", "namespace"]

Json = dict[str, t.Any]


def test_it_waits_until_the_deployment_serves_this_generation(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}

    def serve() -> bool:
        live = cluster.get(path)
        if live is None:
            return False
        cluster.set_status(path, observedGeneration=live["metadata"]["generation"], **counts)
        return True

    with controller(serve):
        result = apply(cluster, deployment(namespace))
    assert result["objects"][0]["object"]["status"]["availableReplicas"] == 2

    with pytest.raises(ModuleFailed, match=r"has not seen generation 2 yet \(last seen: 1\)"):
        apply(cluster, deployment(namespace, replicas=3), wait_timeout=0)


def test_a_wait_that_fails_tells_the_pods_reason(cluster: Cluster, namespace: str) -> None:
    message = "0/2 nodes are available: 1 cannot allocate all claims."
    apply(cluster, deployment(namespace), wait=False)
    path = own_pod(cluster, namespace, "web-1-a", {"state": {"waiting": {"reason": "ContainerCreating"}}})
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    cluster.set_status(path, phase="Pending", conditions=[unschedulable])
    warn(cluster, path, message)
    with pytest.raises(ModuleFailed) as failure:
        apply(cluster, deployment(namespace), wait_timeout=0)
    said = failure.value.result["msg"]
    assert f"Pod {namespace}/web-1-a is Unschedulable: {message}" in said
    assert f"event Failed: {message}" in said


def own_pod(cluster: Cluster, namespace: str, name: str, container: Json, revision: int = 1) -> str:
    """A Pod of the Deployment's ReplicaSet of this revision, whose container is in that state; its path."""
    home = f"/apis/apps/v1/namespaces/{namespace}"
    deployed = cluster.get(f"{home}/deployments/web") or {}
    template = {**deployed["spec"]["template"], "metadata": {"labels": {"app": "web"}}}
    replica_set = cluster.get(f"{home}/replicasets/web-{revision}") or cluster.request(
        "POST",
        f"{home}/replicasets",
        {
            "metadata": {
                "name": f"web-{revision}",
                "labels": {"app": "web"},
                "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                "ownerReferences": [owner(deployed)],
            },
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
    )
    pods = f"/api/v1/namespaces/{namespace}/pods"
    metadata = {"name": name, "labels": {"app": "web"}, "ownerReferences": [owner(replica_set)]}
    cluster.request("POST", pods, {"metadata": metadata, "spec": template["spec"]})
    status = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0, **container}
    cluster.set_status(f"{pods}/{name}", phase="Pending", containerStatuses=[status])
    return f"{pods}/{name}"


def owner(obj: Json) -> Json:
    named = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"], "controller": True}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **named}


def warn(cluster: Cluster, path: str, message: str) -> None:
    """An event of a kubelet about this Pod."""
    about = (cluster.get(path) or {})["metadata"]
    home, name = about["namespace"], f"{about['name']}.{len(message)}"
    event = {
        "metadata": {"name": name, "namespace": home},
        "involvedObject": {"kind": "Pod", "namespace": home, "name": about["name"], "uid": about["uid"]},
        "type": "Warning",
        "reason": "Failed",
        "message": message,
    }
    cluster.request("POST", f"/api/v1/namespaces/{home}/events", event)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods are looked at soon, and a refused image is one after half a second."""
    monkeypatch.setattr(waits, "PODS_EVERY", 0.05)
    monkeypatch.setattr(pods, "REFUSED_FOR", 0.5)


def test_an_image_that_is_not_there_ends_the_wait_with_the_current_pods_events(
    cluster: Cluster, namespace: str, quick: None
) -> None:
    apply(cluster, deployment(namespace), wait=False)
    gone = own_pod(cluster, namespace, "web-1-a", {"state": {"running": {}}})
    warn(cluster, gone, "of a revision of the past")
    missing = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off: "nginx:9" not found'}}}
    present = own_pod(cluster, namespace, "web-2-a", missing, revision=2)
    warn(cluster, present, "nginx:9 is nowhere")
    begun = time.monotonic()
    with pytest.raises(ModuleFailed) as failure:
        apply(cluster, deployment(namespace), wait_timeout=600)
    assert time.monotonic() - begun < 20
    said = failure.value.result["msg"]
    assert f"Pod {namespace}/web-2-a, container main cannot get its image" in said
    assert '"nginx:9" not found' in said
    assert "event Failed: nginx:9 is nowhere" in said
    assert "of the past" not in said
    assert "changed" not in failure.value.result or not failure.value.result["changed"]


def test_pods_of_a_template_that_is_being_replaced_are_not_judged(
    cluster: Cluster, namespace: str, quick: None
) -> None:
    """The cure of a wrong image must not fail for the Pods of the wrong one."""
    apply(cluster, deployment(namespace), wait=False)
    cluster.set_status(f"/apis/apps/v1/namespaces/{namespace}/deployments/web", observedGeneration=1)
    own_pod(cluster, namespace, "web-1-a", {"state": {"waiting": {"reason": "InvalidImageName"}}})
    with pytest.raises(ModuleFailed, match="cannot get its image"):
        apply(cluster, deployment(namespace), wait_timeout=60)
    with pytest.raises(ModuleFailed, match="waited 2 s .*: its controller has not seen generation 2"):
        apply(cluster, deployment(namespace, minReadySeconds=1), wait_timeout=2)


def test_repeated_crashes_end_the_wait_after_a_change_that_is_told(
    cluster: Cluster, namespace: str, quick: None
) -> None:
    apply(cluster, deployment(namespace, replicas=1), wait=False)
    died = {"exitCode": 3, "reason": "Error"}
    state = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": died}}
    path = own_pod(cluster, namespace, "web-1-a", {**state, "restartCount": 7})
    crashes = itertools.count(8)

    def crash() -> bool:
        [status] = (cluster.get(path) or {})["status"]["containerStatuses"]
        cluster.set_status(path, containerStatuses=[{**status, "restartCount": next(crashes)}])
        return False

    told = r"(?s)web-1-a, container main has crashed \d+ times.*exit code 3"
    with pytest.raises(ModuleFailed, match=told) as failure, controller(crash):
        apply(cluster, deployment(namespace, replicas=2), wait_timeout=60)
    assert failure.value.result["changed"] is True


def test_a_timeout_after_a_change_says_changed(cluster: Cluster, namespace: str) -> None:
    for changed in (True, False):
        with pytest.raises(ModuleFailed, match="waited 0 s for") as failure:
            apply(cluster, deployment(namespace), wait_timeout=0)
        assert failure.value.result.get("changed", False) is changed


def test_a_failed_job_fails_at_once(cluster: Cluster, namespace: str) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "download", "namespace": namespace},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "python:3.11-slim"}]}
            }
        },
    }
    apply(cluster, job, wait=False)
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "gone too far"}
    cluster.set_status(f"/apis/batch/v1/namespaces/{namespace}/jobs/download", conditions=[failed])
    with pytest.raises(ModuleFailed, match="the Job failed: .*BackoffLimitExceeded: gone too far"):
        apply(cluster, job, wait_timeout=600)
