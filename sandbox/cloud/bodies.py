# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bodies of requests: JSON as strict as Google reads it, and the names and types that a message declares.

A Shape is the name of a scalar's type, [Shape] for a list, {"name": Shape, ...} for a message, {"*": Shape} for a
map, or ANY for what is kept as it comes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import typing as t

from .. import strictjson
from ..interfaces import Json
from .errors import bad_payload

Shape = str | list[t.Any] | dict[str, t.Any]

ANY = "ANY"
STRING = "TYPE_STRING"
BOOL = "TYPE_BOOL"
INT32 = "TYPE_INT32"
UINT32 = "TYPE_UINT32"
INT64 = "TYPE_INT64"
DOUBLE = "TYPE_DOUBLE"
BYTES = "TYPE_BYTES"

STRINGS: Shape = [STRING]
STRING_MAP: Shape = {"*": STRING}
OBJECT: Shape = {"*": ANY}

RANGES = {INT32: range(-(1 << 31), 1 << 31), UINT32: range(1 << 32), INT64: range(-(1 << 63), 1 << 63)}
NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def of(kind: Shape, names: str) -> dict[str, Shape]:
    """The fields with these names, divided by blanks, all of one shape."""
    return dict.fromkeys(names.split(), kind)


def fields(text: str) -> frozenset[str]:
    """Names divided by blanks."""
    return frozenset(text.split())


def decode(raw: bytes) -> Json:
    """The JSON object in a body, {} for an empty one. Raises Refusal 400."""
    try:
        body = strictjson.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise bad_payload([("", f"Invalid JSON payload received. {error}")]) from error
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise bad_payload([("", 'Invalid JSON payload received. Unknown name "": Root element must be a message.')])
    return t.cast(Json, body)


def read(body: Json, shape: Shape, where: str = "", *, lenient: bool = False, patch: bool = False) -> Json:
    """``body`` with every value of the type that ``shape`` declares: numbers in strings become numbers.

    ``where``: the path of the body in Google's request message; ``lenient``: names that the shape lacks are left
    out instead of refused; ``patch``: fields that are null stay, for they remove; elsewhere null is as good as
    absent. Raises Refusal 400 that tells all that is wrong.
    """
    reader = _Reader(lenient, patch)
    result = reader.convert(body, shape, where)
    if reader.violations:
        raise bad_payload(reader.violations)
    return t.cast(Json, result)


class _Reader:
    """Converts a body and collects what is wrong with it."""

    def __init__(self, lenient: bool, patch: bool) -> None:
        self.violations: list[tuple[str, str]] = []
        self._lenient = lenient
        self._patch = patch

    def convert(self, value: t.Any, shape: Shape, path: str) -> t.Any:
        if shape == ANY or value is None:
            return value
        if isinstance(shape, str):
            converted = _scalar(value, shape)
            return self._bad(path, value, f" ({shape})") if converted is None else converted
        if isinstance(shape, list):
            return self._list(value, shape[0], path) if isinstance(value, list) else self._bad(path, value)
        if isinstance(value, list):
            parent, _unused, name = path.rpartition(".")
            return self._unknown(name, parent, "Proto field is not repeating, cannot start list.")
        return self._message(value, shape, path) if isinstance(value, dict) else self._bad(path, value)

    def _list(self, values: list[t.Any], shape: Shape, path: str) -> list[t.Any]:
        for index, entry in enumerate(values):
            if entry is None:
                self._bad(f"{path}[{index}]", entry)
        return [self.convert(entry, shape, f"{path}[{index}]") for index, entry in enumerate(values)]

    def _message(self, value: Json, shape: dict[str, t.Any], path: str) -> Json:
        result = {}
        for name, part in value.items():
            field = shape.get(name) or shape.get("*")
            if part is None and not self._patch and field is not None:
                continue
            if field is not None:
                result[name] = self.convert(part, field, f"{path}.{snake(name)}".lstrip("."))
            elif not self._lenient:
                self._unknown(name, path, "Cannot find field.")
        return result

    def _bad(self, path: str, value: t.Any, kind: str = "") -> None:
        nested = isinstance(value, (dict, list))
        shown = "Starting an object on a scalar field" if nested else json.dumps(value)
        self.violations.append((path, f"Invalid value at '{path}'{kind}, {shown}"))

    def _unknown(self, name: str, where: str, why: str) -> None:
        place = f" at '{where}'" if where else ""
        self.violations.append((where, f'Invalid JSON payload received. Unknown name "{name}"{place}: {why}'))


def snake(name: str) -> str:
    """camelCase as Google's messages spell the name in paths."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _scalar(value: t.Any, kind: str) -> str | int | float | bool | None:
    """The value as this type, None when it cannot be."""
    if kind in (STRING, BYTES):
        return value if isinstance(value, str) and (kind == STRING or as_bytes(value) is not None) else None
    if kind == BOOL:
        given = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        return given if isinstance(given, bool) else None
    text = value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return None
    if kind == DOUBLE:
        return float(text)
    whole = int(text) if text.lstrip("-").isdigit() else int(float(text))
    if whole != float(text) or whole not in RANGES[kind]:
        return None
    return str(whole) if kind == INT64 else whole


def as_bytes(text: str) -> bytes | None:
    """What base64 in either alphabet, padded or not, stands for: Google's parser takes all of them; None for others."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def same_bytes(one: str, other: str) -> bool:
    """Whether two etags or fingerprints are the same; clients spell the bytes in the alphabet that they like."""
    return as_bytes(one) == as_bytes(other)
