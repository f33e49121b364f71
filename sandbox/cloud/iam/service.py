# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iam v1: service accounts and their IAM policies; the predefined roles."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...interfaces import Json
from .. import policies, roles
from ..bodies import BOOL, BYTES, STRING, STRINGS, Shape, of, same_bytes
from ..errors import Refusal, invalid, lacking, not_found
from ..store import Project, fingerprint, page
from ..web import Call, Route, Service

# The discovery document of iam v1.
SHORTEST, LONGEST = 6, 30
ACCOUNT_ID = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])")
LONGEST_TEXTS = {"displayName": 100, "description": 256}  # bytes
INVALID = "Request contains an invalid argument."
ACCOUNT: Shape = {
    **of(STRING, "name projectId uniqueId email displayName description oauth2ClientId"),
    "etag": BYTES,
    "disabled": BOOL,
}
CREATE: Shape = {"accountId": STRING, "serviceAccount": ACCOUNT}
PATCH: Shape = {"serviceAccount": ACCOUNT, "updateMask": STRING}
MUTABLE = {"display_name": "displayName", "displayName": "displayName", "description": "description"}


class Iam(Service):
    name = "iam.googleapis.com"
    base = "iam/"
    style = "both"

    def routes(self) -> Sequence[Route]:
        accounts = "{version:v1\\w*}/projects/{project}/serviceAccounts"
        one = accounts + "/{account:[^/:]+}"
        predefined = "{version:v1\\w*}/roles"
        return (
            ("GET", predefined, self._list_roles),
            ("GET", predefined + "/{role}", self._get_role),
            ("GET", "{version:v1\\w*}/projects/{project}/roles", self._list_own_roles),
            ("POST", f"{one}:disable", self._disable),
            ("POST", f"{one}:enable", self._enable),
            ("POST", f"{one}:getIamPolicy", self._get_policy),
            ("GET", f"{one}:getIamPolicy", self._get_policy),
            ("POST", f"{one}:setIamPolicy", self._set_policy),
            ("POST", f"{one}:testIamPermissions", self._test_permissions),
            ("POST", accounts, self._create),
            ("GET", accounts, self._list),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("PUT", one, self._put),
            ("DELETE", one, self._delete),
        )

    def project(self, name: str) -> Project:
        """ "-" stands for the project of the account."""
        return self.store.main if name == "-" else super().project(name)

    def _find(self, call: Call) -> tuple[Project, Json]:
        """The account named by e-mail address or unique id. Raises Refusal 404."""
        wanted = call.params["account"]
        everywhere = call.params["project"] == "-"
        for project in self.store.projects.values() if everywhere else [call.project]:
            for email, document in project.accounts.items():
                if wanted in (email, document["uniqueId"]):
                    return project, document
        raise not_found("Unknown service account")

    async def _create(self, call: Call) -> Json:
        project, body = call.project, call.read(CREATE)
        account = body.get("accountId", "")
        if not SHORTEST <= len(account) <= LONGEST:
            raise invalid(f'The account ID "{account}" does not have a length between {SHORTEST} and {LONGEST}.')
        if not ACCOUNT_ID.fullmatch(account):
            raise invalid(INVALID)
        email = f"{account}@{project.id}.iam.gserviceaccount.com"
        name = f"projects/{project.id}/serviceAccounts/{email}"
        if email in project.accounts:
            message = f"Service account {account} already exists within project projects/{project.id}."
            raise Refusal("ALREADY_EXISTS", message)
        number = self.store.unique_id()
        document = {
            "name": name,
            "projectId": project.id,
            "uniqueId": number,
            "email": email,
            "oauth2ClientId": number,
        }
        given = body.get("serviceAccount", {})
        check_texts(given)
        document |= {key: given[key] for key in ("displayName", "description") if given.get(key)}
        project.accounts[email] = document
        if late := self.late(email):
            project.unseen.add(email)
            self.engine.later(late, lambda: project.unseen.discard(email))
        return self._stamped(document)

    def _stamped(self, document: Json) -> Json:
        document.pop("etag", None)
        document["etag"] = fingerprint(document)
        self.store.changed()
        return document

    async def _get(self, call: Call) -> Json:
        return self._find(call)[1]

    async def _list(self, call: Call) -> Json:
        chosen, token = page(list(call.project.accounts.values()), call.query, size="pageSize", default=20)
        return {**({"accounts": chosen} if chosen else {}), **({"nextPageToken": token} if token else {})}

    async def _patch(self, call: Call) -> Json:
        document = self._find(call)[1]
        body = call.read(PATCH)
        given = body.get("serviceAccount") or {}
        self._check_etag(document, given)
        mask = [field for field in (body.get("updateMask") or "").split(",") if field and field != "etag"]
        if not mask or any(field not in MUTABLE for field in mask):
            raise invalid("The update mask must name display_name or description.")
        check_texts(given)
        for field in mask:
            key = MUTABLE[field]
            document.pop(key, None)
            if given.get(key):
                document[key] = given[key]
        self._stamped(document)
        return {key: document[key] for key in ("name", *(MUTABLE[field] for field in mask)) if key in document}

    async def _put(self, call: Call) -> Json:
        document = self._find(call)[1]
        body = call.read(ACCOUNT)
        self._check_etag(document, body)
        check_texts(body)
        for key in ("displayName", "description"):
            if key in body:
                document[key] = body[key]
        return self._stamped(document)

    @staticmethod
    def _check_etag(document: Json, given: Json) -> None:
        if not same_bytes(given.get("etag") or document["etag"], document["etag"]):
            raise Refusal("ABORTED", "There were concurrent changes to the service account. Please retry.")

    async def _disable(self, call: Call) -> Json:
        document = self._find(call)[1]
        document["disabled"] = True
        self._stamped(document)
        return {}

    async def _enable(self, call: Call) -> Json:
        document = self._find(call)[1]
        document.pop("disabled", None)
        self._stamped(document)
        return {}

    async def _delete(self, call: Call) -> Json:
        project, document = self._find(call)
        del project.accounts[document["email"]]
        self.store.policies.pop(resource(document), None)
        policies.forget(self.store, document)
        self.store.changed()
        return {}

    async def _get_policy(self, call: Call) -> Json:
        return policies.read(self.store, resource(self._find(call)[1]))

    async def _set_policy(self, call: Call) -> Json:
        return policies.write(
            self.store, resource(self._find(call)[1]), call.read(policies.SET_POLICY).get("policy", {})
        )

    async def _test_permissions(self, call: Call) -> Json:
        self._find(call)
        asked = call.read({"permissions": STRINGS}).get("permissions", [])
        policies.check_permissions(asked)
        return {"permissions": asked} if asked else {}

    # Roles

    async def _list_roles(self, call: Call) -> Json:
        if call.query.get("view") == "FULL":
            raise lacking("the permissions of all roles; ask for one role")
        items = [describe(name) for name in sorted(roles.ROLES)]
        chosen, token = page(items, call.query, size="pageSize", default=300)
        return {"roles": chosen, **({"nextPageToken": token} if token else {})}

    async def _list_own_roles(self, _call: Call) -> Json:
        """Custom roles cannot be made here, so there is none."""
        return {}

    async def _get_role(self, call: Call) -> Json:
        name = f"roles/{call.params['role']}"
        if unknown := roles.unknown_service(name):
            raise lacking(f"the roles of {unknown}")
        if name not in roles.ROLES:
            raise not_found(f"The role named {name} was not found.")
        if name not in roles.DESCRIBED:
            raise lacking(f"the permissions of {name}")
        return {**describe(name), "includedPermissions": list(roles.DESCRIBED[name].permissions)}


def describe(name: str) -> Json:
    """A role as lists show it."""
    known = roles.DESCRIBED.get(name)
    words = {"title": known.title, "description": known.description} if known else {}
    return {"name": name, **words, "stage": "GA", "etag": "AA=="}


def check_texts(account: Json) -> None:
    """Raises Refusal 400."""
    if any(len(account.get(field) or "") > most for field, most in LONGEST_TEXTS.items()):
        raise invalid(INVALID)


def resource(document: Json) -> str:
    return f"serviceAccount/{document['email']}"
