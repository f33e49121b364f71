# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What applying or deleting a list of objects would do, asked of the API server itself by dry runs.

Everything is planned before anything is written: an unknown field or a field
that somebody else owns in the last object stops the first one too. Check mode
shows the plan, a real run executes it; so an object without a difference is not
written at all and keeps its resourceVersion.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._errors import ApiError, CollectionError, Conflict, ImmutableField, InvalidOption, NotFound
from .connection import APPLY, Connection, Resource, UnknownKind, conflicts
from .objects import (
    Key,
    changed_paths,
    checked,
    claim,
    comparable,
    key,
    label,
    name_of,
    namespace_of,
    ranked,
    shown,
    shown_pair,
    stated,
)
from .parallel import each
from .readiness import Verdict, ready

Json = dict[str, t.Any]
Rule = t.Callable[[Json], Verdict]

MANAGER = "aiserving.gke"

# Looks at an object that a controller writes between a look and the dry run, before a difference is believed.
LOOKS = 5

# How API servers say that a field cannot change in place.
_IMMUTABLE = re.compile(r"immutable|updates to statefulset spec|may not be changed", re.IGNORECASE)


@dataclasses.dataclass
class Step:
    """One object: what will be done to it. ``after``: the server's answer, or the definition where it cannot tell.

    ``claims``: nothing of the object changes, but whose its fields are; it is written, and called no change.
    """

    definition: Json
    action: str  # none, create, update, recreate, delete
    resource: Resource | None = None
    before: Json | None = None
    after: Json | None = None
    rule: Rule = ready
    claims: bool = False
    written: bool = False

    @property
    def changed(self) -> bool:
        return self.action != "none"


