# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Executes a plan: writes in order, waits for what the next object needs, deletes in reverse, waits until gone."""

from __future__ import annotations

import itertools
import time
import typing as t

from .._errors import CollectionError, Conflict, NotFound
from .._wait import Backoff, wait_for
from .connection import Connection, Resource, UnknownKind, Unreachable
from .diagnosis import explain
from .objects import label, name_of, namespace_of, rank_of
from .parallel import each
from .plan import Planner, Step
from .pods import Watch, is_ready, owned, stage
from .readiness import NeverReady, Verdict, is_behind

Json = dict[str, t.Any]

# A look costs one small GET per object that is not ready yet.
PAUSES = Backoff(cap=5.0)

# Seconds between two looks at the Pods of what is waited for: two requests for each workload.
PODS_EVERY = 5.0

# Seconds between Established and the kind's being listed by discovery; a moment in practice.
DISCOVERY = 30.0


class Deadline:
    """One time limit, in seconds, shared by all the waits of a module."""

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    @property
    def left(self) -> float:
        return max(0.0, round(self._end - time.monotonic(), 1))  # round: messages print it


def execute(planner: Planner, steps: t.Sequence[Step], deadline: Deadline) -> None:
    """Write what the plan says, rank by rank; ``after`` of each step becomes the object as the server stored it."""
    connection = planner.connection

    def write(step: Step) -> None:
        resource = step.resource or _discovered(connection, step.definition)
        if step.action == "recreate":
            _delete(connection, step)
            _wait_gone(connection, [step], deadline)
        step.resource, step.after = resource, planner.apply(resource, step.definition)
        step.written = step.changed

    for rank, group in itertools.groupby(steps, lambda step: rank_of(step.definition)):
        members = list(group)
        each(write, [step for step in members if step.changed or step.claims])
        if rank == 0:  # CRDs: what follows may be of their kinds
            wait_ready(connection, members, deadline)


def delete(connection: Connection, steps: t.Sequence[Step], deadline: Deadline, *, wait: bool) -> None:
    """Delete in the plan's order. A kind's objects are gone before its CRD goes: their finalizers may need it."""
    doomed = [step for step in steps if step.action == "delete"]
    ranks: dict[str, list[Step]] = {}
    for step in doomed:
        kind = step.definition["kind"]
        ranks.setdefault(kind if kind in ("Namespace", "CustomResourceDefinition") else "", []).append(step)
    for group in ranks.values():
        for step in group:
            _delete(connection, step)
        if wait:
            _wait_gone(connection, group, deadline)


def _delete(connection: Connection, step: Step) -> None:
    resource, live = t.cast(Resource, step.resource), t.cast(Json, step.before)
    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": live["metadata"]["uid"]},  # that very object, not one made meanwhile
    }
    try:
        connection.request("DELETE", resource.path(namespace_of(live), name_of(live)), body=options)
    except NotFound:
        return
    except Conflict as error:
        raise Conflict(
            f"{label(live)} was deleted and made anew by somebody else meanwhile; run this again to delete the new one",
            code=error.code,
            reason=error.reason,
        ) from error
    step.written = True


def _wait_gone(connection: Connection, steps: t.Sequence[Step], deadline: Deadline) -> None:
    def look() -> list[str]:
        left = []
        for step in steps:
            before, resource = t.cast(Json, step.before), t.cast(Resource, step.resource)
            live = connection.get(resource, namespace_of(before), name_of(before))
            if live is not None and live["metadata"]["uid"] == before["metadata"]["uid"]:
                finalizers = ", ".join(live["metadata"].get("finalizers") or []) or "none"
                left.append(f"{label(live)} is still there (finalizers: {finalizers})")
        return left

    wait_for(look, lambda left: not left, timeout=deadline.left, what="the deletion", why="; ".join, backoff=PAUSES)


def wait_ready(connection: Connection, steps: t.Sequence[Step], deadline: Deadline) -> None:
    """Until every object is ready by its kind's rule, all of them watched together.

    What the server has just answered is judged first, so objects that have nothing
    to wait for cost no request. Raises WaitTimeout or NeverReady, whose message
    names what is unmet, the last events and the pods' reasons.
    """
    unmet: list[tuple[Step, str]] = []
    for step in steps:
        answered = step.after if step.resource else None
        done, reason = _judge(connection, step, answered) if answered else (False, "not looked at yet")
        if not done:
            unmet.append((step, reason))
    pods = _PodsOfAll(connection)

    def look() -> dict[str, str]:
        looked = each(lambda group: _look(connection, group), _grouped([step for step, _reason in unmet]))
        unmet[:] = [(step, reason) for group in looked for step, (done, reason) in group if not done]
        pods.look([step for step, _reason in unmet])
        return {label(step.definition): reason for step, reason in unmet}

    def why(_missing: dict[str, str]) -> str:
        return "\n".join(_told(connection, step, reason) for step, reason in unmet)

    def brief(_missing: dict[str, str]) -> str:
        one = len(unmet) == 1  # then it is named already
        said = [reason if one else f"{label(step.definition)}: {reason}" for step, reason in unmet]
        return "; ".join([*said, *pods.stages])

    if unmet:
        names = ", ".join(label(step.definition) for step, _reason in unmet)
        wait_for(
            look,
            lambda missing: not missing,
            timeout=deadline.left,
            what=f"{names} to be ready",
            why=why,
            brief=brief,
            backoff=PAUSES,
        )


