# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket's objects, which are files below its directory: what is a name here, and what Google answers of it."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...interfaces import Json
from .. import bodies
from ..errors import Refusal, invalid, not_found, precondition_failed
from ..store import fingerprint, now
from .shapes import OBJECT_METADATA

LINK = "https://www.googleapis.com/storage/v1/"
LONGEST_NAME = 1024  # bytes; https://cloud.google.com/storage/docs/objects#naming
LONGEST_FILE = 255  # bytes of a file's name on Linux
METAGENERATION = "1"  # what is said of an object cannot be changed here
LARGEST_HASHED = 64 * 1024 * 1024  # bytes; beyond, no md5Hash is answered, as for Google's composite objects


def file_of(folder: Path, name: str) -> Path | None:
    """The file of the object with this name, whether it exists or not; None for a name that no file can have."""
    parts = name.split("/")
    possible = all(part not in ("", ".", "..") and len(os.fsencode(part)) <= LONGEST_FILE for part in parts)
    return folder / name if possible and "\0" not in name else None


def existing(folder: Path, name: str) -> Path:
    """Raises Refusal 404."""
    file = file_of(folder, name)
    if file is None or not file.is_file():
        raise not_found(f"No such object: {folder.name}/{name}")
    return file


def generation(folder: Path, name: str) -> str:
    """ "0" stands for an object that is not there, as in preconditions."""
    file = file_of(folder, name)
    return str(file.stat().st_mtime_ns // 1000) if file is not None and file.is_file() else "0"


def check_conditions(folder: Path, name: str, query: Mapping[str, str]) -> None:
    """https://cloud.google.com/storage/docs/request-preconditions. Raises Refusal 412."""
    live = {"Generation": generation(folder, name), "Metageneration": METAGENERATION}
    for what, value in live.items():
        if query.get(f"if{what}Match", value) != value or query.get(f"if{what}NotMatch") == value:
            raise precondition_failed()


def unchanged(folder: Path, name: str, query: Mapping[str, str]) -> bool:
    """Whether a reader who has this generation already needs nothing. Raises Refusal 412 for other preconditions."""
    if query.get("ifGenerationNotMatch") == generation(folder, name):
        return True
    check_conditions(folder, name, query)
    wanted = query.get("generation", generation(folder, name))
    if wanted != generation(folder, name):
        raise not_found(f"No such object: {folder.name}/{name}#{wanted}")
    return False


def write(folder: Path, name: str, content: bytes) -> None:
    """Raises Refusal 400 for a name that Google does not allow, 501 for one that cannot be a file here."""
    if not name:
        raise invalid("Required", reason="required")
    if len(name.encode()) > LONGEST_NAME:
        raise invalid("The specified object name is not valid.", reason="invalid")
    if re.search(r"[\r\n]", name) or name in (".", "..") or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Disallowed unicode characters present in object name '{name}'", reason="invalid")
    file = file_of(folder, name)
    if file is None:
        raise Refusal("UNIMPLEMENTED", f"Objects are files in the sandbox, and none can be called {name!r}.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        text = f"Objects are files in the sandbox: {name!r} cannot be beside what is there, a file or a folder of it."
        raise Refusal("UNIMPLEMENTED", text) from error


def split_multipart(kind: str, content: bytes, name: str) -> tuple[str, bytes]:
    """The object's name and content out of a multipart/related body: metadata as JSON, then the data.

    ``name``: the one in the query, which the metadata may replace. Raises Refusal 400.
    """
    boundary = re.search(r"boundary=(['\"]?)(?P<text>[^'\";]+)\1", kind)
    found = content.split(b"--" + boundary["text"].encode("utf-8", "surrogateescape")) if boundary else []
    # What stands before, the two parts, the end.
    parts = [re.split(rb"\r?\n\r?\n", part, maxsplit=1) for part in found[1:3]] if len(found) == 4 else []
    if [len(part) for part in parts] != [2, 2]:
        raise invalid("Malformed multipart body.", reason="badContent")
    metadata, data = (re.sub(rb"\r?\n\Z", b"", part[1]) for part in parts)
    return bodies.read(bodies.decode(metadata), OBJECT_METADATA, lenient=True).get("name", name), data


def files(folder: Path) -> Iterator[str]:
    """The names of the objects: paths of the files below the bucket's directory."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def describe(folder: Path, name: str) -> Json:
    status, number = (folder / name).stat(), generation(folder, name)
    stamp = now()
    answer: Json = {
        "kind": "storage#object",
        "id": f"{folder.name}/{name}/{number}",
        "selfLink": f"{LINK}b/{folder.name}/o/{name.replace('/', '%2F')}",
        "mediaLink": f"https://storage.googleapis.com/download/storage/v1/b/{folder.name}/o/"
        f"{name.replace('/', '%2F')}?generation={number}&alt=media",
        "name": name,
        "bucket": folder.name,
        "generation": number,
        "metageneration": METAGENERATION,
        "contentType": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "storageClass": "STANDARD",
        "size": str(status.st_size),
        "timeCreated": stamp,
        "updated": stamp,
    }
    if status.st_size <= LARGEST_HASHED:
        digest = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).digest()
        answer["md5Hash"] = base64.b64encode(digest).decode()
    answer["etag"] = fingerprint([name, number])
    return answer
