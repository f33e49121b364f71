# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""storage v1: buckets, their IAM policies, and objects that are files in the bucket's directory."""

from __future__ import annotations

import base64
import copy
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ...catalogue.places import REGIONS
from ...interfaces import Json
from .. import policies
from ..bodies import same_bytes
from ..errors import Refusal, invalid, not_found
from ..store import Project, now, page
from ..web import Answer, Call, Platform, Route, Service, content
from . import objects, shapes

LINK = "https://www.googleapis.com/storage/v1/"
NAME = re.compile(r"[a-z0-9][-a-z0-9_.]{1,220}[a-z0-9]")
MULTI_REGIONS = ("US", "EU", "ASIA")
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL")
MUTABLE = frozenset(
    {
        "autoclass",
        "billing",
        "cors",
        "defaultEventBasedHold",
        "encryption",
        "hierarchicalNamespace",
        "iamConfiguration",
        "labels",
        "lifecycle",
        "logging",
        "retentionPolicy",
        "rpo",
        "softDeletePolicy",
        "storageClass",
        "versioning",
        "website",
    }
)
WEEK = "604800"


class Storage(Service):
    name = "storage.googleapis.com"
    base = ""
    style = "apps"

    def __init__(self, platform: Platform, *, directory: Path) -> None:
        super().__init__(platform)
        self._directory = directory

    def routes(self) -> Sequence[Route]:
        many = "storage/v1/b"
        one = f"{many}/{{bucket}}"
        named = f"{one}/o/{{object:.+}}"
        return (
            ("GET", many, self._list),
            ("POST", many, self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("PUT", one, self._patch),
            ("DELETE", one, self._delete),
            ("GET", f"{one}/iam", self._get_policy),
            ("PUT", f"{one}/iam", self._set_policy),
            ("GET", f"{one}/iam/testPermissions", self._test_permissions),
            ("GET", f"{one}/storageLayout", self._layout),
            ("GET", f"{one}/managedFolders", self._list_folders),
            ("GET", f"{one}/o", self._list_objects),
            ("GET", named, self._get_object),
            ("DELETE", named, self._delete_object),
            ("GET", "download/" + named, self._get_object),
            ("POST", f"upload/{one}/o", self._upload),
        )

    def path(self, name: str) -> Path | None:
        """The directory of an existing bucket."""
        return self._directory / name if name in self.store.buckets else None

    # Buckets

    async def _list(self, call: Call) -> Json:
        if "project" not in call.query:
            raise invalid("Required parameter: project", reason="required")
        prefix = call.query.get("prefix", "")
        found = [
            bucket
            for name, bucket in sorted(self.store.buckets.items())
            if bucket["projectNumber"] == call.project.number and name.startswith(prefix)
        ]
        chosen, token = page([self._shown(bucket, call) for bucket in found], call.query, size="maxResults")
        answer: Json = {"kind": "storage#buckets"}
        return answer | ({"items": chosen} if chosen else {}) | ({"nextPageToken": token} if token else {})

    async def _create(self, call: Call) -> Json:
        if "project" not in call.query:
            raise invalid("Required parameter: project", reason="required")
        body = call.read(shapes.BUCKET, lenient=True)
        name = body.get("name", "")
        if not NAME.fullmatch(name) or ".." in name:
            raise invalid(f"Invalid bucket name: '{name}'", reason="invalid")
        taken = self.store.buckets.get(name)
        if taken:
            mine = taken["projectNumber"] == call.project.number
            raise Refusal(
                "CONFLICT",
                "Your previous request to create the named bucket succeeded and you already own it."
                if mine
                else "The requested bucket name is not available. The bucket namespace is shared by all users of the "
                "system. Please select a different name and try again.",
            )
        document = self._document(call.project, name, body)
        complete(document)
        (self._directory / name).mkdir(parents=True, exist_ok=True)
        self.store.buckets[name] = document
        self._set_legacy_roles(call.project, name)
        self.store.changed()
        return self._shown(document, call)

    def _document(self, project: Project, name: str, body: Json) -> Json:
        location = (body.get("location") or "US").upper()
        if location not in MULTI_REGIONS and location.lower() not in REGIONS:
            raise invalid(f"The specified location constraint is not valid: {location}", reason="invalid")
        stamp = now()
        return {
            "kind": "storage#bucket",
            "selfLink": f"{LINK}b/{name}",
            "id": name,
            "name": name,
            "projectNumber": project.number,
            "generation": str(self.store.version),
            "metageneration": "1",
            "location": location,
            "locationType": "multi-region" if location in MULTI_REGIONS else "region",
            "timeCreated": stamp,
            "updated": stamp,
            **{key: copy.deepcopy(body[key]) for key in sorted(MUTABLE) if body.get(key) is not None},
        }

    def _set_legacy_roles(self, project: Project, name: str) -> None:
        owners = [f"projectEditor:{project.id}", f"projectOwner:{project.id}"]
        bindings = [
            {"role": "roles/storage.legacyBucketOwner", "members": owners},
            {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project.id}"]},
        ]
        policies.write(self.store, f"bucket/{name}", {"bindings": bindings})

    async def _get(self, call: Call) -> Json:
        return self._shown(self._find(call), call)

    async def _patch(self, call: Call) -> Json:
        live = self._find(call)
        self._check_generation(call, live)
        # What only the server sets, such as timeCreated, is not looked at: clients send back whole buckets.
        body = call.read(shapes.BUCKET, lenient=True)
        document = copy.deepcopy(live)
        for key, value in body.items():
            if key not in MUTABLE:
                if (value or "").lower() != document[key].lower():
                    raise invalid(f"Bucket field {key} cannot be changed.", reason="invalid")
                continue
            merged = merge(document.get(key), value)
            document.pop(key, None)
            if merged is not None:
                document[key] = merged
        if body.get("labels") is not None and call.request.method == "PUT":
            document["labels"] = body["labels"]
        complete(document)
        document["metageneration"] = str(int(document["metageneration"]) + 1)
        document["updated"] = now()
        self.store.buckets[document["name"]] = document
        self.store.changed()
        return self._shown(document, call)

    async def _delete(self, call: Call) -> Answer:
        document = self._find(call)
        self._check_generation(call, document)
        folder = self._directory / document["name"]
        if any(True for _unused in objects.files(folder)):
            raise Refusal("CONFLICT", "The bucket you tried to delete is not empty.")
        shutil.rmtree(folder, ignore_errors=True)
        del self.store.buckets[document["name"]]
        self.store.policies.pop(f"bucket/{document['name']}", None)
        self.store.changed()
        return web.Response(status=204)

    def _find(self, call: Call) -> Json:
        found = self.store.buckets.get(call.params["bucket"])
        if found is None:
            raise not_found("The specified bucket does not exist.")
        return found

    @staticmethod
    def _check_generation(call: Call, document: Json) -> None:
        if call.query.get("ifMetagenerationMatch", document["metageneration"]) != document["metageneration"]:
            raise Refusal("CONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.")

    def _shown(self, document: Json, call: Call) -> Json:
        """The bucket with its etag; with its access control lists where Google answers them: in a full projection,

        which is the default of PATCH and PUT, of a bucket without uniform access.
        """
        answer = {**document, "etag": base64.b64encode(document["metageneration"].encode()).decode()}
        uniform = document["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]
        usual = "full" if call.request.method in ("PATCH", "PUT") else "noAcl"
        if call.query.get("projection", usual) == "full" and not uniform:
            owner = f"project-owners-{document['projectNumber']}"
            answer |= {
                "acl": [bucket_grant(document, team, role) for team, role in TEAMS],
                "defaultObjectAcl": [object_grant(document, team, role) for team, role in TEAMS],
                "owner": {"entity": owner},
            }
        return answer

    # IAM

    async def _get_policy(self, call: Call) -> Json:
        return self._policy(self._find(call)["name"])

    async def _set_policy(self, call: Call) -> Json:
        name = self._find(call)["name"]
        policy = call.read(policies.POLICY)
        given = policy.get("etag")
        if given and not same_bytes(given, policies.read(self.store, f"bucket/{name}")["etag"]):
            raise Refusal("CONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.")
        policies.write(self.store, f"bucket/{name}", policy)
        return self._policy(name)

    def _policy(self, name: str) -> Json:
        return {
            "kind": "storage#policy",
            "resourceId": f"projects/_/buckets/{name}",
            **policies.read(self.store, f"bucket/{name}"),
        }

    async def _test_permissions(self, call: Call) -> Json:
        self._find(call)
        asked = call.request.query.getall("permissions", [])
        return {"kind": "storage#testIamPermissionsResponse", "permissions": asked}

    # Objects

    async def _layout(self, call: Call) -> Json:
        document = self._find(call)
        place = {key: document[key] for key in ("location", "locationType")}
        return {"kind": "storage#storageLayout", "bucket": document["name"], **place}

    async def _list_folders(self, call: Call) -> Json:
        """Managed folders cannot be made here, so there is none; gcloud asks before it deletes a bucket."""
        self._find(call)
        return {"kind": "storage#managedFolders"}

    async def _list_objects(self, call: Call) -> Json:
        folder = self._folder(call)
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        prefixes: set[str] = set()
        items: list[Json] = []
        for name in sorted(objects.files(folder)):
            if not name.startswith(prefix):
                continue
            head, cut, _rest = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if cut:
                prefixes.add(prefix + head + cut)
            else:
                items.append(objects.describe(folder, name))
        chosen, token = page(items, call.query, size="maxResults", default=1000)
        answer: Json = {"kind": "storage#objects"}
        answer |= {"prefixes": sorted(prefixes)} if prefixes else {}
        return answer | ({"items": chosen} if chosen else {}) | ({"nextPageToken": token} if token else {})

    async def _get_object(self, call: Call) -> Answer:
        folder, name = self._folder(call), call.params["object"]
        file = objects.existing(folder, name)
        if call.query.get("alt") == "media" or call.request.path.startswith("/download/"):
            return web.FileResponse(file)
        return objects.describe(folder, name)

    async def _delete_object(self, call: Call) -> Answer:
        folder = self._folder(call)
        file = objects.existing(folder, call.params["object"])
        file.unlink()
        for parent in file.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
        return web.Response(status=204)

    async def _upload(self, call: Call) -> Json:
        kind = call.query.get("uploadType", "media")
        data, name = await content(call.request), call.query.get("name", "")
        if kind == "multipart":
            name, data = objects.split_multipart(call.request.headers.get("Content-Type", ""), data, name)
        elif kind != "media":
            raise Refusal("UNIMPLEMENTED", f"The sandbox does not take uploads of type {kind!r}.")
        folder = self._folder(call)
        objects.write(folder, name, data)
        self.store.changed()
        return objects.describe(folder, name)

    def _folder(self, call: Call) -> Path:
        return self._directory / str(self._find(call)["name"])


TEAMS = (("owners", "OWNER"), ("editors", "OWNER"), ("viewers", "READER"))


def object_grant(document: Json, team: str, role: str) -> Json:
    """One entry of the access control list that new objects get."""
    number = document["projectNumber"]
    return {
        "kind": "storage#objectAccessControl",
        "entity": f"project-{team}-{number}",
        "role": role,
        "etag": "CAE=",
        "projectTeam": {"projectNumber": number, "team": team},
    }


def bucket_grant(document: Json, team: str, role: str) -> Json:
    """One entry of the bucket's own access control list."""
    name = document["name"]
    grant = object_grant(document, team, role)
    path = f"{name}/acl/{grant['entity']}"
    own = {"kind": "storage#bucketAccessControl", "bucket": name, "id": f"{name}/{grant['entity']}"}
    return {**grant, **own, "selfLink": f"{LINK}b/{path}"}


def complete(document: Json) -> None:
    """Check a bucket and fill in what Google sets."""
    stamp = now()
    if document.setdefault("storageClass", "STANDARD") not in STORAGE_CLASSES:
        raise invalid(f"Invalid argument: storage class {document['storageClass']}.", reason="invalid")
    access = document.setdefault("iamConfiguration", {})
    uniform = access.get("uniformBucketLevelAccess") or access.get("bucketPolicyOnly") or {"enabled": False}
    uniform = {"enabled": bool(uniform.get("enabled"))} | ({"lockedTime": stamp} if uniform.get("enabled") else {})
    access["uniformBucketLevelAccess"] = access["bucketPolicyOnly"] = uniform
    if access.setdefault("publicAccessPrevention", "inherited") not in ("inherited", "enforced", "unspecified"):
        raise invalid("Invalid value for publicAccessPrevention.", reason="invalid")
    if document["locationType"] == "multi-region":
        document.setdefault("rpo", "DEFAULT")
    soft = document.setdefault("softDeletePolicy", {"retentionDurationSeconds": WEEK})
    soft["retentionDurationSeconds"] = str(soft.get("retentionDurationSeconds", WEEK))
    if soft["retentionDurationSeconds"] == "0":
        soft.pop("effectiveTime", None)
    else:
        soft.setdefault("effectiveTime", stamp)
    if document.get("autoclass", {}).get("enabled"):
        times = {"toggleTime": stamp, "terminalStorageClassUpdateTime": stamp}
        document["autoclass"] = {"terminalStorageClass": "NEARLINE", **times, **document["autoclass"]}
    if not document.get("lifecycle", {}).get("rule"):
        document.pop("lifecycle", None)
    if not document.get("labels"):
        document.pop("labels", None)


def merge(old: object, new: object) -> object:
    """JSON merge patch of one field; None removes."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        if isinstance(new, dict):
            return {key: value for key, value in new.items() if value is not None}
        return new
    merged = {key: merge(old.get(key), value) for key, value in new.items()}
    return {key: value for key, value in {**old, **merged}.items() if value is not None}
