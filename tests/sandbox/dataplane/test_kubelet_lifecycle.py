# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How containers run, fail, are probed, restarted and stopped: a real API server, a real kubelet, real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import typing as t
from pathlib import Path

import pytest

from sandbox.client import PODS
from sandbox.interfaces import Json
from tests.sandbox.dataplane.support import (
    HTTP,
    SERVE,
    SLEEP,
    World,
    alive,
    container_status,
    get,
    phase_is,
    play,
    pod,
    reason,
    until,
)


def test_a_killed_process_is_started_again_with_back_off(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SERVE, readinessProbe=HTTP))
        before = await here.ready("p")
        (pid,) = here.pids()
        os.kill(pid, signal.SIGKILL)
        waiting = await here.reached("p", lambda p: reason(p) == "CrashLoopBackOff", "back-off")
        ended = container_status(waiting)["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "Error")
        assert waiting["status"]["phase"] == "Running"
        await here.reached("p", lambda p: container_status(p)["restartCount"] == 1, "restart")
        after = await here.ready("p")
        assert after["status"]["podIP"] == before["status"]["podIP"] and here.pids() != [pid]

    play(tmp_path, scene)


def test_the_log_is_of_the_last_run_and_the_one_before_is_kept(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(
            PODS, pod("p", "python3", "-c", "import time; print(time.time()); raise SystemExit(3)")
        )
        crashed = await here.reached("p", lambda p: container_status(p).get("restartCount", 0) >= 1, "restart")
        assert container_status(crashed)["lastState"]["terminated"]["exitCode"] == 3
        lines = here.log("p").strip().splitlines()
        assert len(lines) <= 1
        assert (here.root / "logs/default/p/main.previous.log").read_text() != here.log("p")

    play(tmp_path, scene)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", "/no/such/program", spec_restartPolicy="Never"))
        failed = await here.reached("p", phase_is("Failed"), "failure")
        ended = container_status(failed)["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (128, "StartError") and "/no/such/program" in ended["message"]

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("policy", "code", "phase", "restarts"),
    [("Never", 0, "Succeeded", 0), ("Never", 2, "Failed", 0), ("OnFailure", 0, "Succeeded", 0)],
)
def test_pods_that_end(tmp_path: Path, policy: str, code: int, phase: str, restarts: int) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", "python3", "-c", f"exit({code})", spec_restartPolicy=policy))
        done = await here.reached("p", phase_is("Succeeded", "Failed"), "end")
        assert done["status"]["phase"] == phase
        ended = container_status(done)
        assert ended["state"]["terminated"]["exitCode"] == code and ended["restartCount"] == restarts
        await here.client.delete(PODS, "default", "p")
        await here.gone("p")

    play(tmp_path, scene)


def test_on_failure_tries_again_until_it_succeeds(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        code = "import os, sys; n = len(os.listdir('/d')); open(f'/d/{n}', 'w'); sys.exit(n < 1)"
        body = pod(
            "p",
            "python3",
            "-c",
            code,
            volumeMounts=[{"name": "d", "mountPath": "/d"}],
            spec_volumes=[{"name": "d", "emptyDir": {}}],
            spec_restartPolicy="OnFailure",
        )
        await here.client.create(PODS, body)
        done = await here.reached("p", phase_is("Succeeded", "Failed"), "end")
        assert done["status"]["phase"] == "Succeeded" and container_status(done)["restartCount"] == 1

    play(tmp_path, scene)


def init(name: str, code: str, **fields: t.Any) -> Json:
    mounts = [{"name": "d", "mountPath": "/d"}]
    return {"name": name, "image": "python:3", "command": ["python3", "-c", code], "volumeMounts": mounts, **fields}


def test_init_containers_run_one_after_the_other_and_sidecars_beside(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        side = "import time; open('/d/side', 'w'); time.sleep(600)"
        inits = [
            init("first", "import time; time.sleep(0.3); open('/d/first', 'w')"),
            init("sidecar", side, restartPolicy="Always"),
            init("second", "import os, sys; sys.exit(not os.path.exists('/d/first'))"),
        ]
        code = "import os; print(sorted(os.listdir('/d')))"
        body = pod("p", "python3", "-c", code, volumeMounts=[{"name": "d", "mountPath": "/d"}])
        body["spec"] |= {"initContainers": inits, "volumes": [{"name": "d", "emptyDir": {}}], "restartPolicy": "Never"}
        await here.client.create(PODS, body)
        waiting = await here.reached("p", lambda p: reason(p) == "PodInitializing", "initialising")
        assert waiting["status"]["phase"] == "Pending"
        done = await here.reached("p", phase_is("Succeeded", "Failed"), "end")
        assert done["status"]["phase"] == "Succeeded"
        assert "'first'" in here.log("p")
        await until(lambda: asyncio.sleep(0, not here.pids()), "the sidecar ends with the others")

    play(tmp_path, scene)


def test_a_failed_init_container_fails_a_pod_that_never_restarts(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        body = pod("p", *SLEEP, spec_initContainers=[init("bad", "exit(1)")], spec_restartPolicy="Never")
        body["spec"]["volumes"] = [{"name": "d", "emptyDir": {}}]
        await here.client.create(PODS, body)
        failed = await here.reached("p", phase_is("Failed"), "failure")
        assert failed["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
        assert reason(failed) == "PodInitializing"

    play(tmp_path, scene)


# Serves once there is the file that it is told.
LATE_SERVER = """
import http.server, os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
http.server.HTTPServer(("0.0.0.0", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_startup_probe_gives_time_and_readiness_follows_the_server(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        fields: Json = {
            "startupProbe": {**HTTP, "failureThreshold": 10_000},
            "readinessProbe": {**HTTP, "failureThreshold": 1},
        }
        body = pod("p", "python3", "-c", LATE_SERVER, str(tmp_path / "go"), **fields)
        await here.client.create(PODS, body)
        running = await here.reached("p", lambda p: "running" in container_status(p).get("state", {}), "running")
        assert not container_status(running)["started"] and not container_status(running)["ready"]
        (tmp_path / "go").touch()
        ready = await here.ready("p")
        assert container_status(ready)["restartCount"] == 0
        (pid,) = here.pids()
        os.kill(pid, signal.SIGSTOP)
        unready = await here.reached("p", lambda p: not container_status(p)["ready"], "unready")
        message = next(c for c in unready["status"]["conditions"] if c["type"] == "Ready")["message"]
        assert message == "containers with unready status: [main]"
        os.kill(pid, signal.SIGCONT)
        await here.ready("p")
        assert here.pids() == [pid]

    play(tmp_path, scene)


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_a_container_that_fails_its_probe_is_started_again(tmp_path: Path, probe: str) -> None:
    async def scene(here: World) -> None:
        dead: Json = {probe: {"tcpSocket": {"port": 9}, "failureThreshold": 2}}
        await here.client.create(PODS, pod("p", *SLEEP, **dead))
        again = await here.reached("p", lambda p: container_status(p).get("restartCount", 0) >= 1, "restart")
        assert container_status(again)["lastState"]["terminated"]["exitCode"] == 143
        assert any(r == "Unhealthy" and "probe failed" in m for r, m in await here.events("p"))

    play(tmp_path, scene)


def test_probes_by_connection_and_by_command(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        grpc = {"grpc": {"port": 9003, "service": "x"}}
        image = "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0"
        body = pod("epp", image=image, args=["--pool-name=p"], readinessProbe=grpc, livenessProbe=grpc)
        await here.client.create(PODS, body)
        code = ["python3", "-c", "import os, sys; sys.exit(os.environ['X'] != '1')"]
        exec_probe: Json = {"exec": {"command": code}}
        await here.client.create(
            PODS, pod("exec", *SLEEP, readinessProbe=exec_probe, env=[{"name": "X", "value": "1"}])
        )
        epp = await here.ready("epp")
        url = f"http://{epp['status']['podIP']}:9090/metrics"
        for bearer in ("", "Bearer wrong", here.client.access.token):
            assert (await get(url, Authorization=bearer))[0] == 401
        text = (await get(url, Authorization=f"Bearer {here.client.access.token}"))[1]
        assert "inference_pool_ready_pods" in text
        (token,) = tmp_path.rglob("*.token")
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        await here.ready("exec")

    play(tmp_path, scene)


STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def test_deletion_asks_waits_and_then_kills(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        loop = asyncio.get_running_loop()
        body = pod("stubborn", "python3", "-c", STUBBORN, spec_terminationGracePeriodSeconds=1)
        await here.client.create(PODS, body)
        await here.client.create(PODS, pod("polite", *SLEEP, spec_terminationGracePeriodSeconds=600))
        for name in ("stubborn", "polite"):
            await until(lambda name=name: asyncio.sleep(0, "up" in here.log(name)), f"{name} up")  # type: ignore[misc]
        pids = here.pids()
        await here.client.delete(PODS, "default", "polite")
        await here.gone("polite")  # long before its grace has passed
        begin = loop.time()
        await here.client.delete(PODS, "default", "stubborn")
        await here.gone("stubborn")
        assert loop.time() - begin >= 1
        assert not any(map(alive, pids)) and here.kubelet.workloads() == []

    play(tmp_path, scene)


def test_pre_stop_comes_before_sigterm(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        code = "import signal, time; signal.signal(15, lambda *a: (print('term', time.time(), flush=True), exit()));"
        code += "print('up', flush=True); time.sleep(600)"
        body = pod("p", "python3", "-c", code, lifecycle={"preStop": {"sleep": {"seconds": 1}}})
        await here.client.create(PODS, body)
        await until(lambda: asyncio.sleep(0, "up" in here.log("p")), "up")
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await here.client.delete(PODS, "default", "p")
        await here.gone("p")
        assert loop.time() - begin >= 1 and "term" in here.log("p")

    play(tmp_path, scene)


def test_a_pod_that_is_removed_by_force_leaves_no_process(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        forked = "import os, time; os.fork(); print(os.getpid(), flush=True); time.sleep(600)"
        await here.client.create(PODS, pod("p", "python3", "-c", forked))
        await until(lambda: asyncio.sleep(0, len(here.log("p").split()) == 2), "two processes")
        pids = list(map(int, here.log("p").split()))
        await here.client.delete(PODS, "default", "p", grace_period=0)
        await here.gone("p")
        await until(lambda: asyncio.sleep(0, not any(map(alive, pids))), "processes gone")
        await until(lambda: asyncio.sleep(0, not here.kubelet.workloads()), "forgotten")

    play(tmp_path, scene)


def test_children_of_a_container_end_with_it(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
        await here.client.create(PODS, pod("p", "python3", "-c", code, spec_restartPolicy="Never"))
        await here.reached("p", phase_is("Succeeded"), "end")
        child = int(here.log("p"))
        await until(lambda: asyncio.sleep(0, not alive(child)), "the child is gone")

    play(tmp_path, scene)


def test_a_kubelet_that_comes_back_runs_its_pods_again(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SLEEP))
        await here.ready("p")
        (pid,) = here.pids()
        here.running.cancel()
        await asyncio.gather(here.running, return_exceptions=True)
        await until(lambda: asyncio.sleep(0, not alive(pid)), "its process is gone")
        here.running = asyncio.create_task(here.kubelet.run())
        await here.reached("p", lambda p: container_status(p)["restartCount"] == 1, "restart")
        await here.ready("p")
        assert here.pids() not in ([], [pid])

    play(tmp_path, scene)
