# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load balancers that break on request: real Envoys, asked by a client that knows nothing of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.sandbox.dataplane.support import until
from tests.sandbox.dataplane.test_envoy import EAST, WEST, Stage, stage


async def silent(here: Stage, region: str) -> bool:
    """Whether the address takes connections and says nothing."""
    try:
        async with asyncio.timeout(0.5):
            await here.ask(region)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("how", ["silent", "refused"])
def test_a_load_balancer_that_is_away_comes_back_with_what_was_changed(tmp_path: Path, how: str) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST, WEST)
            fault = here.faults.add({"kind": "envoy-down", "location": EAST, "settings": {"how": how}})
            look = silent if how == "silent" else Stage.refuses
            await until(lambda: look(here, EAST), f"{EAST} is {how}")
            assert await here.ask(WEST) == (200, WEST), "the other one serves"
            await here.program(EAST, WEST, backend=here.backend(WEST))
            here.faults.clear(fault.name)
            await here.comes(EAST, (200, WEST))

    asyncio.run(scene())


def test_health_checkers_that_do_not_arrive_move_the_traffic_and_give_it_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST, WEST)
            here.faults.add({"kind": "health-checks-lost", "location": EAST, "resource": "ns/*"})
            assert await here.ask(EAST) == (200, EAST), "checkers take their time to make up their minds"
            await here.comes(EAST, (200, WEST))
            assert here.servers[EAST].well
            here.faults.clear()
            await here.comes(EAST, (200, EAST))
            here.faults.add({"kind": "health-checks-lost"})
            await here.comes(EAST, (503, "no healthy upstream"))

    asyncio.run(scene())


def test_a_change_that_is_late_is_in_force_in_the_end_or_when_it_is_cleared(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            for seconds, cleared in ((0.5, False), (60.0, True)):
                here.faults.add({"kind": "programming-slow", "location": EAST, "settings": {"seconds": seconds}})
                await here.program(EAST, backend=here.backend(WEST))
                assert await here.ask(EAST) == (200, EAST), "as before"
                if cleared:
                    here.faults.clear()
                await here.comes(EAST, (200, WEST))
                here.faults.clear()
                await here.program(EAST)
                await here.comes(EAST, (200, EAST))

    asyncio.run(scene())


def test_the_faults_of_one_region_are_none_of_the_others(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            here.faults.add({"kind": "region-down", "location": WEST})
            await here.program(EAST, WEST)
            assert await here.ask(EAST) == (200, EAST)
            with pytest.raises(aiohttp.ClientConnectionError):
                await here.ask(WEST)  # it was never there
            here.faults.clear()
            await here.comes(WEST, (200, WEST))

    asyncio.run(scene())
