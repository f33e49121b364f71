# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One container of a Pod: a process that is started, probed, restarted and stopped as a kubelet does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shlex
import time
import uuid
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp

from ..client import KubeError, now
from ..interfaces import Hit, Json
from . import environment, images, process, volumes
from .images import Image
from .paths import Translator, expand
from .probes import Prober
from .room import Room

_log = logging.getLogger(__name__)

# A container that ran this long (scaled) starts its back-off afresh.
_STEADY = 600.0
_ACCELERATORS = ("google.com/tpu", "nvidia.com/gpu")


def _token_file(home: Path, token: str) -> Path:
    """A file beside the container's home that holds the token, for its user only."""
    file = home.with_name(f"{home.name}.token")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as content:
        content.write(token)
    return file


class Container:
    """``restarts``: the restart policy that applies to it, Always, OnFailure or Never."""

    def __init__(self, room: Room, spec: Json, restarts: str, restart_count: int, *, init: bool) -> None:
        self.name: str = spec["name"]
        self.spec = spec
        self.restarts = restarts
        self.restart_count = restart_count
        self.ready = False
        self.started = asyncio.Event()
        self.process: Process | None = None
        self.exit_code: int | None = None
        self._room = room
        self._launch: tuple[Image, Translator, dict[str, str], Path] | None = None
        self._state: Json = {"waiting": {"reason": "ContainerCreating"}}
        self._last: Json = {}
        self._id = ""
        self._init = init
        self._still = False  # stopped in the middle of its work by a fault
        self._doom: asyncio.Task[None] | None = None  # a fault that is about to end it
        self._fallen: tuple[int, str] | None = None  # the exit code and the reason of such an end
        self._stopping = False
        self._stopper: asyncio.Task[int] | None = None
        self._grace = float(room.pod["spec"].get("terminationGracePeriodSeconds", 30))

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def waits_for_others(self) -> None:
        self._state = {"waiting": {"reason": "PodInitializing"}}

    async def run(self) -> int:
        """Keep it running until its policy says that it has ended; returns the last exit code."""
        failures = 0
        while True:
            await self._prepare()
            begin = time.monotonic()
            code = await self._run_once()
            if self._stopping or not self.restarted_after(code):
                return code
            if time.monotonic() - begin > _STEADY * self._room.latency.scale + 1:
                failures = 0
            pause = self._room.back_off(failures)
            failures += 1
            name, uid = self._pod_name()
            message = f"back-off {pause:g}s restarting failed container={self.name} pod={name}({uid})"
            self._last, self._state = self._state, {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            self._room.changed()
            if failures > 1:
                await self._room.event("Warning", "BackOff", f"Back-off restarting failed container {self.name}")
            await asyncio.sleep(pause)
            self.restart_count += 1

    def restarted_after(self, code: int) -> bool:
        return self.restarts == "Always" or (self.restarts == "OnFailure" and code != 0)

    def look(self) -> None:
        """Let the faults in force have their way with the process: when they change, and when it starts."""
        if not self.running or self.process is None:
            return
        room, turn = self._room, self._turn
        still = not room.node_up.is_set() or (not self._init and room.afflicted("pod-hang", turn) is not None)
        if still != self._still:
            self._still = still
            process.pause(self.process, still)
        if self._init or not room.node_up.is_set():
            return
        room.spoil(self.name, room.afflicted("pod-slow", turn), room.afflicted("pod-cut", turn))
        doom = room.afflicted("pod-oom", turn) or room.afflicted("pod-crash", turn)
        if doom is None:
            self._spare()
        elif self._doom is None:
            self._doom = asyncio.create_task(self._fall(doom))

    @property
    def _turn(self) -> str:
        """Tells its runs apart, for faults that count them."""
        return f"{self.name} {self.restart_count}"

    async def _fall(self, doom: Hit) -> None:
        await asyncio.sleep(doom.settings["after"])
        self._fallen = (137, "OOMKilled") if doom.kind == "pod-oom" else (doom.settings["exit_code"], "Error")
        if self.process is not None:
            process.kill_group(self.process)

    def _spare(self) -> None:
        if self._doom is not None:
            self._doom.cancel()
            self._doom = None

    async def stop(self, grace: float) -> None:
        """preStop, SIGTERM, SIGKILL; ``grace`` seconds for all of it. It is not started again."""
        self._stopping = True
        if not self.running or self.process is None:
            return
        await self._room.event("Normal", "Killing", f"Stopping container {self.name}")
        begin = time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pre_stop(), grace)
        await process.stop(self.process, max(0.0, grace - (time.monotonic() - begin)))

    def status(self) -> Json:
        reference = self.spec["image"]
        status = {
            "name": self.name,
            "image": reference,
            "imageID": "",
            "ready": self.ready,
            "started": self.started.is_set(),
            "restartCount": self.restart_count,
            "state": self._state,
            "lastState": self._last,
        }
        if self._id:
            status["containerID"] = self._id
            status["imageID"] = f"{reference.split('@')[0]}@sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
        return status

    async def execute(self, command: list[str]) -> int:
        """Run a command in the container; returns its exit code. Raises OSError when there is no such program."""
        if self._launch is None or not command:
            return 1
        image, translate, variables, home = self._launch
        argv = [image.program(command[0]), *command[1:]]
        child = await process.spawn(list(map(translate, argv)), env=variables, cwd=home, log=Path(os.devnull))
        try:
            return await child.wait()
        finally:
            process.kill_group(child)

    async def _prepare(self) -> None:
        """Have the image and the environment; what is missing is waited for, and told meanwhile."""
        image = await self._pulled()
        failures = 0
        while True:
            try:
                self._launch = await self._configure(image)
                return
            except (KubeError, aiohttp.ClientError, TimeoutError) as error:
                _log.debug("container %s: %s", self.name, error)
            except environment.ConfigError as error:
                self._wait("CreateContainerConfigError", str(error))
                await self._room.event("Warning", "Failed", f"Error: {error}")
            failures += 1
            await asyncio.sleep(self._room.back_off(failures))

    async def _pulled(self) -> Image:
        reference = self.spec["image"]
        failures = 0
        while (image := images.find(reference)) is None or self._barred():
            failures += 1
            message = images.absent(reference, self._barred())
            self._wait("ErrImagePull", message)
            await self._room.event("Warning", "Failed", f'Failed to pull image "{reference}": {message}')
            await asyncio.sleep(0.5)
            self._wait("ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {message}')
            await self._room.event("Normal", "BackOff", f'Back-off pulling image "{reference}"')
            await asyncio.sleep(self._room.back_off(failures))
        begin = time.monotonic()
        if await self._room.pull(self._room.pod["spec"]["nodeName"], reference):
            message = f'Container image "{reference}" already present on machine'
        else:
            message = f'Successfully pulled image "{reference}" in {time.monotonic() - begin:.3g}s'
        if not self.restart_count:
            await self._room.event("Normal", "Pulled", message)
        return image

    def _barred(self) -> str:
        """Why a fault keeps the image from being pulled; "" when none does."""
        hit = None if self._init else self._room.afflicted("pod-no-image", self._turn)
        return str(hit.settings["why"]) if hit else ""

    async def _configure(self, image: Image) -> tuple[Image, Translator, dict[str, str], Path]:
        room = self._room
        own = await environment.variables(room.client, room.pod, self.spec)
        mounts = volumes.mounts(self.spec, room.volumes, own)
        hosts = {path: str(volume.directory) for path, volume in mounts.items()}
        translate = Translator(hosts)
        home = room.directory / "containers" / self.name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        variables = room.basic_variables(image.search_path(), home)
        if image.guarded:
            variables["SANDBOX_TOKEN_FILE"] = str(_token_file(home, room.client.access.token))
        variables |= {name: translate(value) for name, value in own.items() if name != "PATH"}
        python_path = [*image.python_path(), *filter(None, [variables.get("PYTHONPATH")])]
        limits = (self.spec.get("resources") or {}).get("limits") or {}
        variables |= {
            "PYTHONPATH": os.pathsep.join(python_path),
            "SANDBOX_POD_ADDRESS": room.address,
            "SANDBOX_MOUNTS": json.dumps(hosts),
            "SANDBOX_READ_ONLY": ":".join(str(volume.directory) for volume in mounts.values() if not volume.writable),
            "SANDBOX_ACCELERATORS": str(sum(int(limits.get(name, 0)) for name in _ACCELERATORS)),
            "SANDBOX_FAULTS": str(room.faults_file(self.name)),
            "SANDBOX_MODEL_LOAD_SECONDS": str(room.latency.of("model_load")),
            "SANDBOX_MODEL_DOWNLOAD_SECONDS": str(room.latency.of("model_download")),
        }
        return image, translate, variables, home

    def _command(self, image: Image, variables: dict[str, str]) -> list[str]:
        """command replaces entry point and arguments of the image, args only the arguments."""
        command, args = self.spec.get("command"), self.spec.get("args")
        entry = command or list(image.entrypoint)
        rest = args if args is not None else [] if command else list(image.arguments)
        return [expand(word, variables) for word in [*entry, *rest]]

    async def _run_once(self) -> int:
        """Start the process and wait for its end; returns the exit code as a container runtime gives it."""
        if self._launch is None:
            raise RuntimeError("a container is prepared before it runs")
        await self._room.node_up.wait()
        image, translate, variables, home = self._launch
        self._fallen, self._still = None, False
        self._id = f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        begin = now()
        argv = self._command(image, variables)
        where = Path(translate(self.spec.get("workingDir") or ""))
        try:
            if not argv:
                raise OSError("no command specified")
            self.process = await process.spawn(
                [translate(image.program(argv[0])), *map(translate, argv[1:])],
                env=variables,
                cwd=where if self.spec.get("workingDir") and where.is_dir() else home,
                log=self._log_file(),
            )
        except OSError as error:
            message = f'failed to create containerd task: exec: "{shlex.join(argv[:1])}": {error.strerror or error}'
            self._ended(begin, 128, "StartError", message)
            await self._room.event("Warning", "Failed", f"Error: {message}")
            return 128
        self._state = {"running": {"startedAt": begin}}
        self.look()
        self._probe_less()
        self._room.changed()
        await self._room.event("Normal", "Started", f"Started container {self.name}")
        probing = asyncio.create_task(self._probe())
        try:
            code = await self.process.wait()
        finally:
            probing.cancel()
            self._spare()
            # What the leader left behind goes with it, as in a PID namespace.
            process.kill_group(self.process)
            await self.process.wait()
        code = 128 - code if code < 0 else code
        code, reason = self._fallen or (code, "Error" if code else "Completed")
        self._ended(begin, code, reason, "")
        return code

    def _ended(self, begin: str, code: int, reason: str, message: str) -> None:
        ended = {"exitCode": code, "reason": reason, "startedAt": begin, "finishedAt": now(), "containerID": self._id}
        self._state = {"terminated": ended | ({"message": message} if message else {})}
        self.exit_code = code
        self.ready = False
        self.started.clear()
        self._room.changed()

    def _wait(self, reason: str, message: str) -> None:
        self._state = {"waiting": {"reason": reason, "message": message}}
        self._room.changed()

    def _probe_less(self) -> None:
        """Without probes a container has started, and is ready, as soon as it runs."""
        if "startupProbe" not in self.spec:
            self.started.set()
            self.ready = "readinessProbe" not in self.spec

    async def _probe(self) -> None:
        room = self._room
        prober = Prober(room.session, room.latency, room.address, self.spec, self.execute, room.node_up)
        if "startupProbe" in self.spec:
            async with contextlib.aclosing(prober.verdicts(self.spec["startupProbe"])) as verdicts:
                good, why = await anext(verdicts)
            if not good:
                await self._unhealthy("Startup", self.spec["startupProbe"], why)
                return
            self.started.set()
            self.ready = "readinessProbe" not in self.spec
            room.changed()
        watches = []
        if "readinessProbe" in self.spec:
            watches.append(self._watch_readiness(prober))
        if "livenessProbe" in self.spec:
            watches.append(self._watch_liveness(prober))
        await asyncio.gather(*watches)

    async def _watch_readiness(self, prober: Prober) -> None:
        async with contextlib.aclosing(prober.verdicts(self.spec["readinessProbe"])) as verdicts:
            async for good, why in verdicts:
                if good != self.ready:
                    self.ready = good
                    self._room.changed()
                    if not good:
                        await self._room.event("Warning", "Unhealthy", f"Readiness probe failed: {why}")

    async def _watch_liveness(self, prober: Prober) -> None:
        async with contextlib.aclosing(prober.verdicts(self.spec["livenessProbe"])) as verdicts:
            async for good, why in verdicts:
                if not good:
                    await self._unhealthy("Liveness", self.spec["livenessProbe"], why)
                    return

    async def _unhealthy(self, kind: str, probe: Json, why: str) -> None:
        """The process is stopped; whether it is started again is the restart policy's business."""
        if self.process is None:
            return
        await self._room.event("Warning", "Unhealthy", f"{kind} probe failed: {why}")
        message = f"Container {self.name} failed {kind.lower()} probe, will be restarted"
        await self._room.event("Normal", "Killing", message)
        # The end of the process ends this task too, so the stopping goes on by itself.
        grace = float(probe.get("terminationGracePeriodSeconds") or self._grace)
        self._stopper = asyncio.create_task(process.stop(self.process, grace))

    async def _pre_stop(self) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            with contextlib.suppress(OSError):
                await self.execute(hook["exec"].get("command") or [])

    def _log_file(self) -> Path:
        path = self._room.logs / f"{self.name}.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            path.replace(path.with_name(f"{self.name}.previous.log"))
        return path

    def _pod_name(self) -> tuple[str, str]:
        meta = self._room.pod["metadata"]
        return f"{meta['name']}_{meta['namespace']}", meta["uid"]
