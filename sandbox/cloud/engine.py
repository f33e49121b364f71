# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that takes time: one engine for compute's, container's and google.longrunning's operations.

Each API renders a Work in its own shape; the engine knows only time, effect and outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from ..faults import Faults
from ..interfaces import Json, Place
from .errors import Refusal
from .store import Store, now

LOG = logging.getLogger("sandbox.cloud")

PENDING_SHARE = 0.05  # of its time an operation waits before it runs

Effect = Callable[[], Awaitable[Json | None]]

# How an operation ends that a fault lets fail: the words of Google's own.
ENDS = {
    "internal": Refusal("INTERNAL", "Internal error. Please try again or contact Google Support. (Code: 'sandbox')"),
    "permission": Refusal(
        "PERMISSION_DENIED",
        "Google Compute Engine: Required 'compute.instances.create' permission for the service agent.",
        reason="PERMISSIONS_ERROR",
    ),
    "quota": Refusal(
        "RESOURCE_EXHAUSTED",
        "Insufficient quota to satisfy the request: Quota 'CPUS' exceeded.  Limit: 24.0 in this region.",
        reason="QUOTA_EXCEEDED",
    ),
}


@dataclasses.dataclass
class Work:
    """One operation.

    ``kind``: operationType; ``target``: what it works on, in the API's own form; ``scope``: where it lives
    ("global", "regions/R", "zones/Z", a location, ...); ``result``: what the effect returned.
    """

    name: str
    service: str
    project: str
    scope: str
    kind: str
    target: str
    seconds: float
    extra: Json = dataclasses.field(default_factory=dict)
    pends: bool = False  # is PENDING for a while before it is RUNNING
    started: str = dataclasses.field(default_factory=now)
    ended: str = ""
    error: Refusal | None = None
    result: Json | None = None
    clock: float = dataclasses.field(default_factory=time.monotonic)
    finished: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    hurried: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)  # set: its time is over

    @property
    def place(self) -> Place:
        """Where a fault meets it: the verb is POST whatever began it."""
        location = self.scope.rpartition("/")[2]
        return Place(self.service.partition(".")[0], "POST", self.target, location)

    @property
    def done(self) -> bool:
        return bool(self.ended)

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0..1; 1 only when it is finished."""
        if self.done:
            return 1.0
        spent = time.monotonic() - self.clock
        return min(0.99, spent / self.seconds) if self.seconds > 0 else 0.99

    @property
    def status(self) -> str:
        if self.done:
            return "DONE"
        return "PENDING" if self.pends and self.fraction < PENDING_SHARE else "RUNNING"


class Engine:
    """Runs the work and remembers it."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._works: dict[str, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Work, effect: Effect, *, undo: Callable[[Refusal], None] | None = None) -> Work:
        """Do the work in the background: wait its time, then ``effect``; a Refusal of it fails the operation.

        ``undo`` brings the state back to what a failed operation leaves on Google.
        """
        self._works[work.name] = work
        self._store.changed()
        self.spawn(self._run(work, effect, undo))
        return work

    def completed(self, work: Work, result: Json | None = None) -> Work:
        """Remember work that was done on the spot."""
        work.result = result
        self._end(work)
        self._works[work.name] = work
        return work

    def find(self, service: str, name: str) -> Work | None:
        work = self._works.get(name)
        return work if work and work.service == service else None

    def list(self, service: str, project: str) -> list[Work]:
        return [work for work in self._works.values() if work.service == service and work.project == project]

    def spawn(self, routine: Awaitable[None]) -> None:
        """Run a routine of the cloud's own until it ends or the cloud closes."""
        task = asyncio.ensure_future(routine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a while, unless the cloud closes first."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        self.spawn(wait())

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Work, effect: Effect, undo: Callable[[Refusal], None] | None) -> None:
        here = work.place
        if slow := self._faults.strike(here, "operation-slow"):
            work.seconds *= slow.settings["factor"]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(work.hurried.wait(), work.seconds)
        while stuck := self._faults.afflicts("operation-stuck", here, work.name):
            await self._faults.gone(stuck)
        try:
            if broken := self._faults.strike(here, "operation-error"):
                raise ENDS[broken.settings["reason"]]
            work.result = await effect()
        except Refusal as error:
            work.error = error
        except Exception as error:
            LOG.exception("operation %s %s of %s failed", work.kind, work.name, work.target)
            work.error = Refusal("INTERNAL", f"Internal error: {error}")
        if work.error and undo:
            undo(work.error)
        self._end(work)

    def _end(self, work: Work) -> None:
        work.ended = now()
        work.finished.set()
        self._store.changed()


def compute_name() -> str:
    stamp = int(time.time() * 1000)
    return f"operation-{stamp}-{secrets.token_hex(6)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"


def container_name() -> str:
    parts = (4, 2, 2, 2, 6)
    return f"operation-{int(time.time() * 1000)}-" + "-".join(secrets.token_hex(size) for size in parts)
