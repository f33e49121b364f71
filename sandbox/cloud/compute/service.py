# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compute v1: networks, subnetworks, firewalls, addresses, routers; operations; regions and zones.

The rules of each kind of resource stand in kinds.py; here is what all kinds share.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ...catalogue.places import REGIONS, is_region, is_zone, zones
from ...catalogue.quotas import Quotas, metrics
from ...interfaces import Json
from ..bodies import same_bytes
from ..errors import Refusal, invalid, lacking
from ..store import Project, fingerprint, now
from ..usage import used
from ..web import Call, Platform, Route, Service, no_such_url
from . import kinds, lists, networks, routers, shapes
from .derived import DERIVED, Derived
from .kinds import KINDS, Kind
from .links import LINK
from .operations import Operations
from .refusals import check_description, check_name, check_place, in_use, missing

ALL: dict[str, Kind | Derived] = {**KINDS, **DERIVED}


class Compute(Service):
    name = "compute.googleapis.com"
    base = "compute/"
    style = "apps"

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._operations = Operations(platform.engine, platform.latency, platform.store)

    def routes(self) -> Sequence[Route]:
        root = "{version:v1|beta|alpha}/projects/{project}"
        where = root + "/{scope:global|regions/[^/]+|zones/[^/]+}"
        operation = f"{where}/operations/{{operation}}"
        many = f"{where}/{{collection:{'|'.join(KINDS)}}}"
        read = f"{where}/{{collection:{'|'.join(ALL)}}}"
        derived = f"{where}/{{collection:{'|'.join(DERIVED)}}}"
        return (
            ("GET", f"{root}/aggregated/subnetworks/listUsable", self._usable),
            ("GET", f"{root}/aggregated/operations", self._operations.aggregated),
            ("GET", f"{root}/aggregated/{{collection:{'|'.join(ALL)}}}", self._aggregated),
            ("GET", f"{root}/{{collection:regions|zones}}", self._places),
            ("GET", f"{root}/{{collection:regions|zones}}/{{name}}", self._place),
            ("GET", operation, self._operations.get),
            ("POST", f"{operation}/wait", self._operations.wait),
            ("GET", f"{where}/operations", self._operations.listed),
            (
                "GET",
                f"{root}/{{scope:regions/[^/]+}}/{{collection:routers}}/{{name}}/getRouterStatus",
                self._router_status,
            ),
            ("GET", read, self._list),
            ("POST", many, self._insert),
            ("GET", f"{read}/{{name}}", self._get),
            ("PATCH", f"{many}/{{name}}", self._patch),
            ("PUT", f"{many}/{{name}}", self._put),
            ("DELETE", f"{many}/{{name}}", self._delete),
            ("DELETE", f"{derived}/{{name}}", self._keep),
            ("POST", f"{many}/{{name}}/{{verb}}", self._act),
            ("POST", f"{derived}/{{name}}/{{verb}}", self._look),
            ("GET", root, self._project),
        )

    # Reading

    async def _get(self, call: Call) -> Json:
        return self._found(call)

    async def _list(self, call: Call) -> Json:
        kind, scope = self._any_kind(call), call.params["scope"]
        folder = f"{scope}/{kind.collection}"
        items = [document for path, document in documents(call.project, kind).items() if path.startswith(f"{folder}/")]
        return lists.answer(call, f"compute#{kind.noun}List", items, f"projects/{call.project.id}/{folder}")

    async def _aggregated(self, call: Call) -> Json:
        kind = ALL[call.params["collection"]]
        if kind.scopes == ("global",):
            raise no_such_url(call.request.path)
        return lists.aggregated(call, kind.collection, kind.noun, kind.scopes, documents(call.project, kind))

    async def _usable(self, call: Call) -> Json:
        paths = (path for path in call.project.compute if "/subnetworks/" in path)
        items = [networks.usable(call.project.compute[path]) for path in paths]
        path = f"projects/{call.project.id}/aggregated/subnetworks/listUsable"
        return lists.answer(call, "compute#usableSubnetworksAggregatedList", items, path)

    async def _router_status(self, call: Call) -> Json:
        return {"kind": "compute#routerStatusResponse", "result": routers.router_status(self._find(call))}

    async def _project(self, call: Call) -> Json:
        project = call.project
        return {
            "kind": "compute#project",
            "id": project.number,
            "creationTimestamp": project.document["createTime"],
            "name": project.id,
            "selfLink": f"{LINK}projects/{project.id}",
            "defaultServiceAccount": f"{project.number}-compute@developer.gserviceaccount.com",
            "defaultNetworkTier": "PREMIUM",
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        }

    async def _places(self, call: Call) -> Json:
        collection = call.params["collection"]
        names = list(REGIONS) if collection == "regions" else [zone for region in REGIONS for zone in zones(region)]
        items = [place(call.project, collection, name, self.quotas) for name in names]
        kind = "compute#regionList" if collection == "regions" else "compute#zoneList"
        return lists.answer(call, kind, items, f"projects/{call.project.id}/{collection}")

    async def _place(self, call: Call) -> Json:
        collection, name = call.params["collection"], call.params["name"]
        if not (is_region(name) if collection == "regions" else is_zone(name)):
            raise missing(f"projects/{call.project.id}/{collection}/{name}")
        return place(call.project, collection, name, self.quotas)

    # Writing

    async def _insert(self, call: Call) -> Json:
        kind, project, scope = self._kind(call), call.project, call.params["scope"]
        body = call.read(kind.shape)
        name = body.get("name") or ""
        check_name(name)
        check_description(body.get("description") or "")
        path = f"{scope}/{kind.collection}/{name}"
        if path in project.compute:
            raise Refusal("ALREADY_EXISTS", f"The resource 'projects/{project.id}/{path}' already exists")
        document = self._document(kind, project, scope, body)
        kind.complete(project, document, body)
        # Readers see it at once; what refers to it is refused as not ready until the operation is done.
        project.compute[path] = document
        project.pending.add(path)
        self._refresh(kind, document)

        async def insert() -> None:
            project.pending.discard(path)
            if kind.collection == "addresses":
                document["status"] = "RESERVED"
            if document.get("autoCreateSubnetworks"):
                self._add_all(project, kinds.auto_subnetworks(document["selfLink"], document["name"]))
            networks.list_subnetworks(project)

        return self._operations.start(call, "insert", path, document["id"], kind.latency, insert)

    def _document(self, kind: Kind, project: Project, scope: str, body: Json) -> Json:
        stated = kind.message.keys() | shapes.COMMON.keys()
        document: Json = {
            "kind": f"compute#{kind.noun}",
            "id": self.store.unique_id(),
            "creationTimestamp": now(),
            **{key: value for key, value in body.items() if key in stated and value is not None},
            "name": body["name"],
            "selfLink": f"{LINK}projects/{project.id}/{scope}/{kind.collection}/{body['name']}",
        }
        if scope != "global":
            document["zone" if scope.startswith("zones/") else "region"] = f"{LINK}projects/{project.id}/{scope}"
        return document

    async def _patch(self, call: Call) -> Json:
        old, body = self._find(call), call.read(self._kind(call).shape)
        return self._change(call, "patch", body, {**old, **_merged(old, body)})

    async def _put(self, call: Call) -> Json:
        kind, old = self._kind(call), self._find(call)
        body = call.read(kind.shape)
        kept = {key: old[key] for key in old if key not in kind.mutable}
        return self._change(call, "update", body, {**kept, **body})

    def _change(self, call: Call, verb: str, given: Json, wanted: Json) -> Json:
        kind, old = self._kind(call), self._find(call)
        if kind.fingerprint and not given.get(kind.fingerprint):
            raise Refusal("CONDITION_NOT_MET", "Invalid fingerprint.")
        self._check_fingerprint(kind, old, given)
        for key, value in given.items():
            immutable = key in kind.message and key not in kind.mutable and key != kind.fingerprint
            if immutable and not kinds.same(call.project, old.get(key), value):
                raise invalid(
                    f"Invalid value for field 'resource.{key}': '{value}'. Field {key} cannot be changed.",
                    reason="invalid",
                )
        body = {key: value for key, value in wanted.items() if key in kind.mutable and value is not None}
        document = {**{key: old[key] for key in old if key not in kind.mutable}, **body}
        kind.complete(call.project, document, body)
        operation = kind.verbs.get(verb, verb)
        return self._apply(call, operation, kind, old, document)

    async def _act(self, call: Call) -> Json:
        """The custom verbs: setLabels, setPrivateIpGoogleAccess, expandIpCidrRange."""
        kind, old, verb = self._kind(call), self._find(call), call.params["verb"]
        if verb not in kind.actions:
            raise lacking_here(call)
        shape, change = kind.actions[verb]
        body = call.read(shape)
        self._check_fingerprint(kind, old, body)
        document = change(call.project, copy.deepcopy(old), body)
        return self._apply(call, verb, kind, old, document)

    def _apply(self, call: Call, verb: str, kind: Kind, old: Json, document: Json) -> Json:
        """Put the new content in force when the operation ends."""
        path = _path(call)
        wanted = dict(document)

        async def change() -> None:
            live = call.project.compute.get(path)
            if live is not None:
                live.clear()
                live.update(wanted)
                self._refresh(kind, live)

        return self._operations.start(call, verb, path, old["id"], "compute_patch", change)

    async def _delete(self, call: Call) -> Json:
        kind, document, path = self._kind(call), self._find(call), _path(call)
        resource = f"projects/{call.project.id}/{path}"
        kind.check_delete(call.project, document)
        users = kind.users(call.project, document)
        if users and not kind.late:
            raise in_use(kind.noun, resource, users[0])

        async def delete() -> None:
            found = kind.users(call.project, document)
            if found:
                raise in_use(kind.noun, resource, found[0], later=True)
            call.project.compute.pop(path, None)
            for subnetwork in networks.subnetworks(call.project, document["selfLink"]):
                call.project.compute.pop(networks.path_of(subnetwork), None)
            networks.list_subnetworks(call.project)

        return self._operations.start(call, "delete", path, document["id"], "compute_delete", delete)

    async def _look(self, call: Call) -> Json:
        """A POST of a kind that users only read: one that looks, or one that the sandbox does not have."""
        kind = DERIVED[call.params["collection"]]
        look = kind.verbs.get(call.params["verb"])
        if look is None:
            raise lacking_here(call)
        return look(call.project, self._found(call))

    async def _keep(self, call: Call) -> Json:
        """A deletion of what Google's controllers have made and would make again."""
        kind, found = self._any_kind(call), self._found(call)
        users = DERIVED[kind.collection].users(call.project, found)
        if users:
            raise in_use(kind.noun, f"projects/{call.project.id}/{_path(call)}", users[0])
        raise lacking(f"deletions of {kind.collection}: they go with the node pool or the Gateway that they belong to")

    def add_default_network(self, project: Project) -> None:
        """The auto mode network "default" that a project gets when compute is enabled."""
        if "global/networks/default" in project.compute:
            return
        self._add_all(project, kinds.default_network(project))
        networks.list_subnetworks(project)

    def _add_all(self, project: Project, parts: list[tuple[str, str, Json]]) -> None:
        for scope, collection, body in parts:
            kind = KINDS[collection]
            document = self._document(kind, project, scope, body)
            kind.complete(project, document, body)
            self._refresh(kind, document)
            project.compute[f"{scope}/{collection}/{body['name']}"] = document

    # Shared parts

    @staticmethod
    def _any_kind(call: Call) -> Kind | Derived:
        """The kind that the path names, in a scope that it has."""
        kind = ALL[call.params["collection"]]
        scope, _unused, name = call.params["scope"].partition("/")
        if scope not in kind.scopes:
            raise no_such_url(call.request.path)
        check_place(scope, name)
        return kind

    def _kind(self, call: Call) -> Kind:
        self._any_kind(call)
        return KINDS[call.params["collection"]]

    def _found(self, call: Call) -> Json:
        """Any resource, as users see it."""
        kind = self._any_kind(call)
        if isinstance(kind, Kind):
            return kind.shown(call.project, self._find(call))
        found = documents(call.project, kind).get(_path(call))
        if found is None:
            raise missing(f"projects/{call.project.id}/{_path(call)}")
        return found

    def _find(self, call: Call) -> Json:
        """A resource of the users' own, as it is kept."""
        self._any_kind(call)
        found = call.project.compute.get(_path(call))
        if found is None:
            raise missing(f"projects/{call.project.id}/{_path(call)}")
        return found

    @staticmethod
    def _check_fingerprint(kind: Kind, document: Json, body: Json) -> None:
        given = body.get(kind.fingerprint)
        if given and not same_bytes(given, document[kind.fingerprint]):
            labels = "Labels fingerprint either invalid or resource labels have changed"
            raise Refusal("CONDITION_NOT_MET", labels if kind.collection == "addresses" else "Invalid fingerprint.")

    def _refresh(self, kind: Kind, document: Json) -> None:
        if kind.fingerprint:
            source = document.get("labels", {}) if kind.fingerprint == "labelFingerprint" else document
            content = {key: value for key, value in source.items() if key != kind.fingerprint}
            document[kind.fingerprint] = fingerprint(content)
        self.store.changed()


