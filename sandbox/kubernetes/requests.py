# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a request is read: which resource its path means, its options, its body, the answer's shape."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t

import yaml
from aiohttp import web

from sandbox import strictjson
from sandbox.kubernetes.errors import ApiStatus, bad_request
from sandbox.kubernetes.operations import APPLY, Options
from sandbox.kubernetes.resources import Registry, ResourceType

Json = dict[str, t.Any]

_TRUE = ("true", "1", "True", "")
_JSON_TYPES = ("", "application/json", "application/octet-stream")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclasses.dataclass(frozen=True)
class Target:
    """What a resource path means; ``name`` is "" for the collection."""

    rt: ResourceType
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def not_served() -> ApiStatus:
    return ApiStatus(404, "NotFound", "the server could not find the requested resource", {})


def resolve(registry: Registry, path: str) -> Target:
    """The target of "/api/v1/..." or "/apis/GROUP/VERSION/...". Raises ApiStatus 404 when nothing is served there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    else:
        group, version, rest = parts[1], parts[2], parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    rt = registry.find(group, version, rest[0])
    if rt is None or len(rest) > 3 or (namespace and not rt.namespaced):
        raise not_served()
    name, subresource = (*rest[1:], "", "")[:2]
    if (name and rt.namespaced and not namespace) or (subresource and subresource not in rt.subresources):
        raise not_served()
    return Target(rt, namespace, name, subresource)


def flag(request: web.Request, name: str) -> bool:
    return name in request.query and request.query[name] in _TRUE


def number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if text and not text.isdigit():
        raise bad_request(f"invalid value for {name}: {text!r} is not a number")
    return int(text) if text else None


def options(request: web.Request) -> Options:
    """The write options of the query. Raises ApiStatus 400 for values that Kubernetes does not know."""
    dry_run = request.query.getall("dryRun", [])
    if dry_run not in ([], [""], ["All"]):
        raise bad_request(f'invalid dryRun: supported values: "All", given {dry_run}')
    validation = request.query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f"invalid fieldValidation: supported values: Ignore, Warn, Strict, given {validation!r}")
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0] or "unknown"
    manager = request.query.get("fieldManager") or agent
    if len(manager) > 128:
        raise bad_request("invalid fieldManager: must be no more than 128 characters")
    return Options(manager, dry_run == ["All"], flag(request, "force"), validation)


async def body(request: web.Request, *, patch: bool = False) -> t.Any:
    """The parsed body, None when there is none. Raises ApiStatus 400 or 415."""
    try:
        raw = await request.read()
    except web.RequestPayloadError as error:
        raise bad_request("the body of the request does not match its Content-Encoding") from error
    if not raw.strip():
        return None
    media = request.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        if media in ("application/yaml", APPLY):
            return _yaml(raw)
        if patch or media in _JSON_TYPES:
            return strictjson.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    raise ApiStatus(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format ({media}) - accepted media types include: "
        "application/json, application/yaml",
    )


def _yaml(raw: bytes) -> t.Any:
    """YAML as its JSON, which makes all keys strings. Raises ValueError or YAMLError."""
    if raw.lstrip().startswith(b"{"):
        with contextlib.suppress(ValueError):
            return strictjson.loads(raw)  # clients send JSON under the YAML name; far cheaper to read
    try:
        # BaseLoader's plain scalars would lose numbers; timestamps must stay text.
        value = strictjson.checked(yaml.load(raw, _Loader), len(raw))  # noqa: S506
        return json.loads(json.dumps(value))
    except RecursionError as error:
        raise strictjson.too_deep() from error
    except TypeError as error:
        raise ValueError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """Safe YAML without dates: Kubernetes' times are strings."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclasses.dataclass(frozen=True)
class Form:
    """The shape in which objects are answered: "" as they are, "Table" or "PartialObjectMetadata"."""

    kind: str = ""
    version: str = "v1"
    include: str = "Metadata"  # of Table rows: None, Metadata or Object


def form(request: web.Request) -> Form:
    """Read the Accept header; the first shape that the server can make wins. Raises ApiStatus 406."""
    accept = request.headers.get("Accept", "")
    known = False
    for choice in accept.split(","):
        media, *pairs = [part.strip() for part in choice.split(";")]
        known = known or media in ("", "*/*", "application/json", "application/*")
        given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        kind = given.get("as", "").removesuffix("List")
        if (
            media == "application/json"
            and given.get("g") == "meta.k8s.io"
            and kind in ("Table", "PartialObjectMetadata")
        ):
            return Form(kind, given.get("v", "v1"), request.query.get("includeObject", "Metadata"))
        if media == "application/json" and "as" not in given:
            return Form()
    if known:
        return Form()
    raise ApiStatus(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/json;as=Table",
    )
