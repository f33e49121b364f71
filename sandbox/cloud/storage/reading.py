# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading objects: lists by prefix and delimiter, what is said of one, and its content or a part of that."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiohttp import web

from ...interfaces import Json
from ..errors import Refusal, lacking
from ..store import NUMBER
from ..web import Answer, Call
from . import buckets
from .objects import BLOCK, USUAL_TYPE, Known, Objects, check_conditions, shown

LARGEST_PAGE = 1000  # entries; https://cloud.google.com/storage/docs/json_api/v1/objects/list
RANGE = re.compile(r"bytes=(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-(?P<suffix>\d{1,18}))")


class Reading:
    """The handlers that change nothing."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def listed(self, call: Call) -> Json:
        bucket, query = call.params["bucket"], call.query
        self._objects.bucket(bucket)
        for parameter in ("matchGlob", "filter"):
            if query.get(parameter):
                raise lacking(f"{parameter} in lists of objects")
        if query.get("softDeleted", "false").lower() == "true":
            raise lacking("objects that were deleted and can be restored")
        entries, token = page(entries_of(sorted(self._objects.names(bucket)), query), query)
        prefixes = [entry for entry, name in entries if name is None]
        items = []
        for _entry, name in entries:
            if name is not None and (known := self._objects.look(bucket, name)):
                await self._objects.hashed(bucket, name, known)
                items.append(shown(call.request, bucket, name, known))
        answer: Json = {"kind": "storage#objects"}
        answer |= {"prefixes": prefixes} if prefixes else {}
        return answer | ({"items": items} if items else {}) | ({"nextPageToken": token} if token else {})

    async def get(self, call: Call) -> Answer:
        if call.query.get("alt") != "media" and not call.request.path.startswith("/download/"):
            known = self._find(call)
            return (
                web.Response(status=304)
                if known is None
                else await self._objects.describe(call.request, call.params["bucket"], call.params["object"])
            )
        try:
            known = self._find(call)
            return web.Response(status=304) if known is None else await self._content(call, known)
        except Refusal as error:
            # Downloads are answered in plain words: https://github.com/firebase/firebase-tools/pull/3647
            return web.Response(text=error.message, status=error.code, content_type="text/html", charset="UTF-8")

    def _find(self, call: Call) -> Known | None:
        """None when the reader has this generation already. Raises Refusal 404 or 412."""
        known = self._objects.find(call.params["bucket"], call.params["object"], call.query.get("generation", ""))
        if call.query.get("ifGenerationNotMatch") == known.generation:
            return None
        check_conditions(known, call.query)
        return known

    async def _content(self, call: Call, known: Known) -> web.StreamResponse:
        bucket, name = call.params["bucket"], call.params["object"]
        file, headers = self._objects.file(bucket, name), call.request.headers
        packed = known.fields.get("contentEncoding") == "gzip"
        if packed and "gzip" not in headers.get("Accept-Encoding", ""):
            raise lacking("decompressive transcoding of objects")
        hashes = await self._objects.hashed(bucket, name, known)
        part = chosen(headers.get("Range", ""), known.size)
        if part is not None and not part:
            text = "Request range not satisfiable"
            return web.Response(status=416, text=text, headers={"Content-Range": f"bytes */{known.size}"})
        answer = web.StreamResponse(status=206 if part else 200, headers=described(known, hashes))
        if part:
            answer.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{known.size}"
        await send(call.request, answer, file, part or range(known.size))
        return answer


def entries_of(names: list[str], query: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """(entry, the object's name) in the order of the list; (prefix, None) for all that one prefix stands for."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    first, end, last = query.get("startOffset", ""), query.get("endOffset", ""), ""
    for name in names:
        if not name.startswith(prefix) or name < first or (end and name >= end):
            continue
        head, cut, _rest = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if not cut:
            yield name, name
        elif prefix + head + cut != last:
            last = prefix + head + cut
            yield last, None


def page(
    entries: Iterator[tuple[str, str | None]], query: Mapping[str, str]
) -> tuple[list[tuple[str, str | None]], str]:
    """The entries of one page, and the token of the next: the last entry, so that deletions meanwhile skip nothing."""
    size, token = query.get("maxResults") or str(LARGEST_PAGE), query.get("pageToken", "")
    try:
        after = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise buckets.refused() from None
    if not NUMBER.fullmatch(size):
        raise buckets.refused()
    limit = min(int(size) or LARGEST_PAGE, LARGEST_PAGE)
    rest = [entry for entry in entries if entry[0] > after]
    more = base64.urlsafe_b64encode(rest[limit - 1][0].encode()).decode() if len(rest) > limit else ""
    return rest[:limit], more


def chosen(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for, which may be none; None when it asks for no part, or cannot be read."""
    found = RANGE.fullmatch(header)
    if not found:
        return None
    if found["suffix"]:
        return range(max(0, size - int(found["suffix"])), size)
    return range(int(found["first"]), min(size, int(found["last"] or size) + 1))


def described(known: Known, hashes: Json) -> dict[str, str]:
    """The headers of a download; https://cloud.google.com/storage/docs/xml-api/reference-headers"""
    stated = {
        "Cache-Control": "cacheControl",
        "Content-Disposition": "contentDisposition",
        "Content-Encoding": "contentEncoding",
        "Content-Language": "contentLanguage",
    }
    sums = [f"crc32c={hashes['crc32c']}", *([] if known.components else [f"md5={hashes['md5Hash']}"])]
    return {
        "Content-Type": known.fields.get("contentType", USUAL_TYPE),
        **{header: known.fields[field] for header, field in stated.items() if field in known.fields},
        "Accept-Ranges": "bytes",
        "X-Goog-Generation": known.generation,
        "X-Goog-Metageneration": str(known.metageneration),
        "X-Goog-Hash": ",".join(sums),
        "X-Goog-Storage-Class": known.storage_class,
        "X-Goog-Stored-Content-Encoding": known.fields.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(known.size),
    }


async def send(request: web.Request, answer: web.StreamResponse, file: Path, part: range) -> None:
    """Send the part block by block."""
    with file.open("rb") as stream:
        stream.seek(part.start)
        answer.content_length = len(part)
        await answer.prepare(request)
        left = len(part)
        while left and (block := await asyncio.to_thread(stream.read, min(BLOCK, left))):
            await answer.write(block)
            left -= len(block)
    if left:  # a Pod made the file shorter meanwhile
        answer.force_close()
