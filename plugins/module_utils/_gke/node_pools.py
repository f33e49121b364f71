# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A node pool as a resource to reconcile."""

from __future__ import annotations

import typing as t

from .._errors import ApiError, CollectionError, NotFound, OperationFailed
from .._gcp.compute import link
from .._gcp.connect import Gcp
from .._gcp.iam import holds, policy_of
from .._gcp.projects import Projects
from .._gcp.services import service_agent
from .._reconcile import Change, Field, Json
from .api import Gke
from .explain import broken, left_behind
from .fields import BROKEN, node_pool_fields
from .names import ClusterName
from .preflight import mtu_warning
from .updates import node_pool_setting, node_pool_update

# Keys of the comparison that the API's create request does not know.
_VIEW_ONLY = frozenset({"nodeCount"})
# Roles that let GKE's service agent make the networks of an accelerator network profile; the first is Google's advice.
PROFILE_ROLES = ("roles/compute.networkAdmin", "roles/compute.admin", "roles/editor", "roles/owner")
PROFILE_ROLE = PROFILE_ROLES[0]
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
        self.identity: Json = {"name": name}
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
        what = f"node pool {self.name}"
        live = self._gke.settled(self._look, target=self._path, what=what) if patient else self._look()
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

        def body() -> Json:
            # Of now: an operation that was waited for may have moved on what is sent along.
            now = self._look() or live
            current = [change.anew(desired, now) for change in changes]
            made = node_pool_update(group, current) if group else node_pool_setting(method, current)
            return {"name": self._path, **made}

        what = f"update {', '.join(change.field.path for change in changes)} of node pool {self.name}"
        return self._gke.write(method, body, target=self._path, what=what)

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
        urls = live.get("instanceGroupUrls") or []
        compute = self._gcp.rest("compute")
        try:
            sizes = {int(compute.get(url[url.index("projects/") :]).get("targetSize", 0)) for url in urls}
        except ApiError as error:
            self._gcp.warn(
                f"node_count of node pool {self.name} is taken from what GKE has on record, "
                f"since the instance groups cannot be read: {error.message}"
            )
            sizes = set()
        if not sizes:
            return int(live.get("initialNodeCount", 0))  # GKE keeps it in step with every resize
        return sizes.pop() if len(sizes) == 1 else None


def network_warning(gcp: Gcp, cluster: Json) -> str | None:
    """What to say about the MTU of the cluster's network; the pool can be made whatever it is."""
    network = str((cluster.get("networkConfig") or {}).get("network") or cluster.get("network") or "default")
    path = link(gcp.project, "global/networks", network)  # a shared VPC is in another project
    try:
        return mtu_warning(gcp.rest("compute").get(path))
    except ApiError as error:
        return f"the MTU of network {network} is not known: {error.message}"


def agent_warning(gcp: Gcp, projects: Projects) -> str | None:
    """What to say, before a pool with an accelerator network profile is made, about the role that GKE needs for it.

    No error: a grant on the folder, or by a role of the user's own, is not to be seen in the project's policy.
    """
    number = projects.number(gcp.project)
    if number is None:
        return None  # told already
    agent = service_agent("container.googleapis.com", number)
    try:
        policy = policy_of(gcp, {"bucket": None, "service_account": None}).read()
    except ApiError as error:
        if gcp.is_absent(error):
            return None
        return f"whether {agent} holds {PROFILE_ROLE} is not known: {error.message}"
    if any(holds(policy, role, f"serviceAccount:{agent}", None) for role in PROFILE_ROLES):
        return None
    return (
        f"GKE's service agent {agent} is not seen to hold {PROFILE_ROLE} in project {gcp.project}. An accelerator "
        "network profile makes networks, so without that role the pool fails after some minutes: grant it with "
        "aiserving.gke.iam_member"
    )
