# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic through real Envoys: which region serves, what fails over, what is answered when nothing can serve."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import resource
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sandbox.dataplane import EnvoyFleet
from sandbox.faults import Faults
from sandbox.interfaces import Backend, Endpoint, HealthCheck, Listener, Rule
from tests.sandbox.dataplane.support import alive, loopback, until

EAST, WEST = "us-east5", "europe-west4"
CHECK = HealthCheck("/health", interval=0.2, timeout=0.2, healthy_threshold=1, unhealthy_threshold=2)
PORT = 8080


class Server:
    """A backend that says its name and can be stopped, started and made unwell."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.well = True
        self.hold: asyncio.Event | None = None
        self.held = 0
        self.broken = collections.Counter[str]()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, 8000, backlog=2048).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.Response(status=200 if self.well else 503)
        if self.hold is not None:
            self.held += 1
            await self.hold.wait()
        if request.path == "/broken":
            self.broken[request.method] += 1
            return web.Response(status=503, text=self.name)
        return web.Response(text=self.name)


class Stage:
    """Two regions, each with a VIP and a server, and the fleet that connects them."""

    def __init__(self, directory: Path) -> None:
        prefix = loopback()
        self.directory = directory
        self.vips = {EAST: f"{prefix}.2", WEST: f"{prefix}.3"}
        self.servers = {EAST: Server(EAST, f"{prefix}.12"), WEST: Server(WEST, f"{prefix}.13")}
        self.faults = Faults()
        self.fleet = EnvoyFleet(directory=directory, faults=self.faults)
        self.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False)

    def backend(self, *regions: str, name: str = "ns/pool", check: HealthCheck = CHECK) -> Backend:
        places = [Endpoint(self.servers[region].address, 8000, region, f"{region}-a") for region in regions]
        return Backend(name, tuple(places), check, 5.0)

    def listener(self, region: str, *rules: Rule) -> Listener:
        return Listener("ns/gateway", "http", region, self.vips[region], PORT, rules or (Rule((("ns/pool", 1),)),))

    async def program(self, *regions: str, backend: Backend | None = None) -> None:
        backend = backend or self.backend(EAST, WEST)
        assert not await self.fleet.program([self.listener(region) for region in regions], {backend.name: backend})

    async def ask(self, region: str, path: str = "/v1/models", method: str = "POST", **headers: str) -> tuple[int, str]:
        url = f"http://{self.vips[region]}:{PORT}{path}"
        data = b"{}" if method == "POST" else None
        async with self.client.request(method, url, data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def comes(self, region: str, wanted: tuple[int, str]) -> None:
        async def look() -> bool:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                return await self.ask(region) == wanted
            return False

        await until(look, f"{wanted} at {region}")

    async def refuses(self, region: str) -> bool:
        """Whether the address takes no connection."""
        try:
            await self.ask(region)
        except aiohttp.ClientConnectionError:
            return True
        return False

    def pids(self) -> list[int]:
        """The Envoys of this stage: they run in its directories."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(self.directory):
                    found.append(int(entry.name))
        return found


@contextlib.asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    here = Stage(directory)
    following = asyncio.create_task(here.fleet.follow_faults())
    try:
        for server in here.servers.values():
            await server.start()
        yield here
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await here.fleet.stop()
        for server in here.servers.values():
            await server.stop()
        await here.client.close()


def test_a_region_serves_itself_and_the_next_takes_over_until_it_is_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST, WEST)
            assert await here.ask(EAST) == (200, EAST)
            assert await here.ask(WEST) == (200, WEST)
            await here.servers[EAST].stop()
            await here.comes(EAST, (200, WEST))
            await here.servers[EAST].start()
            await here.comes(EAST, (200, EAST))

    asyncio.run(scene())


