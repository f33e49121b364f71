# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Batches: many requests in the parts of one, as gcloud and Google's clients send lists and deletions.

Each part goes through the whole server as a request of its own, in the order given, with the outer request's headers
where it has none: https://cloud.google.com/compute/docs/api/how-tos/batch
"""

from __future__ import annotations

import email.parser
import email.policy
import http
import re
import secrets
from collections.abc import Collection, Iterator
from email.message import Message

import aiohttp
from aiohttp import web

from .errors import Refusal, invalid
from .web import content, respond

MOST_PARTS = 1000
LINE = re.compile(r"(?P<method>[A-Z]+) (?:https?://[^/]+)?(?P<path>/(?!/)\S*)(?: HTTP/[\d.]+)?")


def install(app: web.Application, bases: Collection[str]) -> None:
    """``bases``: of the services, "compute/". Batches come to /batch, /batch/SERVICE/VERSION or /SERVICE/batch."""
    known = tuple(f"/{base}" for base in bases) + ("/storage/", "/upload/", "/resumable/", "/download/")

    async def answer(request: web.Request) -> web.StreamResponse:
        base = request.match_info.get("api", "")
        try:
            parts = list(_parts(request.headers.get("Content-Type", ""), await content(request)))
        except Refusal as error:
            return respond(error.body("both"), error.code)
        host, port = request.get_extra_info("sockname")[:2]
        outer = {name: request.headers[name] for name in ("Authorization", "User-Agent") if name in request.headers}
        boundary = f"batch_{secrets.token_urlsafe(16)}"
        answers = b""
        async with aiohttp.ClientSession(f"http://{host}:{port}", auto_decompress=False) as session:
            for part in parts:
                path = part.path if part.path.startswith(known) or not base else f"/{base}{part.path}"
                headers = {**outer, **part.headers}
                try:
                    async with session.request(part.method, path, headers=headers, data=part.body) as inner:
                        answers += _rendered(boundary, part.id, inner.status, inner.content_type, await inner.read())
                except (aiohttp.ClientError, ValueError):  # a reset on request, or what cannot be sent
                    answers += _rendered(boundary, part.id, 502, "text/plain", b"")
        return web.Response(
            body=answers + f"--{boundary}--\r\n".encode(),
            headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
        )

    for path in ("/batch", "/batch/{service}/{version}", "/{api}/batch"):
        app.router.add_route("POST", path, answer)


class Part:
    """One request of a batch. Raises Refusal 400 when it is none."""

    def __init__(self, message: Message) -> None:
        raw = message.get_payload(decode=True)
        head, _unused, self.body = (raw if isinstance(raw, bytes) else b"").replace(b"\r\n", b"\n").partition(b"\n\n")
        first, *rest = head.decode("latin-1").lstrip().split("\n")
        line = LINE.fullmatch(first.strip())
        if line is None or message.get_content_type() != "application/http":
            raise invalid("Failed to parse batch request: a part is no HTTP request.")
        self.id = str(message.get("Content-ID", ""))
        self.method, self.path = line["method"], line["path"]
        if re.match(r"/batch\b|/[^/]+/batch\b", self.path):
            raise invalid("Failed to parse batch request: a batch cannot be part of a batch.")
        named = (text.partition(":") for text in rest if ":" in text)
        headers = {name.strip(): value.strip() for name, _unused, value in named}
        dropped = ("content-length", "host", "mime-version", "accept-encoding", "connection", "transfer-encoding")
        self.headers = {name: value for name, value in headers.items() if name.lower() not in dropped}


def _parts(kind: str, body: bytes) -> Iterator[Part]:
    head = f"Content-Type: {kind}\r\n\r\n".encode("utf-8", "surrogateescape")
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(head + body)
    found = message.get_payload()
    if message.get_content_type() != "multipart/mixed" or not isinstance(found, list):
        raise invalid(
            "Failed to parse batch request, error: Failed in parsing MIME envelope and not able to find 'boundary' of "
            "Content-Type."
        )
    if len(found) > MOST_PARTS:
        raise invalid(f"The batch request has more than {MOST_PARTS} calls.")
    return (Part(part) for part in found if isinstance(part, Message))


def _rendered(boundary: str, given: str, status: int, kind: str, body: bytes) -> bytes:
    reason = http.HTTPStatus(status).phrase
    # Google puts "response-" into the identifier: "<12+3>" is answered as "<response-12+3>".
    name = f"Content-ID: <response-{given.strip('<>')}>\r\n" if given else ""
    lines = (
        f"--{boundary}\r\nContent-Type: application/http\r\n{name}\r\n"
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return lines.encode() + body + b"\r\n"
