# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a rollout, the status that tells of them, the life of a Job."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.controllers import rollout
from sandbox.controllers.jobs import Plan, plan
from sandbox.controllers.workloads import victims
from sandbox.interfaces import Json

TIME = "2026-01-01T00:00:00Z"
CAREFUL = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def deployment(replicas: int = 4, strategy: str = "RollingUpdate", image: str = "new", **spec: t.Any) -> Json:
    template = {"metadata": {"labels": {"app": "m"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "metadata": {"namespace": "default", "name": "m", "generation": 7},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": strategy},
            "selector": {"matchLabels": {"app": "m"}},
            "template": template,
            **spec,
        },
    }


def rset(name: str, size: int, *, pods: int | None = None, available: int = 0, age: int = 0) -> Json:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-0{age + 1}T00:00:00Z"},
        "spec": {"replicas": size},
        "status": {
            "replicas": size if pods is None else pods,
            "readyReplicas": available,
            "availableReplicas": available,
        },
    }


@pytest.mark.parametrize(
    ("name", "strategy", "new", "old", "old_pods", "sizes"),
    [
        ("first step", CAREFUL, (0, 0), (4, 4), 4, (1, 4)),
        ("one is up", CAREFUL, (1, 1), (4, 4), 4, (1, 3)),
        ("then the next", CAREFUL, (1, 1), (3, 3), 3, (2, 3)),
        ("the last goes", CAREFUL, (4, 4), (1, 1), 1, (4, 0)),
        ("one fewer is tolerated by default", {}, (0, 0), (4, 4), 4, (1, 3)),
        ("broken old ones go at once", {}, (1, 0), (4, 3), 4, (1, 3)),
        ("Recreate empties first", {"type": "Recreate"}, (0, 0), (4, 4), 4, (0, 0)),
        ("Recreate waits for the last old Pod", {"type": "Recreate"}, (0, 0), (0, 0), 1, (0, 0)),
        ("Recreate fills then", {"type": "Recreate"}, (0, 0), (0, 0), 0, (4, 0)),
    ],
)
def test_steps(
    name: str, strategy: Json, new: tuple[int, int], old: tuple[int, int], old_pods: int, sizes: tuple[int, int]
) -> None:
    subject = deployment()
    subject["spec"]["strategy"].update(strategy)
    found = rollout.scales(
        subject, rset("new", new[0], available=new[1]), [rset("old", old[0], available=old[1])], old_pods
    )
    assert (found["new"], found["old"]) == sizes


@pytest.mark.parametrize(
    ("replicas", "rolling", "limits"),
    [
        (4, {}, (1, 1)),
        (1, {}, (1, 0)),
        (10, {"maxSurge": "30%", "maxUnavailable": "30%"}, (3, 3)),
        (3, {"maxSurge": 0, "maxUnavailable": 0}, (0, 1)),
        (3, {"maxSurge": "1%", "maxUnavailable": "1%"}, (1, 0)),
    ],
)
def test_limits(replicas: int, rolling: Json, limits: tuple[int, int]) -> None:
    subject = deployment(replicas)
    subject["spec"]["strategy"]["rollingUpdate"] = rolling
    assert rollout.limits(subject) == limits


def test_scale_follows_replicas() -> None:
    assert rollout.scales(deployment(0), rset("new", 4, available=4), [], 0) == {"new": 0}
    assert rollout.scales(deployment(6), rset("new", 4, available=4), [], 0) == {"new": 6}


def test_a_paused_deployment_scales_and_does_not_roll() -> None:
    assert rollout.paused_scales(deployment(5), [rset("old", 3), rset("idle", 0)]) == {"old": 5, "idle": 0}


def test_template_decides_the_replica_set() -> None:
    subject = deployment()
    made = rollout.new_replica_set(subject, 1)
    made["metadata"]["creationTimestamp"] = TIME
    digest = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"m-{digest}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "m", "pod-template-hash": digest}
    assert rollout.current(subject, [made]) is made
    assert rollout.current(deployment(image="other"), [made]) is None
    assert rollout.new_replica_set(deployment(image="other"), 2)["metadata"]["name"] != made["metadata"]["name"]


