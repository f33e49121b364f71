# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations of compute, container and google.longrunning: when they end, and how."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    ApiError,
    NotFound,
    OperationFailed,
    WaitTimeout,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.operations import (
    cause_of,
    is_done,
    progress_of,
    retry_while,
    wait_operation,
    when_free,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import api_error
from ansible_collections.aiserving.gke.plugins.module_utils._gke.messages import from_message
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Clock, telling
from google.cloud import container_v1

Json = dict[str, t.Any]

COMPUTE: Json = {"kind": "compute#operation", "name": "op-c", "status": "RUNNING", "progress": 40}
CONTAINER: Json = {"name": "op-k", "status": "RUNNING", "operationType": "CREATE_CLUSTER", "detail": "nodes: 1/2"}
LONG: Json = {"name": "operations/op-l", "metadata": {}}


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


@pytest.mark.parametrize(
    ("operation", "done"),
    [
        (COMPUTE, False),
        ({**COMPUTE, "status": "DONE"}, True),
        (CONTAINER, False),
        ({**CONTAINER, "status": "ABORTING"}, False),
        ({**CONTAINER, "status": "DONE"}, True),
        (LONG, False),
        ({**LONG, "done": True}, True),
    ],
)
def test_when_it_has_ended(operation: Json, done: bool) -> None:
    assert is_done(operation) is done


FAILED: list[tuple[Json, str, str]] = [
    (
        {**COMPUTE, "status": "DONE", "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "too many"}]}},
        "QUOTA_EXCEEDED: too many",
        "quota",
    ),
    (
        {**CONTAINER, "status": "DONE", "error": {"code": 8, "message": "[GCE_STOCKOUT]: none left"}},
        "8: [GCE_STOCKOUT]: none left",
        "another zone",
    ),
    ({**CONTAINER, "status": "DONE", "statusMessage": "ZONE_RESOURCE_POOL_EXHAUSTED"}, "ZONE_", "another zone"),
    ({**LONG, "done": True, "error": {"code": 7, "message": "PERMISSION_DENIED: no"}}, "PERMISSION_DENIED", "grant"),
]


@pytest.mark.parametrize(("operation", "cause", "remedy"), FAILED)
def test_done_with_an_error_is_a_failure(operation: Json, cause: str, remedy: str) -> None:
    with pytest.raises(OperationFailed) as failure:
        wait_operation(lambda op: op, operation, timeout=5, what="create thing x")
    assert failure.value.message.startswith("create thing x: ")
    assert cause in failure.value.details["cause"]
    assert remedy in failure.value.details["remedy"]
    assert failure.value.details["operation"] == operation["name"]


def test_a_status_message_of_compute_is_no_error() -> None:
    assert cause_of({**COMPUTE, "status": "DONE", "statusMessage": "fine"}) == ""


def test_the_answer_of_the_write_is_the_first_look() -> None:
    def never(operation: Json) -> Json:
        raise AssertionError("looked at an operation that had ended")

    ended = {**COMPUTE, "status": "DONE"}
    assert wait_operation(never, ended, timeout=5, what="x") == ended


def test_waits_until_it_ends() -> None:
    states = [CONTAINER, CONTAINER, {**CONTAINER, "status": "DONE", "endTime": "now"}]
    ended = wait_operation(lambda _unused: states.pop(0), CONTAINER, timeout=60, what="x", clock=FakeTime().clock())
    assert ended["endTime"] == "now"


def test_a_timeout_shows_the_progress() -> None:
    with pytest.raises(WaitTimeout, match=r"waited 7 s for create x: operation op-c is RUNNING \(40%\)"):
        wait_operation(lambda _unused: COMPUTE, COMPUTE, timeout=7, what="create x", clock=FakeTime().clock())
    assert progress_of(CONTAINER) == "operation op-k is RUNNING (nodes: 1/2)"
    assert progress_of(LONG) == "operation operations/op-l is RUNNING"


def test_the_stages_of_gke_are_told() -> None:
    """In the shape that Google's own types give them."""
    kind = container_v1.OperationProgress
    metrics = [kind.Metric(name="NODES_TOTAL", int_value=3), kind.Metric(name="NODES_DONE", int_value=1)]
    stages = [
        kind(name="CONTROL_PLANE", status=container_v1.Operation.Status.DONE),
        kind(name="NODES", status=container_v1.Operation.Status.RUNNING, metrics=metrics),
    ]
    operation = container_v1.Operation(name="op-k", status=container_v1.Operation.Status.RUNNING)
    assert progress_of(from_message(operation)) == "operation op-k is RUNNING"
    operation.progress = kind(stages=stages)
    line = progress_of(from_message(operation))
    assert line == "operation op-k is RUNNING (NODES: NODES_TOTAL 3, NODES_DONE 1)"
    hub = {**LONG, "metadata": {"statusDetail": "installing the agent"}}
    assert progress_of(hub) == "operation operations/op-l is RUNNING (installing the agent)"


@pytest.mark.parametrize(
    "operation",
    [COMPUTE, CONTAINER, {**CONTAINER, "progress": {"stages": [{"name": "NODES", "status": "RUNNING"}]}}],
)
def test_whoever_waits_is_told_how_far_it_is(operation: Json) -> None:
    told: list[str] = []
    with telling(told.append), pytest.raises(WaitTimeout):
        wait_operation(
            lambda _unused: operation, operation, timeout=100, what="create x in us-east5", clock=FakeTime().clock()
        )
    assert len(told) == 3
    assert all(f"100 s for create x in us-east5: {progress_of(operation)}" in line for line in told)


def test_a_failed_wait_for_an_operation_of_ours_is_a_change() -> None:
    with pytest.raises(WaitTimeout) as late:
        wait_operation(lambda _unused: COMPUTE, COMPUTE, timeout=7, what="create x", clock=FakeTime().clock())
    assert late.value.details["changed"] is True


def busy() -> ApiError:
    message = "Cluster is running incompatible operation operation-9."
    return api_error(400, {"error": {"message": message, "status": "FAILED_PRECONDITION"}}, "PUT c")


def test_a_busy_object_is_waited_for() -> None:
    refusals = [busy()]

    def call() -> str:
        if refusals:
            raise refusals.pop()
        return "accepted"

    assert when_free(call, timeout=30, what="update c") == "accepted"


def test_busy_for_too_long_says_with_what() -> None:
    def call() -> str:
        raise busy()

    with pytest.raises(WaitTimeout, match="operation-9") as failure:
        retry_while(lambda _unused: True, call, timeout=3, what="update c", clock=FakeTime().clock())
    json.dumps(failure.value.details)  # they become a module's result


def test_other_errors_are_raised_at_once() -> None:
    def call() -> str:
        raise NotFound("gone", code=404)

    with pytest.raises(NotFound):
        when_free(call, timeout=30, what="update c")
