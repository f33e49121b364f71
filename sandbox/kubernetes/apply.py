# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-side apply: who owns which field, what a manager may change, what goes when it lets go.

The rules are those of Kubernetes (structured merge): applying sets and owns exactly the fields stated; a field
of another manager with a different value is a conflict; a field that only this manager owned and no longer
states is removed; any other write takes the fields that it changes.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from collections.abc import Iterable, Iterator, Sequence

from sandbox.kubernetes.errors import ApiStatus
from sandbox.kubernetes.fields import (
    Path,
    compare,
    decode,
    element_of,
    encode,
    is_atomic,
    list_keys,
    members,
    readable,
    with_structs,
    without,
)
from sandbox.kubernetes.schema import Schema
from sandbox.kubernetes.validate import child_schema

Json = dict[str, t.Any]

# Nobody owns what identifies an object or what the server alone writes.
_UNOWNED = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "selfLink")
    }
)
_BEFORE = "before-first-apply"


@dataclasses.dataclass
class Entry:
    """One entry of metadata.managedFields."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: set[Path]

    @property
    def writer(self) -> tuple[str, ...]:
        """An applier stays the same when it changes the API version; other writers do not."""
        return writer(self.manager, self.operation, self.api_version, self.subresource)

    def name(self) -> str:
        """The manager as messages name it."""
        text = json.dumps(self.manager)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


def writer(manager: str, operation: str, api_version: str, subresource: str) -> tuple[str, ...]:
    return manager, operation, "" if operation == "Apply" else api_version, subresource


def server_side_apply(
    live: Json | None, config: Json, *, manager: str, force: bool, schema: Schema, subresource: str = "", now: str
) -> Json:
    """Apply ``config`` as ``manager``; answers the new object with its managedFields, without the server's defaults.

    ``live`` is None when the object is to be created. ``config`` must hold only what the (sub)resource writes.
    An apply that changes nothing leaves the entry's time as it was.
    Raises ApiStatus 409 Conflict (details.causes name each field) unless ``force``; 500 without a reason for a
    configuration that cannot be merged or has unknown fields, as kube-apiserver answers.
    """
    document = schema.openapi()
    config = schema.normalise(_bare(config))
    _check(config, schema)
    before = _bare(live) if live else {}
    entries = owners(live)
    if live and not entries:
        first = compare({}, before, document)[0] - _UNOWNED
        entries = [Entry(_BEFORE, "Update", live.get("apiVersion", ""), "", now, first)]
    own, others = _split(entries, manager, "Apply", config["apiVersion"], subresource)
    stated = members(config, document)

    merged = t.cast(Json, _merge(before, config, document))
    if own and own.fields:
        owned = stated.union(*(entry.fields for entry in others))
        merged = without(merged, document, with_structs(own.fields, document) - with_structs(owned, document))
    merged = schema.default(merged)

    written, removed = compare(before, merged, document)
    conflicts = [(entry, sorted(entry.fields & written)) for entry in others if entry.fields & written]
    if conflicts and not force:
        raise _conflict(conflicts)
    for entry in others:
        entry.fields -= written | removed
    fields = stated - _UNOWNED
    unchanged = own is not None and own.fields == fields and not (written or removed) - _UNOWNED
    time = own.time if own and unchanged else now
    return with_owners(merged, [*others, Entry(manager, "Apply", config["apiVersion"], subresource, time, fields)])


def track_update(live: Json | None, new: Json, *, manager: str, schema: Schema, subresource: str, now: str) -> Json:
    """``new`` with its managedFields after a write that is no apply: ``manager`` owns what it changed.

    managedFields that ``new`` brings stand for the live ones, as with kube-apiserver; ``[{}]`` forgets all owners.
    Of an object that has no owners the writes are not tracked, until somebody applies it.
    """
    document = schema.openapi()
    given = new.get("metadata", {}).get("managedFields")
    entries = owners(new if given else live)
    if live is not None and not entries:
        return with_owners(new, [])
    written, removed = compare(_bare(live or {}), _bare(new), document)
    written -= _UNOWNED
    own, others = _split(entries, manager, "Update", new["apiVersion"], subresource)
    if own is None:
        own = Entry(manager, "Update", new["apiVersion"], subresource, now, set())
    for entry in others:
        entry.fields -= written | removed
    own.fields = (own.fields - removed) | written
    if written:
        own.time = now
    return with_owners(new, [*others, own])


def _bare(obj: Json) -> Json:
    """The object without its managedFields."""
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def owners(obj: Json | None) -> list[Entry]:
    """The object's managedFields. Of two entries of one writer only the last counts, as with kube-apiserver."""
    rows = (obj or {}).get("metadata", {}).get("managedFields") or ()
    entries = [
        Entry(
            manager=row.get("manager", ""),
            operation=row.get("operation", "Update"),
            api_version=row.get("apiVersion", ""),
            subresource=row.get("subresource", ""),
            time=row.get("time", ""),
            fields=decode(row.get("fieldsV1") or {}),
        )
        for row in rows
        if row
    ]
    return list({entry.writer: entry for entry in entries}.values())


