# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""--middleware: ASGI classes, and coroutine functions of (request, call_next), as vLLM takes them."""

from __future__ import annotations

import importlib
import inspect
import typing as t
from collections.abc import Awaitable, Callable

from .app import AsgiApp, Receive, Scope, Send


def wrap(app: AsgiApp, names: list[str]) -> AsgiApp:
    """The application inside of the middlewares named "module.Object"; the last one is outermost.

    Raises ValueError for an object that is neither a class nor a coroutine function,
    ImportError and AttributeError as importing does.
    """
    for name in names:
        module, _unused, attribute = name.rpartition(".")
        imported = getattr(importlib.import_module(module), attribute)
        if inspect.isclass(imported):
            app = t.cast(t.Any, imported)(app)
        elif inspect.iscoroutinefunction(imported):
            app = _FunctionMiddleware(app, imported)
        else:
            raise ValueError(f"Invalid middleware {name}. Must be a function or a class.")
    return app


class HttpRequest:
    """What a function sees of a request."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


class HttpResponse:
    """What a function may change of an answer: its headers."""

    def __init__(self, message: dict[str, t.Any]) -> None:
        self._message = message
        self.status_code: int = message["status"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message.get("headers", [])}

    def start(self) -> dict[str, t.Any]:
        headers = [
            (name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in self.headers.items()
        ]
        return {**self._message, "headers": headers}


class _FunctionMiddleware:
    """Runs a function around the start of each answer; the body passes through unbuffered."""

    def __init__(self, app: AsgiApp, function: Callable[..., Awaitable[HttpResponse]]) -> None:
        self._app = app
        self._function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_changed(message: dict[str, t.Any]) -> None:
            if message["type"] == "http.response.start":
                start = HttpResponse(message)

                async def call_next(request: HttpRequest) -> HttpResponse:
                    return start

                message = (await self._function(HttpRequest(scope), call_next)).start()
            await send(message)

        await self._app(scope, receive, send_changed)
