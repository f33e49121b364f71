# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Replicas through the scale subresource: the one field that changes, whoever owns the rest of the object."""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._call import Call
from .._errors import InvalidOption, NotFound, having_changed
from .apply import Deadline, wait_ready
from .connection import MERGE, ClusterMissing, Connection, UnknownKind, connect
from .plan import MANAGER, Step
from .pods import PODS
from .readiness import Verdict, ready

Json = dict[str, t.Any]

KINDS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1"}


def scale(call: Call) -> Json:
    """The core of module scale."""
    params = call.params
    wanted = params["replicas"]
    if wanted < 0:
        raise InvalidOption("replicas", wanted, "give 0 or more")
    deadline = Deadline(params["wait_timeout"])
    try:
        workload = Workload(connect(call), params["kind"], params["namespace"], params["name"])
        previous: int | None = workload.replicas()
    except (ClusterMissing, UnknownKind, NotFound) as error:
        if not call.check_mode:
            raise
        call.warn(f"{error.message}; planned as if an earlier task made it")
        return _result(call, None, wanted)
    answer = _result(call, previous, wanted)
    if not call.check_mode:
        if previous != wanted:
            workload.set(wanted)
        answer["applied_at"] = time.time()
        if params["wait"]:
            with having_changed(previous != wanted):
                workload.wait(wanted, deadline)
    return answer


def _result(call: Call, previous: int | None, wanted: int) -> Json:
    changed = previous != wanted
    change = {"field": "replicas", "before": previous, "after": wanted, "call": "scale"}
    answer: Json = {
        "changed": changed,
        "replicas": wanted,
        "plan": {"action": "update" if changed else "none", "changes": [change] if changed else []},
    }
    if previous is not None:
        answer["previous_replicas"] = previous
    if call.diff:
        answer["diff"] = {
            "before": {"replicas": previous} if changed else {},
            "after": {"replicas": wanted} if changed else {},
        }
    return answer


class Workload:
    """A Deployment, StatefulSet or ReplicaSet, seen as a number of pods."""

    def __init__(self, connection: Connection, kind: str, namespace: str, name: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._named = {"apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        self._scale = connection.resource(KINDS[kind], kind).path(namespace, name, "scale")

    def replicas(self) -> int:
        """The number wanted now. Raises NotFound."""
        return int(self._connection.request("GET", self._scale).get("spec", {}).get("replicas", 0))

    def set(self, replicas: int) -> None:
        self._connection.request(
            "PATCH",
            self._scale,
            query={"fieldManager": MANAGER},
            body={"spec": {"replicas": replicas}},
            content_type=MERGE,
        )

    def end(self) -> None:
        """Delete its Pods without their grace period, also those that are on their way out."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        live = self._connection.request("GET", self._scale.removesuffix("/scale"))
        for pod in self._pods(live):
            with contextlib.suppress(NotFound):
                path = PODS.path(self._namespace, pod["metadata"]["name"])
                self._connection.request("DELETE", path, body=options)

    def wait(self, replicas: int, deadline: Deadline) -> None:
        """Until the controller has done it: all ready, and the superfluous pods gone, not only on their way out."""

        def rule(live: Json) -> Verdict:
            done, reason = ready(live)
            if done and (pods := len(self._pods(live))) > replicas:
                return False, f"{pods} pods are there still, {replicas} wanted"
            return done, reason

        wait_ready(self._connection, [Step(self._named, "none", rule=rule)], deadline)

    def _pods(self, live: Json) -> list[Json]:
        labels = live["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        pods = self._connection.list(PODS, self._namespace, labelSelector=selector)
        return [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")]
