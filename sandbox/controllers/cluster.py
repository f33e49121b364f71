# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controllers that run for one cluster."""

from __future__ import annotations

import asyncio
import typing as t
from collections.abc import Callable, Sequence

from sandbox.client import KubeClient, Resource
from sandbox.interfaces import CloudView, ClusterAccess, ClusterKey, FaultView
from sandbox.latency import Latency

from .addons import AddonController
from .cache import Cache, Signal, drive
from .claims import ClaimController
from .dra import DriverController
from .jobs import JobController
from .lifecycle import NodeLifecycle
from .nodes import NodeController
from .scheduler import Scheduler
from .services import ServiceController
from .workloads import DeploymentController, ReplicaSetController

# The name that each controller writes and records events under, as in a real cluster.
_COMPONENTS = {
    "scheduler": "default-scheduler",
    "deployments": "deployment-controller",
    "replicasets": "replicaset-controller",
    "jobs": "job-controller",
    "claims": "resource_claim",
    "nodes": "node-controller",
    "lifecycle": "node-controller",
    "driver": "networking-dra-driver",
    "services": "endpoint-controller",
    "addons": "gke-addon-manager",
}


class Controller(t.Protocol):
    """What ``drive`` needs of a controller: the kinds whose changes concern it, and one pass over the state."""

    watches: tuple[Resource, ...]
    cloud_events: bool

    async def reconcile(self) -> float | None: ...


class ClusterControllers:
    """Kubernetes' and GKE's own controllers of one cluster; ``run`` serves until cancelled."""

    def __init__(
        self, *, key: ClusterKey, access: ClusterAccess, cloud: CloudView, latency: Latency, faults: FaultView
    ) -> None:
        self._key = key
        self._access = access
        self._cloud = cloud
        self._latency = latency
        self._faults = faults

    async def run(self) -> None:
        clients = {name: KubeClient(self._access, component) for name, component in _COMPONENTS.items()}
        watching = KubeClient(self._access)
        try:
            await self._run(watching, clients)
        finally:
            for client in (watching, *clients.values()):
                await client.close()

    async def _run(self, watching: KubeClient, clients: dict[str, KubeClient]) -> None:
        key, cloud = self._key, self._cloud
        makers: dict[str, Callable[[Cache], Controller]] = {
            "addons": lambda cache: AddonController(key, cache, cloud),
            "nodes": lambda cache: NodeController(key, cache, cloud),
            "lifecycle": lambda cache: NodeLifecycle(key, cache, cloud, self._latency, self._faults),
            "driver": lambda cache: DriverController(key, cache, cloud),
            "claims": ClaimController,
            "scheduler": Scheduler,
            "deployments": DeploymentController,
            "replicasets": ReplicaSetController,
            "jobs": lambda cache: JobController(cache, self._latency),
            "services": ServiceController,
        }
        shared = Cache(watching, ())
        controllers = {name: make(shared.writing_as(clients[name])) for name, make in makers.items()}
        for controller in controllers.values():
            shared.follow(controller.watches)
        signals = {name: Signal() for name in controllers}

        def changed(resource: Resource) -> None:
            for name, controller in controllers.items():
                if resource in controller.watches:
                    signals[name].set()

        shared.subscribe(changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(shared.run())
            await shared.wait_synced()
            for name, controller in controllers.items():
                group.create_task(drive(f"{name} of {key}", signals[name], controller.reconcile))
            told = [signals[name] for name, controller in controllers.items() if controller.cloud_events]
            group.create_task(follow_cloud(cloud, told))
            group.create_task(follow_faults(self._faults, signals["lifecycle"]))


async def follow_faults(faults: FaultView, signal: Signal) -> None:
    """Set the signal whenever a fault comes or goes."""
    async for _unused in faults.changes():
        signal.set()


async def follow_cloud(cloud: CloudView, signals: Sequence[Signal]) -> None:
    """Set the signals whenever the cloud's state changes."""
    seen = 0
    while True:
        seen = await cloud.wait_change(seen)
        for signal in signals:
            signal.set()
