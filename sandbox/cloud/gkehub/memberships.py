# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: memberships."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Sequence

from ...interfaces import ClusterKey, Json
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, now
from ..web import Call, Route
from . import shapes
from .base import WHERE, Hub, answer_list, copy_field, shown
from .states import config_membership, number_name

MEMBERSHIP_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# gcloud composes links from its endpoint override: there the sandbox's own address stands for Google's.
RESOURCE_LINK = re.compile(
    r"//(?P<host>container\.googleapis\.com|[^/]+/container)/(v1/)?projects/(?P<project>[^/]+)/(locations|zones)/(?P<location>[^/]+)"
    r"/clusters/(?P<cluster>[^/]+)"
)
MUTABLE = ("labels", "description", "externalId", "authority", "infrastructureType")
LONGEST_ISSUER = 2000


class Memberships(Hub):
    def routes(self) -> Sequence[Route]:
        one = f"{WHERE}/memberships/{{name:[^/:]+}}"
        return (
            ("GET", f"{WHERE}/memberships", self._list),
            ("POST", f"{WHERE}/memberships", self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
        )

    async def _list(self, call: Call) -> Json:
        location = self._location(call)
        found = [
            document for name, document in call.project.memberships.items() if location in ("-", name.split("/")[3])
        ]
        return answer_list(call, "resources", [shown(document, call.version) for document in found])

    async def _get(self, call: Call) -> Json:
        return shown(self._find(call), call.version)

    async def _create(self, call: Call) -> Json:
        project, location = call.project, self._location(call)
        body = self._read(call)
        member = call.query.get("membershipId", "")
        if not MEMBERSHIP_ID.fullmatch(member):
            raise invalid(f'InvalidValueError for field membership_id: "{member}" is not a valid membership ID')
        name = f"projects/{project.id}/locations/{location}/memberships/{member}"
        if name in project.memberships:
            raise Refusal("ALREADY_EXISTS", f"Resource '{name}' already exists")
        self._check_endpoint(call, body, name)
        document = build(project, name, body)
        project.memberships[name] = document

        async def create() -> Json:
            document["state"] = {"code": "READY"}
            self._members_changed(project)
            return document

        return self._start(call, "create", name, "membership_create", create, "Membership")

    async def _patch(self, call: Call) -> Json:
        document, body = self._find(call), self._read(call)
        wanted = copy.deepcopy(document)
        for field in self._mask(call):
            copy_field(body, wanted, field, MUTABLE)
        check_issuer(wanted, call.request.host)
        add_authority(call.project, wanted, wanted)
        document["state"] = {"code": "UPDATING"}

        async def change() -> Json:
            document.clear()
            document.update({**wanted, "updateTime": now(), "state": {"code": "READY"}})
            return document

        return self._start(call, "update", document["name"], "membership_create", change, "Membership")

    async def _delete(self, call: Call) -> Json:
        document, project = self._find(call), call.project
        name = document["name"]
        config = number_name(project, config_membership(project))
        if call.query.get("force") != "true" and config == number_name(project, name):
            raise precondition(f'membership "{name}" is the config membership of feature "multiclusteringress"')
        document["state"] = {"code": "DELETING"}

        async def delete() -> Json:
            project.memberships.pop(name, None)
            self._members_changed(project)
            return {}

        return self._start(call, "delete", name, "membership_delete", delete, "Membership")

    @staticmethod
    def _read(call: Call) -> Json:
        return call.read(shapes.MEMBERSHIP if call.version == "v1" else shapes.MEMBERSHIP_BETA, "resource")

    def _find(self, call: Call) -> Json:
        name = f"projects/{call.project.id}/locations/{self._location(call)}/memberships/{call.params['name']}"
        if name not in call.project.memberships:
            raise not_found(f'membership "{name}" not found')
        return call.project.memberships[name]

    def _check_endpoint(self, call: Call, body: Json, name: str) -> None:
        """Words of the first and the last: a public report of both, Terraform against a fleet of its own."""
        link = body.get("endpoint", {}).get("gkeCluster", {}).get("resourceLink", "")
        found = RESOURCE_LINK.fullmatch(link)
        if found is None or found["host"] not in ("container.googleapis.com", f"{call.request.host}/container"):
            raise invalid(
                f'InvalidValueError for field endpoint.gke_cluster.resource_link: "{link}" is not a valid path'
            )
        owner = self.store.project(found["project"])
        key = ClusterKey(found["location"], found["cluster"])
        if key not in owner.clusters:
            raise not_found(f'failed to find cluster "{link}"')
        if call.params["location"] not in ("global", key.region):
            raise invalid(
                f'InvalidValueError for field name: a membership of cluster "{link}" can only be in location "global" '
                f'or "{key.region}"'
            )
        check_issuer(body, call.request.host)
        for other, document in call.project.memberships.items():
            theirs = RESOURCE_LINK.fullmatch(document["endpoint"].get("gkeCluster", {}).get("resourceLink", ""))
            if theirs and theirs.group("location", "cluster") == found.group("location", "cluster"):
                raise precondition(
                    f"intend to register the cluster with resource: {name}, but the cluster is already registered with "
                    f"resource: {other}"
                )


def build(project: Project, name: str, body: Json) -> Json:
    """The document of a new membership."""
    stamp = now()
    document: Json = {
        "name": name,
        **{key: body[key] for key in ("labels", "description") if body.get(key)},
        "endpoint": {"gkeCluster": dict(body["endpoint"]["gkeCluster"])},
        "state": {"code": "CREATING"},
        "externalId": str(uuid.uuid4()),
        "uniqueId": str(uuid.uuid4()),
        "infrastructureType": body.get("infrastructureType") or "MULTI_CLOUD",
        "createTime": stamp,
        "updateTime": stamp,
    }
    add_authority(project, document, body)
    return document


def check_issuer(body: Json, host: str) -> None:
    """Google wants an https URL; the one that gcloud composes from its endpoint override is plain http here."""
    issuer = body.get("authority", {}).get("issuer")
    good = issuer and issuer.startswith(("https://", f"http://{host}/container/")) and len(issuer) < LONGEST_ISSUER
    if issuer and not good:
        raise invalid(f'InvalidValueError for field authority.issuer: "{issuer}" must be an https URL')


def add_authority(project: Project, document: Json, body: Json) -> None:
    """What a membership says of its cluster's identities, when it is told their issuer."""
    issuer = body.get("authority", {}).get("issuer")
    document.pop("authority", None)
    if issuer:
        pool = project.pool_name
        document["authority"] = {"issuer": issuer, "identityProvider": issuer, "workloadIdentityPool": pool}
