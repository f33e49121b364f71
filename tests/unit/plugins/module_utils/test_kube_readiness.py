# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When is an object ready? One table, kind by kind; the generation matters everywhere."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._kube.readiness import NeverReady, ready

Json = dict[str, t.Any]


def condition(type_: str, status: str = "True", seen: int | None = None, **more: str) -> Json:
    return {"type": type_, "status": status, **({} if seen is None else {"observedGeneration": seen}), **more}


def thing(kind: str, status: Json | None = None, spec: Json | None = None, **metadata: t.Any) -> Json:
    version = {
        "Deployment": "apps/v1",
        "StatefulSet": "apps/v1",
        "ReplicaSet": "apps/v1",
        "DaemonSet": "apps/v1",
        "Job": "batch/v1",
        "CustomResourceDefinition": "apiextensions.k8s.io/v1",
        "Gateway": "gateway.networking.k8s.io/v1",
        "GatewayClass": "gateway.networking.k8s.io/v1",
        "HTTPRoute": "gateway.networking.k8s.io/v1",
        "InferencePool": "inference.networking.k8s.io/v1",
        "HealthCheckPolicy": "networking.gke.io/v1",
        "GCPBackendPolicy": "networking.gke.io/v1",
        "GCPInferencePoolImport": "networking.gke.io/v1",
        "Widget": "example.com/v1",
    }.get(kind, "v1")
    obj: Json = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "ns", "generation": 2}}
    obj["metadata"].update(metadata)
    if status is not None:
        obj["status"] = status
    if spec is not None:
        obj["spec"] = spec
    return obj


def deployment(seen: int = 2, want: int = 2, **counts: t.Any) -> Json:
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **counts}
    return thing("Deployment", {"observedGeneration": seen, **counts}, {"replicas": want})


def parent(name: str = "gw", *conditions: Json, **ref: t.Any) -> Json:
    return {"parentRef": {"name": name, **ref}, "conditions": list(conditions)}


def route(*parents: Json, refs: tuple[Json, ...] = ({"name": "gw"},)) -> Json:
    return thing("HTTPRoute", {"parents": list(parents)}, {"parentRefs": list(refs)})


ACCEPTED, RESOLVED = condition("Accepted", seen=2), condition("ResolvedRefs", seen=2)

