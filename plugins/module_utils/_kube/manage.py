# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What the modules that write Kubernetes objects have in common: connect, plan, execute, wait, report."""

from __future__ import annotations

import contextlib
import typing as t

from .._call import Call
from .._errors import CollectionError, having_changed
from .apply import Deadline, delete, execute, unready, wait_ready
from .connection import ClusterMissing, Connection, connect
from .objects import checked
from .plan import MANAGER, Planner, Rule, Step, planned_blind, report

Json = dict[str, t.Any]


def manage(call: Call) -> Json:
    """The core of module manifests."""
    definitions = checked(call.params["definitions"])
    deadline = Deadline(call.params["wait_timeout"])
    steps, _connection = converge(call, definitions, deadline)
    return report(steps, call.diff)


def converge(
    call: Call,
    definitions: t.Sequence[Json],
    deadline: Deadline,
    rules: t.Mapping[tuple[str, str], Rule] | None = None,
) -> tuple[list[Step], Connection | None]:
    """Bring the objects to the module's ``state``; without a cluster (check mode, or absent) the connection is None.

    ``rules``: readiness by (kind, name) where the kind's own rule does not fit.
    """
    params = call.params
    namespace = params["namespace"]
    absent = params["state"] == "absent"
    try:
        connection = connect(call)
    except ClusterMissing as error:
        if absent:
            call.warn(f"{error.message}; so there is nothing to delete")
            return [Step(obj, "none") for obj in planned_definitions(definitions, namespace)], None
        if call.check_mode:
            call.warn(f"{error.message}; so every object is reported as to be created")
            return planned_blind(definitions, namespace), None
        raise
    if params["state"] == "ready":
        steps = [Step(obj, "none") for obj in planned_definitions(definitions, namespace)]
        if call.check_mode:
            _warn_unready(call, connection, steps)
        else:
            wait_ready(connection, steps, deadline)
        return steps, connection
    planner = Planner(
        connection,
        manager=params.get("field_manager") or MANAGER,
        force=params["force_conflicts"],
        recreate=bool(params.get("recreate")),
        namespace=namespace,
        lenient=call.check_mode,
    )
    steps = planner.absent(definitions) if absent else planner.present(definitions)
    for step in steps:
        step.rule = (rules or {}).get((step.definition["kind"], step.definition["metadata"]["name"]), step.rule)
    if call.check_mode:
        if params["wait"] and not absent:
            _warn_unready(call, connection, [step for step in steps if not step.changed])
        return steps, connection
    with telling_of_changes(steps):
        if absent:
            delete(connection, steps, deadline, wait=params["wait"])
            return steps, connection
        execute(planner, steps, deadline)
        if params["wait"]:
            wait_ready(connection, steps, deadline)
    return steps, connection


@contextlib.contextmanager
def telling_of_changes(steps: t.Sequence[Step]) -> t.Iterator[None]:
    """A failure inside of the block says whether any of the steps had been taken by then."""
    try:
        yield
    except CollectionError:
        with having_changed(any(step.written for step in steps)):
            raise


def _warn_unready(call: Call, connection: Connection, steps: t.Sequence[Step]) -> None:
    for said in unready(connection, steps):
        call.warn(f"not ready now: {said}")
    for step in steps:
        step.after = step.after or step.before or step.definition


def planned_definitions(definitions: t.Sequence[Json], namespace: str) -> list[Json]:
    return [step.definition for step in planned_blind(definitions, namespace)]
