# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that answers late, or in part, while it looks healthy: as the sandbox's kubelet tells it in a file."""

from __future__ import annotations

import asyncio
import json
import typing as t

from .app import AsgiApp, Receive, Scope, Send


class _Cut(Exception):
    """The answer ends here; uvicorn closes the connection of one that is not complete."""


class Ailing:
    """``file``: JSON with any of ``first`` and ``between`` (seconds before the first byte, and before each further
    piece) and ``pieces`` (after which the connection breaks); without the file nothing is wrong."""

    def __init__(self, app: AsgiApp, file: str) -> None:
        self._app = app
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrong = self._wrong() if scope["type"] == "http" and scope["path"].startswith("/v1/") else {}
        if not wrong:
            await self._app(scope, receive, send)
            return
        sent = 0

        async def send_ailing(message: dict[str, t.Any]) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                await asyncio.sleep(wrong.get("first", 0))
                await send(message)
                return
            if sent:
                await asyncio.sleep(wrong.get("between", 0))
            if "pieces" in wrong and (sent >= wrong["pieces"] or not message.get("more_body")):
                body = message.get("body", b"")
                await send({**message, "body": body[: len(body) // 2], "more_body": True})
                raise _Cut
            sent += 1
            await send(message)

        try:
            await self._app(scope, receive, send_ailing)
        except _Cut:
            return

    def _wrong(self) -> dict[str, t.Any]:
        try:
            with open(self._file, encoding="utf-8") as file:
                return t.cast("dict[str, t.Any]", json.load(file))
        except (FileNotFoundError, ValueError):
            return {}
