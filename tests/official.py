# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's own description of its APIs as a judge of requests and answers.

The package google-api-python-client brings the discovery documents of all APIs: every method with its path, and the
types of its request and answer. Format: https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import re
import typing as t
from collections.abc import Iterator

from googleapiclient import discovery_cache

Json = dict[str, t.Any]

# Kinds of JSON values -> what Python reads them as. int64 and bytes are strings.
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
# What strings of a format look like.
_DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
_FORMS = {"int64": r"-?\d+", "uint64": r"\d+", "google-datetime": _DATE_TIME, "date-time": _DATE_TIME}


@dataclasses.dataclass(frozen=True)
class Method:
    """One method: names of the schemas of its request and answer, "" for none; ``query``: its parameters."""

    id: str
    request: str
    answer: str
    query: frozenset[str]


class Api:
    """One version of one API, of its discovery document."""

    def __init__(self, text: str) -> None:
        document = json.loads(text)
        self._schemas: Json = document["schemas"]
        self._methods: dict[str, list[tuple[re.Pattern[str], Method]]] = collections.defaultdict(list)
        for method in _methods(document):
            words = re.split(r"\{[^}]+\}", method.get("flatPath") or method["path"])
            pattern = re.compile("[^/:]+".join(map(re.escape, words)))
            request, answer = (method.get(part, {}).get("$ref", "") for part in ("request", "response"))
            own = (name for name, given in method.get("parameters", {}).items() if given["location"] == "query")
            known = Method(method["id"], request, answer, frozenset({*document["parameters"], *own}))
            self._methods[method["httpMethod"]].append((pattern, known))

    def method(self, verb: str, path: str) -> Method | None:
        """The method that a path relative to the API's base is of."""
        found = (method for pattern, method in self._methods[verb] if pattern.fullmatch(path))
        return next(found, None)

    def violations(self, schema: str, value: t.Any) -> list[str]:
        """Where a JSON value is not of the schema: unknown fields, other types, other words. [] when it is."""
        return list(self._judge({"$ref": schema}, value, schema)) if schema else []

    def _judge(self, schema: Json, value: t.Any, path: str) -> Iterator[str]:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        if "enum" in schema and isinstance(value, int):
            return  # Google's clients number them, and ask for answers alike: $alt=json;enum-encoding=int
        form = schema.get("format", "")
        if not _is(value, schema["type"]):
            yield f"{path}: {value!r} is no {schema['type']}"
        elif isinstance(value, str) and not re.fullmatch(_FORMS.get(form, "(?s:.*)"), value):
            yield f"{path}: {value!r} is no {form}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r} is none of {', '.join(schema['enum'])}"
        elif schema["type"] == "array":
            for item in value:
                yield from self._judge(schema["items"], item, f"{path}[]")
        elif schema["type"] == "object":
            yield from self._judge_fields(schema, value, path)

    def _judge_fields(self, schema: Json, value: Json, path: str) -> Iterator[str]:
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, item in value.items():
            if name in named:
                yield from self._judge(named[name], item, f"{path}.{name}")
            elif others is not None:
                yield from self._judge(others, item, f"{path}.*")
            else:
                yield f"{path}.{name}: there is no such field"


def _is(value: t.Any, kind: str) -> bool:
    if kind not in _KINDS:
        return True  # "any"
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _methods(document: Json) -> Iterator[Json]:
    yield from document.get("methods", {}).values()
    for resource in document.get("resources", {}).values():
        yield from _methods(resource)


@functools.cache
def api(name: str, version: str) -> Api:
    """Raises LookupError for what Google does not have."""
    text = discovery_cache.get_static_doc(name, version)
    if not text:
        raise LookupError(f"google-api-python-client has no document of {name} {version}")
    return Api(text)
