# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schemas of Kubernetes objects: validation, defaults, unknown fields, pruning.

A schema is an OpenAPI v3 document with the x-kubernetes-* extensions: those of CustomResourceDefinitions
as their authors wrote them, those of Kubernetes' own kinds derived by ``builtin``.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Iterator

from sandbox.kubernetes import builtin
from sandbox.kubernetes.formats import canonical_quantity
from sandbox.kubernetes.validate import Validator, child_schema, join, mistyped

Json = dict[str, t.Any]


class Schema:
    """The schema of one kind in one version. Objects go in as dicts and come out as new dicts."""

    def __init__(self, document: Json, *, native: bool) -> None:
        """``native``: a kind of Kubernetes itself, whose objects are decoded into Go structs before anything."""
        self._document = document
        self._native = native
        self._validator = Validator(native=native)

    def openapi(self) -> Json:
        """The OpenAPI v3 document, self-contained; not to be changed."""
        return self._document

    def validate(self, obj: Json) -> list[str]:
        """Causes ``field: Invalid value: ...`` for refusing the object; it must carry its defaults."""
        return list(self._validator.causes(self._decode(obj), self._document))

    def default(self, obj: Json) -> Json:
        """The object with the schema's defaults for absent fields, as ``normalise`` leaves it."""
        return t.cast(Json, _default(self.normalise(obj), self._document))

    def normalise(self, obj: Json) -> Json:
        """The object without nulls of structs, its quantities in canonical form."""
        return t.cast(Json, _canonical(self._decode(obj), self._document))

    def mistyped(self, obj: Json) -> str:
        """What Go says of the first value that its structs cannot hold, "" when they can hold all.

        Of a custom resource only the metadata is decoded into one.
        """
        properties = self._document.get("properties", {})
        decoded = self._document if self._native else {"properties": {"metadata": properties.get("metadata", {})}}
        return next(mistyped(_without_nulls(obj), decoded), "")

    def unknown_fields(self, obj: Json) -> list[str]:
        """Paths (``spec.containers[0].imagee``) of the fields that the schema does not know."""
        return list(_unknown(obj, self._document, ""))

    def prune(self, obj: Json) -> Json:
        """The object without unknown fields."""
        return t.cast(Json, _prune(self._decode(obj), self._document))

    def _decode(self, obj: Json) -> Json:
        """Null means absent where Kubernetes decodes into a struct: everywhere in its own kinds, else in metadata."""
        if self._native:
            return t.cast(Json, _without_nulls(obj))
        if isinstance(obj.get("metadata"), dict):
            return {**obj, "metadata": _without_nulls(obj["metadata"])}
        return obj


def from_openapi(document: Json) -> Schema:
    """The schema of a CustomResourceDefinition's version (its ``openAPIV3Schema``)."""
    properties = dict(document.get("properties", {}))
    properties.update(apiVersion={"type": "string"}, kind={"type": "string"}, metadata=builtin.object_meta())
    return Schema({**document, "properties": properties}, native=False)


@functools.cache
def builtin_schema(group: str, version: str, kind: str) -> Schema | None:
    """The schema of a kind that Kubernetes itself serves; None when there is none ("" is the core group)."""
    document = builtin.document(group, version, kind)
    return None if document is None else Schema(document, native=True)


def _without_nulls(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _default(value: t.Any, schema: Json) -> t.Any:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_default(item, items) for item in value]
    if not isinstance(value, dict):
        return value
    full = dict(value)
    for name, child in schema.get("properties", {}).items():
        absent = name not in full or (full[name] is None and not child.get("nullable"))
        if absent and "default" in child:
            full[name] = child["default"]
    return {key: _default(item, child_schema(schema, key) or {}) for key, item in full.items()}


def _canonical(value: t.Any, schema: Json) -> t.Any:
    if isinstance(value, dict):
        return {key: _canonical(item, child_schema(schema, key) or {}) for key, item in value.items()}
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_canonical(item, items) for item in value]
    if schema.get("format") == "quantity":
        try:
            return canonical_quantity(value)
        except ValueError:
            return value  # left for validate to refuse
    return value


def _unknown(value: t.Any, schema: Json, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(item, schema.get("items") or {}, f"{path}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            child = child_schema(schema, key)
            if child is None:
                yield f"{path}.{key}" if path else key
            else:
                yield from _unknown(item, child, join(path, key, schema))


def _prune(value: t.Any, schema: Json) -> t.Any:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_prune(item, items) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        child = child_schema(schema, key)
        if child is not None:
            kept[key] = _prune(item, child)
    return kept
