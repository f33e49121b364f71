# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the resources of container v1 share: finding them, one change at a time, operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...catalogue.places import is_region, is_zone
from ...interfaces import ClusterKey, Json
from ..engine import Work, container_name
from ..errors import Refusal, invalid, not_found, precondition
from ..web import Call, Service
from .documents import key_of, path
from .operations import render


class Gke(Service):
    name = "container.googleapis.com"
    base = "container/"
    style = "both"

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

    @staticmethod
    def _check_etag(given: Json, live: Json) -> None:
        if given.get("etag", live["etag"]) != live["etag"]:
            raise Refusal("ABORTED", "The etag does not match: the resource was changed in between.")

    def _check_idle(self, call: Call, cluster: Json) -> None:
        """One mutating operation per cluster. Raises Refusal 400 FAILED_PRECONDITION."""
        target = path(call.project, key_of(cluster))
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
