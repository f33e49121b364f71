# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request on its way through the faults in force: slowed down, refused, or cut off."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable

from aiohttp import web

from .faults import Faults, Place

Refuse = Callable[[int, str], web.Response]


async def pass_through(
    faults: Faults,
    here: Place,
    request: web.Request,
    refuse: Refuse,
    handle: Callable[[], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """``refuse(code, message)`` words an error as the API does; ``handle`` does the work and answers."""
    if slow := faults.strike(here, "slow"):
        await asyncio.sleep(slow.settings["seconds"])
    fault = faults.strike(here, "error", "reset")
    if fault is None:
        return await handle()
    if fault.kind == "error":
        code = fault.settings["code"]
        answer = refuse(code, http.HTTPStatus(code).phrase)
        if fault.settings["retry_after"]:
            answer.headers["Retry-After"] = str(fault.settings["retry_after"])
        return answer
    if fault.settings["when"] == "after":
        await handle()
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # nobody is there to read it
