# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Desired and live as plain data -> a visible Plan; check mode prints it, apply executes it.

Two laws: only what the user states is compared, and what cannot change in
place fails and names the field (unless ``recreate``).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import re
import typing as t

from ._errors import ApiError, Conflict, ImmutableField, NotFound, WaitTimeout, having_changed
from ._naming import camel, from_api
from ._wait import Clock, wait_for

Json = dict[str, t.Any]
Compare = t.Callable[[t.Any, t.Any], bool]
Merge = t.Callable[[t.Any, t.Any], t.Any]

# Seconds in which an object that another run has just made is to be seen.
SEEN_WITHIN = 30.0

# Labels that Google sets by itself: they stay when all others that are not stated go.
GOOGLES_LABELS = (
    "goog-",
    "cloud.google.com/",
    "gke.networks.io/",
    "iam.gke.io/",
    "kubernetes.io/",
    "node.kubernetes.io/",
)


def same_value(desired: t.Any, live: t.Any) -> bool:
    """Equal, where an absent answer means the zero value: Google's JSON leaves out false, 0, "" and []."""
    if live is None:
        return desired in (False, 0, "", [], {})
    if isinstance(desired, int) and isinstance(live, str):
        return str(desired) == live  # int64 travels as a string
    return bool(desired == live)


def same_set(desired: t.Any, live: t.Any) -> bool:
    """Lists whose order says nothing."""
    return sorted(map(repr, desired)) == sorted(map(repr, live or []))


def same_stated(desired: t.Any, live: t.Any) -> bool:
    """Maps and nested objects: every stated key is there with its value; what the server added is no difference."""
    if isinstance(desired, dict):
        return all(same_stated(item, (live or {}).get(key)) for key, item in desired.items())
    if isinstance(desired, list):
        live = live or []
        return len(desired) == len(live) and all(map(same_stated, desired, live))
    return same_value(desired, live)


def same_link(desired: t.Any, live: t.Any) -> bool:
    """Resource links: a bare name, a partial path and a full URL of one resource, on whatever host, are the same."""
    want, have = (re.sub(r"^.*?/(?=projects/)", "", str(link or "")).split("/") for link in (desired, live))
    size = min(len(want), len(have))
    return want[-size:] == have[-size:]


def overlay(live: t.Any, desired: t.Any) -> t.Any:
    """What is there once the desired value is: in maps, keys that are not stated stay."""
    if not (isinstance(live, dict) and isinstance(desired, dict)):
        return desired
    return {**live, **{key: overlay(live.get(key), item) for key, item in desired.items()}}


@dataclasses.dataclass(frozen=True)
class Field:
    """One option: its dotted snake_case path, how it is compared, and which call changes it (None: immutable).

    ``merge(desired, live)``: what the call must be sent where it replaces the whole value.
    """

    path: str
    call: str | None = None
    same: Compare = same_stated
    merge: Merge | None = None

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        """Its value in an API document (camelCase); None when absent."""
        value: t.Any = document
        for part in self.path.split("."):
            if not isinstance(value, t.Mapping):
                return None
            value = value.get(camel(part))
        return value

    def write(self, document: Json, value: t.Any) -> None:
        """Set its value in an API document."""
        *parents, last = [camel(part) for part in self.path.split(".")]
        for parent in parents:
            if not isinstance(document.get(parent), dict):
                document[parent] = {}
            document = document[parent]
        document[last] = value

    def met(self, desired: t.Any, live: t.Any) -> bool:
        return self.same(desired, live)

    def sent(self, desired: t.Any, live: t.Any) -> t.Any:
        return self.merge(desired, live) if self.merge else desired


