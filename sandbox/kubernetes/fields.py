# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of fields as managedFields keep them (FieldsV1), and the objects seen as such sets.

A path is a tuple of elements in FieldsV1 notation: ``f:name`` for a field, ``k:{"name":"a"}`` for an item of a
keyed list, ``v:"x"`` for an item of a set. What a schema calls atomic is one field.
"""

from __future__ import annotations

import enum
import json
import typing as t
from collections.abc import Iterable, Iterator, Set

from sandbox.kubernetes.validate import child_schema

Json = dict[str, t.Any]
Path = tuple[str, ...]


class Node(enum.Enum):
    """What stands at a path that is no leaf."""

    ITEM = "item"  # an item of a list or the key of a map: owned beside what is inside
    CONTAINER = "container"  # a map or list: created and removed, but not owned by those who apply its inside


def decode(fields: Json) -> set[Path]:
    """The paths of a fieldsV1 document."""
    return set(_decode(fields, ()))


def _decode(fields: Json, path: Path) -> Iterator[Path]:
    for element, inside in fields.items():
        if element == ".":
            yield path
        elif inside:
            yield from _decode(inside, (*path, element))
        else:
            yield (*path, element)


def encode(paths: Iterable[Path]) -> Json:
    """The fieldsV1 document of the paths."""
    tree: Json = {}
    for path in sorted(paths):
        place = tree
        # Sorted, a path comes before what is inside of it.
        for element in path[:-1]:
            if element not in place:
                place[element] = {}
            elif not place[element]:
                place[element]["."] = {}
            place = place[element]
        place[path[-1]] = {}
    return tree


def readable(path: Path) -> str:
    """The path as Kubernetes prints it: .spec.containers[name="a"].image."""
    text = ""
    for element in path:
        kind, _unused, name = element.partition(":")
        if kind == "f":
            text += f".{name}"
        elif kind == "k":
            keys = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(name).items())
            text += f"[{keys}]"
        else:
            text += f"[={name}]"
    return text


def is_atomic(value: t.Any, schema: Json) -> bool:
    """Whether ``value`` is owned as a whole: scalars, atomic maps, and lists that are neither keyed nor sets."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") == "atomic"
    if isinstance(value, list):
        return schema.get("x-kubernetes-list-type") not in ("map", "set")
    return True


def element_of(item: t.Any, schema: Json) -> str:
    """The path element of an item of the list that ``schema`` describes."""
    if schema.get("x-kubernetes-list-type") == "map" and isinstance(item, dict):
        return "k:" + _text(list_keys(item, schema))
    return "v:" + _text(item)


def list_keys(item: Json, schema: Json) -> Json:
    """The item's values of the list's keys, with the keys' defaults."""
    properties = schema.get("items", {}).get("properties", {})
    keys: Json = {}
    for key in schema.get("x-kubernetes-list-map-keys", ()):
        value = item.get(key, properties.get(key, {}).get("default"))
        if value is not None:
            keys[key] = value
    return keys


def flatten(value: Json, schema: Json) -> dict[Path, t.Any]:
    """Every path of the object with its value; ``Node`` where it is no leaf."""
    return dict(_flatten(value, schema, ()))


def _flatten(value: t.Any, schema: Json, path: Path) -> Iterator[tuple[Path, t.Any]]:
    if is_atomic(value, schema):
        yield path, value
    elif isinstance(value, dict):
        properties = schema.get("properties", {})
        for key, item in value.items():
            child = child_schema(schema, key) or {}
            below = (*path, f"f:{key}")
            if item and not is_atomic(item, child):
                # A struct's fields are there by their type; a map's or list's presence is information.
                if key not in properties:
                    yield below, Node.ITEM
                elif "properties" not in child:
                    yield below, Node.CONTAINER
                yield from _flatten(item, child, below)
            elif item != [] or is_atomic(item, child):
                yield below, item
    else:
        items = schema.get("items", {})
        for item in value:
            below = (*path, element_of(item, schema))
            yield below, Node.ITEM
            if isinstance(item, dict):
                yield from _flatten(item, items, below)


def members(value: Json, schema: Json) -> set[Path]:
    """The fields that who applies ``value`` owns."""
    return {path for path, what in flatten(value, schema).items() if what is not Node.CONTAINER}


def compare(old: Json, new: Json, schema: Json) -> tuple[set[Path], set[Path]]:
    """The paths that ``new`` adds or changes, and those that it removes."""
    before, after = flatten(old, schema), flatten(new, schema)
    written = {path for path, value in after.items() if path not in before or not _same(before[path], value)}
    return written, set(before) - set(after)


def _same(one: t.Any, other: t.Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def with_structs(paths: Set[Path], schema: Json) -> set[Path]:
    """The paths and every struct field that they go through."""
    found = set(paths)
    for path in paths:
        place = schema
        for length, element in enumerate(path, start=1):
            kind, _unused, name = element.partition(":")
            if kind != "f":
                place = place.get("items", {})
                continue
            if name in place.get("properties", {}):
                found.add(path[:length])
            place = child_schema(place, name) or {}
    return found


def without(value: Json, schema: Json, paths: Iterable[Path]) -> Json:
    """The object without what is at the paths; what that leaves empty goes too."""
    return t.cast(Json, _without(value, schema, encode(paths)) or {})


def _without(value: t.Any, schema: Json, tree: Json) -> t.Any:
    if isinstance(value, dict):
        kept: Json = {}
        for key, item in value.items():
            inside = tree.get(f"f:{key}")
            left = item if inside is None else _left(item, child_schema(schema, key) or {}, inside)
            if left is not None:
                kept[key] = left
        return kept or None
    items = []
    for item in value:
        inside = tree.get(element_of(item, schema))
        left = item if inside is None else _left(item, schema.get("items", {}), inside)
        if left is not None:
            items.append(left)
    return items or None


def _left(item: t.Any, schema: Json, inside: Json) -> t.Any:
    if not inside or "." in inside:
        return None
    return item if is_atomic(item, schema) else _without(item, schema, inside)


def _text(value: t.Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