def unready(connection: Connection, steps: t.Sequence[Step]) -> list[str]:
    """One look, without waiting: each object that exists and is not ready, and why."""

    def look(step: Step) -> str:
        try:
            [(_step, (done, reason))] = _look(connection, [step])
        except NeverReady as error:
            return error.message
        return "" if done or step.after is None else f"{label(step.definition)}: {reason}"

    return [said for said in each(look, steps) if said]


class _PodsOfAll:
    """The Pods of the workloads that are waited for. ``stages``: a line on each that is not ready."""

    def __init__(self, connection: Connection) -> None:
        self.stages: list[str] = []
        self._connection = connection
        self._watches: dict[str, Watch] = {}
        self._due = time.monotonic() + PODS_EVERY

    def look(self, steps: t.Iterable[Step]) -> None:
        """Raises NeverReady when what the Pods say of themselves makes waiting vain."""
        if time.monotonic() < self._due:
            return
        self.stages = []
        for step in steps:
            live = step.after or {}
            # Until its controller has seen the new template, the Pods are those of the old one.
            if "template" in (live.get("spec") or {}) and not is_behind(live):
                self._judge(step, live)
        self._due = time.monotonic() + PODS_EVERY

    def _judge(self, step: Step, live: Json) -> None:
        name = label(live)
        watch = self._watches.setdefault(name, Watch(live["kind"]))
        try:
            pods, _uids = owned(self._connection, live)
        except CollectionError as error:  # no reason to give up: the object's own status is what is waited for
            self.stages.append(f"the Pods of {name} could not be read: {error.message}")
            return
        if hopeless := watch.hopeless(pods):
            raise NeverReady(_told(self._connection, step, hopeless))
        self.stages += [stage(pod) for pod in pods if not is_ready(pod)]


def _grouped(steps: t.Iterable[Step]) -> list[list[Step]]:
    """By kind and namespace: one request sees all of a group."""
    groups: dict[tuple[str, str, str | None], list[Step]] = {}
    for step in steps:
        obj = step.definition
        groups.setdefault((obj["apiVersion"], obj["kind"], namespace_of(obj)), []).append(step)
    return list(groups.values())


def _look(connection: Connection, group: list[Step]) -> list[tuple[Step, Verdict]]:
    obj = group[0].definition
    verdicts = []
    try:
        resource = connection.resource(obj["apiVersion"], obj["kind"])
        if len(group) == 1:
            live = connection.get(resource, namespace_of(obj), name_of(obj))
            found = {name_of(obj): live} if live else {}
        else:
            found = {name_of(one): one for one in connection.list(resource, namespace_of(obj))}
        for step in group:
            step.resource, step.after = resource, found.get(name_of(step.definition))
            verdict = _judge(connection, step, step.after) if step.after else (False, "it is not there")
            verdicts.append((step, verdict))
    except (UnknownKind, Unreachable) as error:
        return [(step, (False, error.message)) for step in group]
    return verdicts


def _judge(connection: Connection, step: Step, live: Json) -> Verdict:
    try:
        return step.rule(live)
    except NeverReady as error:
        raise NeverReady(_told(connection, step, error.message)) from None


def _told(connection: Connection, step: Step, reason: str) -> str:
    lines = explain(connection, step.after) if step.after else []
    return "\n  ".join([f"{label(step.definition)}: {reason}", *lines])


def _discovered(connection: Connection, obj: Json) -> Resource:
    """The resource of a kind whose CRD was applied a moment ago."""

    def look() -> Resource | None:
        try:
            return connection.resource(obj["apiVersion"], obj["kind"])
        except UnknownKind:
            return None

    what = f"the API server to serve {obj['kind']} of {obj['apiVersion']}"
    found = wait_for(look, lambda seen: seen is not None, timeout=DISCOVERY, what=what)
    if found is None:
        raise CollectionError(f"{label(obj)}: its kind is not served")
    return found
