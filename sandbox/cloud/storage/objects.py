# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects are files below their bucket's directory: what is a name here, and what Google answers of an object.

What a file does not hold (contentType, metadata and so on) is remembered for as long as the file stays as it is;
Pods write to the same files.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime
import hashlib
import mimetypes
import os
import re
import secrets
import shutil
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

import google_crc32c
from aiohttp import web

from ...interfaces import Json
from .. import bodies
from ..errors import Refusal, invalid, lacking, not_found, precondition_failed
from ..store import Store, fingerprint, now
from . import buckets, shapes

LINK = "https://www.googleapis.com/storage/v1/"
LONGEST_NAME = 1024  # bytes; https://cloud.google.com/storage/docs/objects#naming
LONGEST_FILE = 255  # bytes of a file's name on Linux
BLOCK = 1024 * 1024  # bytes of a file in memory at once
USUAL_TYPE = "application/octet-stream"  # https://cloud.google.com/storage/docs/metadata#content-type
# What Google keeps of an object and this sandbox does not.
LACKING = ("acl", "contexts", "customTime", "eventBasedHold", "kmsKeyName", "retention", "temporaryHold")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclasses.dataclass
class Known:
    """What is said of an object besides its content. ``generation``: the file's time of change, in microseconds."""

    generation: str
    size: int
    fields: Json  # of shapes.FIELDS
    storage_class: str
    created: str
    updated: str
    metageneration: int = 1
    components: int = 0  # of a composite object
    hashes: Json | None = None  # crc32c and md5Hash; None until somebody asks


