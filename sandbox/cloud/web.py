# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every service of the cloud shares: a call, a service with its routes, and the way an answer is written."""

from __future__ import annotations

import dataclasses
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from ..catalogue.apis import TITLES
from ..catalogue.places import is_region, is_zone
from ..catalogue.quotas import Quotas
from ..faults import Faults
from ..interfaces import Hit, Json, Place
from ..interference import pass_through
from ..latency import Latency
from . import bodies
from .engine import Engine
from .errors import (
    Refusal,
    Style,
    broken,
    internal,
    invalid,
    lacking,
    not_found,
    service_disabled,
    unauthenticated,
)
from .store import Project, Store

LOG = logging.getLogger("sandbox.cloud")

API = re.compile(r"/(?P<name>[a-z]+)/v\d\w*/[^/]")  # how a path of an API begins
Answer = Json | web.StreamResponse
Handler = Callable[["Call"], Awaitable[Answer]]
Route = tuple[str, str, Handler]


@dataclasses.dataclass
class Call:
    """One authenticated request: path parameters, query and, where the path names one, the project.

    ``body``: the JSON object as it came; handlers look at it through ``read``, which knows what it may hold.
    """

    request: web.Request
    params: dict[str, str]
    query: dict[str, str]
    body: Json
    project: Project

    @property
    def version(self) -> str:
        return self.params.get("version", "v1")

    def read(self, shape: bodies.Shape, where: str = "", *, lenient: bool = False) -> Json:
        """The body as the message that ``shape`` declares. Raises Refusal 400."""
        return bodies.read(self.body, shape, where, lenient=lenient, patch=self.request.method == "PATCH")


@dataclasses.dataclass(frozen=True)
class Platform:
    """What all services stand on."""

    store: Store
    engine: Engine
    latency: Latency
    faults: Faults
    quotas: Quotas = dataclasses.field(default_factory=Quotas)


