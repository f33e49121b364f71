# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All load balancers: an Envoy per region, and what faults do to them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..interfaces import Backend, FaultView, HealthCheck, Json, Listener, Place
from .envoy import Envoy, Unchecked

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class _Balancer:
    """A region's Envoy, what it was last asked to serve, and what keeps it from that."""

    envoy: Envoy
    listeners: Sequence[Listener] = ()
    backends: Mapping[str, Backend] = dataclasses.field(default_factory=dict)
    down: str = ""  # how it is away: silent, refused
    turn: str = ""  # of the change that a fault holds up
    held: asyncio.Task[None] | None = None  # until the end of that
    checking: asyncio.Task[None] | None = None  # until health checkers have made up their minds

    def drop(self) -> None:
        """Forget what was to come later."""
        for task in (self.held, self.checking):
            if task is not None:
                task.cancel()
        self.held = self.checking = None


class EnvoyFleet:
    """DataPlane: real traffic through one Envoy per region."""

    def __init__(self, *, directory: Path, faults: FaultView) -> None:
        self._directory = directory.absolute()
        self._faults = faults
        self._balancers: dict[str, _Balancer] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._changes = itertools.count(1)
        self._lock = asyncio.Lock()

    def listeners(self) -> list[Json]:
        """What is served, as `status --json` tells it."""
        return [
            {
                "gateway": listener.gateway,
                "region": listener.region,
                "url": f"http://{listener.address}:{listener.port}",
            }
            for listener in self._listeners
        ]

    async def program(self, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> Mapping[Listener, str]:
        """Serve exactly this; returns what could not be served, with the reason.

        What a fault holds up counts as served, as it does for Google's controllers.
        """
        async with self._lock:
            regions: dict[str, list[Listener]] = {}
            for listener in listeners:
                regions.setdefault(listener.region, []).append(listener)
            for region in sorted(set(self._balancers) - set(regions)):
                await self._remove(region)
            for region, mine in regions.items():
                new = _Balancer(Envoy(region, self._directory / region), down=self._down(region))
                balancer = self._balancers.setdefault(region, new)
                used = {name for listener in mine for rule in listener.rules for name, _unused in rule.backends}
                wanted = {name: backend for name, backend in backends.items() if name in used}
                if (balancer.listeners, balancer.backends) != (mine, wanted):
                    balancer.listeners, balancer.backends = mine, wanted
                    self._hold(region, balancer)
            outcomes = await asyncio.gather(*(self._serve(region) for region in regions))
            faults = {listener: why for outcome in outcomes for listener, why in outcome.items()}
            self._listeners = tuple(listener for listener in listeners if listener not in faults)
            return faults

    async def stop(self) -> None:
        async with self._lock:
            await asyncio.gather(*(self._remove(region) for region in list(self._balancers)))
            self._listeners = ()

    async def follow_faults(self) -> None:
        """Break and mend the load balancers as faults come and go, until cancelled."""
        async for _unused in self._faults.changes():
            async with self._lock:
                await asyncio.gather(*(self._look(region) for region in list(self._balancers)))

    async def _remove(self, region: str) -> None:
        balancer = self._balancers.pop(region)
        balancer.drop()
        await balancer.envoy.stop()

    async def _serve(self, region: str) -> dict[Listener, str]:
        """Put in force what the region was asked for, unless a fault keeps it from that."""
        balancer = self._balancers[region]
        if balancer.down or balancer.held is not None:
            return {}
        if balancer.checking is None:
            balancer.envoy.unchecked = self._unchecked(balancer)
        return await balancer.envoy.program(balancer.listeners, balancer.backends)

    async def _look(self, region: str) -> None:
        """Bring the region to where the faults in force want it."""
        balancer, down = self._balancers[region], self._down(region)
        again = False
        if down != balancer.down:
            balancer.envoy.pause(down == "silent")
            if down == "refused":
                await balancer.envoy.stop()
            balancer.down, again = down, not down
        if balancer.held is not None and not self._slow(region, balancer.turn):
            balancer.held.cancel()
            balancer.held, again = None, True
        self._doubt(region, balancer)
        if again:
            for listener, why in (await self._serve(region)).items():
                _log.warning("%s in %s: %s", listener.gateway, region, why)

    def _down(self, region: str) -> str:
        hit = self._faults.afflicts("envoy-down", Place(location=region))
        return str(hit.settings["how"]) if hit else ""

    # -- changes that are late ---------------------------------------------------------------------------------

    def _slow(self, region: str, turn: str) -> float:
        """Seconds by which this change is late."""
        hit = self._faults.afflicts("programming-slow", Place(location=region), turn)
        return float(hit.settings["seconds"]) if hit else 0.0

    def _hold(self, region: str, balancer: _Balancer) -> None:
        """Put the change off if a fault says so; one that is put off already takes it along."""
        turn = str(next(self._changes))
        if balancer.held is None and (seconds := self._slow(region, turn)):
            balancer.turn = turn
            balancer.held = asyncio.create_task(self._release(region, balancer, seconds))

    async def _release(self, region: str, balancer: _Balancer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._lock:
            balancer.held = None
            await self._serve(region)

    # -- health checks that do not arrive ----------------------------------------------------------------------

    def _unchecked(self, balancer: _Balancer) -> Unchecked:
        return frozenset(
            (name, endpoint)
            for name, backend in balancer.backends.items()
            for endpoint in backend.endpoints
            if self._faults.afflicts("health-checks-lost", Place(resource=name, location=endpoint.zone))
        )

    def _doubt(self, region: str, balancer: _Balancer) -> None:
        """Have the checkers see the change as late as their thresholds say."""
        if balancer.checking is not None:
            balancer.checking.cancel()
            balancer.checking = None
        now, before = self._unchecked(balancer), balancer.envoy.unchecked
        if now != before:
            lost = bool(now - before)
            known = [balancer.backends[name] for name, _unused in now ^ before if name in balancer.backends]
            delay = max((_patience(backend.health_check, lost) for backend in known), default=0.0)
            balancer.checking = asyncio.create_task(self._conclude(region, balancer, delay))

    async def _conclude(self, region: str, balancer: _Balancer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._lock:
            balancer.checking = None
            await self._serve(region)


def _patience(check: HealthCheck, lost: bool) -> float:
    """Seconds that a checker takes to change its mind about an endpoint."""
    return check.interval * (check.unhealthy_threshold if lost else check.healthy_threshold)
