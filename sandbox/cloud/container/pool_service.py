# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""container v1: node pools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from ...interfaces import ClusterKey, Json, Place
from ..compute import count_used
from ..errors import Refusal, invalid, lacking, not_found, precondition
from ..store import Project
from ..web import Call, Route
from . import pool_updates, pools, profile
from .base import Gke
from .documents import key_of, path, set_status
from .limits import check_quota, check_tpus
from .messages import parse
from .operations import failed


class NodePools(Gke):
    def routes(self) -> Sequence[Route]:
        many = (
            "{version:v1\\w*}/projects/{project}/{area:locations|zones}/{location}/clusters/{cluster:[^/:]+}/nodePools"
        )
        one = many + "/{pool:[^/:]+}"
        legacy = "|".join(pool_updates.LEGACY_VERBS)
        return (
            ("GET", many, self._list),
            ("POST", many, self._create),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("POST", f"{one}/update", self._update),
            ("DELETE", one, self._delete),
            ("GET", f"{one}:{{verb:\\w+}}", self._look),
            ("POST", f"{one}:completeUpgrade", self._complete_upgrade),
            ("POST", f"{one}:{{verb:\\w+}}", self._act),
            ("POST", f"{one}/{{verb:{legacy}}}", self._act),
        )

    # Reading

    def _cluster(self, call: Call) -> Json:
        cluster = super()._cluster(call)
        if cluster["autopilot"].get("enabled"):
            # GKE's words: many public logs of gcloud container node-pools list.
            raise invalid("Autopilot node pools cannot be accessed or modified.")
        return cluster

    def _pool(self, call: Call) -> Json:
        cluster, name = self._cluster(call), call.params["pool"]
        for pool in cluster["nodePools"]:
            if pool["name"] == name:
                return pool
        raise not_found(f'Not found: node pool "{name}" not found.')

    async def _list(self, call: Call) -> Json:
        found = [pools.rendered(pool) for pool in self._cluster(call)["nodePools"]]
        return {"nodePools": found} if found else {}

    async def _get(self, call: Call) -> Json:
        return pools.rendered(self._pool(call))

    async def _look(self, call: Call) -> Json:
        """The reading verb of a pool: fetchNodePoolUpgradeInfo."""
        self._pool(call)
        raise lacking(f"{call.params['verb']} of node pools")

    # Writing

    async def _create(self, call: Call) -> Json:
        cluster = self._cluster(call)
        key = key_of(cluster)
        body = parse("CreateNodePoolRequest", call.body, call.version).get("nodePool", {})
        if any(pool["name"] == body.get("name") for pool in cluster["nodePools"]):
            raise Refusal("ALREADY_EXISTS", f"Already exists: {path(call.project, key)}/nodePools/{body['name']}.")
        self._check_idle(call, cluster)
        document = pools.build(call.project, cluster, body)
        check_quota(self.quotas, call.project, [document])
        cluster["nodePools"].append(document)
        set_status(cluster, "RECONCILING")

        async def create() -> None:
            check_tpus(self.quotas, call.project, document)
            await self._get_machines(call.project, key, document)
            profile.add_networks(call.project, cluster, document)
            document["status"] = "RUNNING"
            set_status(cluster, "RUNNING")
            count_used(call.project)

        latency = "tpu_node_pool_create" if pools.is_tpu(document) else "node_pool_create"
        target, undo = f"/nodePools/{document['name']}", failed(cluster, document)
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

    async def _update(self, call: Call) -> Json:
        cluster, pool = self._cluster(call), self._pool(call)
        body = parse("UpdateNodePoolRequest", call.body, call.version)
        self._check_etag(body, pools.rendered(pool))
        return self._change(call, pool_updates.pool(call.project, cluster, pool, body), "UPGRADE_NODES")

    async def _act(self, call: Call) -> Json:
        """The verbs of a pool: setSize, setAutoscaling, setManagement, rollback."""
        cluster, pool, verb = self._cluster(call), self._pool(call), call.params["verb"]
        verb = pool_updates.LEGACY_VERBS.get(verb, verb)
        if verb not in pool_updates.VERBS:
            raise lacking(f"{verb} of node pools")
        message, kind, change = pool_updates.VERBS[verb]
        return self._change(call, change(call.project, cluster, pool, parse(message, call.body, call.version)), kind)

    def _change(self, call: Call, wanted: Json, kind: str) -> Json:
        cluster, pool = self._cluster(call), self._pool(call)
        self._check_idle(call, cluster)
        if wanted["initialNodeCount"] > pool["initialNodeCount"] or wanted["config"] != pool["config"]:
            check_quota(self.quotas, call.project, [wanted])
        pool["status"] = "RECONCILING"
        set_status(cluster, "RECONCILING")

        async def change() -> None:
            if kind == "SET_NODE_POOL_SIZE" and (wrong := pool_updates.gang(wanted)):
                raise wrong
            check_tpus(self.quotas, call.project, wanted)
            pool.clear()
            pool.update(wanted)
            set_status(pool, "RUNNING")
            set_status(cluster, "RUNNING")
            count_used(call.project)

        suffix, nodes = f"/nodePools/{pool['name']}", pool["initialNodeCount"] * len(pool["locations"])
        undo = failed(cluster, pool)
        key = key_of(cluster)
        return self._start(call, key, kind, "node_pool_update", change, suffix=suffix, nodes=nodes, undo=undo)

    async def _complete_upgrade(self, call: Call) -> Json:
        """End the soaking of a blue-green upgrade that runs."""
        cluster, pool = self._cluster(call), self._pool(call)
        parse("CompleteNodePoolUpgradeRequest", call.body, call.version)
        target = f"{path(call.project, key_of(cluster))}/nodePools/{pool['name']}"
        running = [
            work
            for work in self.engine.list(self.name, call.project.id)
            if work.target == target and work.kind == "UPGRADE_NODES" and not work.done
        ]
        if not running or pool["upgradeSettings"].get("strategy") != "BLUE_GREEN":
            raise precondition(f'Node pool "{pool["name"]}" is not in a blue-green upgrade that can be completed.')
        running[0].hurried.set()
        return {}

    async def _delete(self, call: Call) -> Json:
        cluster, pool = self._cluster(call), self._pool(call)
        self._check_idle(call, cluster)
        pool["status"] = "STOPPING"
        set_status(cluster, "RECONCILING")

        async def delete() -> None:
            cluster["nodePools"].remove(pool)
            profile.remove_networks(call.project, pool)
            set_status(cluster, "RUNNING")
            count_used(call.project)

        suffix, undo = f"/nodePools/{pool['name']}", failed(cluster, pool)
        return self._start(
            call, key_of(cluster), "DELETE_NODE_POOL", "node_pool_delete", delete, suffix=suffix, undo=undo
        )
