# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OpenAPI documents: v3 per group version (kubectl apply, explain, validation) and a small v2."""

from __future__ import annotations

import hashlib
import json
import typing as t

from aiohttp import web

from sandbox.kubernetes.requests import not_served
from sandbox.kubernetes.resources import Registry, ResourceType

Json = dict[str, t.Any]

_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation", "pretty")


class Documents:
    """Builds the documents when they are asked for and keeps them until the served types change."""

    def __init__(self, registry: Registry, version: str) -> None:
        self._registry = registry
        self._version = version
        self._generation = -1
        self._cache: dict[str, bytes] = {}

    def _current(self, path: str) -> bytes:
        """The document of "api/v1" or "apis/apps/v1". Raises ApiStatus 404."""
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._cache.clear()
        if path not in self._cache:
            types = [rt for rt in self._registry.all() if _path(rt) == path]
            if not types:
                raise not_served()
            self._cache[path] = json.dumps(document(types, self._version), separators=(",", ":")).encode()
        return self._cache[path]

    async def index(self, request: web.Request) -> web.StreamResponse:
        paths = sorted({_path(rt) for rt in self._registry.all()})
        rows = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._digest(path)}"} for path in paths}
        return web.json_response({"paths": rows})

    def _digest(self, path: str) -> str:
        """Names a group version's content by what it is made of, without building the document."""
        types = sorted((rt for rt in self._registry.all() if _path(rt) == path), key=lambda rt: rt.plural)
        made_of = [(rt.plural, rt.own_schema.openapi() if rt.own_schema else self._version) for rt in types]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest().upper()

    async def v3(self, request: web.Request) -> web.StreamResponse:
        content = self._current(request.match_info["path"])
        headers = {"Content-Type": "application/json", "Vary": "Accept"}
        if "hash" in request.query:
            headers |= {"Cache-Control": "public, immutable", "ETag": f'"{request.query["hash"]}"'}
        return web.Response(body=content, headers=headers)

    async def v2(self, request: web.Request) -> web.StreamResponse:
        """Swagger with the kinds and no fields: clients since 1.27 read v3 for those."""
        title = "Kubernetes"
        if "com.github.proto-openapi.spec.v2" in request.headers.get("Accept", ""):
            info = _field(1, title.encode()) + _field(2, self._version.encode())
            body = _field(1, b"2.0") + _field(2, info) + _field(8, b"")
            media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
            return web.Response(body=body, headers={"Content-Type": media})
        definitions = {}
        for rt in self._registry.all():
            definitions[_component(rt)] = {"type": "object", "x-kubernetes-group-version-kind": [_gvk(rt)]}
        return web.json_response(
            {
                "swagger": "2.0",
                "info": {"title": title, "version": self._version},
                "paths": {},
                "definitions": definitions,
            }
        )


def document(types: list[ResourceType], version: str) -> Json:
    """The OpenAPI v3 document of one group version."""
    schemas: Json = {}
    paths: Json = {}
    for rt in types:
        schemas[_component(rt)] = {**rt.schema.openapi(), "x-kubernetes-group-version-kind": [_gvk(rt)]}
        if rt.verbs != ("create",):
            paths |= _paths(rt)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _paths(rt: ResourceType) -> Json:
    scope = "namespaces/{namespace}/" if rt.namespaced else ""
    collection = f"/{_path(rt)}/{scope}{rt.plural}"
    reference = {"$ref": f"#/components/schemas/{_component(rt)}"}
    content = {"application/json": {"schema": reference}}
    common: Json = {
        "x-kubernetes-group-version-kind": _gvk(rt),
        "responses": {"200": {"description": "OK", "content": content}},
    }
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in _WRITE_OPTIONS
    ]
    force = {"name": "force", "in": "query", "schema": {"type": "boolean", "uniqueItems": True}}
    kinds = [kind for kind in _PATCHES if not (rt.custom and "strategic" in kind)]
    return {
        collection: {
            "get": {**common, "x-kubernetes-action": "list"},
            "post": {
                **common,
                "x-kubernetes-action": "post",
                "parameters": parameters,
                "requestBody": {"content": content},
            },
        },
        f"{collection}/{{name}}": {
            "get": {**common, "x-kubernetes-action": "get"},
            "put": {
                **common,
                "x-kubernetes-action": "put",
                "parameters": parameters,
                "requestBody": {"content": content},
            },
            "delete": {**common, "x-kubernetes-action": "delete"},
            "patch": {
                **common,
                "x-kubernetes-action": "patch",
                "parameters": [*parameters, force],
                "requestBody": {"content": {kind: {"schema": {"type": "object"}} for kind in kinds}},
            },
        },
    }


def _path(rt: ResourceType) -> str:
    return f"apis/{rt.group}/{rt.version}" if rt.group else f"api/{rt.version}"


def _component(rt: ResourceType) -> str:
    """Component names read as reversed host names: io.k8s.apps.v1.Deployment."""
    host = ".".join(reversed((rt.group if "." in rt.group else f"{rt.group}.k8s.io").strip(".").split(".")))
    return f"{host}.{rt.version}.{rt.kind}"


def _gvk(rt: ResourceType) -> Json:
    return {"group": rt.group, "version": rt.version, "kind": rt.kind}


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content
