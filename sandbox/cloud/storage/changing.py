# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changing objects that are there: what is said of them, copies, compositions, deletions."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ...interfaces import Json
from ..errors import Refusal, not_found
from ..store import now
from ..web import Answer, Call
from . import buckets, shapes
from .objects import BLOCK, Known, Objects, check_conditions, read_metadata, shown

# https://cloud.google.com/storage/docs/composite-objects
MOST_COMPONENTS = 32
# https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite: parts are of whole MiB. How much Google copies in
# one call without being asked depends on the time that it takes.
REWRITE_UNIT, USUAL_REWRITE = 1024 * 1024, 1024 * 1024 * 1024


@dataclasses.dataclass
class Rewrite:
    """A copy in several calls. ``names``: bucket, object and generation of the source, bucket and object to make."""

    names: tuple[str, ...]
    done: int = 0  # bytes


class Changing:
    """The handlers that make no object of what a user sends."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._rewrites: dict[str, Rewrite] = {}  # by token

    async def delete(self, call: Call) -> Answer:
        bucket, name = call.params["bucket"], call.params["object"]
        known = self._objects.find(bucket, name, call.query.get("generation", ""))
        check_conditions(known, call.query)
        self._objects.remove(bucket, name)
        return web.Response(status=204)

    async def update(self, call: Call) -> Json:
        """PATCH changes what is named, PUT replaces all that can be changed.

        A PATCH of metadata leaves keys that it does not name: https://github.com/googleapis/google-cloud-go/issues/380
        """
        bucket, name = call.params["bucket"], call.params["object"]
        known = self._objects.find(bucket, name, call.query.get("generation", ""))
        check_conditions(known, call.query)
        patch = call.request.method == "PATCH"
        given = read_metadata(call.body, patch=patch)
        fields = dict(known.fields) if patch else {}
        for field in shapes.FIELDS & given.keys():
            fields[field] = buckets.merge(fields.get(field), given[field])
        known.fields = {field: fields[field] for field in sorted(fields) if fields[field]}
        known.metageneration += 1
        known.updated = now()
        return await self._objects.describe(call.request, bucket, name)

    async def copy(self, call: Call) -> Json:
        _source, known = self._source(call)
        return await self._copied(call, known)

    async def rewrite(self, call: Call) -> Json:
        """In one call where nothing has to move, otherwise in parts; the object is there after the last."""
        (bucket, name), known = self._source(call)
        to_bucket, to_name = call.params["toBucket"], call.params["toObject"]
        self._objects.check_new(to_bucket, to_name, call.query)
        names = (bucket, name, known.generation, to_bucket, to_name)
        token = call.query.get("rewriteToken", "")
        begun = self._rewrites.get(token) if token else Rewrite(names)
        if begun is None or begun.names != names:
            raise buckets.refused()
        limit = _limit(call.query.get("maxBytesRewrittenPerCall", ""))
        begun.done = min(known.size, begun.done + limit) if self._moves(call, known) else known.size
        answer: Json = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(begun.done),
            "objectSize": str(known.size),
            "done": begun.done == known.size,
        }
        if not answer["done"]:
            token = token or secrets.token_urlsafe(32)
            self._rewrites[token] = begun
            return answer | {"rewriteToken": token}
        return answer | {"resource": await self._copied(call, known)}

    async def compose(self, call: Call) -> Json:
        bucket, name = call.params["bucket"], call.params["object"]
        body = call.read(shapes.COMPOSE, lenient=True)
        sources = body.get("sourceObjects") or []
        if not sources:
            raise buckets.refused("You must provide at least one source component.")
        if len(sources) > MOST_COMPONENTS:
            # https://github.com/fsouza/fake-gcs-server/pull/1254
            raise buckets.refused(
                f"The number of source components provided ({len(sources)}) exceeds the maximum ({MOST_COMPONENTS})"
            )
        metadata = read_metadata(body.get("destination") or {})
        self._objects.check_new(bucket, name, call.query)
        parts = [(source.get("name", ""), self._component(bucket, source)) for source in sources]
        with self._objects.spool() as content:
            files = [self._objects.file(bucket, part) for part, _known in parts]
            await asyncio.to_thread(concatenate, files, content)
            components = sum(known.components or 1 for _part, known in parts)
            self._objects.place(bucket, name, content, metadata, call.query, hashes=None, components=components)
        if body.get("deleteSourceObjects"):
            for part in {part for part, _known in parts} - {name}:
                self._objects.remove(bucket, part)
        return await self._objects.describe(call.request, bucket, name)

    def _component(self, bucket: str, source: Json) -> Known:
        name, generation = source.get("name", ""), source.get("generation", "0")
        known = self._objects.look(bucket, name)
        if known is None or generation not in ("0", known.generation):
            # https://github.com/kestra-io/plugin-gcp/issues/319
            raise not_found(f"Object {name} (generation: {generation}) not found.")
        check_conditions(known, source.get("objectPreconditions") or {})
        return known

    def _source(self, call: Call) -> tuple[tuple[str, str], Known]:
        bucket, name = call.params["bucket"], call.params["object"]
        known = self._objects.find(bucket, name, call.query.get("sourceGeneration", ""))
        check_conditions(known, call.query, "Source")
        return (bucket, name), known

    def _moves(self, call: Call, known: Known) -> bool:
        """Whether a copy changes place or class."""
        source, target = (self._objects.bucket(call.params[side]) for side in ("bucket", "toBucket"))
        wanted = read_metadata(call.body).get("storageClass") or target["storageClass"]
        return bool(source["location"] != target["location"] or wanted != known.storage_class)

    async def _copied(self, call: Call, known: Known) -> Json:
        """What is said of the source goes along, unless the request says something of the copy."""
        bucket, name = call.params["toBucket"], call.params["toObject"]
        given = read_metadata(call.body)
        metadata = given if given.keys() & shapes.FIELDS else known.fields | given
        self._objects.check_new(bucket, name, call.query)
        source = self._objects.file(call.params["bucket"], call.params["object"])
        with self._objects.spool() as content:
            await asyncio.to_thread(concatenate, [source], content)
            made = self._objects.place(
                *(bucket, name, content, metadata, call.query), hashes=known.hashes, components=known.components
            )
        await self._objects.hashed(bucket, name, made)
        return shown(call.request, bucket, name, made)


def _limit(text: str) -> int:
    """Raises Refusal 400."""
    if not text:
        return USUAL_REWRITE
    if not re.fullmatch(r"\d{1,18}", text) or not int(text) or int(text) % REWRITE_UNIT:
        raise buckets.refused()
    return int(text)


def concatenate(files: Sequence[Path], target: Path) -> None:
    with target.open("wb") as whole:
        for file in files:
            try:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, whole, BLOCK)
            except FileNotFoundError:
                raise Refusal("NOT_FOUND", f"No such object: {file.name}") from None
