# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: features."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from ...interfaces import Json, Place
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, now
from ..web import Call, Route
from . import shapes
from .base import WHERE, Hub, answer_list, copy_field, shown
from .states import FEATURES, in_order, membership

LOST = "Lost connection"
MUTABLE = ("labels", "spec", "membershipSpecs")
MEMBERSHIP = re.compile(r"projects/[^/]+/locations/[^/]+/memberships/[^/]+")


class Features(Hub):
    def routes(self) -> Sequence[Route]:
        one = f"{WHERE}/features/{{name:[^/:]+}}"
        return (
            ("GET", f"{WHERE}/features", self._list),
            ("POST", f"{WHERE}/features", self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
        )

    async def _list(self, call: Call) -> Json:
        here = self._location(call) in ("global", "-")
        found = [self._rendered(call.project, document, call.version) for document in call.project.features.values()]
        return answer_list(call, "resources", found if here else [])

    async def _get(self, call: Call) -> Json:
        return self._rendered(call.project, self._find(call), call.version)

    async def _create(self, call: Call) -> Json:
        project, location = call.project, self._location(call)
        body = call.read(shapes.FEATURE, "resource")
        feature = call.query.get("featureId", "")
        if location != "global" or feature not in FEATURES:
            raise invalid(
                f'InvalidValueError for field feature_id: "{feature}" is not a feature in location "{location}"'
            )
        api = FEATURES[feature][0]
        if api not in project.services:
            raise precondition(f'API "{api}" must be enabled in project "{project.id}" before feature "{feature}".')
        name = f"projects/{project.id}/locations/global/features/{feature}"
        if feature in project.features:
            raise Refusal("ALREADY_EXISTS", f"Resource '{name}' already exists")
        stamp = now()
        document: Json = {
            "name": name,
            **{key: copy.deepcopy(body[key]) for key in MUTABLE if body.get(key)},
            "resourceState": {"state": "ENABLING"},
            "createTime": stamp,
            "updateTime": stamp,
        }
        check(project, feature, document)
        project.features[feature] = document

        async def create() -> Json:
            self._activate(project, document)
            return self._rendered(project, document, call.version)

        return self._start(call, "create", name, "feature_create", create, "Feature")

    async def _patch(self, call: Call) -> Json:
        document, body = self._find(call), call.read(shapes.FEATURE, "resource")
        wanted = copy.deepcopy(document)
        for field in self._mask(call):
            copy_field(body, wanted, field, MUTABLE)
        check(call.project, call.params["name"], wanted)
        document["resourceState"] = {"state": "UPDATING"}

        async def change() -> Json:
            kept = {"membershipStates": document["membershipStates"]} if "membershipStates" in document else {}
            document.clear()
            document.update({**wanted, **kept, "updateTime": now()})
            self._activate(call.project, document)
            return self._rendered(call.project, document, call.version)

        return self._start(call, "update", document["name"], "feature_create", change, "Feature")

    async def _delete(self, call: Call) -> Json:
        document = self._find(call)
        document["resourceState"] = {"state": "DISABLING"}

        async def delete() -> Json:
            call.project.features.pop(call.params["name"], None)
            return {}

        return self._start(call, "delete", document["name"], "feature_delete", delete, "Feature")

    def _find(self, call: Call) -> Json:
        full = f"projects/{call.project.id}/locations/{self._location(call)}/features/{call.params['name']}"
        found = call.project.features.get(call.params["name"])
        if found is None or found["name"] != full:
            raise not_found(f'feature "{full}" not found')
        return found

    def _activate(self, project: Project, document: Json) -> None:
        document["resourceState"] = {"state": "ACTIVE"}
        document["state"] = {"state": {"code": "OK", "description": "Ready to use", "updateTime": now()}}
        self._members_changed(project)

    def _rendered(self, project: Project, document: Json, version: str) -> Json:
        """The feature, with what it knows of its members by now."""
        feature = document["name"].rpartition("/")[2]
        for name, entry in document.get("membershipStates", {}).items():
            member = membership(project, name) or {}
            here = Place(resource=name, location=name.split("/")[3])
            lost = self.faults.afflicts("fleet-lost", here, member.get("uniqueId", ""))
            if bool(lost) != (entry["state"].get("description") == LOST):
                entry["state"] = (
                    {"code": "ERROR", "description": LOST, "updateTime": now()} if lost else in_order(feature)
                )
        config = document.get("spec", {}).get("multiclusteringress", {}).get("configMembership")
        if config and "state" in document and membership(project, config) is None:
            document["state"]["state"] |= {"code": "ERROR", "description": f"config membership {config} not found"}
        return shown(document, version)


def check(project: Project, feature: str, document: Json) -> None:
    """Raises Refusal 400 for what cannot be the feature's specification.

    Words of the last: a public error report of gcloud container fleet ingress enable.
    """
    for other in document.get("spec", {}):
        if other != feature:
            raise invalid(f'InvalidValueError for field spec: feature "{feature}" has no specification "{other}"')
    for name in document.get("membershipSpecs", {}):
        if membership(project, name) is None:
            raise invalid(
                f'InvalidValueError for field membership_specs: "{name}" is no membership of the fleet. Keys should be '
                "in the form: projects/<project number>/locations/{l}/memberships/{m}"
            )
    if feature != "multiclusteringress":
        return
    config = document.get("spec", {}).get("multiclusteringress", {}).get("configMembership", "")
    if not config:
        raise invalid("InvalidValueError for field config_membership: a config membership must be specified")
    if not MEMBERSHIP.fullmatch(config):
        raise invalid(f'InvalidValueError for field config_membership: "{config}" is not a valid path')
    if membership(project, config) is None:
        raise invalid(f'InvalidValueError for field config_membership: Membership "{config}" does not exist')
