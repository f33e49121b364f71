# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges every answer of the container API by the messages that google-cloud-container ships."""

from __future__ import annotations

import json
import re
import typing as t

from aiohttp import web
from aiohttp.typedefs import Handler
from google.cloud import container_v1, container_v1beta1
from google.protobuf import json_format

SOURCES = {"v1": container_v1, "v1beta1": container_v1beta1}
# What GET answers, by the end of the path; every other method answers an Operation.
MESSAGES = (
    (r"/server[cC]onfig", "ServerConfig"),
    (r"/operations", "ListOperationsResponse"),
    (r"/operations/[^/]+", "Operation"),
    (r"/clusters", "ListClustersResponse"),
    (r"/clusters/[^/]+", "Cluster"),
    (r"/nodePools", "ListNodePoolsResponse"),
    (r"/nodePools/[^/]+", "NodePool"),
)


def message_of(method: str, path: str) -> str:
    if method != "GET":
        return "Operation"
    return next(message for ending, message in MESSAGES if re.search(f"{ending}$", path))


def violation(method: str, path: str, answer: t.Any) -> str:
    """Why Google's own type does not take this answer, "" when it does."""
    version = path.split("/")[2]
    if not path.startswith("/container/") or version not in SOURCES:
        return ""
    kind = getattr(SOURCES[version], message_of(method, path)).pb()
    try:
        json_format.ParseDict(answer, kind(), ignore_unknown_fields=False)
    except json_format.ParseError as error:
        return f"{method} {path}: {error}"
    return ""


def judging(violations: list[str]) -> t.Any:
    """A middleware that notes what Google's types refuse."""

    @web.middleware
    async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        whole = response.status == 200 and "fields" not in request.query
        if whole and isinstance(response, web.Response) and response.content_type == "application/json":
            found = violation(request.method, request.path, json.loads(response.text or "{}"))
            violations.extend([found] if found else [])
        return response

    return judge
