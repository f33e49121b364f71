# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The REST routes of the API server: every request under /api and /apis, and the few that are no resources."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import typing as t
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from sandbox.kubernetes import builtin, discovery, objects, openapi, scale, subresources, table
from sandbox.kubernetes.errors import ApiStatus, bad_request
from sandbox.kubernetes.operations import APPLY, Operations, Options
from sandbox.kubernetes.requests import Form, Target, body, flag, form, not_served, number, options, resolve
from sandbox.kubernetes.resources import ResourceType
from sandbox.kubernetes.schema import Schema
from sandbox.kubernetes.selectors import field_selector, label_selector
from sandbox.kubernetes.store import key_of
from sandbox.kubernetes.watch import Watch

Json = dict[str, t.Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger(__name__)
# What kube-apiserver shows to anybody (the role system:public-info-viewer).
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version")


class Routes:
    def __init__(self, operations: Operations, *, token: str, version: str, address: str, directory: Path) -> None:
        self._ops = operations
        self._registry = operations.registry
        self._token = token
        self._version = version
        self._address = address
        self._directory = directory
        self._documents = openapi.Documents(operations.registry, version)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=8 * 1024 * 1024)
        for path in ("/healthz", "/livez", "/readyz", "/healthz/{check:.*}", "/livez/{check:.*}", "/readyz/{check:.*}"):
            app.router.add_get(path, self._health)
        app.router.add_get("/version", self._show_version)
        app.router.add_get("/version/", self._show_version)
        app.router.add_get("/openapi/v2", self._documents.v2)
        app.router.add_get("/openapi/v3", self._documents.index)
        app.router.add_get("/openapi/v3/{path:.+}", self._documents.v3)
        app.router.add_route("*", "/{path:.*}", self._route)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Authenticate, and answer every refusal as a Status object."""
        try:
            scheme, _unused, given = request.headers.get("Authorization", "").partition(" ")
            public = request.path.startswith(_PUBLIC)
            if not public and not (scheme == "Bearer" and _same(given, self._token)):
                raise ApiStatus(401, "Unauthorized", "Unauthorized")
            return await handler(request)
        except ApiStatus as error:
            return answer(error.body(), error.code)
        except web.HTTPRequestEntityTooLarge:
            message = "Request entity too large: limit is 8388608"
            return answer(ApiStatus(413, "RequestEntityTooLarge", message).body(), 413)
        except web.HTTPException as error:
            return answer(
                not_served().body() if error.status == 404 else bad_request(error.reason).body(), error.status
            )
        except Exception as error:
            _LOG.exception("%s %s", request.method, request.path)
            message = f"Internal error occurred: {type(error).__name__}: {error}"
            return answer(ApiStatus(500, "InternalError", message).body(), 500)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _show_version(self, request: web.Request) -> web.StreamResponse:
        git = self._version if self._version.startswith("v") else f"v{self._version}"
        major, minor = git[1:].split(".")[:2]
        return answer(
            {
                "major": major,
                "minor": minor,
                "gitVersion": git,
                "gitCommit": "0" * 40,
                "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z",
                "goVersion": "go1.25.0",
                "compiler": "gc",
                "platform": "linux/amd64",
            }
        )

    async def _route(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if parts[0] not in ("api", "apis"):
            raise not_served()
        depth = 2 if parts[0] == "api" else 3
        if len(parts) <= depth:
            return self._discover(request, parts)
        target = resolve(self._registry, request.path)
        handle = _HANDLERS.get((request.method, bool(target.name), target.subresource if target.subresource else ""))
        if target.subresource in _SPECIAL:
            return await self._special(request, target)
        if handle is None or not _allowed(request.method, target):
            raise ApiStatus(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
                objects.details(target.rt, target.name),
            )
        return await handle(self, request, target)

    def _discover(self, request: web.Request, parts: list[str]) -> web.Response:
        if request.method != "GET":
            raise ApiStatus(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if len(parts) == 1:
            wanted = discovery.wants_aggregated(request)
            if wanted:
                found = discovery.aggregated(self._registry, wanted, core=parts[0] == "api")
                media = f"application/json;g=apidiscovery.k8s.io;v={wanted};as=APIGroupDiscoveryList"
                return answer(found, media=media)
            core = parts[0] == "api"
            return answer(discovery.api_versions(self._address) if core else discovery.group_list(self._registry))
        if parts[0] == "api":
            return answer(discovery.resource_list(self._registry, "", parts[1]))
        if len(parts) == 2:
            return answer(discovery.group(self._registry, parts[1]))
        return answer(discovery.resource_list(self._registry, parts[1], parts[2]))

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        rt, shape = target.rt, form(request)
        chosen = self._selection(request, rt)
        since = request.query.get("resourceVersion", "")
        if since and not since.isdigit():
            raise bad_request(f'invalid resource version "{since}"')
        if flag(request, "watch"):
            return await self._watch(request, target, chosen, shape, since)
        if since and int(since) > self._ops.store.revision:
            message = f"Too large resource version: {since}, current: {self._ops.store.revision}"
            raise ApiStatus(504, "Timeout", message, {"retryAfterSeconds": 1})
        namespace = target.namespace if rt.namespaced else ""
        rows = [objects.convert(rt, obj) for obj in self._ops.store.items(rt.table, namespace)]
        rows = [obj for obj in rows if chosen(obj)]
        rows, metadata = self._page(request, rows)
        return answer(shaped_list(rt, rows, metadata, shape))

    def _selection(self, request: web.Request, rt: ResourceType) -> Callable[[Json], bool]:
        tests = [
            test
            for test in (
                label_selector(request.query.get("labelSelector", "")),
                field_selector(request.query.get("fieldSelector", ""), rt.kind, rt.selectable),
            )
            if test
        ]
        return lambda obj: all(test(obj) for test in tests)

    def _page(self, request: web.Request, rows: list[Json]) -> tuple[list[Json], Json]:
        """Cut the rows to ``limit``; the continue token names the last key given and the list's revision."""
        revision = str(self._ops.store.revision)
        token = request.query.get("continue", "")
        if token:
            revision, *last = _continued(token)
            rows = [obj for obj in rows if key_of(obj) > tuple(last)]
        metadata: Json = {"resourceVersion": revision}
        limit = number(request, "limit")
        if limit and len(rows) > limit:
            metadata["remainingItemCount"] = len(rows) - limit
            rows = rows[:limit]
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps([revision, *key_of(rows[-1])]).encode()).decode()
        return rows, metadata

    async def _watch(
        self, request: web.Request, target: Target, chosen: Callable[[Json], bool], shape: Form, since: str
    ) -> web.StreamResponse:
        initial = flag(request, "sendInitialEvents") if "sendInitialEvents" in request.query else None
        watch = Watch(self._ops.store, target.rt, target.namespace, chosen, lambda obj: shaped(target.rt, obj, shape))
        return await watch.serve(
            request,
            since=since,
            initial=initial,
            bookmarks=flag(request, "allowWatchBookmarks"),
            timeout=number(request, "timeoutSeconds"),
        )

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        obj = self._ops.get(target.rt, target.namespace, target.name)
        return answer(shaped(target.rt, obj, form(request)))

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        given, opts = await _object(request), options(request)
        if target.rt.verbs == ("create",):
            return answer(subresources.review(target.rt, _typed(given, target.rt.schema)), 201)
        obj = self._ops.create(target.rt, target.namespace, given, opts)
        return answer(shaped(target.rt, obj, form(request)), 201, opts)

    async def _update(self, request: web.Request, target: Target) -> web.StreamResponse:
        given, opts = await _object(request), options(request)
        obj = self._ops.update(target.rt, target.namespace, target.name, given, opts, target.subresource)
        return answer(shaped(target.rt, obj, form(request)), 200, opts)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        given, opts = await body(request, patch=True), options(request)
        media = request.headers.get("Content-Type", "").partition(";")[0].strip()
        if media == APPLY and "fieldManager" not in request.query:
            raise bad_request(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        obj, created = self._ops.patch(target.rt, target.namespace, target.name, media, given, opts, target.subresource)
        return answer(shaped(target.rt, obj, form(request)), 201 if created else 200, opts)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        given, opts = await _delete_options(request), options(request)
        opts.dry_run = opts.dry_run or given.get("dryRun") == ["All"]
        obj, gone = self._ops.delete(target.rt, target.namespace, target.name, given, opts)
        if gone and not target.rt.answers_deleted:
            details = {**objects.details(target.rt, target.name), "uid": obj["metadata"]["uid"]}
            return answer(subresources.success(details))
        return answer(shaped(target.rt, obj, form(request)))

    async def _delete_collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        given, opts = await _delete_options(request), options(request)
        chosen = self._selection(request, target.rt)
        rows = self._ops.delete_collection(target.rt, target.namespace, chosen, given, opts)
        metadata = {"resourceVersion": str(self._ops.store.revision)}
        return answer(shaped_list(target.rt, rows, metadata, form(request)))

    async def _special(self, request: web.Request, target: Target) -> web.StreamResponse:
        rt, opts = target.rt, options(request)
        live = self._ops.get(rt, target.namespace, target.name)
        if target.subresource == "log" and request.method == "GET":
            return await subresources.log(request, self._ops.store, live, self._directory)
        if target.subresource == "binding" and request.method == "POST":
            return answer(subresources.bind(self._ops, rt, live, _typed(await _object(request), _BINDING), opts), 201)
        if target.subresource == "eviction" and request.method == "POST":
            given = _typed(await _object(request), _EVICTION)
            return answer(subresources.evict(self._ops, rt, live, given, opts), 201)
        if target.subresource == "scale" and request.method in ("GET", "PUT", "PATCH"):
            return await self._scale(request, rt, live, opts)
        raise ApiStatus(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    async def _scale(self, request: web.Request, rt: ResourceType, live: Json, opts: Options) -> web.Response:
        if request.method == "GET":
            return answer(scale.scale_of(rt, live))
        media = None
        if request.method == "PATCH":
            media = request.headers.get("Content-Type", "").partition(";")[0].strip()
        given = await body(request, patch=True) if media is not None else await _object(request)
        live = self._ops.get(rt, live["metadata"].get("namespace", ""), live["metadata"]["name"])
        return answer(scale.write(self._ops, rt, live, media, given, opts), 200, opts)


_BINDING = Schema(builtin.document("", "v1", "Binding") or {}, native=True)
_EVICTION = Schema(builtin.document("policy", "v1", "Eviction") or {}, native=True)
_DELETE_OPTIONS = Schema(_EVICTION.openapi()["properties"]["deleteOptions"], native=True)
_SPECIAL = ("log", "binding", "eviction", "scale")
_HANDLERS: dict[tuple[str, bool, str], Callable[[Routes, web.Request, Target], Awaitable[web.StreamResponse]]] = {
    ("GET", False, ""): Routes._list,
    ("POST", False, ""): Routes._create,
    ("DELETE", False, ""): Routes._delete_collection,
    ("GET", True, ""): Routes._get,
    ("PUT", True, ""): Routes._update,
    ("PATCH", True, ""): Routes._patch,
    ("DELETE", True, ""): Routes._delete,
    ("GET", True, "status"): Routes._get,
    ("PUT", True, "status"): Routes._update,
    ("PATCH", True, "status"): Routes._patch,
    ("PUT", True, "finalize"): Routes._update,
}


def _allowed(method: str, target: Target) -> bool:
    """A namespaced kind is written in a namespace; reviews are only created."""
    if target.rt.verbs == ("create",) and method != "POST":
        return False
    return not (target.rt.namespaced and not target.namespace and method in ("POST", "DELETE"))


def _typed(given: Json, schema: Schema) -> Json:
    """``given``, an object of this schema without nulls. Raises ApiStatus 400."""
    if wrong := schema.mistyped(given):
        raise bad_request(wrong)
    return schema.normalise(given)


def _continued(token: str) -> list[str]:
    """Revision, namespace and name in a continue token. Raises ApiStatus 400."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as error:
        raise bad_request("continue key is not valid") from error
    if not isinstance(parts, list) or len(parts) != 3 or not all(isinstance(part, str) for part in parts):
        raise bad_request("continue key is not valid")
    return parts


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


async def _object(request: web.Request) -> Json:
    given = await body(request)
    if not isinstance(given, dict):
        raise bad_request("the object provided is unrecognized: the body must be a JSON or YAML object")
    return given


async def _delete_options(request: web.Request) -> Json:
    """DeleteOptions of the body, or of the query where the body is silent."""
    given = await body(request)
    found = _typed(given if isinstance(given, dict) else {}, _DELETE_OPTIONS)
    if "propagationPolicy" in request.query:
        found.setdefault("propagationPolicy", request.query["propagationPolicy"])
    grace = number(request, "gracePeriodSeconds")
    if grace is not None:
        found.setdefault("gracePeriodSeconds", grace)
    if found.get("propagationPolicy") not in (None, "", "Background", "Foreground", "Orphan"):
        raise bad_request(
            f'propagationPolicy: Unsupported value: "{found["propagationPolicy"]}": supported values: '
            '"Background", "Foreground", "Orphan"'
        )
    return found


def shaped(rt: ResourceType, obj: Json, shape: Form) -> Json:
    if shape.kind == "Table":
        return table.as_table(rt, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")}, shape)
    if shape.kind == "PartialObjectMetadata":
        return table.metadata_only(obj)
    return obj


def shaped_list(rt: ResourceType, rows: list[Json], metadata: Json, shape: Form) -> Json:
    if shape.kind == "Table":
        return table.as_table(rt, rows, metadata, shape)
    if shape.kind == "PartialObjectMetadata":
        items = [table.metadata_only(obj) for obj in rows]
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return {**kind, "metadata": metadata, "items": items}
    if not rt.custom:  # lists of builtin kinds say the kind once, as kube-apiserver's do
        rows = [{name: value for name, value in obj.items() if name not in ("kind", "apiVersion")} for obj in rows]
    return {"kind": rt.list_kind, "apiVersion": rt.api_version, "metadata": metadata, "items": rows}


def answer(
    document: Json, code: int = 200, opts: Options | None = None, media: str = "application/json"
) -> web.Response:
    """A JSON response with the warnings that the request collected."""
    response = web.Response(body=json.dumps(document, separators=(",", ":")).encode() + b"\n", status=code)
    response.headers["Content-Type"] = media
    response.headers["Cache-Control"] = "no-cache, private"
    for warning in dict.fromkeys(opts.warnings if opts else ()):
        if not warning.isprintable():
            continue  # kube-apiserver, too, sends no warning that is no header
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{text}"')
    return response
