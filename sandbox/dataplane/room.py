# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the containers of one Pod share."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from ..client import KubeClient
from ..interfaces import Json
from ..latency import Latency
from .volumes import Volume


@dataclasses.dataclass
class Room:
    """The Pod as last seen, its address and volumes, and the ways to the outside."""

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
