# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Buckets and objects of storage v1, which answers at once: no operations here."""

from __future__ import annotations

import typing as t
import urllib.parse
from collections.abc import Sequence

from .._call import Call
from .._errors import CollectionError, Conflict, NotFound
from .._naming import to_api
from .._reconcile import Change, Field, Json, Labels
from .compute import Params, top_level
from .connect import Gcp, connect


def same_name(desired: t.Any, live: t.Any) -> bool:
    """Locations and storage classes, which Google answers in capitals."""
    return str(desired).upper() == str(live or "").upper()


class Bucket:
    kind = "bucket"
    fields: Sequence[Field] = (
        Field("location", same=same_name),
        Field("storage_class", "patch", same_name),
        Field("iam_configuration.uniform_bucket_level_access.enabled", "patch"),
        Field("iam_configuration.public_access_prevention", "patch"),
        Field("versioning.enabled", "patch"),
        Labels("labels", "patch"),
    )

    def __init__(self, gcp: Gcp, params: Params) -> None:
        self.name: str = params["name"]
        self.identity: Json = {"name": self.name}
        self.project = gcp.project
        self._params = params
        self._rest = gcp.rest("storage")
        self.path = f"b/{self.name}"

    def desired(self) -> Json:
        stated = self._params
        iam: Json = {"publicAccessPrevention": stated["public_access_prevention"]}
        if stated["uniform_bucket_level_access"] is not None:
            iam["uniformBucketLevelAccess"] = {"enabled": stated["uniform_bucket_level_access"]}
        body: Json = {
            "name": self.name,
            **to_api({key: stated[key] for key in ("location", "storage_class", "labels")}),
        }
        # Keys that the user left unset are no wish.
        iam = {key: value for key, value in iam.items() if value is not None}
        if iam:
            body["iamConfiguration"] = iam
        if stated["versioning"] is not None:
            body["versioning"] = {"enabled": stated["versioning"]}
        return body

    def get(self) -> Json | None:
        return self._rest.find(self.path)

    def create(self, desired: Json) -> None:
        self._rest.post("b", desired, params={"project": self.project}, landed=self.get)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> None:
        body = {key: desired[key] for key in top_level(changes, desired)}
        for change in changes:
            if change.field.path == "labels":
                # In a JSON merge patch null is what removes a key, and a key that is not named stays.
                gone = (change.before or {}).keys() - change.after.keys()
                body["labels"] = {**desired["labels"], **dict.fromkeys(gone)}

        def landed() -> Json | None:
            now = self.get()
            return now if all(change.is_in(now) for change in changes) else None

        self._rest.patch(self.path, body, landed=landed)

    def delete(self, live: Json) -> None:
        if self._params["force_destroy"]:
            self._empty()
        try:
            self._rest.delete(self.path, landed=self._is_gone)
        except Conflict as error:
            if "not empty" not in error.message:
                raise
            remedy = "force_destroy: true deletes the objects in it first"
            raise Conflict(
                f"{error.message} -- {remedy}", code=error.code, status=error.status, reason=error.reason, remedy=remedy
            ) from error

    def _empty(self) -> None:
        """Delete every object in every version."""
        for item in list(self._rest.pages(f"{self.path}/o", "items", {"versions": "true"})):
            path = object_path(self.name, item["name"])
            generation = {"generation": item["generation"]} if item.get("generation") else None
            try:
                # To delete one generation twice does no harm: it is gone either way.
                self._rest.request("DELETE", path, params=generation, read=True)
            except NotFound:
                continue

    def _is_gone(self) -> Json | None:
        return {} if self.get() is None else None


def object_path(bucket: str, name: str) -> str:
    return f"b/{bucket}/o/{urllib.parse.quote(name, safe='')}"


def objects_info(call: Call) -> Json:
    """The core of module bucket_objects_info."""
    bucket, prefix, manifest = (call.params[name] for name in ("bucket", "prefix", "manifest"))
    rest = connect(call).rest("storage")
    wanted = {"prefix": prefix, "fields": "items(name,size,updated),nextPageToken"}
    try:
        listed = list(rest.pages(f"b/{bucket}/o", "items", wanted))
    except NotFound:
        listed = []
    objects = [{"name": item["name"], "size": int(item["size"]), "updated": item["updated"]} for item in listed]
    answer: Json = {"changed": False, "objects": objects}
    if manifest is not None:
        sizes = {item["name"]: item["size"] for item in objects}
        # The list says whether it is there: Google answers a download that fails in plain words, not as an API error.
        name = prefix + manifest
        document = rest.get(object_path(bucket, name), {"alt": "media"}) if name in sizes else None
        files = {} if document is None else document.get("files")
        if not isinstance(files, dict):
            raise CollectionError(f"gs://{bucket}/{name} is no manifest: it has no mapping 'files'")
        answer["missing"] = missing({prefix + name: size for name, size in files.items()}, sizes)
        answer["complete"] = document is not None and not answer["missing"]
    return answer


def missing(files: t.Mapping[str, int | None], sizes: t.Mapping[str, int]) -> list[Json]:
    """Of ``files`` (name -> bytes, None for any size) those that are not among ``sizes`` like that."""
    return [
        {"name": name, "size": size, "found": sizes.get(name)}
        for name, size in sorted(files.items())
        if name not in sizes or size not in (None, sizes[name])
    ]