def documents(project: Project, kind: Kind | Derived) -> dict[str, Json]:
    """Path below the project -> resource, as users see it."""
    if isinstance(kind, Derived):
        return {networks.path_of(document): document for document in kind.documents(project)}
    return {
        path: kind.shown(project, document)
        for path, document in project.compute.items()
        if f"/{kind.collection}/" in path
    }


def lacking_here(call: Call) -> Refusal:
    return lacking(f"{call.request.method} {call.request.path}")


def _path(call: Call) -> str:
    return f"{call.params['scope']}/{call.params['collection']}/{call.params['name']}"


def _merged(old: Json, patch: Json) -> Json:
    """JSON merge of the fields of ``patch``: objects are merged, null removes, anything else replaces."""
    result = {}
    for key, value in patch.items():
        if isinstance(value, dict):
            before = old[key] if isinstance(old.get(key), dict) else {}
            merged = {**before, **_merged(before, value)}
            result[key] = {name: part for name, part in merged.items() if part is not None}
        else:
            result[key] = value
    return result


def place(project: Project, collection: str, name: str, quotas: Quotas) -> Json:
    """A region, with those quotas that have no dimension but it, or a zone."""
    link = f"{LINK}projects/{project.id}/"
    document: Json = {
        "kind": "compute#region" if collection == "regions" else "compute#zone",
        "id": str(1000 + len(name)),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": name,
        "status": "UP",
        "selfLink": f"{link}{collection}/{name}",
    }
    if collection == "regions":
        document["zones"] = [f"{link}zones/{zone}" for zone in zones(name)]
        now_used = used(project, name)
        document["quotas"] = [
            {"metric": metric, "limit": quotas.limit(name, metric), "usage": now_used.get(metric, 0.0)}
            for metric in metrics()
            if ":" not in metric
        ]
    else:
        document["region"] = f"{link}regions/{name.rpartition('-')[0]}"
    return document
