# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which Pods are a workload's own, and what of them ends a wait and what does not."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._kube import pods
from ansible_collections.aiserving.gke.plugins.module_utils._kube.connection import Resource
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Clock

Json = dict[str, t.Any]

NOT_FOUND = 'rpc error: code = NotFound desc = failed to pull and unpack image "x:y": not found'
REFUSED = "failed to authorize: failed to fetch oauth token: 403 Forbidden"
NO_ROUTE = "dial tcp 142.250.1.1:443: i/o timeout"


def waiting(reason: str, message: str = "", restarts: int = 0) -> Json:
    return {"name": "vllm", "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": message}}}


def running(restarts: int = 0) -> Json:
    return {"name": "vllm", "restartCount": restarts, "state": {"running": {}}, "ready": False}


def pod(*statuses: Json, uid: str = "p", init: tuple[Json, ...] = (), **status: t.Any) -> Json:
    found = {"containerStatuses": list(statuses), "initContainerStatuses": list(init), **status}
    return {"kind": "Pod", "metadata": {"name": uid, "namespace": "n", "uid": uid}, "status": found}


class Time:
    now = 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now)


def ended(seen: t.Iterable[Json], kind: str = "Deployment", every: float = 5.0) -> tuple[float, str]:
    """When a wait that looks each ``every`` seconds gives up on what it sees, and what it says; (-1, "") if never."""
    time = Time()
    watch = pods.Watch(kind, time.clock())
    for one in seen:
        if said := watch.hopeless([one]):
            return time.now, said
        time.now += every
    return -1, ""


def pulling(message: str, looks: int) -> list[Json]:
    """As a kubelet tells it: now the failure, now the pause."""
    return [pod(waiting(("ErrImagePull", "ImagePullBackOff")[look % 2], message)) for look in range(looks)]


@pytest.mark.parametrize(("message", "after"), [(NOT_FOUND, 30), (REFUSED, 30), (NO_ROUTE, 180), ("", 180)])
def test_an_image_that_cannot_be_had_ends_the_wait(message: str, after: float) -> None:
    when, said = ended(pulling(message, 600))
    assert when == after
    assert said == f"Pod n/p, container vllm cannot get its image, tried for {after} s"


def test_the_kubelets_own_time_decides_however_often_one_looks() -> None:
    for every in (1.0, 7.0):
        when, _said = ended(pulling(NO_ROUTE, 600), every=every)
        assert 180 <= when < 180 + every


def test_a_passing_failure_does_not() -> None:
    hiccup = [*pulling(NO_ROUTE, 20), pod(running())]
    assert ended(hiccup * 20) == (-1, "")


def test_an_image_name_that_is_none_is_like_an_image_that_the_registry_refuses() -> None:
    assert ended([pod(waiting("InvalidImageName"))] * 600)[0] == 30


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_container_that_cannot_be_made_is_given_time_to_be_mended(reason: str) -> None:
    when, said = ended([pod(waiting(reason, 'secret "s" not found'))] * 600)
    assert (when, said) == (180, "Pod n/p, container vllm cannot be made, tried for 180 s")


def crashing(*restarts: int) -> list[Json]:
    seen = ((pod(waiting("CrashLoopBackOff", restarts=count)), pod(running(count))) for count in restarts)
    return list(itertools.chain.from_iterable(seen))


def test_repeated_crashes_end_the_wait() -> None:
    when, said = ended(crashing(0, 1, 2, 3, 4))
    assert (when, said) == (30, "Pod n/p, container vllm has crashed 4 times")


def test_crashes_of_the_past_do_not_but_the_next_one_does() -> None:
    """What waits may just have mended the cause, and the kubelet tries again within five minutes."""
    assert ended(crashing(57, 57, 57)) == (-1, "")
    assert ended(crashing(57, 57, 58))[1] == "Pod n/p, container vllm has crashed 59 times"
    assert ended([*crashing(57), pod(running(58), conditions=[{"type": "Ready", "status": "True"}])]) == (-1, "")


def test_an_init_container_counts_as_well() -> None:
    seen = [pod(init=(waiting("CrashLoopBackOff", restarts=count),)) for count in range(5)]
    assert "has crashed 4 times" in ended(seen)[1]


