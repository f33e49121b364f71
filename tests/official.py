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
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
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
_ERROR = {"code", "message", "errors", "status", "details"}

# The recordings of gkehub were made with v1beta1, which puts operations below their object and has one field more.
_EXCUSED = (
    r"GET /gkehub/v1\w*/projects/[^/]+/locations/[^/]+/(memberships|features)/[^/]+/operations/.*",
    r"gkehub\.projects\.locations\.memberships\.\w+: Membership\.infrastructureType: there is no such field",
)


@dataclasses.dataclass(frozen=True)
class Method:
    """One method: names of the schemas of its request and answer, "" for none; ``query``: its parameters."""

    id: str
    request: str
    answer: str
    query: frozenset[str]


class Api:
    """One version of one API."""

    def __init__(self, name: str, version: str) -> None:
        text = discovery_cache.get_static_doc(name, version)
        assert text, f"google-api-python-client has no document of {name} {version}"
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
    return Api(name, version)


class Judge:
    """A middleware of the sandbox's cloud: what it takes and answers is of Google's types, or a violation."""

    def __init__(self) -> None:
        self.judged: collections.Counter[str] = collections.Counter()  # methods
        self.violations: set[str] = set()

    def middleware(self) -> t.Any:
        @web.middleware
        async def judge(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            answer = await handler(request)
            cut_off = request.transport is None or request.transport.is_closing()
            if isinstance(answer, web.Response) and not cut_off:
                try:
                    given = await request.read()
                except web.RequestPayloadError:  # of another Content-Encoding than it says
                    given = b""
                found = set(self._see(request, given, answer))
                self.violations |= {one for one in found if not any(re.fullmatch(known, one) for known in _EXCUSED)}
            return answer

        return judge

    def _see(self, request: web.Request, given: bytes, answer: web.Response) -> Iterator[str]:
        parts = re.fullmatch(r"/(\w+)/(v\d\w*)/(.*)", request.rel_url.raw_path)
        if parts is None or request.query.get("alt") == "media":
            return  # uploads and downloads, and what is the sandbox's own
        name, version, path = parts.groups()
        if name not in ("compute", "storage"):  # whose documents have it in their base already
            path = f"{version}/{path}"
        google = api(name, version)
        method = google.method(request.method, path)
        answered = answer.body if isinstance(answer.body, bytes) else b""
        if answer.status >= 400:
            yield from (f"{request.method} {request.path}: {fault}" for fault in _error(answer.status, answered))
        elif method is None:
            yield f"{request.method} {request.path}: {name} {version} has no such method"
        else:
            self.judged[method.id] += 1
            unknown = set(request.query) - method.query - {"$alt"}
            yield from (f"{method.id}: there is no parameter {name}" for name in sorted(unknown))
            sent, got = (json.loads(body) if body else None for body in (given, answered))
            for schema, body in ((method.request, _stated(sent)), (method.answer, got)):
                found = [] if body is None else google.violations(schema, body)
                yield from (f"{method.id}: {one}" for one in found)


def _stated(value: t.Any) -> t.Any:
    """A request as Google's JSON parser takes it: null is absent."""
    if isinstance(value, dict):
        return {name: _stated(item) for name, item in value.items() if item is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _error(status: int, body: bytes) -> Iterator[str]:
    """An error is Google's own kind of document, too."""
    try:
        error = json.loads(body)["error"]
        wrong = error["code"] != status or not isinstance(error["message"], str) or set(error) - _ERROR
    except (ValueError, KeyError, TypeError):
        wrong = True
    if wrong:
        yield f"{status} with {body[:200]!r}"
