# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges what goes over the wire by Google's own description of its APIs.

The discovery documents that google-api-python-client ships say which methods there are, and the fields, types and
enum values of every request and answer. What they do not know, Google does not know either.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import googleapiclient
from aiohttp import web
from aiohttp.typedefs import Handler

Json = dict[str, t.Any]

# Base path in the sandbox -> the documents of its versions.
DOCUMENTS = {
    "cloudresourcemanager": ("v1", "v3"),
    "compute": ("v1",),
    "container": ("v1", "v1beta1"),
    "gkehub": ("v1",),
    "iam": ("v1",),
    "serviceusage": ("v1", "v1beta1"),
    "storage": ("v1",),
}
# The recordings of gkehub were made with v1beta1, which puts operations below their object and has one field more.
EXCUSED_PATHS = (r"/gkehub/v1/projects/[^/]+/locations/[^/]+/(memberships|features)/[^/]+/operations/[^/]+",)
EXCUSED = (r"gkehub\.projects\.locations\.memberships\.\w+: request infrastructureType: unknown field",)
ERROR = {"code", "message", "errors", "status", "details"}
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclasses.dataclass(frozen=True)
class Method:
    """One method of one API: what its path looks like below the sandbox's root, and the schemas' names."""

    id: str
    verb: str
    path: re.Pattern[str]
    literal: int  # characters of the path that are no placeholder: the longer, the closer the match
    query: frozenset[str]
    request: str
    response: str
    schemas: Json


@functools.cache
def methods() -> tuple[Method, ...]:
    folder = Path(googleapiclient.__path__[0]) / "discovery_cache" / "documents"
    found: list[Method] = []
    for service, versions in DOCUMENTS.items():
        for version in versions:
            document = json.loads((folder / f"{service}.{version}.json").read_text(encoding="utf-8"))
            base = document["servicePath"] or f"{service}/"
            found += [_method(document, base, entry) for entry in _entries(document)]
    return tuple(sorted(found, key=lambda method: -method.literal))


def _entries(resource: Json) -> Iterator[Json]:
    yield from resource.get("methods", {}).values()
    for nested in resource.get("resources", {}).values():
        yield from _entries(nested)


def _method(document: Json, base: str, entry: Json) -> Method:
    path = f"{base}{entry.get('flatPath') or entry['path']}"
    pattern = re.sub(r"\\\{\w+\\\}", lambda _found: r"[^/:]+", re.escape(path))
    last = re.sub(r"\[\^/:\]\+$", "[^:]+" if base.startswith("storage") else "[^/:]+", pattern)
    own = (name for name, parameter in entry.get("parameters", {}).items() if parameter["location"] == "query")
    return Method(
        id=entry["id"],
        verb=entry["httpMethod"],
        path=re.compile(f"/{last}"),
        literal=len(re.sub(r"\{\w+\}", "", path)),
        query=frozenset({*document["parameters"], *own}),
        request=entry.get("request", {}).get("$ref", ""),
        response=entry.get("response", {}).get("$ref", ""),
        schemas=document["schemas"],
    )


def method_of(verb: str, path: str) -> Method | None:
    return next((method for method in methods() if method.verb == verb and method.path.fullmatch(path)), None)


def judge(verb: str, path: str, query: t.Iterable[str], request: t.Any, status: int, response: t.Any) -> list[str]:
    """What is wrong with one exchange; a request is judged only when it was accepted."""
    method = method_of(verb, path)
    if method is None:
        unknown = status < 400 and not any(re.fullmatch(known, path) for known in EXCUSED_PATHS)
        return [f"{verb} {path}: Google has no such method"] if unknown else []
    if status >= 400:
        return [f"{method.id} answered {status}: {fault}" for fault in _error_faults(status, response)]
    faults = [f"no query parameter {name}" for name in query if name not in method.query | {"$alt"}]
    if request:
        faults += [f"request {fault}" for fault in check(as_sent(request), method.request, method.schemas)]
    faults += [f"answer {fault}" for fault in check(response, method.response, method.schemas)]
    named = [f"{method.id}: {fault}" for fault in faults]
    return [fault for fault in named if not any(re.fullmatch(known, fault) for known in EXCUSED)]


