# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded Kubernetes API server: one per cluster, TLS on the cluster's own loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from sandbox.interfaces import ClusterAccess
from sandbox.kubernetes import tls
from sandbox.kubernetes.bootstrap import populate
from sandbox.kubernetes.door import Door
from sandbox.kubernetes.gc import Collector
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.resources import Registry
from sandbox.kubernetes.routes import Routes
from sandbox.kubernetes.store import Store


class ApiServer:
    """A cluster's Kubernetes API. State is in memory and ends with ``stop``.

    ``version`` is GKE's ("1.34.1-gke.1829001"); ``directory`` gets the kubeconfig (0600) and has the
    Pods' logs under logs/NAMESPACE/POD/CONTAINER.log.
    """

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        token: str,
        version: str,
        directory: Path,
        middlewares: Sequence[t.Any] = (),
    ) -> None:
        self._host = host
        self._middlewares = middlewares
        self._directory = directory
        self._identity = tls.issue(name, host)
        self._name = name
        self._token = token
        self._version = version
        self._store = Store()
        self._operations = Operations(self._store, Registry())
        self._port = port
        self._runner: web.AppRunner | None = None
        self._door: Door | None = None
        self._collector: asyncio.Task[None] | None = None

    @property
    def access(self) -> ClusterAccess:
        """How to reach the server; with ``port`` 0 valid only once it is started."""
        return ClusterAccess(f"{self._host}:{self._port}", self._identity.ca_pem, self._token)

    @property
    def kubeconfig(self) -> Path:
        return self._directory / "kubeconfig"

    async def start(self) -> None:
        """Serve. Raises OSError when the address is taken."""
        routes = Routes(
            self._operations,
            token=self._token,
            version=self._version,
            address=f"{self._host}:{self._port}",
            directory=self._directory,
        )
        app = routes.application()
        app.middlewares.extend(self._middlewares)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._door = Door(self._runner, self._host, self._port, self._identity.server_context())
        await self._door.open()
        self._port = self._runner.addresses[0][1]
        populate(self._operations, self.access)
        self._collector = asyncio.create_task(
            Collector(self._operations, self._identity.ca_pem).run(), name=f"collector {self._name}"
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        text = tls.kubeconfig(self._name, self.access.endpoint, self._identity.ca_pem, self._token)
        tls.write_private(self.kubeconfig, text)

    async def be_away(self, how: str) -> None:
        """Lose everybody's connections until told otherwise: "refused", "silent" (taken, never answered) or "".

        The state is kept. Does nothing when it is not running.
        """
        if self._door is not None:
            await self._door.set(how)

    async def stop(self) -> None:
        """Stop serving: watches end, connections close. Does nothing when it is not running."""
        self._store.close()
        if self._collector:
            self._collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collector
        if self._door:
            self._door.close()
        if self._runner:
            await self._runner.cleanup()
        self._runner = self._collector = self._door = None
        self.kubeconfig.unlink(missing_ok=True)