def conditions(status: Json) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def test_status_of_a_rollout_from_start_to_end() -> None:
    subject = deployment(2, progressDeadlineSeconds=60)
    begun = rollout.status(subject, rset("new", 1), [rset("new", 1), rset("old", 2, available=2)], TIME, 0)
    assert begun["observedGeneration"] == 7
    assert (begun["replicas"], begun["updatedReplicas"], begun["unavailableReplicas"]) == (3, 1, 1)
    assert conditions(begun) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "ReplicaSetUpdated"),
    }
    new = rset("new", 2, available=2)
    done = rollout.status({**subject, "status": begun}, new, [new, rset("old", 0)], TIME, 5)
    assert "unavailableReplicas" not in done
    assert conditions(done)["Progressing"] == ("True", "NewReplicaSetAvailable")
    lost = rollout.status({**subject, "status": done}, rset("new", 2), [rset("new", 2)], TIME, 500)
    assert conditions(lost) == {
        "Available": ("False", "MinimumReplicasUnavailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),  # the rollout is over; this is another story
    }


def test_status_tells_of_a_stuck_rollout() -> None:
    subject = deployment(1, progressDeadlineSeconds=60)
    sets = [rset("new", 1)]
    begun = rollout.status(subject, sets[0], sets, TIME, 0)
    stuck = rollout.status({**subject, "status": begun}, sets[0], sets, TIME, 61)
    assert conditions(stuck)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    still = rollout.status({**subject, "status": stuck}, sets[0], sets, TIME, 1)
    assert conditions(still)["Progressing"] == ("False", "ProgressDeadlineExceeded")


def test_recreate_is_available_only_with_all() -> None:
    new = rset("new", 2, available=1)
    status = rollout.status(deployment(2, "Recreate"), new, [new], TIME, 0)
    assert conditions(status)["Available"] == ("False", "MinimumReplicasUnavailable")


def pod(
    name: str, phase: str = "Running", *, node: str = "n", ready: bool = True, age: int = 0, restarts: int = 0
) -> Json:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-0{age + 1}T00:00:00Z"},
        "spec": {"nodeName": node, "restartPolicy": "OnFailure" if restarts else "Never"},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }


def test_scale_down_spares_what_serves_longest() -> None:
    pods = [
        pod("old"),
        pod("young", age=5),
        pod("unready", ready=False),
        pod("pending", "Pending", ready=False),
        pod("unplaced", "Pending", node="", ready=False),
    ]
    assert [item["metadata"]["name"] for item in victims(pods, 4)] == ["unplaced", "pending", "unready", "young"]


@pytest.mark.parametrize(
    ("spec", "pods", "elapsed", "step"),
    [
        ({}, [], 0, Plan(start=1)),
        ({}, [pod("a")], 0, Plan()),
        ({"suspend": True}, [], 0, Plan()),
        ({"completions": 3, "parallelism": 2}, [pod("a", "Succeeded")], 0, Plan(start=2)),
        ({"completions": 3, "parallelism": 2}, [pod("a", "Succeeded"), pod("b", "Succeeded")], 0, Plan(start=1)),
        ({"backoffLimit": 1}, [pod("a", "Failed")], 0, Plan(start=1)),
    ],
)
def test_job_goes_on(spec: Json, pods: list[Json], elapsed: float, step: Plan) -> None:
    assert plan({"spec": spec}, pods, elapsed) == step


@pytest.mark.parametrize(
    ("spec", "pods", "elapsed", "end", "reason"),
    [
        ({}, [pod("a", "Succeeded")], 0, "Complete", "CompletionsReached"),
        ({"backoffLimit": 0}, [pod("a", "Failed")], 0, "Failed", "BackoffLimitExceeded"),
        ({"backoffLimit": 1}, [pod("a", "Failed"), pod("b", "Failed")], 0, "Failed", "BackoffLimitExceeded"),
        ({"backoffLimit": 2}, [pod("a", restarts=3)], 0, "Failed", "BackoffLimitExceeded"),
        ({"activeDeadlineSeconds": 30}, [pod("a")], 31, "Failed", "DeadlineExceeded"),
    ],
)
def test_job_ends(spec: Json, pods: list[Json], elapsed: float, end: str, reason: str) -> None:
    step = plan({"spec": spec}, pods, elapsed)
    assert (step.end, step.reason, step.start) == (end, reason, 0)