@dataclasses.dataclass
class Planner:
    """``lenient`` (check mode): what is missing for an object now may be made by an earlier task, so plan a create."""

    connection: Connection
    manager: str = MANAGER
    force: bool = False
    recreate: bool = False
    namespace: str = "default"
    lenient: bool = False

    def present(self, definitions: t.Sequence[Json]) -> list[Step]:
        """Raises InvalidOption, UnknownKind, ImmutableField, Conflict, ApiError."""
        pending: dict[tuple[str, str], Resource] = {}
        kinds, namespaces, rest = ranked(checked(definitions))
        coming = {name_of(obj) for obj in namespaces}

        def plan(obj: Json) -> Step:
            return self._step(obj, pending, coming)

        steps = each(plan, kinds)
        for step in steps:
            if step.changed:
                pending.update({(r.api_version, r.kind): r for r in defined_by(step.definition)})
        steps += each(plan, [*namespaces, *rest])
        _once(steps)
        return steps

    def absent(self, definitions: t.Sequence[Json]) -> list[Step]:
        """In the order of deletion, which is the reverse of that of creation."""

        def plan(obj: Json) -> Step:
            try:
                resource = self._home(obj)
            except UnknownKind:
                return Step(obj, "none")
            live = self.connection.get(resource, namespace_of(obj), name_of(obj))
            return Step(obj, "delete" if live else "none", resource, live)

        steps = each(plan, [obj for rank in reversed(ranked(checked(definitions))) for obj in reversed(rank)])
        _once(steps)
        return steps

    def apply(self, resource: Resource, obj: Json, *, dry_run: bool = False, force: bool | None = None) -> Json:
        """Server-side apply with strict field validation; the object as it is (or would be) then."""
        force = self.force if force is None else force
        query = {"fieldManager": self.manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(namespace_of(obj), name_of(obj))
        try:
            return self.connection.request("PATCH", path, query=query, body=obj, content_type=APPLY)
        except Conflict as error:
            owners = conflicts(error)
            if not owners:
                raise
            if not force and {owner for owner, _field in owners} == {self.manager}:
                # Our own earlier write by another way (the scale subresource) is no foreigner's.
                return self.apply(resource, obj, dry_run=dry_run, force=True)
            raise _foreign(obj, owners, error) from error

    def _home(self, obj: Json) -> Resource:
        """How the object's kind is served; gives a namespaced object without a namespace the default one."""
        resource = self.connection.resource(obj["apiVersion"], obj["kind"])
        if resource.namespaced:
            obj["metadata"].setdefault("namespace", self.namespace)
        return resource

    def _step(self, obj: Json, pending: dict[tuple[str, str], Resource], coming: set[str]) -> Step:
        kind = obj["apiVersion"], obj["kind"]
        try:
            resource = self._home(obj)
        except UnknownKind:
            if kind not in pending and not self.lenient:
                raise
            if kind in pending and pending[kind].namespaced:
                obj["metadata"].setdefault("namespace", self.namespace)
            return Step(obj, "create", after=obj)
        live = self._live(resource, obj)
        try:
            live, after = self._foreseen(resource, obj, live)
        except NotFound:
            namespace = namespace_of(obj)
            if namespace not in coming and not self.lenient:
                raise CollectionError(
                    f"{label(obj)}: there is no namespace {namespace}; add it to the definitions"
                ) from None
            return Step(obj, "create", resource, after=obj)
        except ApiError as error:
            if kind in pending:  # judged by the old CRD; the new one will tell
                return Step(obj, "update" if live else "create", resource, live, obj)
            return self._stuck(obj, resource, live, error)
        if live is None:
            return Step(obj, "create", resource, after=after)
        if comparable(live) != comparable(after):
            return Step(obj, "update", resource, live, after)
        # Whose a field is decides what becomes of it when a definition leaves it out one day.
        return Step(obj, "none", resource, live, after, claims=claim(live, self.manager) != claim(after, self.manager))

    def _live(self, resource: Resource, obj: Json) -> Json | None:
        return self.connection.get(resource, namespace_of(obj), name_of(obj))

    def _foreseen(self, resource: Resource, obj: Json, live: Json | None) -> tuple[Json | None, Json]:
        """The live object, and what an apply would make of that very one.

        The server answers from its present state. Where that is a later one than ``live``, the difference
        may be what somebody else has written in between.
        """
        for _look in range(LOOKS):
            after = self.apply(resource, obj, dry_run=True)
            if live is None or comparable(live) == comparable(after):
                break
            known, live = live, self._live(resource, obj)
            if comparable(known) == comparable(live):
                break
        return live, after

    def _stuck(self, obj: Json, resource: Resource, live: Json | None, error: ApiError) -> Step:
        if live is None or error.code != 422 or not _IMMUTABLE.search(error.message):
            raise error
        if self.recreate:
            return Step(obj, "recreate", resource, live, obj)
        fields = [cause.get("field", "") for cause in error.details.get("causes", [])]
        raise ImmutableField(
            f"{label(obj)}: cannot change in place: {error.message}. "
            "Delete it first, or allow deletion and creation with recreate: true.",
            fields=fields,
        ) from error


def defined_by(definition: Json) -> list[Resource]:
    """The kinds that a CustomResourceDefinition brings, one for each served version."""
    spec = definition["spec"]
    return [
        Resource(
            f"{spec['group']}/{version['name']}",
            spec["names"]["kind"],
            spec["names"]["plural"],
            spec["scope"] == "Namespaced",
        )
        for version in spec.get("versions", [])
        if version.get("served")
    ]


def _foreign(obj: Json, owners: list[tuple[str, str]], error: Conflict) -> Conflict:
    fields = "; ".join(f"{field} is set by {owner}" for owner, field in owners)
    return Conflict(
        f"{label(obj)}: {fields}. Take {'it' if len(owners) == 1 else 'them'} over with force_conflicts: true, "
        "which undoes what was set there; or leave out of the definition what somebody else is to set.",
        code=error.code,
        reason=error.reason,
        managers=sorted({owner for owner, _field in owners}),
        fields=[field for _owner, field in owners],
    )


def _once(steps: t.Iterable[Step]) -> None:
    seen: set[Key] = set()
    for step in steps:
        name = key(step.definition)
        if name in seen:
            raise InvalidOption("definitions", label(step.definition), "it is there twice; give each object once")
        seen.add(name)


def planned_blind(definitions: t.Sequence[Json], namespace: str) -> list[Step]:
    """The plan for a cluster that is not there yet: everything is to be created."""
    objects = [obj for rank in ranked(checked(definitions)) for obj in rank]
    for obj in objects:
        if obj["kind"] not in _CLUSTER_WIDE:
            obj["metadata"].setdefault("namespace", namespace)
    return [Step(obj, "create", after=obj) for obj in objects]


# Kinds without a namespace that users write most; only for showing a plan without a cluster to ask.
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "DeviceClass",
        "GatewayClass",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
    }
)


def report(steps: t.Sequence[Step], diff: bool) -> Json:
    """The part of a module's result that says what was or would be done. Nothing of a Secret's data."""
    objects, changes = [], []
    before: Json = {}
    after: Json = {}
    for step in steps:
        obj = step.definition
        objects.append(
            {
                "api_version": obj["apiVersion"],
                "kind": obj["kind"],
                "name": name_of(obj),
                "namespace": namespace_of(obj) or "",
                "action": step.action,
                "object": shown(step.after),
            }
        )
        if step.changed:
            name = label(obj)
            # Where the server could not be asked what would come of it, only what is stated can be compared.
            blind = step.before is not None and step.after is step.definition
            old, new = shown_pair(stated(step.before, step.definition) if blind else step.before, step.after)
            changes.append({"object": name, "action": step.action, "fields": _fields(step, old, new)})
            before[name], after[name] = old, new
    actions = {step.action for step in steps if step.changed}
    answer: Json = {
        "changed": bool(actions),
        "objects": objects,
        "plan": {"action": "update" if len(actions) > 1 else next(iter(actions), "none"), "changes": changes},
    }
    if diff:
        answer["diff"] = {"before": before, "after": after}
    return answer


def _fields(step: Step, old: Json, new: Json) -> list[str]:
    return changed_paths(old, new) if step.action in ("update", "recreate") else []
