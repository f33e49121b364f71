# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts of requests, by service and by who sent them: how hard a client leans on an API is part of how good it is."""

from __future__ import annotations

import collections
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class Traffic:
    """Install ``counting(...)`` as a middleware, read ``counts()``."""

    def __init__(self) -> None:
        self._seen: dict[str, collections.Counter[str]] = {}

    def counting(self, service_of: Callable[[web.Request], str]) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._seen.setdefault(service_of(request), collections.Counter())[agent_of(request)] += 1
            return await handler(request)

        return count

    def counts(self) -> dict[str, dict[str, int]]:
        """{"compute": {"aiserving.gke": 12, "gcloud": 3}, "kubernetes": {...}}; the sandbox itself is "sandbox"."""
        return {service: dict(sorted(agents.items())) for service, agents in sorted(self._seen.items())}


def agent_of(request: web.Request) -> str:
    """Google's client libraries put their user's name first into a header of their own."""
    named = request.headers.get("x-goog-api-client", "").split(" ")[0]
    if named and "/" not in named:
        return named
    return request.headers.get("User-Agent", "unknown").split("/")[0].split(" ")[0]
