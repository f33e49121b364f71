# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Startup, readiness and liveness probes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp

from ..interfaces import Json
from ..latency import Latency

_SHORTEST_PERIOD = 0.2
# An exec probe starts a process each time: scaled down like the others it would keep a core busy.
_SHORTEST_EXEC_PERIOD = 1.0

Execute = Callable[[list[str]], Awaitable[int]]


class Prober:
    """Asks one container; ``execute`` runs a command in it and returns the exit code."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        latency: Latency,
        address: str,
        container: Json,
        execute: Execute,
        node_up: asyncio.Event,
    ) -> None:
        self._session = session
        self._latency = latency
        self._address = address
        self._container = container
        self._execute = execute
        self._node_up = node_up

    async def verdicts(self, probe: Json) -> AsyncGenerator[tuple[bool, str], None]:
        """(True, "") or (False, why) after every probe that confirms as many before it as the threshold says."""
        await asyncio.sleep((probe.get("initialDelaySeconds") or 0) * self._latency.scale)
        shortest = _SHORTEST_EXEC_PERIOD if "exec" in probe else _SHORTEST_PERIOD
        period = max(shortest, (probe.get("periodSeconds") or 10) * self._latency.scale)
        thresholds = {True: probe.get("successThreshold") or 1, False: probe.get("failureThreshold") or 3}
        good, row = True, 0
        while True:
            await self._node_up.wait()
            why = await self._ask(probe)
            if not self._node_up.is_set():
                continue  # who asked is gone
            good, row = (not why), (row + 1 if good == (not why) else 1)
            if row >= thresholds[good]:
                yield good, why
            await asyncio.sleep(period)

    async def _ask(self, probe: Json) -> str:
        """Why the probe fails; "" when it succeeds."""
        timeout = probe.get("timeoutSeconds") or 1
        try:
            async with asyncio.timeout(timeout):
                if "httpGet" in probe:
                    return await self._http(probe["httpGet"])
                if "exec" in probe:
                    code = await self._execute(probe["exec"].get("command") or [])
                    return f"command exited with {code}" if code else ""
                ports = probe.get("tcpSocket") or probe.get("grpc") or {}
                return await self._connect(ports.get("host") or self._address, self.port(ports["port"]))
        except TimeoutError:
            return f"no answer within {timeout}s"
        except (aiohttp.ClientError, OSError) as error:
            return str(error) or type(error).__name__

    async def _http(self, get: Json) -> str:
        host = get.get("host") or self._address
        scheme = (get.get("scheme") or "HTTP").lower()
        path = "/" + (get.get("path") or "").lstrip("/")
        headers = {"User-Agent": "kube-probe/1.34"}
        headers |= {header["name"]: header["value"] for header in get.get("httpHeaders") or []}
        url = f"{scheme}://{host}:{self.port(get['port'])}{path}"
        async with self._session.get(url, headers=headers, allow_redirects=False, ssl=False) as answer:
            if 200 <= answer.status < 400:
                return ""
            return f"HTTP probe failed with statuscode: {answer.status}"

    async def _connect(self, host: str, port: int) -> str:
        _unused, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return ""

    def port(self, port: int | str) -> int:
        """A number, or the number of the container's port of that name. Raises OSError for an unknown name."""
        if isinstance(port, int) or port.isdigit():
            return int(port)
        for known in self._container.get("ports") or []:
            if known.get("name") == port:
                return int(known["containerPort"])
        raise OSError(f"couldn't find port: {port}")
