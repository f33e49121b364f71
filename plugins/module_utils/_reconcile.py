# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Desired and live as plain data -> a visible Plan; check mode prints it, apply executes it.

Two laws: only what the user states is compared, and what cannot change in
place fails and names the field (unless ``recreate``).
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import ImmutableField
from ._naming import camel, from_api

Json = dict[str, t.Any]
Compare = t.Callable[[t.Any, t.Any], bool]


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
    """Resource links: a bare name, a partial path and a full URL of one resource are the same."""
    want, have = str(desired).split("/"), str(live or "").split("/")
    size = min(len(want), len(have))
    return want[-size:] == have[-size:]


@dataclasses.dataclass(frozen=True)
class Field:
    """One option: its dotted snake_case path, how it is compared, and which call changes it (None: immutable)."""

    path: str
    call: str | None = None
    same: Compare = same_stated

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        """Its value in an API document (camelCase); None when absent."""
        value: t.Any = document
        for part in self.path.split("."):
            if not isinstance(value, t.Mapping):
                return None
            value = value.get(camel(part))
        return value


@dataclasses.dataclass(frozen=True)
class Change:
    field: Field
    before: t.Any
    after: t.Any


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

    def as_dict(self) -> Json:
        return {
            "action": self.action,
            "changes": [
                {"field": c.field.path, "before": from_api(c.before), "after": from_api(c.after), "call": c.field.call}
                for c in self.changes
            ],
        }


class Resource(t.Protocol):
    """One object of an API. Bodies are the API's own JSON; every write waits for its operation itself."""

    kind: str
    name: str
    fields: t.Sequence[Field]

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


def make_plan(resource: Resource, desired: Json, live: Json | None, *, state: str, recreate: bool = False) -> Plan:
    """Compare, field by field. Raises ImmutableField for a difference that no call can change."""
    if state == "absent":
        return Plan("delete" if live is not None else "none")
    if live is None:
        return Plan("create")
    changes = []
    for field in resource.fields:
        want = field.read(desired)
        if want is not None and not field.same(want, have := field.read(live)):
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
    return Plan("update" if changes else "none", tuple(changes))


def reconcile(
    resource: Resource, desired: Json, *, state: str = "present", check_mode: bool = False, recreate: bool = False
) -> Result:
    """Bring one object to its desired state. ``desired`` is API JSON holding only what the user stated."""
    live = resource.get()
    plan = make_plan(resource, desired, live, state=state, recreate=recreate)
    before, after = _diff(plan, desired, live)
    operation = None
    if plan.action != "none" and not check_mode:
        operation = _apply(resource, plan, desired, live)
        live = resource.get()
    elif check_mode and plan.action == "create":
        live = desired
    elif check_mode and plan.action == "delete":
        live = None
    return Result(plan.action != "none", plan, live, before, after, operation)


def _apply(resource: Resource, plan: Plan, desired: Json, live: Json | None) -> t.Any:
    operation = None
    if plan.action in ("delete", "recreate"):
        operation = resource.delete(live or {})
    if plan.action in ("create", "recreate"):
        operation = resource.create(desired)
    if plan.action == "update":
        for call, changes in plan.calls.items():
            operation = resource.update(call, changes, desired, live or {})
    return operation


def _diff(plan: Plan, desired: Json, live: Json | None) -> tuple[Json, Json]:
    """The diff a user reads: only what changes, options spelled as in the module."""
    if plan.action == "create":
        return {}, from_api(desired)
    if plan.action == "delete":
        return from_api(live), {}
    before = {c.field.path: from_api(c.before) for c in plan.changes}
    return before, {c.field.path: from_api(c.after) for c in plan.changes}
