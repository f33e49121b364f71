# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vLLM's HTTP API as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import typing as t
from collections.abc import AsyncGenerator, Awaitable, Callable

from .. import __version__
from . import protocol, text
from .engine import Engine
from .protocol import ApiError, Asked, Json, Served

Scope = dict[str, t.Any]
Receive = Callable[[], Awaitable[dict[str, t.Any]]]
Send = Callable[[dict[str, t.Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = b"application/json"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"
_EVENTS = b"text/event-stream; charset=utf-8"


class Application:
    """The routes; everything else is answered as FastAPI does."""

    def __init__(self, engine: Engine, served: Served) -> None:
        self._engine = engine
        self._served = served
        self._routes: dict[str, dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
            "/health": {"GET": self._empty},
            "/ping": {"GET": self._empty, "POST": self._empty},
            "/version": {"GET": self._version},
            "/metrics": {"GET": self._metrics},
            "/v1/models": {"GET": self._models},
            "/tokenize": {"POST": self._tokenize},
            "/v1/completions": {"POST": self._completions},
            "/v1/chat/completions": {"POST": self._chat_completions},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self._routes.get(scope["path"])
        if methods is None:
            await respond(send, 404, {"detail": "Not Found"})
        elif scope["method"] not in methods:
            await respond(send, 405, {"detail": "Method Not Allowed"}, [(b"allow", ", ".join(methods).encode())])
        else:
            try:
                await methods[scope["method"]](scope, receive, send)
            except ApiError as error:
                await respond(send, error.status, error.body)

    async def _empty(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, b"", None)

    async def _version(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, {"version": __version__})

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, protocol.models(self._served))

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, self._engine.metrics.expose().encode(), _METRICS)

    async def _tokenize(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_json(scope, receive)
        words = text.tokens(str(body.get("prompt", ""))) if isinstance(body, dict) else []
        count = {"count": len(words), "max_model_len": self._served.max_model_len}
        await respond(send, 200, {**count, "tokens": [hash(word) % 2**18 for word in words], "token_strs": None})

    async def _completions(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(protocol.parse(await read_json(scope, receive), self._served, chat=False), receive, send)

    async def _chat_completions(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(protocol.parse(await read_json(scope, receive), self._served, chat=True), receive, send)

    async def _answer(self, asked: Asked, receive: Receive, send: Send) -> None:
        """Answer until done or until the client has gone, which aborts the generation."""
        work = asyncio.ensure_future(self._stream(asked, send) if asked.stream else self._whole(asked, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
        finally:
            gone.cancel()
            work.cancel()

    async def _whole(self, asked: Asked, send: Send) -> None:
        async def one(index: int) -> tuple[Json, int]:
            words, tokens, finish, stopped_by = [], 0, None, None
            async with contextlib.aclosing(self._engine.generate(asked.requests[index])) as pieces:
                async for piece in pieces:
                    words.append(piece.text)
                    tokens += piece.tokens
                    finish, stopped_by = piece.finish, piece.stopped_by
            return protocol.choice(asked, index, "".join(words), finish, stopped_by), tokens

        answers = await asyncio.gather(*(one(index) for index in range(len(asked.requests))))
        prompt_tokens = sum(request.prompt_tokens for request in asked.requests)
        used = protocol.usage(prompt_tokens, sum(tokens for _unused, tokens in answers))
        await respond(send, 200, protocol.whole(asked, [choice for choice, _unused in answers], used))

    async def _stream(self, asked: Asked, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", _EVENTS)]})
        async with contextlib.aclosing(self._events(asked)) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": _event(json.dumps(event)), "more_body": True})
        await send({"type": "http.response.body", "body": _event("[DONE]"), "more_body": False})

    async def _events(self, asked: Asked) -> AsyncGenerator[Json, None]:
        prompt_tokens = sum(request.prompt_tokens for request in asked.requests)
        tokens = 0

        def used() -> Json | None:
            return protocol.usage(prompt_tokens, tokens) if asked.continuous_usage else None

        for index, request in enumerate(asked.requests):
            if asked.chat:
                role = protocol.delta(asked, index, {"role": "assistant", "content": ""})
                yield protocol.chunk(asked, [role], used())
            async with contextlib.aclosing(self._engine.generate(request)) as pieces:
                async for piece in pieces:
                    tokens += piece.tokens
                    part = protocol.delta(asked, index, {"content": piece.text}, piece.finish, piece.stopped_by)
                    yield protocol.chunk(asked, [part], used())
        if asked.include_usage:
            yield protocol.chunk(asked, [], protocol.usage(prompt_tokens, tokens))


class RequireKey:
    """--api-key: everything below /v1 needs one of the keys as bearer."""

    def __init__(self, app: AsgiApp, keys: list[str]) -> None:
        self._app = app
        self._accepted = [f"Bearer {key}".encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1"):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not any(hmac.compare_digest(given, accepted) for accepted in self._accepted):
                await respond(send, 401, {"error": "Unauthorized"})
                return
        await self._app(scope, receive, send)


async def read_json(scope: Scope, receive: Receive) -> t.Any:
    """The request's body. Raises ApiError when it is not JSON or not called so."""
    kind = dict(scope["headers"]).get(b"content-type", _JSON).split(b";")[0].strip().lower()
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if kind != _JSON:
        raise ApiError(400, "Bad Request", "Unsupported Media Type: Only 'application/json' is allowed")
    try:
        return json.loads(body)
    except ValueError as error:
        details = [{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error", "ctx": {"error": str(error)}}]
        raise ApiError(400, "Bad Request", str(details)) from error


async def respond(send: Send, status: int, body: Json, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    await send_body(send, status, json.dumps(body).encode(), _JSON, headers)


async def send_body(
    send: Send, status: int, body: bytes, kind: bytes | None, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    lines = [(b"content-length", str(len(body)).encode()), *(headers or [])]
    if kind:
        lines.append((b"content-type", kind))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()
