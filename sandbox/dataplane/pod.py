# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One Pod on a node: volumes, address, init containers, containers, status, end."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path

import aiohttp

from ..client import NODES, PODS, RESOURCE_CLAIMS, KubeClient, KubeError, now
from ..interfaces import CloudView, ClusterKey, FaultView, Json
from ..latency import Latency
from . import status, volumes
from .addresses import AddressPool, NoAddress
from .container import Container
from .room import Puller, Room

_log = logging.getLogger(__name__)

# Changes that come together are told together; seconds.
_REPORT_PAUSE = 0.02
_RETRY = 0.5

# The API server refuses or is away for now.
UNREACHABLE = (KubeError, aiohttp.ClientError, OSError, TimeoutError)


class Unprepared(Exception):
    """A driver cannot prepare a claim; the words are those of the kubelet and of DRANET."""

    def __init__(self, claim: str, device: str) -> None:
        super().__init__(
            f"NodePrepareResources failed for ResourceClaim {claim}: failed to get network interface name for device "
            f"{device}: device {device} not found in store"
        )


class PodWorker:
    """Brings a Pod to life and keeps its status true; ``on_end`` is called when nothing is left of it."""

    def __init__(
        self,
        *,
        key: ClusterKey,
        pod: Json,
        client: KubeClient,
        session: aiohttp.ClientSession,
        cloud: CloudView,
        latency: Latency,
        faults: FaultView,
        addresses: Callable[[], AddressPool],
        puller: Puller,
        directory: Path,
        on_end: Callable[[], object],
    ) -> None:
        meta = pod["metadata"]
        self._key = key
        self._cloud = cloud
        self._addresses = addresses
        self._on_end = on_end
        self._dirty = asyncio.Event()
        self._room = Room(
            key=key,
            faults=faults,
            client=client,
            session=session,
            latency=latency,
            pod=pod,
            directory=directory / "pods" / meta["uid"],
            logs=directory / "logs" / meta["namespace"] / meta["name"],
            pull=puller.pull,
            changed=self._dirty.set,
        )
        self._room.look()
        self._policy: str = pod["spec"].get("restartPolicy") or "Always"
        self._inits = [self._container(spec, init=True) for spec in pod["spec"].get("initContainers") or []]
        self._mains = [self._container(spec, init=False) for spec in pod["spec"]["containers"]]
        if self._inits:
            for container in [*self._inits, *self._mains]:
                container.waits_for_others()
        self._start_time = pod.get("status", {}).get("startTime") or now()
        self._host_address = ""
        self._initialised = False
        self._init_failed = False
        self._terminating = False
        self._sent: Json = {}
        self._runs: dict[str, asyncio.Task[int]] = {}
        self._life = asyncio.create_task(self._guard(self._live()))
        self._reports = asyncio.create_task(self._guard(self._report_changes()))
        self._end: asyncio.Task[None] | None = None
        self._end_at_once: asyncio.Task[None] | None = None

    def observe(self, pod: Json) -> None:
        """The object has changed; only its deletion concerns what runs."""
        self._see(pod)
        if pod["metadata"].get("deletionTimestamp") and self._end is None:
            self._terminating = True
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            self._end = asyncio.create_task(self._guard(self._terminate(grace)))

    def look(self) -> None:
        """The faults in force have changed."""
        was_up = self._room.node_up.is_set()
        self._room.look()
        for container in [*self._inits, *self._mains]:
            container.look()
        if self._room.node_up.is_set() and not was_up:
            self._sent = {}  # others have written meanwhile what they thought of the Pod
            self._dirty.set()

    def forget(self) -> None:
        """The object is gone: so is the Pod, at once."""
        self._end_at_once = asyncio.create_task(self._guard(self.kill()))

    async def kill(self) -> None:
        """End everything at once and tell nobody: the object is gone, or the node is."""
        tasks = [self._life, self._reports, *self._runs.values(), *([self._end] if self._end else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clean_up()

    def workloads(self) -> list[Json]:
        meta = self._room.pod["metadata"]
        return [
            {
                "namespace": meta["namespace"],
                "pod": meta["name"],
                "container": container.name,
                "pid": container.process.pid,
                "address": self._room.address,
            }
            for container in [*self._inits, *self._mains]
            if container.running and container.process is not None
        ]

    def _container(self, spec: Json, *, init: bool) -> Container:
        restarts = spec.get("restartPolicy") or self._policy
        if init and "restartPolicy" not in spec:
            restarts = "Never" if self._policy == "Never" else "OnFailure"
        current = self._room.pod.get("status") or {}
        known = [*(current.get("initContainerStatuses") or []), *(current.get("containerStatuses") or [])]
        # Processes do not survive the kubelet here: whatever ran before is started once more.
        earlier = next((s["restartCount"] + 1 for s in known if s["name"] == spec["name"] and "containerID" in s), 0)
        return Container(self._room, spec, restarts, earlier, init=init)

    async def _live(self) -> None:
        self._dirty.set()
        await self._set_up()
        self._see(self._room.pod)
        self._dirty.set()
        if await self._initialise():
            self._initialised = True
            self._dirty.set()
            runs = [self._run(container) for container in self._mains]
            await asyncio.wait(runs)
            for container in self._sidecars():
                await container.stop(self._grace())
        self._dirty.set()

    async def _set_up(self) -> None:
        """Address and volumes; what is missing is told as events and tried again."""
        room = self._room
        failures = 0
        while True:
            await room.node_up.wait()
            try:
                around = await self._look_around()
                await self._prepare_claims()
                room.address = room.address or self._addresses().take()
                room.volumes = await volumes.set_up(around, room.pod, room.directory / "volumes")
                return
            except UNREACHABLE as error:
                _log.debug("pod %s: %s", room.pod["metadata"]["name"], error)
            except Unprepared as error:
                text = f"Failed to prepare dynamic resources: prepare dynamic resources: {error}"
                await room.event("Warning", "FailedPrepareDynamicResources", text)
            except volumes.MountError as error:
                await room.event("Warning", "FailedMount", str(error))
            except NoAddress as error:
                await room.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            failures += 1
            await asyncio.sleep(min(room.back_off(failures), 2.0))

    async def _prepare_claims(self) -> None:
        """Have the driver prepare what the scheduler has allocated. Raises Unprepared when a fault keeps it from it."""
        room = self._room
        made = {
            item["name"]: item.get("resourceClaimName")
            for item in room.pod["status"].get("resourceClaimStatuses") or []
        }
        for entry in room.pod["spec"].get("resourceClaims") or []:
            name = entry.get("resourceClaimName") or made.get(entry["name"]) or ""
            if room.afflicted("nic-missing"):
                claim = await room.client.get(RESOURCE_CLAIMS, room.pod["metadata"]["namespace"], name) or {}
                allocation = (claim.get("status") or {}).get("allocation") or {}
                devices = [result["device"] for result in (allocation.get("devices") or {}).get("results") or []]
                raise Unprepared(name, devices[0] if devices else "")

    async def _look_around(self) -> volumes.Surroundings:
        node = await self._room.client.get(NODES, None, self._room.pod["spec"]["nodeName"]) or {}
        found = [a["address"] for a in node.get("status", {}).get("addresses") or [] if a["type"] == "InternalIP"]
        self._host_address = found[0] if found else ""
        pool_name = (node.get("metadata", {}).get("labels") or {}).get("cloud.google.com/gke-nodepool")
        cluster = self._cloud.cluster(self._key) or {}
        pools = [pool for pool in cluster.get("nodePools") or [] if pool["name"] == pool_name]
        return volumes.Surroundings(self._room.client, self._cloud, cluster, pools[0] if pools else None)

    async def _initialise(self) -> bool:
        """Init containers one after the other; whether all succeeded."""
        for container in self._inits:
            if container.restarts == "Always":
                self._run(container)
                await container.started.wait()
            elif await self._run(container):
                self._init_failed = not self._terminating
                return False
            if self._terminating:
                return False
        return True

    def _run(self, container: Container) -> asyncio.Task[int]:
        task = asyncio.create_task(container.run())
        self._runs[container.name] = task
        return task

    def _sidecars(self) -> list[Container]:
        return [container for container in self._inits if container.restarts == "Always"]

    def _grace(self) -> float:
        return float(self._room.pod["spec"].get("terminationGracePeriodSeconds", 30))

    async def _terminate(self, grace: float) -> None:
        """Stop the containers (sidecars last), tell the last status, then remove the object for good."""
        await self._room.node_up.wait()
        for names in (self._mains + [c for c in self._inits if c not in self._sidecars()], self._sidecars()):
            for container in names:
                if container.name in self._runs and not container.running:
                    self._runs[container.name].cancel()
            await asyncio.gather(*(container.stop(grace) for container in names))
            await asyncio.gather(*(self._runs[c.name] for c in names if c.name in self._runs), return_exceptions=True)
        for task in (self._life, self._reports):
            task.cancel()
        await asyncio.gather(self._life, self._reports, return_exceptions=True)
        shutil.rmtree(self._room.directory, ignore_errors=True)
        while not await self._remove():
            await asyncio.sleep(_RETRY)
        self._clean_up()

    async def _remove(self) -> bool:
        """Tell the last status and remove the object; False when the API cannot be reached."""
        meta = self._room.pod["metadata"]
        try:
            if not self._finished():
                await self._report(status.ended_phase([container.status() for container in self._mains]))
            await self._room.client.delete(PODS, meta["namespace"], meta["name"], grace_period=0, uid=meta["uid"])
        except UNREACHABLE as error:
            _log.debug("pod %s: %s", meta["name"], error)
            return False
        return True

    def _finished(self) -> bool:
        return self._room.pod["status"].get("phase") in ("Succeeded", "Failed")

    def _clean_up(self) -> None:
        if self._room.address:
            self._addresses().give_back(self._room.address)
        shutil.rmtree(self._room.directory, ignore_errors=True)
        self._on_end()

    def _addressing(self) -> Json:
        """The part of the status that says where the Pod is."""
        result: Json = {"startTime": self._start_time}
        for field, address in (("podIP", self._room.address), ("hostIP", self._host_address)):
            if address:
                result[field] = address
                result[f"{field}s"] = [{"ip": address}]
        return result

    async def _report_changes(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_REPORT_PAUSE)
            await self._room.node_up.wait()
            self._dirty.clear()
            try:
                await self._report()
            except UNREACHABLE as error:
                _log.debug("status of pod %s: %s", self._room.pod["metadata"]["name"], error)
                self._dirty.set()
                await asyncio.sleep(_RETRY)

    async def _report(self, final: str | None = None) -> None:
        """Write the status if it differs from what was written last."""
        mains = [container.status() for container in self._mains]
        inits = [container.status() for container in self._inits]
        current = final or status.phase(self._policy, self._initialised, self._init_failed, mains)
        ready = [*mains, *(container.status() for container in self._sidecars())]
        has_address = bool(self._room.address)
        # The object seen may lag behind what was written last.
        before = [*(self._room.pod["status"].get("conditions") or []), *self._sent.get("conditions", [])]
        document = {
            "phase": current,
            "conditions": status.conditions(before, current, self._initialised, has_address, ready),
            "containerStatuses": mains,
            **({"initContainerStatuses": inits} if inits else {}),
            **self._addressing(),
        }
        if document == self._sent:
            return
        meta = self._room.pod["metadata"]
        patch = {"metadata": {"namespace": meta["namespace"], "name": meta["name"]}, "status": document}
        try:
            updated = await self._room.client.merge(PODS, patch, "status")
        except KubeError as error:
            if error.code != 404:
                raise
            return
        self._sent = document
        if updated["metadata"]["uid"] == meta["uid"]:
            self._see(updated)

    def _see(self, pod: Json) -> None:
        """Take over the object; where the Pod is, is known here first."""
        self._room.pod = {**pod, "status": {**(pod.get("status") or {}), **self._addressing()}}

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        """A fault of the sandbox's own is told, not swallowed."""
        try:
            await work
        except Exception:
            meta = self._room.pod["metadata"]
            _log.exception("pod %s/%s of %s", meta["namespace"], meta["name"], self._key)
