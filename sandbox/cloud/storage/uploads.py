# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads: in one piece, with what is said of the object in front (multipart), or in chunks that can be resumed.

Whatever its size, content goes to a file as it comes, and becomes the object when it is whole.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
import typing as t
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import web

from ...interfaces import Json
from .. import bodies
from ..errors import Refusal, invalid, lacking, not_found
from ..web import Answer, Call, content, is_upload
from . import buckets
from .objects import BLOCK, USUAL_TYPE, Objects, hash_file, read_metadata, shown

UNIT = 256 * 1024  # bytes; what is kept of a chunk that is not the last is a multiple of it
CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d{1,18})-(?P<last>\d{1,18}|\*)|\*)/(?P<total>\d{1,18}|\*)")
BLANK = re.compile(rb"\r?\n\r?\n")
# Where the parts of a multipart body begin and end is looked for in so many bytes at its beginning and its end; what is
# said of an object has at most a few KiB: https://cloud.google.com/storage/quotas#objects
LONGEST_HEAD, LONGEST_TAIL = 64 * 1024, 1024
SUMS = {"crc32c": "CRC32C", "md5Hash": "MD5 hash"}


@dataclasses.dataclass(frozen=True)
class Target:
    """The object to make. ``metadata``: of shapes.OBJECT_METADATA; ``query``: of the request, with its conditions."""

    bucket: str
    name: str
    metadata: Json
    query: Mapping[str, str]


