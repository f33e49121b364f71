# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cloudresourcemanager v1: projects and their IAM policies."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...interfaces import Json
from .. import labels, policies
from ..bodies import STRING, STRING_MAP, STRINGS, Shape, of
from ..engine import Work, compute_name
from ..errors import Refusal, invalid, not_found
from ..store import Project, page
from ..web import Call, Route, Service

TYPES = "type.googleapis.com/google.cloudresourcemanager.v1"
PROJECT: Shape = {
    **of(STRING, "projectId name projectNumber lifecycleState createTime"),
    "labels": STRING_MAP,
    "parent": of(STRING, "type id"),
}
# The discovery document of cloudresourcemanager v1.
SHORTEST_ID, LONGEST_ID = 6, 30
PROJECT_ID = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SHORTEST_NAME, LONGEST_NAME = 4, 30
PROJECT_NAME = re.compile(r"[-\w'\" !]*", re.ASCII)


class ResourceManager(Service):
    name = "cloudresourcemanager.googleapis.com"
    base = "cloudresourcemanager/"

    def routes(self) -> Sequence[Route]:
        root = "{version:v1\\w*}"
        one = f"{root}/projects/{{project:[^/:]+}}"
        return (
            ("POST", f"{one}:getIamPolicy", self._get_policy),
            ("POST", f"{one}:setIamPolicy", self._set_policy),
            ("POST", f"{one}:testIamPermissions", self._test_permissions),
            ("POST", f"{one}:getAncestry", self._get_ancestry),
            ("GET", one, self._get),
            ("DELETE", one, self._delete),
            ("POST", f"{root}/projects", self._create),
            ("GET", f"{root}/projects", self._list),
            ("GET", f"{root}/operations/{{operation}}", self._operation),
        )

    async def _get(self, call: Call) -> Json:
        return call.project.document

    async def _list(self, call: Call) -> Json:
        wanted = call.query.get("filter", "")
        items = [project.document for project in self.store.projects.values()]
        if "lifecycleState" in wanted:
            items = [item for item in items if item["lifecycleState"] in wanted]
        chosen, token = page(items, call.query, size="pageSize")
        return {"projects": chosen, **({"nextPageToken": token} if token else {})}

    async def _create(self, call: Call) -> Json:
        body = call.read(PROJECT)
        name = body.get("projectId", "")
        check_field("project_id", name, SHORTEST_ID, LONGEST_ID, PROJECT_ID)
        if body.get("name"):
            check_field("display_name", body["name"], SHORTEST_NAME, LONGEST_NAME, PROJECT_NAME)
        if labels.fault(body.get("labels") or {}):
            raise invalid("Request contains an invalid argument.")
        if name in self.store.projects:
            raise Refusal("ALREADY_EXISTS", "Requested entity already exists")
        allowed = {key: body[key] for key in ("name", "labels", "parent") if body.get(key)}
        project = self.store.add_project(name, {"name": name, **allowed})
        metadata = {"@type": f"{TYPES}.ProjectCreationStatus", "gettable": True, "ready": True}
        work = Work(compute_name(), self.name, name, "global", "create", name, 0, {"metadata": metadata})

        async def create() -> Json:
            return {"@type": f"{TYPES}.Project", **project.document}

        return render(self.engine.start(work, create))

    async def _delete(self, call: Call) -> Json:
        call.project.document["lifecycleState"] = "DELETE_REQUESTED"
        self.store.changed()
        return {}

    async def _get_ancestry(self, call: Call) -> Json:
        """The project alone: there is no organization here."""
        return {"ancestor": [{"resourceId": {"type": "project", "id": call.project.id}}]}

    async def _get_policy(self, call: Call) -> Json:
        return policies.read(self.store, resource(call.project))

    async def _set_policy(self, call: Call) -> Json:
        return policies.write(self.store, resource(call.project), call.read(policies.SET_POLICY).get("policy", {}))

    async def _test_permissions(self, call: Call) -> Json:
        asked = call.read({"permissions": STRINGS}).get("permissions", [])
        policies.check_permissions(asked)
        return {"permissions": asked} if asked else {}

    async def _operation(self, call: Call) -> Json:
        work = self.engine.find(self.name, call.params["operation"])
        if work is None:
            raise not_found(f"Operation not found: operations/{call.params['operation']}")
        return render(work)


def check_field(field: str, text: str, least: int, most: int, form: re.Pattern[str]) -> None:
    """Raises Refusal 400."""
    if len(text) < least:
        raise invalid(f"field [{field}] has issue [{field} must be at least {least} characters long]")
    if len(text) > most:
        raise invalid(f"field [{field}] has issue [{field} must be at most {most} characters long]")
    if not form.fullmatch(text):
        raise invalid(f"field [{field}] has issue [{field} contains invalid characters]")


def resource(project: Project) -> str:
    return f"project/{project.id}"


def render(work: Work) -> Json:
    answer: Json = {"name": f"operations/{work.name}"}
    if work.done:
        answer |= {"done": True, **work.extra, "response": work.result}
    return answer