class Service:
    """A Google API: its name, its error style and its routes below ``base``."""

    name = ""
    base = ""
    style: Style = "plain"
    # Below what paths this API lies where that is not its base; what is there and no route is lacking.
    roots: Sequence[str] = ()

    def __init__(self, platform: Platform) -> None:
        self.store = platform.store
        self.engine = platform.engine
        self.latency = platform.latency
        self.faults = platform.faults
        self.quotas = platform.quotas

    def routes(self) -> Sequence[Route]:
        """(method, path below the base, handler); the first match wins."""
        raise NotImplementedError

    def install(self, app: web.Application, token: str) -> None:
        for method, path, handler in self.routes():
            app.router.add_route(method, f"/{self.base}{path}", self._answer(handler, token))

    def install_rest(self, app: web.Application, token: str) -> None:
        """Take what no service has a route for; to be called when all of them are installed."""
        for root in self.roots or (self.base,):
            app.router.add_route("*", f"/{root}{{version:v[^/:]+}}{{rest:[/:].+}}", self._answer(self._lacking, token))

    async def _lacking(self, call: Call) -> Json:
        path = call.request.path
        if "//" in path or path.endswith("/"):
            raise no_such_url(path)
        raise lacking(f"{call.request.method} {path}")

    def _answer(self, handler: Handler, token: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                result = await handler(await self._call(request))
            except Refusal as error:
                return respond(error.body(self.style), error.code)
            except web.HTTPException:
                raise
            except Exception:
                LOG.exception("%s %s", request.method, request.path)
                return respond(internal().body(self.style), 500)
            if isinstance(result, web.StreamResponse):
                return result
            return respond(select(result, request.query.get("fields", "")))

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                self.authenticate(request, token)
            except Refusal as error:
                return respond(error.body(self.style), error.code)
            return await pass_through(self.faults, self._where(request), request, self._broken, lambda: handle(request))

        return answer

    def authenticate(self, request: web.Request, token: str) -> None:
        """Raises Refusal 401."""
        authenticate(request, token)

    def _where(self, request: web.Request) -> Place:
        path = request.path.removeprefix(f"/{self.base}")
        location = next((part for part in path.split("/") if is_region(part) or is_zone(part)), "")
        return Place(self.name.partition(".")[0], request.method, path, location)

    def _broken(self, hit: Hit) -> web.Response:
        """An error that a fault asked for."""
        refusal = broken(hit.settings["code"], self.name, self.store.main.number)
        return respond(refusal.body(self.style), refusal.code)

    def late(self, identity: str) -> float:
        """Seconds after which an identity comes that Google has promised just now; 0 unless a fault holds it up."""
        hit = self.faults.strike(Place(resource=identity), "identity-late")
        return float(hit.settings["seconds"]) if hit else 0.0

    async def _call(self, request: web.Request) -> Call:
        name = request.match_info.get("project") or request.query.get("project") or self.store.main.id
        project = self.project(name)
        self.check_enabled(project)
        project.called.add(self.name)
        return Call(request, dict(request.match_info), dict(request.query), await read_body(request), project)

    def project(self, name: str) -> Project:
        return self.store.project(name)

    def check_enabled(self, project: Project) -> None:
        """Raises Refusal 403 SERVICE_DISABLED."""
        if self.name not in project.services:
            raise service_disabled(self.name, TITLES.get(self.name, self.name), project.number)


def authenticate(request: web.Request, token: str) -> None:
    """Raises Refusal 401."""
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise unauthenticated()


def is_upload(path: str) -> bool:
    """Two paths lead to the same; https://www.googleapis.com/discovery/v1/apis/storage/v1/rest has both."""
    return path.startswith(("/upload/", "/resumable/upload/"))


async def read_body(request: web.Request) -> Json:
    """The JSON object in the body, {} when there is none; other media are left for the handler to read."""
    if not request.body_exists or is_upload(request.path):
        return {}
    return bodies.decode(await content(request))


async def content(request: web.Request) -> bytes:
    """The body as it was before its Content-Encoding. Raises Refusal 400 when it cannot be undone."""
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise invalid("Request body does not match its Content-Encoding.") from error


def respond(body: Json, code: int = 200) -> web.Response:
    text = json.dumps(body, indent=2) + "\n"
    return web.Response(text=text, status=code, content_type="application/json", charset="UTF-8")


def refused_early(request: web.Request, error: web.HTTPException) -> web.Response:
    """What the HTTP server itself refuses, in Google's JSON."""
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return respond(Refusal("PAYLOAD_TOO_LARGE", "Request payload size exceeds the limit.").body("both"), 413)
    api = API.match(request.path)
    refusal = lacking(f"the API {api['name']}") if api else no_such_url(request.path)
    return respond(refusal.body("both"), refusal.code)


def no_such_url(path: str) -> Refusal:
    """What Google's own front end says of a path that no API has."""
    return not_found(f"The requested URL {path} was not found on this server.")


def select(document: Json, fields: str) -> Json:
    """The partial response that the query parameter ``fields`` asks for: "a,b/c,d(e,f)"; "" or "*" is all."""
    if not fields or fields == "*":
        return document
    chosen: Json = {}
    for item in split_fields(fields):
        head, rest = split_field(item)
        if head not in document:
            continue
        value = document[head]
        if rest and isinstance(value, list):
            parts = [select(entry, rest) if isinstance(entry, dict) else entry for entry in value]
            old = chosen.get(head)
            chosen[head] = [united(a, b) for a, b in zip(old, parts, strict=True)] if old else parts
        elif rest and isinstance(value, dict):
            chosen[head] = {**chosen.get(head, {}), **select(value, rest)}
        else:
            chosen[head] = value
    return chosen


def united(one: object, other: object) -> object:
    """Two selections of the same part."""
    return {**one, **other} if isinstance(one, dict) and isinstance(other, dict) else other


def split_fields(fields: str) -> list[str]:
    """Split at the commas outside parentheses."""
    items, depth, current = [], 0, ""
    for char in fields:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            items.append(current)
            current = ""
        else:
            current += char
    return [*items, current]


def split_field(item: str) -> tuple[str, str]:
    for index, char in enumerate(item):
        if char == "/":
            return item[:index], item[index + 1 :]
        if char == "(":
            return item[:index], item[index + 1 : -1]
    return item, ""
