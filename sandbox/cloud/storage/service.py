# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""storage v1: buckets and their IAM policies; reading.py, changing.py and uploads.py have what is done to objects."""

from __future__ import annotations

import base64
import copy
import shutil
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from ...interfaces import Json
from .. import policies
from ..bodies import same_bytes
from ..errors import Refusal, invalid, precondition_failed
from ..store import Project, now, page
from ..web import Answer, Call, Platform, Route, Service
from . import buckets, shapes
from .changing import Changing
from .objects import LINK, Objects
from .reading import Reading
from .uploads import Uploads


class Storage(Service):
    name = "storage.googleapis.com"
    base = ""
    style = "apps"
    roots = ("storage/", "upload/storage/", "resumable/upload/storage/", "download/storage/")

    def __init__(self, platform: Platform, *, directory: Path) -> None:
        super().__init__(platform)
        self._objects = Objects(platform.store, directory)
        self._reading = Reading(self._objects)
        self._changing = Changing(self._objects)
        self._uploads = Uploads(self._objects)

    def routes(self) -> Sequence[Route]:
        many = "storage/v1/b"
        one = f"{many}/{{bucket}}"
        named = f"{one}/o/{{object}}"  # a slash in a name is %2F in a path
        uploads = [
            (method, f"{way}/{one}/o", act)
            for way in ("upload", "resumable/upload")
            for method, act in (
                ("POST", self._uploads.insert),
                ("PUT", self._uploads.append),
                ("DELETE", self._uploads.cancel),
            )
        ]
        to = "b/{toBucket}/o/{toObject}"
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
            ("GET", f"{one}/o", self._reading.listed),
            ("GET", named, self._reading.get),
            ("GET", f"download/{named}", self._reading.get),
            ("PATCH", named, self._changing.update),
            ("PUT", named, self._changing.update),
            ("DELETE", named, self._changing.delete),
            ("POST", f"{named}/compose", self._changing.compose),
            ("POST", f"{named}/copyTo/{to}", self._changing.copy),
            ("POST", f"{named}/rewriteTo/{to}", self._changing.rewrite),
            *uploads,
        )

    def path(self, name: str) -> Path | None:
        """The directory of an existing bucket."""
        return self._objects.folder(name) if name in self.store.buckets else None

    def authenticate(self, request: web.Request, token: str) -> None:
        """The URI of an upload is a credential of its own: a token is looked at only where a client sends one."""
        if "Authorization" in request.headers or not self._uploads.vouches(request):
            super().authenticate(request, token)

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
        buckets.check_name(name)
        buckets.check_stated(call.body)
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
        buckets.complete(document)
        self._objects.folder(name).mkdir(parents=True, exist_ok=True)
        self.store.buckets[name] = document
        self._set_legacy_roles(call.project, name)
        self.store.changed()
        return self._shown(document, call)

    def _document(self, project: Project, name: str, body: Json) -> Json:
        location = (body.get("location") or "US").upper()
        buckets.check_location(location)
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
            "locationType": buckets.location_type(location),
            "timeCreated": stamp,
            "updated": stamp,
            **{key: copy.deepcopy(body[key]) for key in sorted(buckets.STATED) if body.get(key) is not None},
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
            if key not in buckets.MUTABLE:
                self._check_same(key, value, document.get(key))
                continue
            merged = buckets.merge(document.get(key), value)
            document.pop(key, None)
            if merged is not None:
                document[key] = merged
        if body.get("labels") is not None and call.request.method == "PUT":
            document["labels"] = body["labels"]
        buckets.complete(document)
        document["metageneration"] = str(int(document["metageneration"]) + 1)
        document["updated"] = now()
        self.store.buckets[document["name"]] = document
        self.store.changed()
        return self._shown(document, call)

    @staticmethod
    def _check_same(key: str, given: object, live: object) -> None:
        """Clients send whole buckets back, with what cannot be changed as it is."""
        plain = [value.lower() if isinstance(value, str) else value or {"enabled": False} for value in (given, live)]
        if plain[0] != plain[1]:
            raise invalid(f"Bucket field {key} cannot be changed.", reason="invalid")

    async def _delete(self, call: Call) -> Answer:
        document = self._find(call)
        self._check_generation(call, document)
        if any(True for _unused in self._objects.names(document["name"])):
            raise Refusal("CONFLICT", "The bucket you tried to delete is not empty.")
        shutil.rmtree(self._objects.folder(document["name"]), ignore_errors=True)
        del self.store.buckets[document["name"]]
        self.store.policies.pop(f"bucket/{document['name']}", None)
        self.store.changed()
        return web.Response(status=204)

    def _find(self, call: Call) -> Json:
        return self._objects.bucket(call.params["bucket"])

    @staticmethod
    def _check_generation(call: Call, document: Json) -> None:
        live = document["metageneration"]
        if call.query.get("ifMetagenerationMatch", live) != live or call.query.get("ifMetagenerationNotMatch") == live:
            raise precondition_failed()

    def _shown(self, document: Json, call: Call) -> Json:
        """The bucket with its etag; with its access control lists where Google answers them: in a full projection,

        which is the default of PATCH and PUT, of a bucket without uniform access.
        """
        answer = {**document, "etag": base64.b64encode(document["metageneration"].encode()).decode()}
        uniform = buckets.is_uniform(document)
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
        document = self._find(call)
        name, policy = document["name"], call.read(policies.POLICY)
        given = policy.get("etag")
        if given and not same_bytes(given, policies.read(self.store, f"bucket/{name}")["etag"]):
            raise precondition_failed()
        self._check_policy(document, policy)
        try:
            policies.write(self.store, f"bucket/{name}", policy)
        except Refusal as error:
            raise Refusal(error.status, error.message, reason="invalid") from error
        return self._policy(name)

    @staticmethod
    def _check_policy(document: Json, policy: Json) -> None:
        bindings = policy.get("bindings", [])
        members = {member for binding in bindings for member in binding.get("members", [])}
        prevented = document["iamConfiguration"]["publicAccessPrevention"] == "enforced"
        if prevented and members & {"allUsers", "allAuthenticatedUsers"}:
            raise Refusal(
                "CONDITION_NOT_MET",
                "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention "
                "is enforced.",
            )
        if any(binding.get("condition") for binding in bindings) and not buckets.is_uniform(document):
            raise buckets.refused("IAM conditions are only for buckets with uniform bucket-level access enabled.")

    def _policy(self, name: str) -> Json:
        return {
            "kind": "storage#policy",
            "resourceId": f"projects/_/buckets/{name}",
            **policies.read(self.store, f"bucket/{name}"),
        }

    async def _test_permissions(self, call: Call) -> Json:
        self._find(call)
        asked = call.request.query.getall("permissions", [])
        policies.check_permissions(asked)
        return {"kind": "storage#testIamPermissionsResponse", "permissions": asked}

    async def _layout(self, call: Call) -> Json:
        document = self._find(call)
        place = {key: document[key] for key in ("location", "locationType")}
        return {"kind": "storage#storageLayout", "bucket": document["name"], **place}

    async def _list_folders(self, call: Call) -> Json:
        """Managed folders cannot be made here, so there is none; gcloud asks before it deletes a bucket."""
        self._find(call)
        return {"kind": "storage#managedFolders"}


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
