# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: memberships, features and their operations; what a fleet knows of its clusters."""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Sequence

from ...interfaces import ClusterKey, Json, Place
from ..catalogue import is_region
from ..engine import Effect, Work, compute_name
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, now, page
from ..web import Call, Route, Service
from . import shapes

TYPES = "type.googleapis.com/google.cloud.gkehub"
MEMBERSHIP_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# gcloud composes links from its endpoint override: there the sandbox's own address stands for Google's.
RESOURCE_LINK = re.compile(
    r"//(?P<host>container\.googleapis\.com|[^/]+/container)/(v1/)?projects/(?P<project>[^/]+)/(locations|zones)/(?P<location>[^/]+)"
    r"/clusters/(?P<cluster>[^/]+)"
)
# Feature -> the API that it needs and what it says of a member once that member is in order.
FEATURES = {
    "multiclusteringress": ("multiclusteringress.googleapis.com", ""),
    "multiclusterservicediscovery": (
        "multiclusterservicediscovery.googleapis.com",
        "Firewall successfully updated",
    ),
}
LOST = "Lost connection"
FEATURE_MUTABLE = ("labels", "spec", "membershipSpecs")
MEMBERSHIP_MUTABLE = ("labels", "description", "externalId", "authority", "infrastructureType")


class GkeHub(Service):
    name = "gkehub.googleapis.com"
    base = "gkehub/"

    def routes(self) -> Sequence[Route]:
        where = "{version:v1\\w*}/projects/{project}/locations/{location}"
        one = f"{where}/{{collection:memberships|features}}/{{name:[^/:]+}}"
        return (
            ("GET", f"{where}/operations/{{operation}}", self._operation),
            ("GET", f"{one}/operations/{{operation}}", self._operation),
            ("GET", f"{where}/operations", self._operations),
            ("GET", f"{where}/memberships", self._list_memberships),
            ("POST", f"{where}/memberships", self._create_membership),
            ("GET", f"{where}/features", self._list_features),
            ("POST", f"{where}/features", self._create_feature),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
        )

    # Used by the container API

    def register_cluster(self, project: Project, key: ClusterKey) -> str:
        """The membership that a cluster with ``fleet.project`` gets: regional, named as the cluster."""
        name = f"projects/{project.id}/locations/{key.region}/memberships/{key.name}"
        if name not in project.memberships:
            link = f"//container.googleapis.com/projects/{project.id}/locations/{key.location}/clusters/{key.name}"
            issuer = f"https://container.googleapis.com/v1/{link.removeprefix('//container.googleapis.com/')}"
            body = {"endpoint": {"gkeCluster": {"resourceLink": link}}, "authority": {"issuer": issuer}}
            project.memberships[name] = self._membership(project, name, body)
            project.memberships[name]["state"] = {"code": "READY"}
            self._members_changed(project)
        return name

    def cluster_deleted(self, project: Project, key: ClusterKey, cluster: Json) -> None:
        """GKE's own membership goes with its cluster; one that a user made remains and misses it."""
        own = cluster.get("fleet", {}).get("membership", "").removeprefix("//gkehub.googleapis.com/")
        project.memberships.pop(own, None)
        for document in project.memberships.values():
            link = RESOURCE_LINK.fullmatch(document["endpoint"].get("gkeCluster", {}).get("resourceLink", ""))
            if link and (link["location"], link["cluster"]) == (key.location, key.name):
                document["endpoint"]["gkeCluster"]["clusterMissing"] = True
        self._members_changed(project)

    # Memberships

    async def _list_memberships(self, call: Call) -> Json:
        location = self._location(call)
        found = [
            document for name, document in call.project.memberships.items() if location in ("-", name.split("/")[3])
        ]
        return answer_list(call, "resources", [shown(document, call.version) for document in found])

    async def _create_membership(self, call: Call) -> Json:
        project, location = call.project, self._location(call)
        body = self._read(call)
        member = call.query.get("membershipId", "")
        if not MEMBERSHIP_ID.fullmatch(member):
            raise invalid(f'InvalidValueError for field membership_id: "{member}" is not a valid membership ID')
        name = f"projects/{project.id}/locations/{location}/memberships/{member}"
        if name in project.memberships:
            raise Refusal("ALREADY_EXISTS", f"Resource '{name}' already exists")
        self._check_endpoint(call, body)
        document = self._membership(project, name, body)
        project.memberships[name] = document

        async def create() -> Json:
            document["state"] = {"code": "READY"}
            self._members_changed(project)
            return document

        return self._start(call, "create", name, "membership_create", create, "Membership")

    @staticmethod
    def _read(call: Call) -> Json:
        """The body as a membership or a feature, whichever the path is about."""
        if "/features" in call.request.path:
            return call.read(shapes.FEATURE, "resource")
        return call.read(shapes.MEMBERSHIP if call.version == "v1" else shapes.MEMBERSHIP_BETA, "resource")

    def _check_endpoint(self, call: Call, body: Json) -> None:
        link = body.get("endpoint", {}).get("gkeCluster", {}).get("resourceLink", "")
        found = RESOURCE_LINK.fullmatch(link)
        if found is None or found["host"] not in ("container.googleapis.com", f"{call.request.host}/container"):
            raise invalid(
                f'InvalidValueError for field endpoint.gke_cluster.resource_link: "{link}" is not a GKE cluster'
            )
        owner = self.store.project(found["project"])
        if ClusterKey(found["location"], found["cluster"]) not in owner.clusters:
            raise not_found(f'failed to find cluster "{link}"')
        check_issuer(body, call.request.host)
        for name, other in call.project.memberships.items():
            theirs = RESOURCE_LINK.fullmatch(other["endpoint"].get("gkeCluster", {}).get("resourceLink", ""))
            if theirs and theirs.group("location", "cluster") == found.group("location", "cluster"):
                raise precondition(f'cluster "{link}" is already registered as membership "{name}"')

    def _membership(self, project: Project, name: str, body: Json) -> Json:
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

    # Features

    async def _list_features(self, call: Call) -> Json:
        self._location(call)
        found = [self._rendered(call.project, document) for document in call.project.features.values()]
        return answer_list(call, "resources", found)

    async def _create_feature(self, call: Call) -> Json:
        project, location = call.project, self._location(call)
        body = self._read(call)
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
            **{key: copy.deepcopy(body[key]) for key in FEATURE_MUTABLE if body.get(key)},
            "resourceState": {"state": "ENABLING"},
            "createTime": stamp,
            "updateTime": stamp,
        }
        self._check_spec(feature, document)
        project.features[feature] = document

        async def create() -> Json:
            self._activate(project, feature, document)
            return self._rendered(project, document)

        return self._start(call, "create", name, "feature_create", create, "Feature")

    @staticmethod
    def _check_spec(feature: str, document: Json) -> None:
        if feature == "multiclusteringress":
            config = document.get("spec", {}).get("multiclusteringress", {}).get("configMembership", "")
            if not re.fullmatch(r"projects/[^/]+/locations/[^/]+/memberships/[^/]+", config):
                raise invalid(
                    "InvalidValueError for field spec.multiclusteringress.config_membership: "
                    f'"{config}" is not the full name of a membership'
                )

    def _activate(self, project: Project, feature: str, document: Json) -> None:
        document["resourceState"] = {"state": "ACTIVE"}
        config = document.get("spec", {}).get("multiclusteringress", {}).get("configMembership")
        state = {"code": "OK", "description": "Ready to use", "updateTime": now()}
        if config and self._named(project, config) is None:
            state |= {"code": "ERROR", "description": f"config membership {config} not found"}
        document["state"] = {"state": state}
        self._members_changed(project)

    @staticmethod
    def _named(project: Project, name: str) -> Json | None:
        """A membership by its full name with the project's id or number."""
        return project.memberships.get(name.replace(f"projects/{project.number}/", f"projects/{project.id}/", 1))

    def _members_changed(self, project: Project) -> None:
        """Every feature comes to know of the members after a while."""
        self.store.changed()
        if project.features:
            self.engine.later(self.latency.of("feature_membership_ok"), lambda: self._settle(project))

    def _settle(self, project: Project) -> None:
        for feature, document in project.features.items():
            if document["resourceState"]["state"] != "ACTIVE":
                continue
            states = document.setdefault("membershipStates", {})
            ready = [number_name(project, name) for name, member in project.memberships.items() if is_ready(member)]
            for name in set(states) - set(ready):
                del states[name]
            for name in ready:
                states.setdefault(name, {"state": in_order(feature)})
        self.store.changed()

    def _rendered(self, project: Project, document: Json) -> Json:
        """The feature, with what it knows of its members by now."""
        feature = document["name"].rpartition("/")[2]
        for name, entry in document.get("membershipStates", {}).items():
            member = self._named(project, name) or {}
            here = Place(resource=name, location=name.split("/")[3])
            lost = self.faults.afflicts("fleet-lost", here, member.get("uniqueId", ""))
            if bool(lost) != (entry["state"].get("description") == LOST):
                entry["state"] = (
                    {"code": "ERROR", "description": LOST, "updateTime": now()} if lost else in_order(feature)
                )
        return {key: value for key, value in document.items() if value != {}}

    # Both

    async def _get(self, call: Call) -> Json:
        document = self._find(call)
        if call.params["collection"] == "memberships":
            return shown(document, call.version)
        return self._rendered(call.project, document)

    async def _patch(self, call: Call) -> Json:
        document = self._find(call)
        feature = call.params["collection"] == "features"
        body = self._read(call)
        mask = [field for field in call.query.get("updateMask", "").split(",") if field]
        if not mask:
            raise invalid("InvalidValueError for field update_mask: it must name at least one field")
        wanted = copy.deepcopy(document)
        for field in mask:
            copy_field(body, wanted, field, FEATURE_MUTABLE if feature else MEMBERSHIP_MUTABLE)
        if feature:
            self._check_spec(call.params["name"], wanted)
            document["resourceState"] = {"state": "UPDATING"}
        else:
            check_issuer(wanted, call.request.host)
            add_authority(call.project, wanted, wanted)
            document["state"] = {"code": "UPDATING"}

        async def change() -> Json:
            kept = {"membershipStates": document["membershipStates"]} if "membershipStates" in document else {}
            document.clear()
            document.update({**wanted, **kept, "updateTime": now()})
            if feature:
                self._activate(call.project, call.params["name"], document)
            else:
                document["state"] = {"code": "READY"}
            return self._rendered(call.project, document)

        latency = "feature_create" if feature else "membership_create"
        kind = "Feature" if feature else "Membership"
        return self._start(call, "update", document["name"], latency, change, kind)

    async def _delete(self, call: Call) -> Json:
        document, project = self._find(call), call.project
        feature = call.params["collection"] == "features"
        if feature:
            document["resourceState"] = {"state": "DISABLING"}
        else:
            self._check_unused(project, document["name"], force=call.query.get("force") == "true")
            document["state"] = {"code": "DELETING"}

        async def delete() -> Json:
            if feature:
                project.features.pop(call.params["name"], None)
            else:
                project.memberships.pop(document["name"], None)
                self._members_changed(project)
            return {}

        latency = "feature_delete" if feature else "membership_delete"
        kind = "Feature" if feature else "Membership"
        return self._start(call, "delete", document["name"], latency, delete, kind)

    @staticmethod
    def _check_unused(project: Project, name: str, *, force: bool) -> None:
        ingress = project.features.get("multiclusteringress", {})
        config = ingress.get("spec", {}).get("multiclusteringress", {}).get("configMembership", "")
        if not force and number_name(project, config) == number_name(project, name):
            raise precondition(f'membership "{name}" is the config membership of feature "multiclusteringress"')

    def _location(self, call: Call) -> str:
        location = call.params["location"]
        many = call.request.method == "GET" and location == "-"
        if location != "global" and not many and not is_region(location):
            raise not_found(f'Location "{location}" not found')
        return location

    def _find(self, call: Call) -> Json:
        location, collection, name = self._location(call), call.params["collection"], call.params["name"]
        full = f"projects/{call.project.id}/locations/{location}/{collection}/{name}"
        table = call.project.memberships if collection == "memberships" else call.project.features
        found = table.get(full if collection == "memberships" else name)
        if found is None or found["name"] != full:
            raise not_found(f'{collection[:-1]} "{full}" not found')
        return found

    # Operations

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

    async def _operation(self, call: Call) -> Json:
        name, location = call.params["operation"], call.params["location"]
        work = self.engine.find(self.name, name)
        if work is None or work.project != call.project.id or work.scope != location:
            raise not_found(f'operation "projects/{call.project.id}/locations/{location}/operations/{name}" not found')
        return render(work, call.version)

    async def _operations(self, call: Call) -> Json:
        works = self.engine.list(self.name, call.project.id)
        found = [render(work, call.version) for work in works if work.scope == call.params["location"]]
        return answer_list(call, "operations", found)


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


