# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three patches of Kubernetes: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch.

None changes its arguments; the answer may share parts with them.
"""

from __future__ import annotations

import copy
import json
import typing as t
from collections.abc import Callable, Sequence

from sandbox.kubernetes.errors import ApiStatus, bad_request
from sandbox.kubernetes.schema import Schema
from sandbox.kubernetes.validate import child_schema

Json = dict[str, t.Any]


def json_patch(obj: Json, ops: t.Any) -> Json:
    """Apply the operations one by one. Raises ApiStatus 400 for no patch at all, 422 for one that does not fit."""
    if not isinstance(ops, list):
        raise bad_request("a JSON patch is a list of operations")
    document: t.Any = copy.deepcopy(obj)
    for number, op in enumerate(ops):
        if not isinstance(op, dict) or op.get("op") not in _OPERATIONS:
            raise bad_request(f"error decoding patch: operation {number} is none of {', '.join(_OPERATIONS)}")
        for member in _MEMBERS[op["op"]]:
            if member not in op:
                raise bad_request(f'error decoding patch: operation {number} ("{op["op"]}") lacks "{member}"')
        try:
            document = _OPERATIONS[op["op"]](document, op)
        except _DoesNotFit as error:
            message = f"the server rejected our request due to an error in our request: {op['op']} operation: {error}"
            raise ApiStatus(422, "Invalid", message) from None
    if not isinstance(document, dict):
        raise ApiStatus(422, "Invalid", "the server rejected our request: what the patch leaves is no object")
    return document


class _DoesNotFit(Exception):
    """The document is not what an operation takes it for."""


def _steps(pointer: t.Any) -> list[str]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise _DoesNotFit(f"{json.dumps(pointer)} is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _index(container: list[t.Any], step: str, *, end: int) -> int:
    if not step.isdecimal() or (step != "0" and step.startswith("0")) or int(step) >= end:
        raise _DoesNotFit(f"no index {json.dumps(step)} in a list of {len(container)}")
    return int(step)


def _get(document: t.Any, steps: Sequence[str]) -> t.Any:
    for step in steps:
        if isinstance(document, list):
            document = document[_index(document, step, end=len(document))]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            raise _DoesNotFit(f"there is no /{'/'.join(steps)}")
    return document


def _add(document: t.Any, op: Json) -> t.Any:
    return _put(document, _steps(op["path"]), copy.deepcopy(op["value"]))


def _put(document: t.Any, steps: Sequence[str], value: t.Any) -> t.Any:
    if not steps:
        return value
    parent = _get(document, steps[:-1])
    if isinstance(parent, list):
        place = len(parent) if steps[-1] == "-" else _index(parent, steps[-1], end=len(parent) + 1)
        parent.insert(place, value)
    elif isinstance(parent, dict):
        parent[steps[-1]] = value
    else:
        raise _DoesNotFit(f"/{'/'.join(steps[:-1])} holds nothing")
    return document


def _remove(document: t.Any, op: Json) -> t.Any:
    return _take(document, _steps(op["path"]))


def _take(document: t.Any, steps: Sequence[str]) -> t.Any:
    _get(document, steps)
    if not steps:
        return None
    parent = _get(document, steps[:-1])
    if isinstance(parent, list):
        del parent[int(steps[-1])]
    else:
        del parent[steps[-1]]
    return document


def _replace(document: t.Any, op: Json) -> t.Any:
    steps = _steps(op["path"])
    return _put(_take(document, steps), steps, copy.deepcopy(op["value"]))


def _move(document: t.Any, op: Json) -> t.Any:
    source, target = _steps(op["from"]), _steps(op["path"])
    if target != source and target[: len(source)] == source:
        raise _DoesNotFit(f"{op['from']} cannot move into itself")
    value = _get(document, source)
    return _put(_take(document, source), target, value)


def _copy(document: t.Any, op: Json) -> t.Any:
    return _put(document, _steps(op["path"]), copy.deepcopy(_get(document, _steps(op["from"]))))


def _test(document: t.Any, op: Json) -> t.Any:
    found = _get(document, _steps(op["path"]))
    if json.dumps(found, sort_keys=True) != json.dumps(op["value"], sort_keys=True):
        raise _DoesNotFit(f"{op['path']} is {json.dumps(found)}, not {json.dumps(op['value'])}")
    return document


_OPERATIONS: dict[str, Callable[[t.Any, Json], t.Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
_MEMBERS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}


def merge_patch(obj: t.Any, patch: t.Any) -> t.Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def strategic_merge(obj: Json, patch: Json, schema: Schema) -> Json:
    """Merge as the kind's lists and structs ask for (x-kubernetes-patch-strategy, -merge-key).

    Understands ``$patch: delete|replace|merge``, ``$retainKeys``, ``$setElementOrder/LIST`` and
    ``$deleteFromPrimitiveList/LIST``. Raises ApiStatus 400 for a directive or an item that it cannot place.
    """
    return _merge_map(obj, patch, schema.openapi()) or {}


def _merge_map(live: Json, patch: Json, schema: Json) -> Json | None:
    """The merged object; None when the patch deletes it."""
    patch = dict(patch)
    directive = patch.pop(_DIRECTIVE, "merge")
    if directive == "delete":
        return None
    if directive == "replace":
        return t.cast(Json, _plain(patch))
    if directive != "merge":
        raise bad_request(f"unknown patch type: {directive}")
    merged = _retained(live, patch)
    for key in [key for key in patch if key.startswith(_DELETE)]:
        gone = patch.pop(key)
        name = key.removeprefix(_DELETE)
        if isinstance(merged.get(name), list):
            merged[name] = [item for item in merged[name] if item not in gone]
    orders = {key.removeprefix(_ORDER): patch.pop(key) for key in list(patch) if key.startswith(_ORDER)}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
            continue
        left = _merge_value(merged.get(key), value, child_schema(schema, key) or {})
        if left is None:
            merged.pop(key, None)
        else:
            merged[key] = left
    for name, order in orders.items():
        if isinstance(merged.get(name), list):
            merged[name] = _ordered(merged[name], order, child_schema(schema, name) or {})
    return merged


def _retained(live: Json, patch: Json) -> Json:
    keep = patch.pop(_RETAIN, None)
    if keep is None:
        return dict(live)
    stray = [key for key in patch if key not in keep and not key.startswith("$")]
    if stray:
        raise bad_request(f"the $retainKeys list does not name {', '.join(stray)}, which the patch sets")
    return {key: value for key, value in live.items() if key in keep}


def _merge_value(live: t.Any, value: t.Any, schema: Json) -> t.Any:
    if isinstance(value, dict):
        return _merge_map(live if isinstance(live, dict) else {}, value, schema)
    if isinstance(value, list):
        return _merge_list(live if isinstance(live, list) else [], value, schema)
    return value


def _merge_list(live: list[t.Any], patch: list[t.Any], schema: Json) -> list[t.Any]:
    strategy = str(schema.get("x-kubernetes-patch-strategy", "")).split(",")
    replaces = {_DIRECTIVE: "replace"} in patch
    items = [item for item in patch if item != {_DIRECTIVE: "replace"}]
    if replaces or "merge" not in strategy:
        return [_plain(item) for item in items]
    key = schema.get("x-kubernetes-patch-merge-key", "")
    if not key:
        return live + [item for item in items if item not in live]
    merged = list(live)
    for item in items:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {json.dumps(item)} does not contain declared merge key: {key}")
        merged = _merge_item(merged, item, key, schema.get("items") or {})
    return merged


def _merge_item(merged: list[t.Any], item: Json, key: str, schema: Json) -> list[t.Any]:
    places = [n for n, one in enumerate(merged) if isinstance(one, dict) and one.get(key) == item[key]]
    if item.get(_DIRECTIVE) == "delete":
        return [one for n, one in enumerate(merged) if n not in places]
    if not places:
        return [*merged, _plain(item)]
    first = places[0]
    left = _merge_map(merged[first], item, schema)
    return [left if n == first else one for n, one in enumerate(merged)]


def _plain(value: t.Any) -> t.Any:
    """What a patch sets where nothing stands yet: without directives and nulls."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _plain(item) for key, item in value.items() if item is not None and not key.startswith("$")}


def _ordered(items: list[t.Any], order: list[t.Any], schema: Json) -> list[t.Any]:
    """The items in the wanted order; those that it does not name stay behind what they followed."""
    key = schema.get("x-kubernetes-patch-merge-key", "")

    def identity(item: t.Any) -> str:
        return json.dumps(item.get(key) if key and isinstance(item, dict) else item, sort_keys=True)

    wanted = [identity(item) for item in order]
    named = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    result: list[t.Any] = []
    for item in items:
        result.append(named.pop(0) if identity(item) in wanted else item)
    return result
