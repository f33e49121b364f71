# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: operations, and what GKE does with a fleet by itself."""

from __future__ import annotations

from collections.abc import Sequence

from ...interfaces import ClusterKey, Json
from ..errors import not_found
from ..store import Project
from ..web import Call, Route
from . import memberships
from .base import WHERE, Hub, answer_list, render


class GkeHub(Hub):
    def routes(self) -> Sequence[Route]:
        return (
            ("GET", f"{WHERE}/operations/{{operation}}", self._operation),
            ("GET", f"{WHERE}/{{collection:memberships|features}}/{{name}}/operations/{{operation}}", self._operation),
            ("GET", f"{WHERE}/operations", self._operations),
        )

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

    # Used by the container API

    def register_cluster(self, project: Project, key: ClusterKey) -> str:
        """The membership that a cluster with ``fleet.project`` gets: regional, named as the cluster."""
        name = f"projects/{project.id}/locations/{key.region}/memberships/{key.name}"
        if name not in project.memberships:
            link = f"//container.googleapis.com/projects/{project.id}/locations/{key.location}/clusters/{key.name}"
            issuer = f"https://container.googleapis.com/v1/{link.removeprefix('//container.googleapis.com/')}"
            body = {"endpoint": {"gkeCluster": {"resourceLink": link}}, "authority": {"issuer": issuer}}
            project.memberships[name] = {**memberships.build(project, name, body), "state": {"code": "READY"}}
            self._members_changed(project)
        return name

    def unregister_cluster(self, project: Project, cluster: Json) -> None:
        """GKE's own membership goes with its cluster, or when the cluster leaves the fleet."""
        own = cluster.get("fleet", {}).get("membership", "").removeprefix("//gkehub.googleapis.com/")
        project.memberships.pop(own, None)
        self._members_changed(project)

    def cluster_deleted(self, project: Project, key: ClusterKey, cluster: Json) -> None:
        """A membership that a user made remains and misses its cluster."""
        self.unregister_cluster(project, cluster)
        for document in project.memberships.values():
            given = document["endpoint"].get("gkeCluster", {}).get("resourceLink", "")
            link = memberships.RESOURCE_LINK.fullmatch(given)
            if link and (link["location"], link["cluster"]) == (key.location, key.name):
                document["endpoint"]["gkeCluster"]["clusterMissing"] = True
        self._members_changed(project)
