# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's JSON parser for container bodies, by the messages that google-cloud-container ships."""

from __future__ import annotations

import re
import typing as t

from google.cloud import container_v1, container_v1beta1
from google.protobuf import json_format

from ...interfaces import Json
from ..errors import bad_payload

SOURCES = {"v1": container_v1, "v1beta1": container_v1beta1}


def parse(message: str, body: Json, version: str) -> Json:
    """``body`` as Google stores it: names in camelCase, enums by name, 64-bit integers as strings, zeros left out.

    Raises Refusal 400 that names every unknown field, or the first value of a wrong type.
    """
    source = SOURCES.get(version, container_v1)
    kind = getattr(source, message).pb()
    violations = list(_unknown(body, kind.DESCRIPTOR, ""))
    if violations:
        raise bad_payload(violations)
    try:
        parsed = json_format.ParseDict(body, kind())
    except json_format.ParseError as error:
        raise bad_payload([_bad_value(str(error))]) from error
    return t.cast(Json, json_format.MessageToDict(parsed))


def _unknown(body: object, descriptor: t.Any, path: str) -> t.Iterator[tuple[str, str]]:
    if not isinstance(body, dict) or descriptor.full_name.startswith("google.protobuf."):
        return
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, value in body.items():
        field = fields.get(key)
        if field is None:
            where = f" at '{path}'" if path else ""
            yield path, f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.'
            continue
        nested = field.message_type
        if nested is None:
            continue
        here = f"{path}.{field.name}" if path else field.name
        if nested.GetOptions().map_entry:
            inner = nested.fields_by_name["value"].message_type
            for name, entry in value.items() if inner and isinstance(value, dict) else ():
                yield from _unknown(entry, inner, f"{here}[{name}].value")
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                yield from _unknown(entry, nested, f"{here}[{index}]")
        else:
            yield from _unknown(value, nested, here)


def _bad_value(text: str) -> tuple[str, str]:
    """The parser's words put into Google's: 'Failed to parse a.b field: reason.' -> Invalid value at 'a.b'."""
    field = ".".join(re.findall(r"Failed to parse (\w+) field", text))
    field = re.sub(r"(?<!^)(?<!\.)([A-Z])", r"_\1", field).lower()
    reason = text.rpartition(": ")[2].rstrip(".")
    return field, f"Invalid value at '{field}', {reason}"
