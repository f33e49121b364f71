# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schemas of Kubernetes objects: validation, defaults, unknown fields, pruning."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]


class Schema:
    """An OpenAPI v3 schema with the list and map semantics of Kubernetes."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def openapi(self) -> Json:
        return self._document

    def validate(self, obj: t.Any) -> list[str]:
        return []

    def default(self, obj: Json) -> Json:
        return obj

    def unknown_fields(self, obj: Json) -> list[str]:
        return []

    def prune(self, obj: Json) -> Json:
        return obj


def from_openapi(document: Json) -> Schema:
    """The schema of a CustomResourceDefinition's version (``openAPIV3Schema``)."""
    return Schema(document)


def builtin_schema(group: str, version: str, kind: str) -> Schema | None:
    """The schema of a kind that Kubernetes itself serves; None when there is none."""
    return Schema({"type": "object"})
