# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where connections to an API server come in: open, closed, or open with nobody behind it."""

from __future__ import annotations

import asyncio
import ssl

from aiohttp import web


class _Void(asyncio.Protocol):
    """A connection that is taken and never answered."""

    def __init__(self, taken: list[asyncio.BaseTransport]) -> None:
        self._taken = taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._taken.append(transport)


class Door:
    """The listening socket of a runner that is set up; ``port`` 0 is any free one, and stays the same from then on."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext) -> None:
        self._runner = runner
        self._host = host
        self._port = port
        self._context = context
        self._site: web.TCPSite | None = None
        self._void: asyncio.AbstractServer | None = None
        self._taken: list[asyncio.BaseTransport] = []
        self._how = ""

    async def open(self) -> None:
        """Serve. Raises OSError when the address is taken."""
        self._site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._context)
        await self._site.start()
        self._port = self._site.port

    async def set(self, how: str) -> None:
        """Serve (""), refuse ("refused") or take and never answer ("silent"); a change breaks all connections."""
        if how == self._how:
            return
        self._how = how
        if self._site is not None:
            await self._site.stop()
            self._site = None
            for connection in list(self._runner.server.connections if self._runner.server else ()):
                if connection.transport is not None:
                    connection.transport.abort()
        self.close()
        if how == "silent":
            loop = asyncio.get_running_loop()
            self._void = await loop.create_server(lambda: _Void(self._taken), self._host, self._port)
        elif not how:
            await self.open()

    def close(self) -> None:
        """Let go of what was taken and not answered."""
        if self._void is not None:
            self._void.close()
            self._void = None
        for transport in self._taken:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        self._taken.clear()