def test_without_a_healthy_endpoint_the_answer_is_503(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            for server in here.servers.values():
                server.well = False
            await here.comes(EAST, (503, "no healthy upstream"))
            here.servers[WEST].well = True
            await here.comes(EAST, (200, WEST))

    asyncio.run(scene())


def test_a_new_endpoint_gets_nothing_before_it_is_healthy(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            here.servers[EAST].well = False
            await here.program(EAST, backend=here.backend(WEST))
            await here.program(EAST)
            for _unused in range(20):
                assert await here.ask(EAST) == (200, WEST)
            here.servers[EAST].well = True
            await here.comes(EAST, (200, EAST))

    asyncio.run(scene())


def test_an_endpoint_that_is_taken_out_gets_nothing_more(tmp_path: Path) -> None:
    """However well it is: by default Envoy keeps a host for as long as it passes its checks."""

    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            assert await here.ask(EAST) == (200, EAST)
            await here.program(EAST, backend=here.backend(WEST))
            for _unused in range(20):
                assert await here.ask(EAST) == (200, WEST)

    asyncio.run(scene())


def test_more_requests_at_once_than_envoy_allows_by_itself(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip("needs 8192 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))

    async def scene() -> None:
        async with stage(tmp_path) as here:
            # Clients, servers and their answers to health checks share one process here: it may be late, not unwell.
            patient = HealthCheck("/health", interval=5, timeout=5, healthy_threshold=1, unhealthy_threshold=10)
            await here.program(EAST, backend=dataclasses.replace(here.backend(EAST, check=patient), timeout=120.0))
            here.servers[EAST].hold = go_on = asyncio.Event()
            asked = [asyncio.create_task(here.ask(EAST)) for _unused in range(1200)]
            await until(lambda: asyncio.sleep(0, here.servers[EAST].held == 1200), "all requests have arrived")
            go_on.set()
            assert {status for status, _unused in await asyncio.gather(*asked)} == {200}

    asyncio.run(scene())


def test_two_gateways_cannot_share_an_address(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            two = [here.listener(EAST), dataclasses.replace(here.listener(EAST), gateway="ns/other")]
            faults = await here.fleet.program(two, {"ns/pool": here.backend(EAST)})
            assert faults == {two[1]: f"{here.vips[EAST]}:{PORT} in {EAST} is gateway ns/gateway's"}
            assert await here.ask(EAST) == (200, EAST)

    asyncio.run(scene())


def test_unhealthy_only_after_as_many_failures_as_the_threshold(tmp_path: Path) -> None:
    """Also when the server answers with an error: Envoy's own default is to eject at the first one."""

    async def scene() -> None:
        async with stage(tmp_path) as here:
            slow = HealthCheck("/health", interval=0.3, timeout=0.3, healthy_threshold=1, unhealthy_threshold=4)
            await here.program(EAST, backend=here.backend(EAST, check=slow))
            here.servers[EAST].well = False
            loop = asyncio.get_running_loop()
            begin = loop.time()
            await here.comes(EAST, (503, "no healthy upstream"))
            assert loop.time() - begin > 0.8

    asyncio.run(scene())


def test_reprogramming_neither_restarts_envoy_nor_loses_a_request(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            before = here.pids()
            answers: list[tuple[int, str]] = []

            async def load() -> None:
                while True:
                    answers.append(await here.ask(EAST))

            loading = asyncio.create_task(load())
            for name in ("ns/other", "ns/pool"):
                rule = Rule(((name, 1),))
                await here.fleet.program([here.listener(EAST, rule)], {name: here.backend(EAST, name=name)})
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            assert answers and {status for status, _unused in answers} == {200}
            assert here.pids() == before

    asyncio.run(scene())


def test_rules_by_prefix_host_and_weight(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            east, west = here.backend(EAST, name="east"), here.backend(WEST, name="west")
            rules = (
                Rule((("east", 1),), ("/v1",)),
                Rule((("west", 1),), ("/v1/chat",)),
                Rule((("east", 1), ("west", 1)), ("/both",)),
                Rule((("missing", 1),), ("/missing",)),
                Rule((("west", 1),), ("/",), ("only.example",)),
            )
            await here.fleet.program([here.listener(EAST, *rules)], {"east": east, "west": west})
            assert await here.ask(EAST, "/v1/models") == (200, EAST)
            assert await here.ask(EAST, "/v1/chat/completions") == (200, WEST)
            assert await here.ask(EAST, "/v1/chats") == (200, EAST)
            assert await here.ask(EAST, "/v10") == (404, "fault filter abort")
            assert await here.ask(EAST, "/missing") == (503, "no healthy upstream")
            assert await here.ask(EAST, "/", Host="only.example:8080") == (200, WEST)
            assert {(await here.ask(EAST, "/both"))[1] for _unused in range(40)} == {EAST, WEST}

    asyncio.run(scene())


def test_only_requests_without_a_body_are_tried_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            for method in ("POST", "GET"):
                assert await here.ask(EAST, "/broken", method) == (503, EAST)
            assert here.servers[EAST].broken == {"POST": 1, "GET": 2}

    asyncio.run(scene())


def test_a_listener_that_is_not_wanted_any_more_is_closed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST, WEST)
            assert [entry["url"] for entry in here.fleet.listeners()] == [
                f"http://{here.vips[region]}:{PORT}" for region in (EAST, WEST)
            ]
            await here.program(EAST)
            assert [entry["region"] for entry in here.fleet.listeners()] == [EAST]
            assert await here.ask(EAST) == (200, EAST)
            with pytest.raises(aiohttp.ClientConnectionError):
                await here.ask(WEST)
            pids = here.pids()
            assert len(pids) == 1
            await here.fleet.stop()
            assert here.fleet.listeners() == []
            assert not any(map(alive, pids))
            with pytest.raises(aiohttp.ClientConnectionError):
                await here.ask(EAST)

    asyncio.run(scene())


def test_an_envoy_that_dies_comes_back_with_what_it_knew(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            (pid,) = here.pids()
            os.kill(pid, signal.SIGKILL)

            async def look() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    return await here.ask(EAST) == (200, EAST)
                return False

            await until(look, "Envoy is back")
            assert here.pids() != [pid]
            await here.program(EAST, backend=here.backend(WEST))
            await here.comes(EAST, (200, WEST))

    asyncio.run(scene())


def test_an_address_that_is_taken_is_told_and_the_other_regions_serve(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            with socket.socket() as other:
                other.bind((here.vips[EAST], PORT))
                other.listen()
                both, backend = [here.listener(EAST), here.listener(WEST)], here.backend(EAST, WEST)
                away = dataclasses.replace(here.listener(WEST), gateway="ns/away", address="192.0.2.1")
                for _unused in range(2):  # also when its Envoy runs already
                    faults = await here.fleet.program([*both, away], {backend.name: backend})
                    place = f"{here.vips[EAST]}:{PORT} in {EAST} cannot be bound"
                    assert faults == {
                        both[0]: f"{place}: address already in use",
                        away: f"192.0.2.1:{PORT} in {WEST} cannot be bound: cannot assign requested address",
                    }
                    assert [entry["region"] for entry in here.fleet.listeners()] == [WEST]
                    assert await here.ask(WEST) == (200, WEST)
            await here.program(EAST, WEST)
            assert await here.ask(EAST) == (200, EAST)

    asyncio.run(scene())


def test_the_admin_interface_is_its_users_alone(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)  # a socket's address has room for 107 bytes

    async def scene() -> None:
        async with stage(deep) as here:
            await here.program(EAST)
            (pid,) = here.pids()
            inodes = set()
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # health checks come and go meanwhile
                    kind, _bracket, inode = os.readlink(entry).partition("[")
                    inodes |= {inode.rstrip("]")} if kind == "socket:" else set()
            lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            ports = {int(line[1].partition(":")[2], 16) for line in lines if line[3] == "0A" and line[9] in inodes}
            assert ports == {PORT}
            admin = deep / EAST / "admin.sock"
            assert stat.S_ISSOCK(admin.stat().st_mode) and stat.S_IMODE(admin.stat().st_mode) == 0o600

    asyncio.run(scene())


def test_files_of_what_is_gone_are_removed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(tmp_path) as here:
            await here.program(EAST)
            await here.fleet.program(
                [here.listener(EAST, Rule((("other", 1),)))], {"other": here.backend(EAST, name="other")}
            )
            files = list((tmp_path / EAST).glob("eds-*.json"))
            assert [json.loads(path.read_text())["resources"][0]["cluster_name"] for path in files] == ["other"]

    asyncio.run(scene())
