# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ASGI middleware for vLLM's --middleware: every answer names the region that gave it.

A load balancer hides which region served. The failover drill has to know, and
so does whoever reads an access log after an outage.
"""

import os

HEADER = (b"x-serving-region", os.environ.get("SERVING_REGION", "unknown").encode())


class AddServingRegion:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_region(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), HEADER]}
            await send(message)

        await self.app(scope, receive, send_with_region if scope["type"] == "http" else send)