def _split(
    entries: Sequence[Entry], manager: str, operation: str, api_version: str, subresource: str
) -> tuple[Entry | None, list[Entry]]:
    wanted = writer(manager, operation, api_version, subresource)
    own = next((entry for entry in entries if entry.writer == wanted), None)
    return own, [entry for entry in entries if entry is not own]


def with_owners(obj: Json, entries: Iterable[Entry]) -> Json:
    """The object with these managedFields."""
    kept = sorted(
        (entry for entry in entries if entry.fields),
        key=lambda entry: (entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource),
    )
    rows = []
    for entry in kept:
        row = {"manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version}
        if entry.time:
            row["time"] = entry.time
        rows.append({**row, "fieldsType": "FieldsV1", "fieldsV1": encode(entry.fields)})
        if entry.subresource:
            rows[-1]["subresource"] = entry.subresource
    bare = _bare(obj)
    if rows:
        bare["metadata"]["managedFields"] = rows
    return bare


def _merge(live: t.Any, config: t.Any, schema: Json) -> t.Any:
    if type(live) is not type(config) or is_atomic(config, schema):
        return config
    if isinstance(config, list):
        return _merge_list(live, config, schema)
    merged = dict(live)
    for key, value in config.items():
        merged[key] = _merge(live[key], value, child_schema(schema, key) or {}) if key in live else value
    return merged


def _merge_list(live: list[t.Any], config: list[t.Any], schema: Json) -> list[t.Any]:
    """Items of both in the order of ``config``; those that it lacks stay behind what they followed."""
    items = schema.get("items", {})
    stated = {element_of(item, schema) for item in config}
    present = {element_of(item, schema): item for item in live}
    merged: list[t.Any] = []
    rest = list(live)

    def take_unstated() -> None:
        while rest and element_of(rest[0], schema) not in stated:
            merged.append(rest.pop(0))

    for item in config:
        take_unstated()
        element = element_of(item, schema)
        merged.append(_merge(present[element], item, items) if element in present else item)
        rest = [other for other in rest if element_of(other, schema) != element]
    take_unstated()
    return merged


def _check(config: Json, schema: Schema) -> None:
    """Raise ApiStatus for unknown fields and for items of a keyed list that cannot be told apart."""
    problems = list(_unmergeable(config, schema.openapi(), ()))
    if problems:
        metadata = config.get("metadata", {})
        name = "/".join(part for part in (metadata.get("namespace", ""), metadata.get("name", "")) if part)
        what = f"{name}; {config.get('apiVersion')}, Kind={config.get('kind')}"
        text = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(f"  {one}" for one in problems)
        raise ApiStatus(500, "", f"failed to create typed patch object ({what}): {text}")


def _unmergeable(value: t.Any, schema: Json, path: Path) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            child = child_schema(schema, key)
            if child is None:
                yield f"{readable((*path, f'f:{key}'))}: field not declared in schema"
            else:
                yield from _unmergeable(item, child, (*path, f"f:{key}"))
    elif isinstance(value, list):
        keyed = schema.get("x-kubernetes-list-type") == "map"
        seen: set[str] = set()
        for number, item in enumerate(value):
            for key in schema.get("x-kubernetes-list-map-keys", ()) if keyed else ():
                if not isinstance(item, dict) or key not in list_keys(item, schema):
                    yield f'{readable(path)}: element {number}: an item of a keyed list needs its key field "{key}"'
            element = element_of(item, schema)
            if element in seen and not is_atomic(value, schema):
                yield f"{readable(path)}: duplicate entries for key {readable((element,))}"
            seen.add(element)
            yield from _unmergeable(item, schema.get("items") or {}, (*path, element))


def _conflict(conflicts: Sequence[tuple[Entry, Sequence[Path]]]) -> ApiStatus:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {entry.name()}", "field": readable(path)}
        for entry, paths in conflicts
        for path in paths
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for entry, paths in sorted(conflicts, key=lambda conflict: conflict[0].name()):
            lines += [f"conflicts with {entry.name()}:", *(f"- {readable(path)}" for path in paths)]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiStatus(409, "Conflict", message, {"causes": causes})
