# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the containers of one Pod share."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from ..client import KubeClient
from ..interfaces import ClusterKey, FaultView, Hit, Json
from ..latency import Latency
from .volumes import Volume


@dataclasses.dataclass
class Room:
    """The Pod as last seen, its address and volumes, and the ways to the outside."""

    key: ClusterKey
    faults: FaultView
    client: KubeClient
    session: aiohttp.ClientSession
    latency: Latency
    pod: Json
    directory: Path
    logs: Path
    pull: Callable[[str, str], Awaitable[bool]]  # (node, image) -> whether it was there already
    changed: Callable[[], None]
    address: str = ""
    volumes: dict[str, Volume] = dataclasses.field(default_factory=dict)
    node_up: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)  # not set: its kubelet does nothing

    def look(self) -> None:
        """See whether the node is there."""
        if self.faults.afflicts("node-dead", self.key.place(self.pod["spec"]["nodeName"])):
            self.node_up.clear()
        else:
            self.node_up.set()

    def afflicted(self, kind: str, turn: str = "") -> Hit | None:
        """The fault of this kind that is upon the Pod."""
        meta = self.pod["metadata"]
        return self.faults.afflicts(kind, self.key.place(f"{meta['namespace']}/{meta['name']}"), turn)

    def faults_file(self, container: str) -> Path:
        """Where a container's server finds what it has to do wrong; most of the time it is not there."""
        return self.directory / "containers" / f"{container}.faults.json"

    def spoil(self, container: str, *hits: Hit | None) -> None:
        """Have the container's server answer as these faults say."""
        settings = {name: value for hit in hits if hit for name, value in hit.settings.items()}
        file = self.faults_file(container)
        if settings:
            draft = file.with_suffix(".new")
            draft.write_text(json.dumps(settings), encoding="utf-8")
            draft.replace(file)
        else:
            file.unlink(missing_ok=True)

    async def event(self, kind: str, reason: str, message: str) -> None:
        await self.client.event(self.pod, kind, reason, message)

    def back_off(self, failures: int) -> float:
        """Seconds before the next try; Kubernetes begins with none, then 10 s, and doubles up to 5 min."""
        google = 0 if failures < 1 else min(300.0, 10.0 * 2 ** (failures - 1))
        return max(0.5, google * self.latency.scale)

    def basic_variables(self, search_path: list[str], home: Path) -> dict[str, str]:
        """What is in every container's environment; nothing of the sandbox's own environment is."""
        host, _unused, port = self.client.access.endpoint.partition(":")
        return {
            "PATH": os.pathsep.join(search_path),
            "HOME": str(home),
            "TMPDIR": str(home),
            "HOSTNAME": self.pod["metadata"]["name"],
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port or "443",
        }


class Puller:
    """Pulls every image once per node, however many Pods want it."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._pulls: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def pull(self, node: str, image: str) -> bool:
        task = self._pulls.get((node, image))
        present = task is not None and task.done()
        if task is None:
            task = asyncio.create_task(asyncio.sleep(self._latency.of("image_pull")))
            self._pulls[node, image] = task
        await asyncio.shield(task)
        return present

    def close(self) -> None:
        for task in self._pulls.values():
            task.cancel()
