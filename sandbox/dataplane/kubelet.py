# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubelets of a cluster's nodes in one: every Pod that the scheduler has bound becomes processes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from pathlib import Path

import aiohttp

from ..client import PODS, KubeClient
from ..interfaces import CloudView, ClusterAccess, ClusterKey, FaultView, Json
from ..latency import Latency
from .addresses import AddressPool
from .pod import PodWorker
from .room import Puller


class Kubelet:
    """Runs the Pods of one cluster below ``directory``: logs/NAMESPACE/POD/CONTAINER.log, pods/UID."""

    def __init__(
        self,
        *,
        key: ClusterKey,
        access: ClusterAccess,
        cloud: CloudView,
        latency: Latency,
        faults: FaultView,
        directory: Path,
    ) -> None:
        self._key = key
        self._access = access
        self._cloud = cloud
        self._latency = latency
        self._faults = faults
        self._directory = directory.absolute()
        self._workers: dict[str, PodWorker] = {}
        self._addresses: AddressPool | None = None

    async def run(self) -> None:
        """Until cancelled; then nothing is left running."""
        client = KubeClient(self._access, "kubelet")
        puller = Puller(self._latency)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0), trust_env=False
        ) as session:
            following = asyncio.create_task(self._follow_faults())
            try:
                async for change, pod in client.watch(PODS):
                    if change != "SYNC":
                        self._observe(change, pod, client, session, puller)
            finally:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
                workers = list(self._workers.values())
                await asyncio.gather(*(worker.kill() for worker in workers))
                puller.close()
                await client.close()

    async def _follow_faults(self) -> None:
        async for _unused in self._faults.changes():
            for worker in list(self._workers.values()):
                worker.look()

    def workloads(self) -> list[Json]:
        """The processes that run: namespace, pod, container, pid, address."""
        return [workload for worker in list(self._workers.values()) for workload in worker.workloads()]

    def _observe(
        self, change: str, pod: Json, client: KubeClient, session: aiohttp.ClientSession, puller: Puller
    ) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change == "DELETED":
            if worker is not None:
                worker.forget()
            return
        if worker is None:
            finished = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
            if not pod["spec"].get("nodeName") or (finished and not pod["metadata"].get("deletionTimestamp")):
                return
            worker = PodWorker(
                key=self._key,
                pod=pod,
                client=client,
                session=session,
                cloud=self._cloud,
                latency=self._latency,
                faults=self._faults,
                addresses=self._pool,
                puller=puller,
                directory=self._directory,
                on_end=functools.partial(self._workers.pop, uid, None),
            )
            self._workers[uid] = worker
        worker.observe(pod)

    def _pool(self) -> AddressPool:
        if self._addresses is None:
            cluster = self._cloud.cluster(self._key) or {}
            self._addresses = AddressPool(cluster.get("clusterIpv4Cidr", ""))
        return self._addresses
