# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""container v1: clusters, node pools, their operations, serverConfig."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence

from ...interfaces import ClusterKey, ClusterRuntime, Json, Place
from ..catalogue import REGIONS, VERSIONS, area, is_region, is_zone, zones
from ..engine import Work, container_name
from ..errors import Refusal, invalid, not_found, precondition
from ..gkehub import GkeHub
from ..store import Project
from ..web import Call, Platform, Route, Service
from . import clusters, pools, updates
from .messages import parse

# Reasons that the conditions of clusters and node pools have codes for.
CONDITIONS = ("GCE_STOCKOUT", "GCE_QUOTA_EXCEEDED")
HOST = "https://container.googleapis.com/v1/"
FIRST_PROGRESS = 0.05  # of its time an operation works before it tells how far it is


class Container(Service):
    name = "container.googleapis.com"
    base = "container/"
    style = "both"

    def __init__(
        self,
        platform: Platform,
        *,
        prefix: str,
        runtime: ClusterRuntime,
        hub: GkeHub,
    ) -> None:
        super().__init__(platform)
        self._prefix = prefix
        self._runtime = runtime
        self._hub = hub

    def routes(self) -> Sequence[Route]:
        where = "{version:v1\\w*}/projects/{project}/{area:locations|zones}/{location}"
        many = f"{where}/clusters"
        one = f"{many}/{{cluster:[^/:]+}}"
        pool = f"{one}/nodePools/{{pool:[^/:]+}}"
        return (
            ("GET", f"{where}/serverConfig", self._server_config),
            ("GET", f"{where}/operations", self._operations),
            ("GET", f"{where}/operations/{{operation:[^/:]+}}", self._operation),
            ("POST", f"{where}/operations/{{operation:[^/:]+}}:cancel", self._cancel),
            ("GET", many, self._list),
            ("POST", many, self._create),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("POST", f"{one}:{{verb:\\w+}}", self._act),
            ("GET", f"{one}/nodePools", self._list_pools),
            ("POST", f"{one}/nodePools", self._create_pool),
            ("GET", pool, self._get_pool),
            ("PUT", pool, self._update_pool),
            ("DELETE", pool, self._delete_pool),
            ("POST", f"{pool}:{{verb:\\w+}}", self._act_pool),
        )

    # Reading

    async def _server_config(self, call: Call) -> Json:
        self._check_location(call)
        every = sorted({version for offered in VERSIONS.values() for version in offered}, reverse=True)
        return {
            "defaultClusterVersion": VERSIONS["REGULAR"][0],
            "validNodeVersions": every,
            "defaultImageType": "COS_CONTAINERD",
            "validImageTypes": ["COS_CONTAINERD", "UBUNTU_CONTAINERD", "WINDOWS_LTSC_CONTAINERD"],
            "validMasterVersions": every,
            "channels": [
                {"channel": channel, "defaultVersion": offered[0], "validVersions": list(offered)}
                for channel, offered in VERSIONS.items()
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

    async def _list_pools(self, call: Call) -> Json:
        found = [pools.rendered(pool) for pool in self._cluster(call)["nodePools"]]
        return {"nodePools": found} if found else {}

    async def _get_pool(self, call: Call) -> Json:
        return pools.rendered(self._pool(call))

    # Clusters

    async def _create(self, call: Call) -> Json:
        self._check_location(call)
        body = parse("CreateClusterRequest", call.body, call.version).get("cluster", {})
        key = ClusterKey(call.params["location"], str(body.get("name", "")))
        if key in call.project.clusters:
            raise Refusal("ALREADY_EXISTS", f"Already exists: {path(call.project, key)}.")
        if body.get("fleet", {}).get("project"):
            self._hub.check_enabled(call.project)
        cidr = clusters.pod_range(self.store, self._prefix)
        document = clusters.build(call.project, key, body, cidr)
        call.project.clusters[key] = document

        async def create() -> None:
            access = await self._runtime.start_cluster(key, document["currentMasterVersion"])
            clusters.set_endpoint(document, access.endpoint)
            document["masterAuth"]["clusterCaCertificate"] = base64.b64encode(access.ca_pem.encode()).decode()
            if document.get("fleet"):
                self._register(call.project, key, document)
            clusters.set_status(document, "RUNNING")
            for pool in document["nodePools"]:
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
            "project": project.number,
            "membership": f"//gkehub.googleapis.com/{name}",
            "preRegistered": False,
        }

    async def _update(self, call: Call) -> Json:
        document = self._cluster(call)
        update = parse("UpdateClusterRequest", call.body, call.version).get("update", {})
        self._check_etag(update, clusters.rendered(document))
        kind = "UPGRADE_MASTER" if "desiredMasterVersion" in update else "UPDATE_CLUSTER"
        wanted = updates.cluster(call.project, document, update)
        return self._change(call, document, wanted, kind)

    async def _act(self, call: Call) -> Json:
        """The verbs of a cluster: setResourceLabels, setMaintenancePolicy, setAddons, updateMaster, ..."""
        document, verb = self._cluster(call), call.params["verb"]
        if verb not in updates.CLUSTER_VERBS:
            raise not_found("Method not found.")
        message, kind, change = updates.CLUSTER_VERBS[verb]
        body = parse(message, call.body, call.version)
        return self._change(call, document, change(call.project, document, body), kind)

    def _change(self, call: Call, document: Json, wanted: Json, kind: str) -> Json:
        """Put the new content of a cluster in force when the operation ends."""
        key = ClusterKey(document["location"], document["name"])
        self._check_idle(call, document)
        clusters.set_status(document, "RECONCILING")

        async def change() -> None:
            document.clear()
            document.update(wanted)
            clusters.set_status(document, "RUNNING")
            if document.get("fleet") and "membership" not in document["fleet"]:
                self._register(call.project, key, document)
            self._open_identity_pool(call.project, document)

        return self._start(call, key, kind, "cluster_update", change, undo=failed(document))

    async def _delete(self, call: Call) -> Json:
        document = self._cluster(call)
        key = ClusterKey(document["location"], document["name"])
        self._check_idle(call, document)
        clusters.set_status(document, "STOPPING")

        async def delete() -> None:
            await self._runtime.stop_cluster(key)
            call.project.clusters.pop(key, None)
            for pool in document["nodePools"]:
                pools.remove_accelerator_networks(call.project, pool)
            self._hub.cluster_deleted(call.project, key, document)

        return self._start(call, key, "DELETE_CLUSTER", "cluster_delete", delete, undo=failed(document))

    # Node pools

    async def _create_pool(self, call: Call) -> Json:
        cluster = self._cluster(call)
        key = ClusterKey(cluster["location"], cluster["name"])
        body = parse("CreateNodePoolRequest", call.body, call.version).get("nodePool", {})
        if any(pool["name"] == body.get("name") for pool in cluster["nodePools"]):
            raise Refusal("ALREADY_EXISTS", f"Already exists: {path(call.project, key)}/nodePools/{body['name']}.")
        self._check_idle(call, cluster)
        document = pools.build(call.project, cluster, body)
        cluster["nodePools"].append(document)
        clusters.set_status(cluster, "RECONCILING")

        async def create() -> None:
            await self._get_machines(call.project, key, document)
            pools.add_accelerator_networks(call.project, cluster, document)
            document["status"] = "RUNNING"
            clusters.set_status(cluster, "RUNNING")

        latency = "tpu_node_pool_create" if pools.is_tpu(document) else "node_pool_create"
        target = f"/nodePools/{document['name']}"
        undo = failed(cluster, document)
        return self._start(call, key, "CREATE_NODE_POOL", latency, create, suffix=target, undo=undo)

    async def _get_machines(self, project: Project, key: ClusterKey, pool: Json) -> None:
        """GKE tries for a while to get what a zone does not have. Raises Refusal when it gives up."""
        kind, target = pool["config"]["machineType"], f"{path(project, key)}/nodePools/{pool['name']}"
        began = time.monotonic()
        for zone in pool["locations"] if pool["initialNodeCount"] else ():
            here = Place(resource=target, location=zone)
            while short := self.faults.afflicts("stockout", here, str(began), machine=kind):
                minutes = short.settings["minutes"]
                left = began + 60 * minutes * self.latency.scale - time.monotonic()
                try:
                    await asyncio.wait_for(self.faults.gone(short), max(left, 0))
                except TimeoutError as error:
                    raise pools.out_of_stock(project, zone, pool, minutes) from error

    async def _update_pool(self, call: Call) -> Json:
        pool = self._pool(call)
        body = parse("UpdateNodePoolRequest", call.body, call.version)
        self._check_etag(body, pools.rendered(pool))
        return self._change_pool(call, updates.pool(self._cluster(call), pool, body), "UPGRADE_NODES")

    async def _act_pool(self, call: Call) -> Json:
        """The verbs of a pool: setSize, setAutoscaling, setManagement."""
        pool, verb = self._pool(call), call.params["verb"]
        if verb not in updates.POOL_VERBS:
            raise not_found("Method not found.")
        message, kind, change = updates.POOL_VERBS[verb]
        return self._change_pool(call, change(pool, parse(message, call.body, call.version)), kind)

    def _change_pool(self, call: Call, wanted: Json, kind: str) -> Json:
        cluster, pool = self._cluster(call), self._pool(call)
        self._check_idle(call, cluster)
        pool["status"] = "RECONCILING"
        clusters.set_status(cluster, "RECONCILING")

        async def change() -> None:
            pool.clear()
            pool.update({**wanted, "status": "RUNNING"})
            clusters.set_status(cluster, "RUNNING")

        key = ClusterKey(cluster["location"], cluster["name"])
        suffix, nodes = f"/nodePools/{pool['name']}", pool["initialNodeCount"] * len(pool["locations"])
        undo = failed(cluster, pool)
        return self._start(call, key, kind, "node_pool_update", change, suffix=suffix, nodes=nodes, undo=undo)

    async def _delete_pool(self, call: Call) -> Json:
        cluster, pool = self._cluster(call), self._pool(call)
        self._check_idle(call, cluster)
        pool["status"] = "STOPPING"
        clusters.set_status(cluster, "RECONCILING")

        async def delete() -> None:
            cluster["nodePools"].remove(pool)
            pools.remove_accelerator_networks(call.project, pool)
            clusters.set_status(cluster, "RUNNING")

        key = ClusterKey(cluster["location"], cluster["name"])
        suffix = f"/nodePools/{pool['name']}"
        undo = failed(cluster, pool)
        return self._start(call, key, "DELETE_NODE_POOL", "node_pool_delete", delete, suffix=suffix, undo=undo)

    # Shared parts

    @staticmethod
    def _check_location(call: Call) -> None:
        location = call.params["location"]
        if not (is_region(location) or is_zone(location)):
            raise invalid(f'Location "{location}" does not exist.')

    def _cluster(self, call: Call) -> Json:
        self._check_location(call)
        key = ClusterKey(call.params["location"], call.params["cluster"])
        if key not in call.project.clusters:
            raise not_found(f"Not found: {path(call.project, key)}.")
        return call.project.clusters[key]

    def _pool(self, call: Call) -> Json:
        cluster, name = self._cluster(call), call.params["pool"]
        for pool in cluster["nodePools"]:
            if pool["name"] == name:
                return pool
        raise not_found(f'Not found: node pool "{name}" not found.')

    @staticmethod
    def _check_etag(given: Json, live: Json) -> None:
        if given.get("etag", live["etag"]) != live["etag"]:
            raise Refusal("ABORTED", "The etag does not match: the resource was changed in between.")

    def _check_idle(self, call: Call, cluster: Json) -> None:
        """One mutating operation per cluster. Raises Refusal 400 FAILED_PRECONDITION."""
        target = path(call.project, ClusterKey(cluster["location"], cluster["name"]))
        for work in self.engine.list(self.name, call.project.id):
            if not work.done and work.target.partition("/nodePools/")[0] == target:
                raise precondition(f"Cluster is running incompatible operation {work.name}.")

    def _start(
        self,
        call: Call,
        key: ClusterKey,
        kind: str,
        latency: str,
        effect: Callable[[], Awaitable[Json | None]],
        *,
        suffix: str = "",
        nodes: int = 0,
        undo: Callable[[Refusal], None] | None = None,
    ) -> Json:
        work = Work(
            name=container_name(),
            service=self.name,
            project=call.project.id,
            scope=key.location,
            kind=kind,
            target=path(call.project, key) + suffix,
            seconds=self.latency.of(latency),
            extra={"nodes": nodes},
            pends=bool(suffix),
        )
        answer = render(self.engine.start(work, effect, undo=undo), call.project)
        return {**answer, "status": "PENDING" if work.pends else "RUNNING"}

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


def path(project: Project, key: ClusterKey) -> str:
    """The cluster's name as Google's messages spell it."""
    return f"projects/{project.id}/{area(key.location)}/{key.location}/clusters/{key.name}"


def failed(cluster: Json, pool: Json | None = None) -> Callable[[Refusal], None]:
    """What a failed operation leaves: the object stays, in state ERROR, and says why."""

    def mark(error: Refusal) -> None:
        broken = cluster if pool is None else pool
        if pool is not None:
            clusters.set_status(cluster, "RUNNING")
        broken["status"] = "ERROR"
        broken["statusMessage"] = error.message
        condition = {"canonicalCode": error.status, "message": error.message}
        broken["conditions"] = [{"code": error.reason, **condition} if error.reason in CONDITIONS else condition]

    return mark


def render(work: Work, project: Project) -> Json:
    """A Work as container's Operation; DONE may carry an error."""
    target = work.target.replace(f"projects/{project.id}/", f"projects/{project.number}/", 1)
    answer: Json = {
        "name": work.name,
        "operationType": work.kind,
        "selfLink": f"{HOST}projects/{project.number}/{area(work.scope)}/{work.scope}/operations/{work.name}",
        "targetLink": HOST + target,
        "startTime": work.started,
        "status": work.status,
        "zone": work.scope,
    }
    if work.kind == "CREATE_CLUSTER" and work.fraction > FIRST_PROGRESS:
        answer["progress"] = {"metrics": progress(work.fraction)}
    if work.kind == "UPGRADE_NODES" and work.done and not work.error:
        answer["progress"] = {"metrics": upgraded(work.extra["nodes"])}
    if work.done:
        answer["endTime"] = work.ended
    if work.error:
        answer["error"] = work.error.rpc_status()
        answer["statusMessage"] = work.error.message
    return answer


def upgraded(nodes: int) -> list[Json]:
    """What GKE tells of an upgrade of nodes that is over."""
    counts = {"NODES_TOTAL": nodes, "NODES_FAILED": 0, "NODES_COMPLETE": nodes, "NODES_DONE": nodes}
    return [{"name": name, "intValue": str(count)} for name, count in {**counts, "NODE_PDB_DELAY_SECONDS": 0}.items()]


def progress(fraction: float) -> list[Json]:
    """The stages that GKE counts while it creates a cluster."""
    metrics: list[Json] = []
    for name, total in (("CLUSTER_CONFIGURING", 8), ("CLUSTER_DEPLOYING", 12), ("CLUSTER_HEALTHCHECKING", 2)):
        metrics.append({"name": name, "intValue": str(int(total * fraction))})
        metrics.append({"name": f"{name}_TOTAL", "intValue": str(total)})
    return metrics
