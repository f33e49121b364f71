# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validation of a value against an OpenAPI v3 schema as Kubernetes means it.

Causes read ``spec.replicas: Invalid value: -1: ...``, in the words of kube-apiserver.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterator

from sandbox.kubernetes import formats

Json = dict[str, t.Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


_NUMBER, _LIST = (int, float), (list,)
_KEYWORDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("type", "pattern", "format", "x-kubernetes-list-type"), (str,)),
    **dict.fromkeys(("required", "enum", "allOf", "anyOf", "oneOf", "x-kubernetes-list-map-keys"), _LIST),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), (int,)),
    **dict.fromkeys(("minimum", "maximum"), _NUMBER),
    "properties": (dict,),
    "items": (dict,),
    "additionalProperties": (dict, bool),
    "nullable": (bool,),
}


def child_schema(schema: Json, key: str) -> Json | None:
    """The schema of the value under ``key``; None when the schema does not know the key. {} accepts anything."""
    properties = schema.get("properties", {})
    if key in properties:
        return t.cast(Json, properties[key])
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return extra
    if schema.get("x-kubernetes-embedded-resource") and key in ("apiVersion", "kind", "metadata"):
        return {}
    if extra is True or schema.get("x-kubernetes-preserve-unknown-fields") or is_free(schema):
        return {}
    return None


def is_free(schema: Json) -> bool:
    """Whether the schema says nothing about the inside of an object."""
    return not {"type", "properties", "x-kubernetes-int-or-string"} & set(schema)


def join(path: str, key: str, schema: Json) -> str:
    """``path`` with the key: ``spec.replicas``, but ``metadata.labels[app]`` for the key of a map."""
    if key in schema.get("properties", {}) or not isinstance(schema.get("additionalProperties"), dict):
        return f"{path}.{key}" if path else key
    return f"{path}[{key}]"


class Validator:
    """Checks values; ``native`` are the kinds of Kubernetes itself, which word limits differently from CRDs."""

    def __init__(self, *, native: bool) -> None:
        self._native = native

    def causes(self, value: t.Any, schema: Json, path: str = "") -> Iterator[str]:
        """The causes for refusing ``value``, in the order of its fields."""
        if value is None and schema.get("nullable"):
            return
        wrong = _type_error(value, schema)
        if wrong:
            got = _type_name(value)
            yield f'{path}: Invalid value: "{got}": {path} in body must be of type {wrong}: "{got}"'
            return
        yield from self._combined(value, schema, path)
        allowed = schema.get("enum")
        if allowed is not None and value not in allowed:
            supported = ", ".join(json.dumps(one) for one in allowed)
            yield f"{path}: Unsupported value: {_show(value)}: supported values: {supported}"
        elif isinstance(value, dict):
            yield from self._object(value, schema, path)
        elif isinstance(value, list):
            yield from self._array(value, schema, path)
        elif isinstance(value, str):
            yield from self._string(value, schema, path)
        elif not isinstance(value, bool) and isinstance(value, (int, float)):
            yield from self._number(value, schema, path)

    def _object(self, value: Json, schema: Json, path: str) -> Iterator[str]:
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{join(path, name, schema)}: Required value"
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        if least is not None and len(value) < least:
            yield f"{path}: Invalid value: {len(value)}: {path} in body should have at least {least} properties"
        if most is not None and len(value) > most:
            yield f"{path}: Too many: {len(value)}: must have at most {most} items"
        for key, item in value.items():
            child = child_schema(schema, key)
            if child:
                yield from self.causes(item, child, join(path, key, schema))

    def _array(self, value: list[t.Any], schema: Json, path: str) -> Iterator[str]:
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least is not None and len(value) < least:
            short = f"Invalid value: {len(value)}: {path} in body should have at least {least} items"
            yield f"{path}: {'Required value' if self._native else short}"
        if most is not None and len(value) > most:
            yield f"{path}: Too many: {len(value)}: must have at most {most} items"
        for number, item in enumerate(value):
            yield from self.causes(item, schema.get("items") or {}, f"{path}[{number}]")
        if not self._native:
            yield from _duplicates(value, schema, path)

    def _string(self, value: str, schema: Json, path: str) -> Iterator[str]:
        kind = schema.get("format", "")
        if kind == "quantity":
            try:
                formats.parse_quantity(value)
            except ValueError as error:
                yield f"{path}: Invalid value: {_show(value)}: {error}"
        elif kind in formats.STRING_FORMATS and not formats.STRING_FORMATS[kind](value):
            yield f"{path}: Invalid value: {_show(value)}: {path} in body must be of type {kind}: {_show(value)}"
        least, most, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
        if least is not None and len(value) < least:
            yield f"{path}: Invalid value: {_show(value)}: {path} in body should be at least {least} chars long"
        if most is not None and len(value) > most:
            yield f"{path}: Too long: may not be more than {most} bytes"
        if pattern is not None and not re.search(_python_pattern(pattern), value):
            yield f"{path}: Invalid value: {_show(value)}: {path} in body should match '{pattern}'"

    def _number(self, value: float, schema: Json, path: str) -> Iterator[str]:
        limit = formats.INTEGER_LIMITS.get(schema.get("format", ""))
        if limit and not -limit <= value < limit:
            kind = schema["format"]
            yield f"{path}: Invalid value: {value}: {path} in body must be of type {kind}: {_show(str(value))}"
        least, most = schema.get("minimum"), schema.get("maximum")
        words = "must be" if self._native else f"{path} in body should be"
        if least is not None and value < least:
            yield f"{path}: Invalid value: {value}: {words} greater than or equal to {least}"
        if most is not None and value > most:
            yield f"{path}: Invalid value: {value}: {words} less than or equal to {most}"

    def _combined(self, value: t.Any, schema: Json, path: str) -> Iterator[str]:
        for word, least, most in (("allOf", None, None), ("anyOf", 1, None), ("oneOf", 1, 1)):
            options = schema.get(word)
            if options is None:
                continue
            held = sum(not any(self.causes(value, option, path)) for option in options)
            if held < (len(options) if least is None else least) or (most is not None and held > most):
                what = {"allOf": "all the schemas", "anyOf": "at least one schema", "oneOf": "one and only one schema"}
                found = "" if word != "oneOf" else ". Found none valid" if not held else f". Found {held} valid"
                show = _show(value) if isinstance(value, str) else f'"{_type_name(value)}"'
                yield f'{path}: Invalid value: {show}: "{path}" must validate {what[word]} ({word}){found}'
        if "not" in schema and not any(self.causes(value, schema["not"], path)):
            yield f'{path}: Invalid value: {_show(value)}: "{path}" must not validate the schema (not)'