def in_order(feature: str) -> Json:
    """What a feature says of a member that is as it should be."""
    text = FEATURES[feature][1]
    return {"code": "OK", **({"description": text} if text else {}), "updateTime": now()}


def check_issuer(body: Json, host: str) -> None:
    """Google wants an https URL; the one that gcloud composes from its endpoint override is plain http here."""
    issuer = body.get("authority", {}).get("issuer")
    if issuer and (not issuer.startswith(("https://", f"http://{host}/container/")) or len(issuer) >= 2000):
        raise invalid(f'InvalidValueError for field authority.issuer: "{issuer}" must be an https URL')


def add_authority(project: Project, document: Json, body: Json) -> None:
    """What a membership says of its cluster's identities, when it is told their issuer."""
    issuer = body.get("authority", {}).get("issuer")
    document.pop("authority", None)
    if issuer:
        pool = project.pool_name
        document["authority"] = {"issuer": issuer, "identityProvider": issuer, "workloadIdentityPool": pool}


def shown(document: Json, version: str) -> Json:
    """A membership in a version's own fields: v1 has no infrastructureType."""
    return {key: value for key, value in document.items() if version != "v1" or key != "infrastructureType"}


def is_ready(member: Json) -> bool:
    missing = member["endpoint"].get("gkeCluster", {}).get("clusterMissing")
    return member["state"]["code"] in ("READY", "UPDATING") and not missing


def number_name(project: Project, name: str) -> str:
    """The name with the project's number, as membershipStates spells its keys."""
    return name.replace(f"projects/{project.id}/", f"projects/{project.number}/", 1)


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