def test_another_pod_begins_anew() -> None:
    images = (pod(waiting("ErrImagePull", NOT_FOUND), uid=f"p{look // 5}") for look in range(200))
    assert ended(images) == (-1, "")
    crashes = (pod(waiting("CrashLoopBackOff", restarts=look % 3), uid=f"p{look // 3}") for look in range(9))
    assert ended(crashes) == (-1, "")


def test_how_often_a_jobs_pod_may_fail_is_the_jobs_own_business() -> None:
    assert ended(crashing(0, 1, 2, 3, 4, 5), kind="Job") == (-1, "")
    assert ended(pulling(NOT_FOUND, 600), kind="Job")[0] == 30


LIVING = [
    running(),
    waiting("ContainerCreating"),
    waiting("PodInitializing"),
    *(waiting("CrashLoopBackOff", restarts=count) for count in range(3)),
]


@pytest.mark.parametrize("phase", ["Pending", "Running"])
@pytest.mark.parametrize("scheduled", [True, False])
def test_who_waits_for_a_node_or_starts_slowly_is_waited_for(phase: str, scheduled: bool) -> None:
    """A node pool may still be in the making; a big model loads for an hour."""
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no TPU"}
    for statuses in ([], *itertools.combinations(LIVING, 1), *itertools.combinations(LIVING, 2)):
        seen = pod(*statuses, phase=phase, conditions=[] if scheduled else [unschedulable])
        assert ended([seen] * 720) == (-1, "")
        assert pods.stage(seen).startswith("Pod n/p")


def test_a_stage_is_the_most_telling_line() -> None:
    assert pods.stage(pod(phase="Pending")) == "Pod n/p is Pending"
    assert pods.stage(pod(running(), phase="Running")) == "Pod n/p, container vllm runs and is not ready"
    assert pods.stage(pod(waiting("ErrImagePull", "x"))) == "Pod n/p, container vllm is ErrImagePull: x"


class Cluster:
    """Answers lists."""

    def __init__(self, sets: list[Json], found: list[Json]) -> None:
        self._known = {pods.REPLICA_SETS: sets, pods.PODS: found}

    def list(self, resource: Resource, namespace: str | None = None, **query: t.Any) -> list[Json]:
        assert (namespace, query) == ("n", {"labelSelector": "app=x"})
        return self._known[resource]


def owned_by(owner: str, uid: str, **metadata: t.Any) -> Json:
    references = [{"uid": owner, "controller": True}]
    return {"metadata": {"name": uid, "uid": uid, "ownerReferences": references, **metadata}, "status": {}}


def workload(kind: str) -> Json:
    spec = {"template": {}, "selector": {"matchLabels": {"app": "x"}}}
    return {"kind": kind, "metadata": {"name": "w", "namespace": "n", "uid": "w"}, "spec": spec}


def test_a_deployments_pods_are_those_of_its_newest_replica_set() -> None:
    revision = pods._REVISION
    sets = [
        owned_by("w", "old", annotations={revision: "9"}),
        owned_by("w", "new", annotations={revision: "10"}),
        owned_by("stranger", "foreign", annotations={revision: "99"}),
    ]
    found = [
        owned_by("old", "a"),
        owned_by("new", "b"),
        owned_by("new", "c", deletionTimestamp="2026-01-01T00:00:00Z"),
        owned_by("foreign", "d"),
    ]
    mine, uids = pods.owned(t.cast(t.Any, Cluster(sets, found)), workload("Deployment"))
    assert [one["metadata"]["uid"] for one in mine] == ["b"]
    assert uids == {"w", "new", "b"}  # so a ReplicaSet that may not make Pods speaks, and no Pod of the past


def test_a_jobs_pod_is_the_running_one_or_else_the_last() -> None:
    def attempt(uid: str, phase: str) -> Json:
        return {**owned_by("w", uid, creationTimestamp=f"2026-01-0{uid}T00:00:00Z"), "status": {"phase": phase}}

    def chosen(*found: Json) -> list[str]:
        mine, _uids = pods.owned(t.cast(t.Any, Cluster([], list(found))), workload("Job"))
        return [one["metadata"]["uid"] for one in mine]

    assert chosen(attempt("2", "Failed"), attempt("1", "Failed"), attempt("3", "Running")) == ["3"]
    assert chosen(attempt("2", "Failed"), attempt("1", "Failed")) == ["2"]
    assert chosen() == []
