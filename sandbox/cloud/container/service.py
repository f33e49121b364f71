# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""container v1: clusters, their operations, serverConfig."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from ...catalogue import machines, versions
from ...catalogue.places import REGIONS, zones
from ...interfaces import ClusterKey, ClusterRuntime, Json, Place
from ..compute import count_used
from ..engine import Work
from ..errors import Refusal, invalid, lacking, not_found
from ..gkehub import GkeHub
from ..store import Project
from ..web import Call, Platform, Route
from . import clusters, networking, profile, updates
from .base import Gke
from .documents import key_of, path, set_status
from .limits import check_quota, check_tpus
from .messages import parse
from .operations import failed, render


class Container(Gke):
    def __init__(self, platform: Platform, *, prefix: str, runtime: ClusterRuntime, hub: GkeHub) -> None:
        super().__init__(platform)
        self._prefix = prefix
        self._runtime = runtime
        self._hub = hub
        self._addresses: dict[ClusterKey, str] = {}  # of the control planes

    def routes(self) -> Sequence[Route]:
        where = "{version:v1\\w*}/projects/{project}/{area:locations|zones}/{location}"
        many = f"{where}/clusters"
        one = f"{many}/{{cluster:[^/:]+}}"
        legacy = "|".join(updates.LEGACY_VERBS)
        return (
            ("GET", f"{where}/serverConfig", self._server_config),
            ("GET", f"{where}/serverconfig", self._server_config),
            ("GET", f"{where}/operations", self._operations),
            ("GET", f"{where}/operations/{{operation:[^/:]+}}", self._operation),
            ("POST", f"{where}/operations/{{operation:[^/:]+}}:cancel", self._cancel),
            ("GET", many, self._list),
            ("POST", many, self._create),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("GET", f"{one}:{{verb:\\w+}}", self._look),
            ("POST", f"{one}:{{verb:\\w+}}", self._act),
            ("POST", f"{one}/{{verb:{legacy}}}", self._act),
        )

    # Reading

    async def _server_config(self, call: Call) -> Json:
        self._check_location(call)
        every = sorted(
            {version for offered in versions.VERSIONS.values() for version in offered}, key=versions.key, reverse=True
        )
        return {
            "defaultClusterVersion": versions.VERSIONS["REGULAR"][0],
            "validNodeVersions": every,
            "defaultImageType": "COS_CONTAINERD",
            "validImageTypes": list(machines.IMAGE_TYPES),
            "validMasterVersions": every,
            "channels": [
                {
                    "channel": channel,
                    "defaultVersion": offered[0],
                    "upgradeTargetVersion": offered[0],
                    "validVersions": list(offered),
                }
                for channel, offered in versions.VERSIONS.items()
            ],
        }

    async def _list(self, call: Call) -> Json:
        location = call.params["location"]
        if location != "-":
            self._check_location(call)
        silent = self._silent_regions() if location == "-" else []
        found = [
            clusters.rendered(document)
            for key, document in call.project.clusters.items()
            if location in ("-", key.location) and key.region not in silent
        ]
        missing = [zone for region in silent for zone in zones(region)]
        return {**({"clusters": found} if found else {}), **({"missingZones": missing} if missing else {})}

    def _silent_regions(self) -> list[str]:
        """The regions that do not answer when all are asked."""
        return [region for region in REGIONS if self.faults.afflicts("region-down", Place(location=region))]

    async def _get(self, call: Call) -> Json:
        return clusters.rendered(self._cluster(call))

    async def _look(self, call: Call) -> Json:
        """The reading verbs of a cluster: fetchClusterUpgradeInfo, checkAutopilotCompatibility."""
        self._cluster(call)
        raise lacking(f"{call.params['verb']} of clusters")

    # Writing

    async def _create(self, call: Call) -> Json:
        self._check_location(call)
        body = parse("CreateClusterRequest", call.body, call.version).get("cluster", {})
        key = ClusterKey(call.params["location"], str(body.get("name", "")))
        if key in call.project.clusters:
            raise Refusal("ALREADY_EXISTS", f"Already exists: {path(call.project, key)}.")
        if body.get("fleet", {}).get("project"):
            self._hub.check_enabled(call.project)
        document = clusters.build(call.project, key, body, networking.pod_range(self.store, self._prefix))
        check_quota(self.quotas, call.project, document["nodePools"])
        call.project.clusters[key] = document

        async def create() -> None:
            networking.check_master_range(call.project, document)
            for pool in document["nodePools"]:
                check_tpus(self.quotas, call.project, pool)
            access = await self._runtime.start_cluster(key, document["currentMasterVersion"])
            self._addresses[key] = access.endpoint
            networking.show_endpoint(document, access.endpoint)
            document["masterAuth"]["clusterCaCertificate"] = base64.b64encode(access.ca_pem.encode()).decode()
            if document.get("fleet"):
                self._register(call.project, key, document)
            set_status(document, "RUNNING")
            for pool in document["nodePools"]:
                profile.add_networks(call.project, document, pool)
                pool["status"] = "RUNNING"
            self._open_identity_pool(call.project, document)

        return self._start(call, key, "CREATE_CLUSTER", "cluster_create", create, undo=failed(document))

    def _open_identity_pool(self, project: Project, cluster: Json) -> None:
        """The project's pool appears some time after the first cluster that uses it."""

        def appear() -> None:
            project.identity_pool = True
            self.store.changed()

        if cluster.get("workloadIdentityConfig") and not project.identity_pool:
            late = self.late(project.pool_name)
            self.engine.later(self.latency.of("workload_identity_pool") + late, appear)

    def _register(self, project: Project, key: ClusterKey, document: Json) -> None:
        name = self._hub.register_cluster(project, key)
        document["fleet"] = {
            **document["fleet"],
            "project": project.number,
            "membership": f"//gkehub.googleapis.com/{name}",
            "preRegistered": False,
        }

    async def _update(self, call: Call) -> Json:
        document = self._cluster(call)
        update = parse("UpdateClusterRequest", call.body, call.version).get("update", {})
        self._check_etag(update, clusters.rendered(document))
        kind = "UPGRADE_MASTER" if "desiredMasterVersion" in update else "UPDATE_CLUSTER"
        return self._change(call, document, updates.cluster(call.project, document, update), kind)

    async def _act(self, call: Call) -> Json:
        """The verbs of a cluster: setResourceLabels, setMaintenancePolicy, setAddons, updateMaster, ..."""
        document, verb = self._cluster(call), call.params["verb"]
        verb = updates.LEGACY_VERBS.get(verb, verb)
        if verb not in updates.CLUSTER_VERBS:
            raise lacking(f"{verb} of clusters")
        message, kind, change = updates.CLUSTER_VERBS[verb]
        body = parse(message, call.body, call.version)
        return self._change(call, document, change(call.project, document, body), kind)

    def _change(self, call: Call, document: Json, wanted: Json, kind: str) -> Json:
        """Put the new content of a cluster in force when the operation ends."""
        key = key_of(document)
        self._check_idle(call, document)
        set_status(document, "RECONCILING")

        async def change() -> None:
            if "fleet" not in wanted:
                self._hub.unregister_cluster(call.project, document)
            document.clear()
            document.update(wanted)
            set_status(document, "RUNNING")
            if key in self._addresses:
                networking.show_endpoint(document, self._addresses[key])
            if document.get("fleet") and "membership" not in document["fleet"]:
                self._register(call.project, key, document)
            self._open_identity_pool(call.project, document)

        return self._start(call, key, kind, "cluster_update", change, undo=failed(document))

    async def _delete(self, call: Call) -> Json:
        document = self._cluster(call)
        key = key_of(document)
        self._check_idle(call, document)
        set_status(document, "STOPPING")

        async def delete() -> None:
            await self._runtime.stop_cluster(key)
            self._addresses.pop(key, None)
            call.project.clusters.pop(key, None)
            for pool in document["nodePools"]:
                profile.remove_networks(call.project, pool)
            count_used(call.project)
            self._hub.cluster_deleted(call.project, key, document)

        return self._start(call, key, "DELETE_CLUSTER", "cluster_delete", delete, undo=failed(document))

    # Operations

    async def _operation(self, call: Call) -> Json:
        return render(self._work(call), call.project)

    async def _operations(self, call: Call) -> Json:
        location = call.params["location"]
        works = self.engine.list(self.name, call.project.id)
        found = [render(work, call.project) for work in works if location in ("-", work.scope)]
        return {"operations": found} if found else {}

    async def _cancel(self, call: Call) -> Json:
        work = self._work(call)
        raise invalid(f"Operation {work.name} of type {work.kind} cannot be cancelled.")

    def _work(self, call: Call) -> Work:
        name, location = call.params["operation"], call.params["location"]
        work = self.engine.find(self.name, name)
        if work is None or work.project != call.project.id or work.scope != location:
            parent = f"projects/{call.project.number}/locations/{location}"
            raise not_found(f"Operation not found: {parent}/operations/{name}.")
        return work