def as_sent(value: t.Any) -> t.Any:
    """A request as Google's JSON parser takes it: null is absent."""
    if isinstance(value, dict):
        return {name: as_sent(entry) for name, entry in value.items() if entry is not None}
    return [as_sent(entry) for entry in value] if isinstance(value, list) else value


def _error_faults(status: int, response: t.Any) -> Iterator[str]:
    error = response.get("error") if isinstance(response, dict) else None
    if not isinstance(error, dict):
        yield f"no error object in {response!r:.200}"
        return
    if error.get("code") != status or not isinstance(error.get("message"), str):
        yield f"code or message: {error!r:.200}"
    yield from (f"unknown field {name}" for name in set(error) - ERROR)


def check(value: t.Any, schema: str, schemas: Json) -> Iterator[str]:
    """The faults of a document by the schema of this name; "" means an empty body."""
    if schema:
        yield from _check(value, schemas[schema], schemas, "")
    elif value:
        yield f"has a body: {value!r:.200}"


def _check(value: t.Any, schema: Json, schemas: Json, path: str) -> Iterator[str]:
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind == "object":
        yield from _check_object(value, schema, schemas, path)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"{path}: no list: {value!r:.80}"
            return
        for entry in value:
            yield from _check(entry, schema["items"], schemas, f"{path}[]")
    elif _is_number_of_enum(value, schema):
        return
    elif not _fits(value, kind, schema.get("format", "")):
        yield f"{path}: no {schema.get('format') or kind}: {value!r:.80}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: unknown value {value!r}"


def _is_number_of_enum(value: t.Any, schema: Json) -> bool:
    """Requests may give an enum by its number; google-cloud-container does."""
    return "enum" in schema and isinstance(value, int) and not isinstance(value, bool)


def _check_object(value: t.Any, schema: Json, schemas: Json, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: no object: {value!r:.80}"
        return
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    for name, entry in value.items():
        here = f"{path}.{name}".lstrip(".")
        if name in known:
            yield from _check(entry, known[name], schemas, here)
        elif rest is not None:
            yield from _check(entry, rest, schemas, here)
        elif known or "properties" in schema:
            yield f"{here}: unknown field"


def _fits(value: t.Any, kind: str, form: str) -> bool:
    if kind == "any":
        return True
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if form in ("int64", "uint64"):
        return re.fullmatch(r"-?\d+", value) is not None
    if form in ("google-datetime", "date-time"):
        return DATETIME.fullmatch(value) is not None
    return True


class Court:
    """A middleware for the cloud's application that keeps every fault that it sees."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: set[str] = set()

    def middleware(self) -> t.Any:
        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            text = b"" if request.path.startswith("/upload/") else await request.read()
            answer = await handler(request)
            cut_off = request.transport is None or request.transport.is_closing()
            if isinstance(answer, web.Response) and not cut_off and not _is_media(request):
                self._note(request, text, answer)
            return answer

        return watch

    def _note(self, request: web.Request, text: bytes, answer: web.Response) -> None:
        try:
            sent = json.loads(text) if text.strip() else None
        except ValueError:
            sent = None
        body = answer.body if isinstance(answer.body, bytes) else b""
        try:
            got = json.loads(body) if body.strip() else None
        except ValueError:
            self.faults.append(f"{request.method} {request.path} answered no JSON: {body[:80]!r}")
            return
        if method := method_of(request.method, request.path):
            self.seen.add(method.id)
        self.faults += judge(request.method, request.path, request.query, sent, answer.status, got)


COURT = Court()


def _is_media(request: web.Request) -> bool:
    """Objects' own content, and the sandbox's own interface, are no documents of Google's."""
    return request.query.get("alt") == "media" or request.path.startswith(("/download/", "/upload/", "/sandbox/"))
