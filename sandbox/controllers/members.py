# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet: which clusters are its members, which of them is the config cluster, and a cache of each."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence

from sandbox.client import (
    BACKEND_POLICIES,
    CRDS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HEALTH_CHECK_POLICIES,
    HTTP_ROUTES,
    INFERENCE_POOLS,
    NODES,
    PODS,
    POOL_IMPORTS,
    SERVICES,
    KubeClient,
    Resource,
)
from sandbox.interfaces import CloudView, ClusterAccess, ClusterKey, Json

from .cache import Cache, Signal

FEATURE = "multiclusteringress"
AGENT_ROLE = "roles/container.admin"

WATCHED: tuple[Resource, ...] = (
    NODES,
    PODS,
    SERVICES,
    CRDS,
    INFERENCE_POOLS,
    GATEWAY_CLASSES,
    GATEWAYS,
    HTTP_ROUTES,
    POOL_IMPORTS,
    HEALTH_CHECK_POLICIES,
    BACKEND_POLICIES,
)

_LINK = re.compile(r".*/(?:locations|zones)/([^/]+)/clusters/([^/]+)$")


def cluster_of(membership: Json) -> ClusterKey | None:
    """The GKE cluster behind a membership."""
    link = ((membership.get("endpoint") or {}).get("gkeCluster") or {}).get("resourceLink", "")
    match = _LINK.match(link)
    return ClusterKey(match.group(1), match.group(2)) if match else None


def _suffix(name: str) -> str:
    """What identifies a membership whether its name has the project's id or its number."""
    return "/".join(name.split("/")[-4:])


def feature_active(cloud: CloudView) -> bool:
    feature = cloud.feature(FEATURE) or {}
    return (feature.get("resourceState") or {}).get("state") in ("ACTIVE", "UPDATING")


def config_cluster(cloud: CloudView) -> ClusterKey | None:
    """The cluster whose Gateways count: that of the feature's configMembership, once the feature is active."""
    if not feature_active(cloud):
        return None
    spec = (cloud.feature(FEATURE) or {}).get("spec") or {}
    wanted = (spec.get(FEATURE) or {}).get("configMembership") or ""
    for membership in cloud.memberships():
        if _suffix(membership["name"]) == _suffix(wanted):
            return cluster_of(membership)
    return None


def agent_permitted(cloud: CloudView) -> bool:
    """Whether the feature's service agent may write to the config cluster."""
    member = f"serviceAccount:service-{cloud.project_number}@gcp-sa-{FEATURE}.iam.gserviceaccount.com"
    return any(
        binding["role"] == AGENT_ROLE and member in (binding.get("members") or [])
        for binding in cloud.bindings("project")
    )


class Member:
    """A cluster's cache and the task that keeps it."""

    def __init__(self, access: ClusterAccess, signal: Signal) -> None:
        self.access = access
        self._client = KubeClient(access, "gke-gateway-controller")
        self.cache = Cache(self._client, WATCHED)
        self.cache.subscribe(lambda resource: signal.set())
        self._task = asyncio.create_task(self.cache.run())

    @property
    def alive(self) -> bool:
        return not self._task.done()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task
        await self._client.close()


class Members:
    """Caches of all clusters that run, fleet members or not."""

    def __init__(
        self,
        access: Callable[[ClusterKey], ClusterAccess | None],
        clusters: Callable[[], Sequence[ClusterKey]],
        signal: Signal,
    ) -> None:
        self._access = access
        self._clusters = clusters
        self._signal = signal
        self._members: dict[ClusterKey, Member] = {}

    async def refresh(self) -> None:
        """Follow the clusters that have come, drop those that have gone or are served elsewhere now."""
        wanted = {key: access for key in self._clusters() if (access := self._access(key)) is not None}
        for key, member in list(self._members.items()):
            if wanted.get(key) != member.access or not member.alive:
                await self._members.pop(key).close()
        for key, access in wanted.items():
            if key not in self._members:
                self._members[key] = Member(access, self._signal)

    def caches(self) -> dict[ClusterKey, Cache]:
        """The caches that know their cluster."""
        return {key: member.cache for key, member in self._members.items() if member.cache.synced}

    def cache(self, key: ClusterKey | None) -> Cache | None:
        return self.caches().get(key) if key is not None else None

    async def close(self) -> None:
        for key in list(self._members):
            await self._members.pop(key).close()