class Objects:
    """The objects of all buckets, which lie in ``directory``/buckets; what is on its way lies in another place."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._root = directory / "buckets"
        self._uploads = directory / "uploads"
        shutil.rmtree(self._uploads, ignore_errors=True)  # of a sandbox that was killed
        self._known: dict[tuple[str, str], Known] = {}
        self._latest = 0

    def bucket(self, name: str) -> Json:
        """Raises Refusal 404."""
        found = self._store.buckets.get(name)
        if found is None:
            raise not_found("The specified bucket does not exist.")
        return found

    def folder(self, bucket: str) -> Path:
        return self._root / bucket

    def names(self, bucket: str) -> Iterator[str]:
        folder = self.folder(bucket)
        for path in folder.rglob("*"):
            if path.is_file():
                yield path.relative_to(folder).as_posix()

    def file(self, bucket: str, name: str) -> Path:
        """Raises Refusal 501 for a name that no file can have."""
        file = file_of(self.folder(bucket), name)
        if file is None:
            raise Refusal("UNIMPLEMENTED", f"Objects are files in the sandbox, and none can be called {name!r}.")
        return file

    def look(self, bucket: str, name: str) -> Known | None:
        """None when there is no such object."""
        file = file_of(self.folder(bucket), name)
        if file is None or not file.is_file():
            self._known.pop((bucket, name), None)
            return None
        status = file.stat()
        generation, size = str(status.st_mtime_ns // 1000), status.st_size
        known = self._known.get((bucket, name))
        if known is None or (known.generation, known.size) != (generation, size):
            # Written by a Pod: Cloud Storage FUSE takes the type from the name.
            stamp = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            fields = {"contentType": mimetypes.guess_type(name)[0] or USUAL_TYPE}
            usual = self.bucket(bucket)["storageClass"]
            known = self._known[bucket, name] = Known(generation, size, fields, usual, created=stamp, updated=stamp)
        return known

    def find(self, bucket: str, name: str, generation: str = "") -> Known:
        """The object, in this generation if one is named. Raises Refusal 404."""
        self.bucket(bucket)
        known = self.look(bucket, name)
        if known is None or (generation and generation != known.generation):
            raise not_found(f"No such object: {bucket}/{name}" + (f"#{generation}" if generation else ""))
        return known

    @contextlib.contextmanager
    def spool(self) -> Iterator[Path]:
        """A place for content until it is whole; what is still there in the end is removed."""
        path = self.spooled()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def spooled(self) -> Path:
        """An empty file where content gathers, on the same file system as the buckets."""
        self._uploads.mkdir(parents=True, exist_ok=True)
        path = self._uploads / secrets.token_hex(16)
        path.touch()
        return path

    def check_new(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """What can be said before the content is there. Raises Refusal 400, 404, 412 and, for no file's name, 501."""
        acl = query.get("predefinedAcl") or query.get("destinationPredefinedAcl")
        if buckets.is_uniform(self.bucket(bucket)) and acl:
            raise buckets.refused(
                "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled. Read more at "
                "https://cloud.google.com/storage/docs/uniform-bucket-level-access"
            )
        for parameter in ("kmsKeyName", "destinationKmsKeyName"):
            if query.get(parameter):
                raise lacking(f"{parameter} of objects")
        check_name(name)
        self.file(bucket, name)
        check_conditions(self.look(bucket, name), query)

    def place(
        self,
        bucket: str,
        name: str,
        content: Path,
        metadata: Json,
        query: Mapping[str, str],
        *,
        hashes: Json | None,
        components: int = 0,
    ) -> Known:
        """Make ``content`` the object, at once: whoever reads meanwhile reads the old one to its end.

        ``metadata``: of shapes.OBJECT_METADATA. Raises Refusal like check_new.
        """
        self.check_new(bucket, name, query)
        file = self.file(bucket, name)
        # Two files that are written one after the other may have the same time of change.
        self._latest = max(self._latest + 1, time.time_ns() // 1000)
        os.utime(content, ns=(self._latest * 1000, self._latest * 1000))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            content.replace(file)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            text = (
                f"Objects are files in the sandbox: {name!r} cannot be beside what is there, a file or a folder of it."
            )
            raise Refusal("UNIMPLEMENTED", text) from error
        stamp = now()
        known = self._known[bucket, name] = Known(
            generation=str(self._latest),
            size=file.stat().st_size,
            fields={key: metadata[key] for key in sorted(shapes.FIELDS) if metadata.get(key)},
            storage_class=metadata.get("storageClass") or self.bucket(bucket)["storageClass"],
            created=stamp,
            updated=stamp,
            components=components,
            hashes=hashes,
        )
        self._store.changed()
        return known

    def remove(self, bucket: str, name: str) -> None:
        file, folder = self.file(bucket, name), self.folder(bucket)
        file.unlink()
        self._known.pop((bucket, name), None)
        for parent in file.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
        self._store.changed()

    async def describe(self, request: web.Request, bucket: str, name: str) -> Json:
        """The object as Google answers it. Raises Refusal 404."""
        known = self.find(bucket, name)
        await self.hashed(bucket, name, known)
        return shown(request, bucket, name, known)

    async def hashed(self, bucket: str, name: str, known: Known) -> Json:
        if known.hashes is None:
            try:
                known.hashes = await asyncio.to_thread(hash_file, self.file(bucket, name))
            except FileNotFoundError:
                raise not_found(f"No such object: {bucket}/{name}") from None
        return known.hashes


def file_of(folder: Path, name: str) -> Path | None:
    """The file of the object with this name, whether it exists or not; None for a name that no file can have."""
    parts = name.split("/")
    possible = all(part not in ("", ".", "..") and len(os.fsencode(part)) <= LONGEST_FILE for part in parts)
    return folder / name if possible and "\0" not in name else None


def check_name(name: str) -> None:
    """Raises Refusal 400 for a name that Google does not allow."""
    if not name:
        raise invalid("Required", reason="required")
    if len(name.encode()) > LONGEST_NAME:
        raise invalid("The specified object name is not valid.", reason="invalid")
    if re.search(r"[\r\n]", name) or name in (".", "..") or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Disallowed unicode characters present in object name '{name}'", reason="invalid")


def check_conditions(known: Known | None, query: Mapping[str, str], side: str = "") -> None:
    """https://cloud.google.com/storage/docs/request-preconditions: "0" stands for an object that is not there.

    ``side``: "Source" for the conditions of a copy's source. Raises Refusal 412.
    """
    live = {
        f"if{side}Generation": known.generation if known else "0",
        f"if{side}Metageneration": str(known.metageneration) if known else "0",
    }
    for what, value in live.items():
        if query.get(f"{what}Match", value) != value or query.get(f"{what}NotMatch") == value:
            raise precondition_failed()


def read_metadata(body: Json, *, patch: bool = False) -> Json:
    """What a user says of an object, as shapes.OBJECT_METADATA. Raises Refusal 400 or 501."""
    metadata = bodies.read(body, shapes.OBJECT_METADATA, lenient=True, patch=patch)
    for field in LACKING:
        if body.get(field):
            raise lacking(f"{field} of objects")
    texts = (metadata.get(field) for field in shapes.FIELDS)
    if any(isinstance(text, str) and CONTROL.search(text) for text in texts):  # most of them become headers
        raise buckets.refused()
    if metadata.get("storageClass", "STANDARD") not in buckets.STORAGE_CLASSES:
        raise buckets.refused()
    return metadata


def hash_file(file: Path) -> Json:
    """The checksums as Google writes them; https://cloud.google.com/storage/docs/data-validation"""
    md5, crc = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            md5.update(block)
            crc.update(block)
    return {"crc32c": base64.b64encode(crc.digest()).decode(), "md5Hash": base64.b64encode(md5.digest()).decode()}


def shown(request: web.Request, bucket: str, name: str, known: Known) -> Json:
    """The object with ``known.hashes``; a composite one has no md5Hash.

    https://cloud.google.com/storage/docs/composite-objects#metadata. The mediaLink leads to where the request went:
    Google's clients follow it with their token.
    """
    path = f"b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
    hashes = dict(known.hashes or {})
    if known.components:
        hashes["componentCount"] = known.components
        hashes.pop("md5Hash", None)
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{known.generation}",
        "selfLink": f"{LINK}{path}",
        "mediaLink": f"{request.scheme}://{request.host}/download/storage/v1/{path}?generation={known.generation}&alt=media",
        "name": name,
        "bucket": bucket,
        "generation": known.generation,
        "metageneration": str(known.metageneration),
        **known.fields,
        "storageClass": known.storage_class,
        "size": str(known.size),
        **hashes,
        "timeCreated": known.created,
        "updated": known.updated,
        "timeStorageClassUpdated": known.created,
        "timeFinalized": known.created,
        "etag": fingerprint([name, known.generation, known.metageneration]),
    }
