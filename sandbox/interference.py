# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request on its way through the faults in force: slowed down, refused, or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from .faults import BadFault, Faults
from .interfaces import Hit, Place

Refuse = Callable[[Hit], web.Response]


async def pass_through(
    faults: Faults,
    here: Place,
    request: web.Request,
    refuse: Refuse,
    handle: Callable[[], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """``refuse`` words the error of a fault as the API does; ``handle`` does the work and answers."""
    if slow := faults.strike(here, "slow"):
        await asyncio.sleep(slow.settings["seconds"])
    fault = faults.strike(here, "error", "reset")
    if fault is None:
        return await handle()
    if fault.kind == "error":
        answer = refuse(fault)
        if fault.settings["retry_after"]:
            answer.headers["Retry-After"] = str(fault.settings["retry_after"])
        return answer
    if fault.settings["when"] == "after":
        await handle()
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # nobody is there to read it


def desk(faults: Faults) -> Iterable[tuple[str, str, Handler]]:
    """(method, path, handler) of the interface that `python -m sandbox fault` talks to."""

    async def show(_request: web.Request) -> web.StreamResponse:
        return web.json_response(faults.rendered())

    async def add(request: web.Request) -> web.StreamResponse:
        try:
            wanted = await request.json()
            if not isinstance(wanted, dict):
                raise BadFault("a fault is a JSON object")
            return web.json_response({"name": faults.add(wanted).name})
        except (BadFault, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def clear(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response({"cleared": faults.clear(request.match_info.get("name", ""))})
        except BadFault as error:
            return web.json_response({"error": str(error)}, status=404)

    return (
        ("GET", "/sandbox/faults", show),
        ("POST", "/sandbox/faults", add),
        ("DELETE", "/sandbox/faults", clear),
        ("DELETE", "/sandbox/faults/{name}", clear),
    )
