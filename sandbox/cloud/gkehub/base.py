# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the resources of gkehub v1 share: locations, update masks, operations."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

from ...catalogue.places import is_region
from ...interfaces import Json
from ..engine import Effect, Work, compute_name
from ..errors import Refusal, invalid, not_found
from ..store import Project, page
from ..web import Call, Service
from . import states

TYPES = "type.googleapis.com/google.cloud.gkehub"
WHERE = "{version:v1\\w*}/projects/{project}/locations/{location}"


class Hub(Service):
    name = "gkehub.googleapis.com"
    base = "gkehub/"

    def _members_changed(self, project: Project) -> None:
        """Every feature comes to know of the members after a while."""
        self.store.changed()

        def settle() -> None:
            states.settle(project)
            self.store.changed()

        if project.features:
            self.engine.later(self.latency.of("feature_membership_ok"), settle)

    @staticmethod
    def _location(call: Call) -> str:
        location = call.params["location"]
        many = call.request.method == "GET" and location == "-"
        if location != "global" and not many and not is_region(location):
            raise not_found(f'Location "{location}" not found')
        return location

    @staticmethod
    def _mask(call: Call) -> list[str]:
        mask = [field for field in call.query.get("updateMask", "").split(",") if field]
        if not mask:
            raise invalid("InvalidValueError for field update_mask: it must name at least one field")
        return mask

    def _start(self, call: Call, verb: str, target: str, latency: str, effect: Effect, kind: str) -> Json:
        for work in self.engine.list(self.name, call.project.id):
            if work.target == target and not work.done:
                raise Refusal("ABORTED", f"an operation is already in progress on {target}: {work.name}")
        work = Work(
            name=compute_name(),
            service=self.name,
            project=call.project.id,
            scope=call.params["location"],
            kind=kind,
            target=target,
            seconds=self.latency.of(latency),
            extra={"verb": verb},
        )
        return render(self.engine.start(work, effect), call.version)


def copy_field(source: Json, target: Json, field: str, allowed: Sequence[str]) -> None:
    """Take over one field of an update mask, "labels" or "spec.multiclusteringress.configMembership"."""
    names = [re.sub(r"_(.)", lambda found: found[1].upper(), name) for name in field.split(".")]
    if names[0] not in allowed:
        raise invalid(f'InvalidValueError for field update_mask: field "{field}" cannot be updated')
    for name in names[:-1]:
        source, target = source.get(name) or {}, target.setdefault(name, {})
        if not isinstance(source, dict) or not isinstance(target, dict):
            raise invalid(f'InvalidValueError for field update_mask: field "{field}" does not exist')
    if names[-1] in source:
        target[names[-1]] = copy.deepcopy(source[names[-1]])
    else:
        target.pop(names[-1], None)


def shown(document: Json, version: str) -> Json:
    """A resource in a version's own fields: v1 has no infrastructureType of memberships; empty objects are left out."""
    return {
        key: value
        for key, value in document.items()
        if (version != "v1" or key != "infrastructureType") and value != {}
    }


def answer_list(call: Call, field: str, items: list[Json]) -> Json:
    chosen, token = page(items, call.query, size="pageSize")
    return {**({field: chosen} if chosen else {}), **({"nextPageToken": token} if token else {})}


def render(work: Work, version: str) -> Json:
    """A Work as google.longrunning.Operation with gkehub's metadata."""
    metadata: Json = {
        "@type": f"{TYPES}.{version}.OperationMetadata",
        "createTime": work.started,
        "target": work.target,
        "verb": work.extra["verb"],
        "apiVersion": version,
    }
    if work.done:
        metadata["endTime"] = work.ended
    answer: Json = {
        "name": f"projects/{work.project}/locations/{work.scope}/operations/{work.name}",
        "metadata": metadata,
    }
    if work.done:
        answer["done"] = True
    if work.error:
        answer["error"] = work.error.rpc_status()
    elif work.done:
        kind = (
            "google.protobuf.Empty" if work.extra["verb"] == "delete" else f"google.cloud.gkehub.{version}.{work.kind}"
        )
        answer["response"] = {"@type": f"type.googleapis.com/{kind}", **shown(work.result or {}, version)}
    return answer