@dataclasses.dataclass(frozen=True)
class Labels(Field):
    """A map of labels, which its call replaces as a whole. Those that are not stated stay, or go with ``purge``."""

    purge: bool = False

    def met(self, desired: t.Any, live: t.Any) -> bool:
        return bool(self.sent(desired, live) == (live or {}))

    def sent(self, desired: t.Any, live: t.Any) -> t.Any:
        kept = {k: v for k, v in (live or {}).items() if not self.purge or k.startswith(GOOGLES_LABELS)}
        return {**kept, **desired}


@dataclasses.dataclass(frozen=True)
class Change:
    """``before`` is there, ``after`` is sent."""

    field: Field
    before: t.Any
    after: t.Any

    @property
    def outcome(self) -> t.Any:
        """What is there afterwards: ``after`` itself where that replaces the whole value."""
        whole = self.field.merge or isinstance(self.field, Labels)
        return self.after if whole else overlay(self.before, self.after)

    def is_in(self, document: Json | None) -> bool:
        """Whether an API document shows the change."""
        return self.field.met(self.after, self.field.read(document))

    def anew(self, desired: Json, live: Json) -> Change:
        """The same change of what is there by now."""
        have = self.field.read(live)
        return dataclasses.replace(self, before=have, after=self.field.sent(self.field.read(desired), have))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What will happen: ``action`` is none, create, update, delete or recreate."""

    action: str
    changes: tuple[Change, ...] = ()

    @property
    def calls(self) -> dict[str, list[Change]]:
        """The changes by the API call that makes them, in the order of the field table."""
        grouped: dict[str, list[Change]] = {}
        for change in self.changes:
            grouped.setdefault(change.field.call or "recreate", []).append(change)
        return grouped

    def outcome(self, change: Change) -> t.Any:
        """What is there after one of the changes; a new object holds nothing of the old one."""
        return change.after if self.action == "recreate" else change.outcome

    def as_dict(self) -> Json:
        return {
            "action": self.action,
            "changes": [
                {
                    "field": change.field.path,
                    "before": from_api(change.before),
                    "after": from_api(self.outcome(change)),
                    "call": change.field.call,
                }
                for change in self.changes
            ],
        }


class Resource(t.Protocol):
    """One object of an API. Bodies are the API's own JSON; every write waits for its operation itself.

    ``identity``: what the API will call a new object, as far as that is known before it is there.
    """

    kind: str
    name: str
    fields: t.Sequence[Field]

    @property
    def identity(self) -> Json: ...

    def get(self) -> Json | None:
        """The live object, settled (an operation that a killed run left behind is waited for), or None."""

    def create(self, desired: Json) -> t.Any: ...

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> t.Any: ...

    def delete(self, live: Json) -> t.Any: ...


@dataclasses.dataclass
class Result:
    changed: bool
    plan: Plan
    live: Json | None
    before: Json
    after: Json
    operation: t.Any = None


def make_plan(
    resource: Resource,
    desired: Json,
    live: Json | None,
    *,
    state: str,
    recreate: bool = False,
    purge_labels: bool = False,
) -> Plan:
    """Compare, field by field. Raises ImmutableField for a difference that no call can change."""
    if state == "absent":
        return Plan("delete" if live is not None else "none")
    if live is None:
        return Plan("create")
    changes = []
    for field in resource.fields:
        want, have = field.read(desired), field.read(live)
        if purge_labels and isinstance(field, Labels):
            field = dataclasses.replace(field, purge=True)
        if want is not None and not field.met(want, have):
            changes.append(Change(field, have, want))
    stuck = [change for change in changes if change.field.call is None]
    if stuck and not recreate:
        wanted = "; ".join(f"{c.field.path} is {c.before!r}, wanted {c.after!r}" for c in stuck)
        raise ImmutableField(
            f"{resource.kind} {resource.name}: cannot change in place: {wanted}. "
            "Delete it first, or allow it with recreate: true where the module has that option.",
            fields=[c.field.path for c in stuck],
        )
    if stuck:
        return Plan("recreate", tuple(changes))
    return Plan("update" if changes else "none", tuple(change.anew(desired, live) for change in changes))


def reconcile(
    resource: Resource,
    desired: Json,
    *,
    state: str = "present",
    check_mode: bool = False,
    recreate: bool = False,
    purge_labels: bool = False,
    clock: Clock | None = None,
) -> Result:
    """Bring one object to its desired state. ``desired`` is API JSON holding only what the user stated.

    What another run makes between our look and our creation is compared like what was there before.
    An error that comes after a change says so (``changed`` among its details).
    """

    def plan_for(live: Json | None) -> Plan:
        return make_plan(resource, desired, live, state=state, recreate=recreate, purge_labels=purge_labels)

    live = resource.get()
    plan = plan_for(live)
    if check_mode:
        before, after = _diff(plan, desired, live)
        return Result(plan.action != "none", plan, _predicted(resource, plan, desired, live), before, after)
    operation = None
    try:
        operation = _apply(resource, plan, desired, live)
    except _MadeMeanwhile as meanwhile:
        ours = plan.action == "recreate"  # the deletion was
        with having_changed(ours):
            live = _made_meanwhile(resource, meanwhile.conflict, clock)
            follow = plan_for(live)
            operation = _apply(resource, follow, desired, live)
        plan = plan if ours else follow
    before, after = _diff(plan, desired, live)
    changed = plan.action != "none"
    if changed:
        with having_changed():
            live = resource.get()
    return Result(changed, plan, live, before, after, operation)


class _MadeMeanwhile(Exception):
    def __init__(self, conflict: Conflict) -> None:
        super().__init__()
        self.conflict = conflict


def _apply(resource: Resource, plan: Plan, desired: Json, live: Json | None) -> t.Any:
    """Returns the last operation. Raises _MadeMeanwhile when somebody else was faster with a creation."""
    operation = None
    if plan.action in ("delete", "recreate"):
        with contextlib.suppress(NotFound):  # somebody else was faster
            operation = resource.delete(live or {})
    if plan.action in ("create", "recreate"):
        with having_changed(plan.action == "recreate"):
            try:
                operation = resource.create(desired)
            except Conflict as error:
                if error.code != 409:
                    raise
                raise _MadeMeanwhile(error) from error
    if plan.action == "update":
        for done, (call, changes) in enumerate(plan.calls.items()):
            with having_changed(done > 0):
                operation = resource.update(call, changes, desired, live or {})
    return operation


def _made_meanwhile(resource: Resource, conflict: Conflict, clock: Clock | None) -> Json:
    """The object that stood in the way of our creation, settled. Raises Conflict when it does not show."""
    what = f"{resource.kind} {resource.name} to be seen"
    try:
        return t.cast(
            Json, wait_for(resource.get, lambda live: live is not None, timeout=SEEN_WITHIN, what=what, clock=clock)
        )
    except (WaitTimeout, ApiError) as error:
        remedy = "somebody else is making or deleting it at this moment: run again when that is over"
        raise Conflict(
            f"{conflict.message} -- {remedy}", code=conflict.code, status=conflict.status, remedy=remedy
        ) from error


def _predicted(resource: Resource, plan: Plan, desired: Json, live: Json | None) -> Json | None:
    """The object as it would be, from what is stated and what is there; what only the API can tell is left out."""
    if plan.action == "delete":
        return None
    if plan.action in ("create", "recreate"):
        return {**desired, **resource.identity}
    after = copy.deepcopy(live)
    for change in plan.changes:
        change.field.write(after or {}, change.outcome)
    return after


def _diff(plan: Plan, desired: Json, live: Json | None) -> tuple[Json, Json]:
    """The diff a user reads: only what changes, options spelled as in the module."""
    if plan.action == "create":
        return {}, from_api(desired)
    if plan.action == "delete":
        return from_api(live), {}
    before = {change.field.path: from_api(change.before) for change in plan.changes}
    return before, {change.field.path: from_api(plan.outcome(change)) for change in plan.changes}
