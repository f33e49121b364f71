# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud's REST application: every service under its own base path of one port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from ..catalogue.quotas import Quotas
from ..faults import Faults
from ..interfaces import ClusterRuntime
from ..latency import Latency
from . import batch
from .compute import Compute, LoadBalancers, Offers
from .container import Container, NodePools
from .engine import Engine
from .errors import Refusal
from .gkehub import Features, Fleets, GkeHub, Memberships
from .iam import Iam
from .resourcemanager import ResourceManager
from .serviceusage import ServiceUsage
from .storage import Storage
from .store import Store
from .view import View
from .web import Platform, authenticate, refused_early, respond

LARGEST_BODY = 64 * 1024 * 1024  # bytes, but for what is uploaded, which is not read as a whole


class Cloud:
    """A Google Cloud with one project, ``project``; more can be made through cloudresourcemanager.

    ``prefix``: the sandbox's loopback block ("127.20"), from which clusters get their Pod ranges;
    ``directory``: where the objects of buckets lie; ``runtime``: makes clusters real; ``quotas``: of every project.
    """

    def __init__(
        self,
        *,
        project: str,
        token: str,
        latency: Latency,
        faults: Faults,
        prefix: str,
        directory: Path,
        runtime: ClusterRuntime,
        quotas: Quotas | None = None,
    ) -> None:
        self._token = token
        self._store = Store(project)
        self._engine = Engine(self._store, faults)
        platform = Platform(self._store, self._engine, latency, faults, quotas or Quotas())
        storage = Storage(platform, directory=directory)
        hub = GkeHub(platform)
        compute = Compute(platform)
        usage = ServiceUsage(platform, compute=compute)
        services = (
            Offers(platform),
            compute,
            Container(platform, prefix=prefix, runtime=runtime, hub=hub),
            NodePools(platform),
            hub,
            Features(platform),
            Fleets(platform),
            Memberships(platform),
            usage,
            Iam(platform),
            ResourceManager(platform),
            storage,
        )
        self.faults = faults
        self.app = web.Application(client_max_size=LARGEST_BODY, middlewares=[_in_googles_words])
        for service in services:
            service.install(self.app, token)
        for service in {service.base: service for service in services}.values():
            service.install_rest(self.app, token)
        batch.install(self.app, {service.base for service in services if service.base})
        self.view = View(self._store, storage)
        self.balancers = LoadBalancers(self._store)

    def publish(self, method: str, path: str, act: Handler) -> None:
        """Serve a path of the sandbox's own, to who has the token."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                authenticate(request, self._token)
            except Refusal as error:
                return respond(error.body("plain"), error.code)
            return await act(request)

        self.app.router.add_route(method, path, answer)

    async def close(self) -> None:
        """Stop the operations that still run."""
        await self._engine.close()


@web.middleware
async def _in_googles_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed, web.HTTPRequestEntityTooLarge) as error:
        return refused_early(request, error)