@dataclasses.dataclass
class Session:
    """A resumable upload; ``size``: bytes that are kept."""

    target: Target
    file: Path
    size: int = 0
    cancelled: bool = False
    answer: Json | None = None  # the object, once it is there
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    def keep(self, end: int) -> None:
        """What has come up to ``end``, in whole units."""
        self.size = max(self.size, end // UNIT * UNIT)


class Uploads:
    """The handlers of /upload and /resumable/upload; sessions last as long as the sandbox."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._sessions: dict[str, Session] = {}

    def vouches(self, request: web.Request) -> bool:
        """Whether a request is to the URI of a session, which who knows it may use without a token."""
        return is_upload(request.path) and request.query.get("upload_id") in self._sessions

    async def insert(self, call: Call) -> Answer:
        if "upload_id" in call.query:  # Google's client for Go sends chunks by POST
            return await self.append(call)
        kind = call.query.get("uploadType", "media")
        if kind == "resumable":
            return await self._start(call)
        if kind not in ("media", "multipart"):
            raise lacking(f"uploads of type {kind!r}")
        with self._objects.spool() as body, self._objects.spool() as data:
            await receive(call.request, body)
            if kind == "media":
                target = self._target(call, {}, call.request.headers.get("Content-Type", ""))
                return await self._finish(target, body, call.request)
            metadata, kind = await asyncio.to_thread(
                split_multipart, call.request.headers.get("Content-Type", ""), body, data
            )
            return await self._finish(self._target(call, metadata, kind), data, call.request)

    async def _start(self, call: Call) -> Answer:
        request = call.request
        body = bodies.decode(await content(request))
        target = self._target(call, body, request.headers.get("X-Upload-Content-Type", ""))
        self._objects.check_new(target.bucket, target.name, target.query)
        key = secrets.token_urlsafe(48)
        self._sessions[key] = Session(target, self._objects.spooled())
        where = request.url.update_query(upload_id=key)
        return web.Response(status=200, headers={"Location": str(where), "X-GUploader-UploadID": key})

    async def append(self, call: Call) -> Answer:
        """A chunk, the whole, or the question how much has come."""
        session = self._session(call)
        async with session.lock:
            if session.cancelled:
                return cancelled()
            if session.answer is not None:
                return session.answer
            try:
                return await self._append(call, session)
            except Rejected as error:
                return error.answer()

    async def cancel(self, call: Call) -> Answer:
        session = self._session(call)
        if session.answer is None:
            session.cancelled = True
            session.file.unlink(missing_ok=True)
        return cancelled()

    async def _append(self, call: Call, session: Session) -> Answer:
        chunk = Chunk.of(call.request.headers.get("Content-Range"))
        if chunk.first is None:
            if await call.request.content.read(1):
                # https://github.com/talkiq/gcloud-aio/issues/1116
                raise Rejected(400, "Client sent query request with a non-empty body.")
            whole = chunk.total == session.size
        else:
            whole = await take(call.request, chunk, session)
        if not whole:
            return incomplete(call.request, session.size)
        with session.file.open("r+b") as file:
            file.truncate(session.size)
        session.answer = await self._finish(session.target, session.file, call.request)
        return session.answer

    def _session(self, call: Call) -> Session:
        found = self._sessions.get(call.query.get("upload_id", ""))
        if found is None or found.target.bucket != call.params["bucket"]:
            raise not_found("Not Found")
        return found

    def _target(self, call: Call, body: Json, kind: str) -> Target:
        """``kind``: the type of the content where the metadata does not say it."""
        metadata = read_metadata(body)
        metadata.setdefault("contentType", kind or USUAL_TYPE)
        name = metadata.get("name") or call.query.get("name", "")
        return Target(call.params["bucket"], name, metadata, call.query)

    async def _finish(self, target: Target, data: Path, request: web.Request) -> Json:
        """Make the object, if its content is what the client says that it is."""
        hashes = await asyncio.to_thread(hash_file, data)
        stated = re.findall(r"(crc32c|md5)=([^,\s]+)", request.headers.get("X-Goog-Hash", ""))
        in_headers = {{"md5": "md5Hash"}.get(name, name): value for name, value in stated}
        for field, words in SUMS.items():
            for given in (target.metadata.get(field), in_headers.get(field)):
                if given and not bodies.same_bytes(given, hashes[field]):
                    raise buckets.refused(
                        f'Provided {words} "{given}" doesn\'t match calculated {words} "{hashes[field]}".'
                    )
        made = self._objects.place(target.bucket, target.name, data, target.metadata, target.query, hashes=hashes)
        return shown(request, target.bucket, target.name, made)


class Rejected(Exception):
    """What Google's upload server refuses, in plain words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self._code = code

    def answer(self) -> web.Response:
        return web.Response(status=self._code, text=str(self), content_type="text/plain", charset="utf-8")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a Content-Range says; None: no bytes (``first``), all that come (``last``), not known yet (``total``)."""

    first: int | None
    last: int | None
    total: int | None

    @classmethod
    def of(cls, header: str | None) -> Chunk:
        """Without the header the body is the whole. Raises Rejected 400."""
        if header is None:
            return cls(0, None, None)
        found = CONTENT_RANGE.fullmatch(header)
        if found:
            first, last, total = (
                int(text) if text not in (None, "*") else None for text in found.group("first", "last", "total")
            )
            chunk = cls(first, last, total)
            if last is None or (first is not None and first <= last and (total is None or last < total)):
                return chunk
        # https://cloud.google.com/storage/docs/troubleshooting#resumable-uploads
        raise Rejected(400, "Failed to parse Content-Range header.")

    @property
    def final(self) -> bool:
        return self.last is None or (self.total is not None and self.last + 1 == self.total)


async def take(request: web.Request, chunk: Chunk, session: Session) -> bool:
    """Keep a chunk's bytes, without those that are there already; whether the object is whole. Raises Rejected.

    Of a chunk that breaks off, or is not the last, whole units are kept.
    """
    first = t.cast(int, chunk.first)
    if first > session.size:
        # Words and type: https://github.com/googleapis/java-storage (ITJsonResumableSessionPutTaskTest, scenario 5)
        raise Rejected(
            503,
            f"Invalid request.  According to the Content-Range header, the upload offset is {first} byte(s), "
            f"which exceeds already uploaded size of {session.size} byte(s).",
        )
    wanted = None if chunk.last is None else chunk.last + 1 - first
    if wanted is not None and not chunk.final and wanted < UNIT:
        # https://github.com/googleapis/google-cloud-node/issues/1044
        raise Rejected(
            400,
            f"Invalid request.  The number of bytes uploaded is required to be equal or greater than {UNIT}, except "
            f"for the final request (it's recommended to be the exact multiple of {UNIT}).  The received request "
            f"contained {wanted} bytes, which does not meet this requirement.",
        )
    at = first
    with session.file.open("r+b") as file:
        try:
            async for block in blocks(request):
                fresh = block[max(0, session.size - at) :]
                if fresh:
                    file.seek(max(session.size, at))
                    file.write(fresh)
                at += len(block)
        except (ConnectionError, Refusal):
            session.keep(at)
            raise
    if wanted is not None and at - first != wanted:
        raise Rejected(
            400,
            f"Invalid request.  There were {at - first} byte(s) in the request body.  There should have been {wanted} "
            f"byte(s) (starting at offset {first} and ending at offset {chunk.last}) according to the Content-Range "
            "header.",
        )
    if chunk.final and at >= session.size and chunk.total in (None, at):
        session.size = at
        return True
    session.keep(at)
    return False


async def blocks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes, which is never in memory as a whole. Raises Refusal 400."""
    try:
        async for block in request.content.iter_any():
            yield block
    except web.RequestPayloadError as error:
        raise invalid("Request body does not match its Content-Encoding.") from error


async def receive(request: web.Request, file: Path) -> None:
    with file.open("wb") as target:
        async for block in blocks(request):
            target.write(block)


def split_multipart(kind: str, body: Path, data: Path) -> tuple[Json, str]:
    """Take a multipart/related ``body`` apart: the metadata and the content's type; the content goes to ``data``.

    Raises Refusal 400.
    """
    boundary = re.search(r"boundary=(['\"]?)(?P<text>[^'\";]+)\1", kind)
    malformed = invalid("Malformed multipart body.", reason="badContent")
    if boundary is None:
        raise malformed
    mark = b"--" + boundary["text"].encode("utf-8", "surrogateescape")
    with body.open("rb") as whole, data.open("wb") as target:
        head = whole.read(LONGEST_HEAD)
        start = BLANK.search(head, max(0, head.find(mark)))
        second = head.find(mark, start.end()) if start else -1
        begin = BLANK.search(head, second) if second >= 0 else None
        if start is None or begin is None:
            raise malformed
        tail = whole.seek(max(begin.end(), body.stat().st_size - LONGEST_TAIL))
        last, closed, _rest = whole.read().rpartition(mark + b"--")
        if not closed:
            raise malformed
        whole.seek(begin.end())
        copy(whole, target, tail + len(re.sub(rb"\r?\n\Z", b"", last)) - begin.end())
    kind_of_content = re.search(rb"(?im)^content-type:[ \t]*([^\r\n]+)", head[second : begin.start()])
    return bodies.decode(head[start.end() : second]), kind_of_content[1].decode("latin-1") if kind_of_content else ""


def copy(source: t.BinaryIO, target: t.BinaryIO, size: int) -> None:
    while size and (block := source.read(min(BLOCK, size))):
        target.write(block)
        size -= len(block)


def incomplete(request: web.Request, size: int) -> web.Response:
    """How much has come; a client for which 308 is a redirection gets the number in a header."""
    headers = {"Range": f"bytes=0-{size - 1}"} if size else {}
    if request.headers.get("X-GUploader-No-308") == "yes":  # https://github.com/floci-io/floci-gcp/pull/132
        return web.Response(headers={**headers, "X-HTTP-Status-Code-Override": "308"})
    return web.Response(status=308, reason="Resume Incomplete", headers=headers)


def cancelled() -> web.Response:
    return web.Response(status=499, reason="Client Closed Request")