def structural_causes(schema: t.Any, path: str) -> list[str]:
    """Why a CustomResourceDefinition cannot have this schema: keywords of wrong types, types that there are not, ..."""
    if not isinstance(schema, dict):
        return [f"{path}: Invalid value: {_show(schema)}: must be a schema"]
    for word, kinds in _KEYWORDS.items():
        if schema.get(word) is not None and not isinstance(schema[word], kinds):
            return [f"{path}.{word}: Invalid value: {_show(schema[word])}: is of a wrong type"]
    causes = []
    kind, pattern = schema.get("type"), schema.get("pattern")
    if kind is not None and kind not in _TYPES:
        supported = ", ".join(json.dumps(name) for name in _TYPES)
        causes.append(f"{path}.type: Unsupported value: {_show(kind)}: supported values: {supported}")
    try:
        re.compile(_python_pattern(pattern or ""))
    except re.error as error:
        why = f"must be a valid regular expression, but isn't: {error}"
        causes.append(f"{path}.pattern: Invalid value: {_show(pattern)}: {why}")
    for where, part in _parts(schema, path):
        causes += structural_causes(part, where)
    return causes


def _parts(schema: Json, path: str) -> Iterator[tuple[str, t.Any]]:
    """The schemas inside of a schema, with their paths."""
    for name, part in (schema.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", part
    for word in ("items", "additionalProperties", "not"):
        if schema.get(word) is not None and not isinstance(schema[word], bool):
            yield f"{path}.{word}", schema[word]
    for word in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(word) or ()):
            yield f"{path}.{word}[{index}]", part


def mistyped(value: t.Any, schema: Json, path: str = "") -> Iterator[str]:
    """A message of Go's JSON decoder for every value, however deep, that is of another type than the schema's."""
    if wanted := _type_error(value, schema):
        yield f"json: cannot unmarshal {_type_name(value)} into Go struct field {path} of type {wanted}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from mistyped(item, child_schema(schema, key) or {}, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from mistyped(item, schema.get("items") or {}, path)


def _type_error(value: t.Any, schema: Json) -> str:
    """The type that ``value`` should have had, empty when it is right."""
    if schema.get("x-kubernetes-int-or-string"):
        right = isinstance(value, (int, str)) and not isinstance(value, bool)
        return "" if right else "integer,string"
    wanted = schema.get("type")
    if wanted is None:
        return ""
    if schema.get("format") == "quantity" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return ""
    right = isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    return "" if right else wanted


def _type_name(value: t.Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next(name for name, kinds in _TYPES.items() if isinstance(value, kinds))


def _duplicates(value: list[t.Any], schema: Json, path: str) -> Iterator[str]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: set[str] = set()
    for number, item in enumerate(value):
        identity = {key: item[key] for key in keys if key in item} if kind == "map" and isinstance(item, dict) else item
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        if text in seen:
            yield f"{path}[{number}]: Duplicate value: {text}"
        seen.add(text)


def _python_pattern(pattern: str) -> str:
    # Go's $ is the end of the text; Python's also matches before a last newline.
    return re.sub(r"(?<!\\)\$$", r"\\Z", pattern)


def _show(value: t.Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
