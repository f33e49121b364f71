# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that break on request: real processes, asked over HTTP by a client that knows nothing of it."""

from __future__ import annotations

import asyncio
import json
import typing as t
from pathlib import Path

import pytest
import requests

from sandbox.client import PODS, RESOURCE_CLAIMS
from sandbox.interfaces import Json
from tests.sandbox.dataplane.support import (
    HTTP,
    SERVE,
    World,
    condition,
    container_status,
    play,
    pod,
    reason,
    until,
)

PROBED = {**HTTP, "timeoutSeconds": 1}
LIVING: dict[str, t.Any] = {
    "startupProbe": {**PROBED, "failureThreshold": 100},
    "livenessProbe": {**PROBED, "failureThreshold": 1},
}


async def answers(found: Json) -> bool:
    """Whether the Pod's server answers within half a second."""
    url = f"http://{found['status']['podIP']}:8000/"
    try:
        return (await asyncio.to_thread(requests.get, url, timeout=0.5)).ok
    except requests.RequestException:
        return False


async def silent(found: Json) -> bool:
    """Whether it does not; a fault is felt a moment after it was added."""
    return not await answers(found)


@pytest.mark.parametrize(
    ("why", "words"), [("not-found", "python:3.12-slim: not found"), ("denied", "pull access denied")]
)
def test_an_image_that_cannot_be_pulled(tmp_path: Path, why: str, words: str) -> None:
    async def scene(here: World) -> None:
        here.faults.add({"kind": "pod-no-image", "resource": "default/p", "settings": {"why": why}})
        await here.client.create(PODS, pod("p", *SERVE))
        waiting = await here.reached("p", lambda p: reason(p) == "ImagePullBackOff", "back-off")
        message = container_status(waiting)["state"]["waiting"]["message"]
        assert (
            message.startswith('Back-off pulling image "python:3.12-slim": ErrImagePull: rpc error')
            and words in message
        )
        here.faults.clear()
        await here.ready("p")

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("kind", "settings", "code", "why"),
    [("pod-oom", {}, 137, "OOMKilled"), ("pod-crash", {"exit_code": 139}, 139, "Error")],
)
def test_a_container_that_falls_as_often_as_was_said(
    tmp_path: Path, kind: str, settings: Json, code: int, why: str
) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SERVE, readinessProbe=HTTP))
        await here.ready("p")
        here.faults.add({"kind": kind, "times": 2, "settings": {"after": 0.1, **settings}})
        looping = await here.reached("p", lambda p: reason(p) == "CrashLoopBackOff", "back-off")
        ended = container_status(looping)["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (code, why)
        await here.reached("p", lambda p: container_status(p)["restartCount"] == 2, "second restart")
        whole = await here.ready("p")
        assert here.faults.rendered()[0]["hits"] == 2 and await answers(whole)

    play(tmp_path, scene)


def test_a_hanging_server_fails_its_probes_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SERVE, readinessProbe={**PROBED, "failureThreshold": 1}))
        found = await here.ready("p")
        pids = here.pids()
        assert await answers(found)
        here.faults.add({"kind": "pod-hang", "resource": "default/*"})
        await until(lambda: silent(found), "silence")
        await here.reached("p", lambda p: condition(p, "Ready") == "False", "not ready")
        here.faults.clear()
        await here.ready("p")
        assert await answers(found) and here.pids() == pids

    play(tmp_path, scene)


def test_a_liveness_probe_ends_a_hanging_server(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SERVE, **LIVING, spec_terminationGracePeriodSeconds=1))
        await here.ready("p")
        here.faults.add({"kind": "pod-hang", "times": 1})
        again = await here.reached("p", lambda p: container_status(p)["restartCount"] == 1, "restart")
        assert container_status(again)["lastState"]["terminated"]["exitCode"] == 137
        assert await answers(await here.ready("p")), "only one run was to hang"

    play(tmp_path, scene)


def test_what_is_on_a_dead_node_neither_answers_nor_is_judged(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", *SERVE, **LIVING))
        found = await here.ready("p")
        pids = here.pids()
        here.faults.add({"kind": "node-dead", "resource": "node-1", "location": "us-east5"})
        await until(lambda: silent(found), "silence")
        await here.client.delete(PODS, "default", "p", grace_period=1)
        assert await here.pod("p") is not None and not await answers(found)
        assert here.pids() == pids, "no kubelet is there to end or to judge it"
        here.faults.clear()
        await here.gone("p")

    play(tmp_path, scene)


def test_interfaces_that_are_not_injected(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        claim = {"metadata": {"name": "nics", "namespace": "default"}, "spec": {}}
        await here.client.create(RESOURCE_CLAIMS, claim)
        device = {"request": "nic", "driver": "dra.net", "pool": "node-1", "device": "eth1"}
        status = {"allocation": {"devices": {"results": [device]}}}
        await here.client.merge(RESOURCE_CLAIMS, {**claim, "status": status}, "status")
        here.faults.add({"kind": "nic-missing", "resource": "default/p"})
        entry = {"name": "nics", "resourceClaimName": "nics"}
        await here.client.create(PODS, pod("p", *SERVE, spec_resourceClaims=[entry]))

        async def told() -> str | None:
            return dict(await here.events("p")).get("FailedPrepareDynamicResources")

        message = await until(told, "an event")
        assert "NodePrepareResources failed for ResourceClaim nics" in message and "device eth1 not found" in message
        assert reason(await here.pod("p") or {}) == "ContainerCreating"
        here.faults.clear()
        await here.ready("p")

    play(tmp_path, scene)


def test_a_server_is_told_what_it_has_to_do_wrong(tmp_path: Path) -> None:
    """What it makes of that is told in test_model_server."""
    look = "import os, time; p = os.environ['SANDBOX_FAULTS']\n"
    look += "while not os.path.exists(p): time.sleep(0.02)\n"
    look += "print(open(p).read(), flush=True)\nwhile os.path.exists(p): time.sleep(0.02)\nprint('well', flush=True)"

    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", "python3", "-c", look, spec_restartPolicy="Never"))
        await here.reached("p", lambda p: bool(here.pids()), "it runs")
        here.faults.add({"kind": "pod-slow", "settings": {"first": 3}})
        here.faults.add({"kind": "pod-cut", "settings": {"pieces": 2}})

        async def log(lines: int) -> list[str] | None:
            written = here.log("p").splitlines()
            return written if len(written) == lines else None

        (line,) = await until(lambda: log(1), "it was told")
        assert json.loads(line) == {"first": 3.0, "between": 0.0, "pieces": 2}
        here.faults.clear()
        assert (await until(lambda: log(2), "it is well"))[1] == "well"

    play(tmp_path, scene)
