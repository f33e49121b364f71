# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A node pool as a resource to reconcile."""

from __future__ import annotations

import contextlib
import typing as t

from .._errors import ApiError, CollectionError, NotFound, OperationFailed
from .._gcp.connect import Gcp
from .._reconcile import Change, Field, Json
from .api import Gke
from .explain import broken, left_behind
from .fields import BROKEN, node_pool_fields
from .names import ClusterName
from .preflight import mtu_warning
from .updates import node_pool_setting, node_pool_update

# Keys of the comparison that the API's create request does not know.
_VIEW_ONLY = frozenset({"nodeCount"})
ADVICE = "replace the pool with recreate: true, or remove it with state: absent"


class NodePool:
    """``recreate``: a broken pool is compared like any other, so that the plan replaces it."""

    kind = "node pool"

    def __init__(
        self,
        gcp: Gcp,
        gke: Gke,
        cluster: ClusterName,
        name: str,
        desired: Json,
        *,
        state: str,
        check_mode: bool,
        recreate: bool,
    ) -> None:
        self.name = name
        self._gcp = gcp
        self._gke = gke
        self._cluster = cluster
        self._path = cluster.node_pool(name)
        self._desired = desired
        self._state = state
        self._check_mode = check_mode
        self._tolerant = recreate
        self.fields: t.Sequence[Field] = node_pool_fields(self._machine(desired))

    def get(self) -> Json | None:
        patient = self._gke.wait and not self._check_mode
        live = self._gke.settled(self._look, f"node pool {self.name}") if patient else self._look()
        if live is None:
            return None
        if live.get("status") == "STOPPING":
            if self._state == "present" and not self._check_mode:
                raise CollectionError(
                    f"node pool {self.name} is being deleted: run again with wait: true to create it anew after that"
                )
            return None
        if self._state == "present" and live.get("status") in BROKEN and not self._tolerant:
            raise broken(f"node pool {self.name}", live, ADVICE)
        self.fields = node_pool_fields(self._machine(self._desired), self._machine(live))
        if self._desired.get("nodeCount") is not None:
            live["nodeCount"] = self._size(live)
        return live

    def create(self, desired: Json) -> Json:
        pool = {key: value for key, value in desired.items() if key not in _VIEW_ONLY}
        if desired.get("nodeCount") is not None:
            pool["initialNodeCount"] = desired["nodeCount"]
        body = {"parent": str(self._cluster), "nodePool": {"name": self.name, **pool}}
        self._tolerant = False  # what is broken after this is no longer an earlier run's
        try:
            return self._gke.write(
                "create_node_pool",
                lambda: body,
                target=self._path,
                what=f"create node pool {self.name}",
                landed=lambda: self._look() is not None,
            )
        except NotFound as error:
            raise NotFound(
                f"cluster {self._cluster.cluster} in {self._cluster.location} does not exist: "
                "create it first (aiserving.gke.cluster)",
                code=error.code,
                status=error.status,
            ) from error
        except OperationFailed as error:
            # GKE keeps the pool of a failed creation; a rerun would find it and must not take it for a success.
            found = self._look()
            if found is None:
                raise
            advice = f"the failed pool is still there as {found.get('status')}: {ADVICE}"
            raise left_behind(error, found, advice) from error

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        method, _unused, group = call.partition(".")
        if group:
            body = {"name": self._path, **node_pool_update(group, changes, live)}
        else:
            body = {"name": self._path, **node_pool_setting(method, changes)}
        what = f"update {', '.join(change.field.path for change in changes)} of node pool {self.name}"
        return self._gke.write(method, lambda: body, target=self._path, what=what)

    def delete(self, live: Json) -> Json:
        return self._gke.write(
            "delete_node_pool",
            lambda: {"name": self._path},
            target=self._path,
            what=f"delete node pool {self.name}",
            landed=lambda: self._look() is None,
            # Its successor takes the same name.
            wait=True if self._state == "present" else None,
        )

    @staticmethod
    def _machine(pool: Json) -> str | None:
        return (pool.get("config") or {}).get("machineType")

    def _look(self) -> Json | None:
        return self._gke.find("get_node_pool", self._path)

    def _size(self, live: Json) -> int | None:
        """Nodes per zone as the instance groups have it; None while the zones differ, so that a resize evens them."""
        sizes = set()
        compute = self._gcp.rest("compute")
        with contextlib.suppress(ApiError):
            for url in live.get("instanceGroupUrls") or []:
                sizes.add(int(compute.get(url[url.index("projects/") :]).get("targetSize", 0)))
        if not sizes:
            return int(live.get("initialNodeCount", 0))  # GKE keeps it in step with every resize
        return sizes.pop() if len(sizes) == 1 else None


def network_warning(gcp: Gcp, cluster: Json) -> str | None:
    """What to say about the MTU of the cluster's network; None where it cannot be read."""
    network = (cluster.get("networkConfig") or {}).get("network") or cluster.get("network") or ""
    name = network.rpartition("/")[2]
    with contextlib.suppress(ApiError):
        return mtu_warning(gcp.rest("compute").get(f"projects/{gcp.project}/global/networks/{name}"))
    return None
