# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reverse proxy on loopback that the collection's api_endpoints point to: it passes on, and writes down.

It holds no credentials: requests bring their own. Its address is good for one play only, so that what a killed play
has left running reaches nobody.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import time
import typing as t
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import BASE_PATHS

Json = dict[str, t.Any]

# What belongs to a connection and not to a request, and what our own HTTP client says itself.
DROPPED = ("accept-encoding", "connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade")
KEPT = ("content-type", "etag", "location", "retry-after", "www-authenticate")
LARGEST_BODY = 64 * 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=120)


class Lost(aiohttp.ClientError):
    """The connection broke before an answer came."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The HTTP client must not repeat what broke, as it would: the modules decide that, and it is to be recorded."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Lost(str(error)) from error


class Recorder:
    """``upstream``: base URL by service, Google's own where it names none.

    ``before`` is called with each request before it is passed on, ``after`` with its record; ``tokens`` with what
    authorises it.
    """

    def __init__(
        self,
        upstream: dict[str, str],
        *,
        before: Callable[[Json], None],
        after: Callable[[Json], None],
        tokens: Callable[[str], None],
    ) -> None:
        self._upstream = {service: upstream.get(service) or googles(service) for service in BASE_PATHS}
        self._before = before
        self._after = after
        self._tokens = tokens
        self._key = ""
        self._port = 0
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port of 127.0.0.1 until the end of the block."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{key}/{service}/{rest:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        try:
            # As the collection does, it goes by the proxy that the environment names.
            async with aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True, middlewares=[_once]) as self._session:
                yield
        finally:
            await runner.cleanup()

    @contextlib.contextmanager
    def play(self) -> t.Iterator[dict[str, str]]:
        """The endpoints for one play; afterwards they lead nowhere."""
        self._key = secrets.token_urlsafe(24)
        try:
            yield {service: f"http://127.0.0.1:{self._port}/{self._key}/{service}/" for service in BASE_PATHS}
        finally:
            self._key = ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        service = request.match_info["service"]
        if not self._key or not secrets.compare_digest(request.match_info["key"], self._key):
            return web.json_response({"error": {"code": 403, "message": "this play is over"}}, status=403)
        if service not in self._upstream:
            return web.json_response({"error": {"code": 404, "message": f"no service {service}"}}, status=404)
        rest = request.raw_path.split("/", 3)[3]
        content = await request.read()
        record: Json = {
            "method": request.method,
            "url": googles(service) + rest,
            "service": service,
            "request": parsed(content),
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        self._tokens(request.headers.get("Authorization", "").partition(" ")[2])
        self._before(record)
        began = time.monotonic()
        try:
            status, headers, body = await self._pass_on(request, self._upstream[service] + rest, content)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._after({**record, "status": 0, "response": {"lost": type(error).__name__}, "seconds": _since(began)})
            # Nobody has answered, so nobody answers here either.
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
        self._after({**record, "status": status, "response": parsed(body), "seconds": _since(began)})
        return web.Response(status=status, headers=headers, body=body)

    async def _pass_on(self, request: web.Request, url: str, content: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
        async with self._session.request(
            request.method, url, headers=headers, data=content or None, allow_redirects=False
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() in KEPT}
            return answer.status, kept, await answer.read()


def googles(service: str) -> str:
    return f"https://{service}.googleapis.com{BASE_PATHS[service]}"


def parsed(content: bytes) -> t.Any:
    """The JSON in a body; None for none, and only its size for anything else."""
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return {"bytes": len(content)}


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