READY = [
    thing("Namespace", {"phase": "Active"}),
    deployment(),
    deployment(want=0, replicas=0, updatedReplicas=0, availableReplicas=0),
    thing("StatefulSet", {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}, {}),
    thing(
        "StatefulSet",
        {"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1},
        {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
    ),
    thing(
        "StatefulSet",
        {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 0},
        {"updateStrategy": {"type": "OnDelete"}},
    ),
    thing("ReplicaSet", {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1}, {"replicas": 1}),
    thing(
        "DaemonSet",
        {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2},
    ),
    thing("Job", {"conditions": [condition("Complete")]}),
    thing("Job", {}, {"suspend": True}),
    thing("Pod", {"phase": "Running", "conditions": [condition("Ready")]}),
    thing("Pod", {"phase": "Succeeded"}),
    thing("PersistentVolumeClaim", {"phase": "Bound"}),
    thing("Service", {}, {"type": "ClusterIP"}),
    thing("Service", {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}, {"type": "LoadBalancer"}),
    thing("CustomResourceDefinition", {"conditions": [condition("NamesAccepted"), condition("Established")]}),
    thing("Gateway", {"conditions": [ACCEPTED, condition("Programmed", seen=2)]}),
    thing("GatewayClass", {"conditions": [ACCEPTED]}),
    route(parent("gw", ACCEPTED, RESOLVED)),
    route(parent("gw", ACCEPTED, RESOLVED, condition("Reconciled", seen=2), namespace="ns")),
    thing("HTTPRoute", {}, {}),
    thing("InferencePool"),
    thing("InferencePool", {"parents": [parent("default", condition("Accepted", "Unknown"), kind="Status")]}),
    thing("InferencePool", {"parents": [parent("gw", ACCEPTED, RESOLVED)]}),
    thing("HealthCheckPolicy"),
    thing("GCPBackendPolicy", {"conditions": [condition("Attached", seen=2)]}),
    thing("GCPInferencePoolImport"),
    thing("GCPInferencePoolImport", {"conditions": [condition("Accepted")]}),
    thing("ConfigMap"),
    thing("Widget", {"observedGeneration": 2}),
    thing("Widget", {"conditions": "of a shape of its own"}),
]

NOT_READY = [
    (thing("Namespace", {"phase": "Terminating"}), "Terminating"),
    (thing("ConfigMap", deletionTimestamp="2026-01-01T00:00:00Z"), "being deleted"),
    (thing("Deployment", None, {"replicas": 1}), "generation 2 yet (last seen: none)"),
    (deployment(seen=1), "generation 2 yet (last seen: 1)"),
    (deployment(availableReplicas=1), "1 of 2 replicas available"),
    (deployment(availableReplicas=None), "0 of 2 replicas available"),
    (deployment(updatedReplicas=1), "1 of 2 replicas updated"),
    (deployment(replicas=3), "old template"),
    (deployment(want=0), "2 replicas are there, 0 wanted"),
    (
        deployment(
            availableReplicas=0,
            conditions=[condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="timed out")],
        ),
        "ProgressDeadlineExceeded: timed out",
    ),
    (
        thing("StatefulSet", {"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1}, {}),
        "generation 2",
    ),
    (
        thing("StatefulSet", {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 0}, {}),
        "0 of 1 replicas updated",
    ),
    (
        thing("StatefulSet", {"observedGeneration": 2, "replicas": 1}, {"replicas": 0}),
        "1 replicas are there, 0 wanted",
    ),
    (thing("ReplicaSet", {"observedGeneration": 2, "readyReplicas": 0}, {"replicas": 1}), "0 of 1 replicas ready"),
    (
        thing(
            "DaemonSet",
            {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1},
        ),
        "1 of 2 replicas available",
    ),
    (thing("Job", {"active": 1}, {}), "pods 1 active, 0 succeeded, 0 failed"),
    (
        thing(
            "Pod",
            {
                "phase": "Pending",
                "conditions": [
                    condition("PodScheduled", "False", reason="Unschedulable", message="1 cannot allocate all claims")
                ],
            },
        ),
        "Unschedulable: 1 cannot allocate all claims",
    ),
    (thing("Pod", {"phase": "Running", "conditions": [condition("Ready", "False")]}), "Ready is False"),
    (thing("PersistentVolumeClaim", {"phase": "Pending"}), "Pending"),
    (thing("Service", {"loadBalancer": {}}, {"type": "LoadBalancer"}), "no address"),
    (thing("CustomResourceDefinition", {"conditions": [condition("NamesAccepted")]}), "Established is not there"),
    (thing("Gateway", {"conditions": [ACCEPTED, condition("Programmed", seen=1)]}), "Programmed is of generation 1"),
    (
        thing("Gateway", {"conditions": [ACCEPTED, condition("Programmed", "False", reason="Invalid", message="no")]}),
        "Programmed is False (Invalid: no)",
    ),
    (thing("Gateway", {"conditions": [condition("Programmed", seen=2)]}), "Accepted is not there"),
    (thing("GatewayClass", {"conditions": [condition("Accepted", "Unknown", reason="Waiting")]}), "Waiting"),
    (route(), "parent gw has not answered"),
    (route(parent("other", ACCEPTED, RESOLVED)), "parent gw has not answered"),
    (route(parent("gw", ACCEPTED, RESOLVED, namespace="elsewhere")), "parent gw has not answered"),
    (
        route(
            parent("gw", ACCEPTED, RESOLVED, sectionName="a"),
            refs=({"name": "gw", "sectionName": "a"}, {"name": "gw", "sectionName": "b"}),
        ),
        "parent gw has not answered",
    ),
    (route(parent("gw", ACCEPTED)), "parent gw: condition ResolvedRefs is not there"),
    (route(parent("gw", condition("Accepted", seen=1), RESOLVED)), "Accepted is of generation 1"),
    (route(parent("gw", ACCEPTED, RESOLVED, condition("Reconciled", "False"))), "Reconciled is False"),
    (
        thing("InferencePool", {"parents": [parent("gw", ACCEPTED, condition("ResolvedRefs", "False"))]}),
        "parent gw: condition ResolvedRefs is False",
    ),
    (thing("InferencePool", {"parents": [parent("gw", condition("Accepted", seen=1), RESOLVED)]}), "generation 1"),
    (thing("HealthCheckPolicy", {"conditions": [condition("Attached", "False", message="no target")]}), "no target"),
    (thing("GCPInferencePoolImport", {"conditions": [condition("Accepted", "False")]}), "Accepted is False"),
    (thing("Widget", {"observedGeneration": 1}), "generation 2"),
    (thing("Widget", {"conditions": [condition("Ready", "False", reason="Busy")]}), "Busy"),
    (thing("Widget", {"conditions": [condition("Reconciling")]}), "Reconciling"),
]

NEVER = [
    (thing("Job", {"conditions": [condition("Failed", reason="BackoffLimitExceeded")]}), "BackoffLimitExceeded"),
    (thing("Pod", {"phase": "Failed", "reason": "Evicted"}), "Evicted"),
    (thing("PersistentVolumeClaim", {"phase": "Lost"}), "lost"),
    (
        thing("CustomResourceDefinition", {"conditions": [condition("NamesAccepted", "False", reason="KindConflict")]}),
        "KindConflict",
    ),
    (thing("Widget", {"conditions": [condition("Stalled", message="for good")]}), "for good"),
]


def name(value: t.Any) -> str | None:
    return value["kind"] if isinstance(value, dict) else None


@pytest.mark.parametrize("obj", READY, ids=name)
def test_ready(obj: Json) -> None:
    assert ready(obj) == (True, "")


@pytest.mark.parametrize(("obj", "reason"), NOT_READY, ids=name)
def test_not_ready_says_why(obj: Json, reason: str) -> None:
    is_ready, said = ready(obj)
    assert not is_ready
    assert reason in said


@pytest.mark.parametrize(("obj", "reason"), NEVER, ids=name)
def test_what_waiting_cannot_mend_is_raised(obj: Json, reason: str) -> None:
    with pytest.raises(NeverReady, match=reason):
        ready(obj)
