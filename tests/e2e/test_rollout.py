# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changed model servers go out one region at a time, and nobody is without an answer.

The tests go on where the one before has ended, and each leaves a converged estate.
"""

from __future__ import annotations

import asyncio
import collections
import datetime
import json
import os
import re
import shutil
import signal
import threading
import time
import typing as t
from collections.abc import Iterator

import aiohttp
import pytest

from tests.e2e.estate import ROOT, Estate, Run

# In the order in which they are replaced, which is the inventory's.
CLUSTERS = {"europe-west4": "europe-west4-a/gke-europe-west4", "us-east5": "us-east5-b/gke-us-east5"}
FIRST, SECOND = CLUSTERS
MODEL = "gemma-3-27b-it"

# Requests per second on each address; every tenth is a long one that streams for some seconds.
RATE = 10
LONG_TOKENS = 1500


class Load:
    """Clients of both regions, each request on a connection of its own; nobody tries again."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.lost: list[str] = []
        self.served: collections.Counter[tuple[str, str]] = collections.Counter()  # (clients' region, server's)
        self._urls = urls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._stop.set()
        self._thread.join(120)

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False) as session,
            asyncio.TaskGroup() as requests,
        ):
            begin, number = time.monotonic(), 0
            while not self._stop.is_set():
                for region in self._urls:
                    requests.create_task(self._ask(session, region, long=number % 10 == 0))
                number += 1
                await asyncio.sleep(max(0.0, begin + number / RATE - time.monotonic()))

    async def _ask(self, session: aiohttp.ClientSession, region: str, *, long: bool) -> None:
        body: dict[str, t.Any] = {"model": MODEL, "prompt": "A region is", "max_tokens": 8}
        if long:
            body |= {"max_tokens": LONG_TOKENS, "ignore_eos": True, "stream": True}
        try:
            timeout = aiohttp.ClientTimeout(total=60)
            async with session.post(f"{self._urls[region]}/v1/completions", json=body, timeout=timeout) as answer:
                text = await answer.text()
                whole = text.endswith("data: [DONE]\n\n") if long else "usage" in text
                if answer.status != 200 or not whole:
                    self.lost.append(f"{region}: {answer.status} {text[-200:]}")
                else:
                    self.served[region, answer.headers["x-serving-region"]] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.lost.append(f"{region}: {type(error).__name__} {error}")


def urls(estate: Estate) -> dict[str, str]:
    return {listener["region"]: listener["url"] for listener in estate.status()["listeners"]}


def kubectl(estate: Estate, region: str, *arguments: str) -> str:
    done = estate.kubectl(CLUSTERS[region], *arguments)
    assert done.code == 0, done.output
    return done.output.strip()


def image(estate: Estate, region: str) -> str:
    return kubectl(
        estate, region, "get", f"deployment/{MODEL}", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )


def server(estate: Estate, region: str) -> dict[str, t.Any]:
    """The region's one model server, by the real kubectl."""
    pods = json.loads(
        kubectl(estate, region, "get", "pods", "-l", "app.kubernetes.io/component=model-server", "-o", "json")
    )
    [pod] = pods["items"]
    return dict(pod)


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def ready_since(pod: dict[str, t.Any]) -> datetime.datetime:
    [condition] = [c for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    assert condition["status"] == "True"
    return moment(condition["lastTransitionTime"])


def told_order(run: Run) -> list[str]:
    return re.findall(r"([\w-]+): [.]spec[.]template", run.output)


def wait_until(condition: t.Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Two regions of its own, whose inventory the tests change; a server counts as hung after three seconds."""
    directory = tmp_path_factory.mktemp("rollout")
    shutil.copytree(ROOT / "inventories" / "sandbox", directory / "inventory")
    estate = Estate(directory, directory / "inventory")
    state(estate, model_hang_timeout=3)
    assert estate.sandbox("start").code == 0
    try:
        build = estate.play("site.yml")
        assert build.code == 0, build.output
        yield estate
    finally:
        assert estate.sandbox("stop").code == 0


def state(estate: Estate, **variables: t.Any) -> None:
    """Have the inventory say this, on top of what it says."""
    path = estate.inventory / "group_vars" / "all" / "stated.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | variables))


def test_check_tells_which_regions_would_be_replaced_in_which_order(estate: Estate) -> None:
    before = {region: image(estate, region) for region in CLUSTERS}
    check = estate.play("site.yml", "--check", "-e", "model_image=vllm/vllm-tpu:v9.9.9")
    assert (check.code, check.changed()) == (0, 2), check.output
    assert told_order(check) == [FIRST, SECOND], check.output
    assert "would change" in check.output
    assert {region: image(estate, region) for region in CLUSTERS} == before


def test_a_new_image_leaves_nobody_without_an_answer(estate: Estate) -> None:
    old = {region: server(estate, region) for region in CLUSTERS}
    state(estate, model_image="vllm/vllm-tpu:v9.9.9")
    with Load(urls(estate)) as load:
        run = estate.play("site.yml")
    assert run.code == 0, run.output
    assert load.lost == [], f"{len(load.lost)} lost, {load.served}"
    new = {region: server(estate, region) for region in CLUSTERS}
    for region, other in ((FIRST, SECOND), (SECOND, FIRST)):
        assert image(estate, region) == "vllm/vllm-tpu:v9.9.9"
        assert new[region]["metadata"]["uid"] != old[region]["metadata"]["uid"]
        # Clients were at home before and after, and next door meanwhile.
        assert load.served[region, region] and load.served[region, other], load.served
    assert told_order(run) == [FIRST, SECOND]
    assert ready_since(new[FIRST]) <= moment(new[SECOND]["metadata"]["creationTimestamp"])


def test_a_rollout_that_fails_stops_in_its_first_region_and_the_other_is_left_alone(estate: Estate) -> None:
    kept = server(estate, SECOND)["metadata"]["uid"]
    broken = ["-e", json.dumps({"model_extra_args": ["--max-num-seqs=none"], "model_wait_timeout": 25})]
    failed = estate.play("site.yml", *broken)
    assert failed.code != 0
    assert "Replace | Change the model server and wait until it serves" in failed.output
    assert (failed.recap()[FIRST]["failed"], failed.recap()[SECOND]["changed"]) == (1, 0), failed.output
    # Not even when the first one is left out: it would be the last that serves.
    refused = estate.play("site.yml", *broken, "--limit", SECOND, "--tags", "model")
    assert refused.code != 0
    assert f"{SECOND} keeps the model server that it has" in refused.output
    assert "-e model_allow_outage=true" in refused.output
    assert server(estate, SECOND)["metadata"]["uid"] == kept

    # Somebody tries something by hand: it is not undone without a word.
    kubectl(estate, FIRST, "set", "image", f"deployment/{MODEL}", "vllm=no/such:image")
    foreign = estate.play("site.yml", "--check")
    assert foreign.code != 0
    assert "kubectl-set" in foreign.output and ".spec.template" in foreign.output
    mended = estate.play("site.yml", "-e", "model_force_conflicts=true")
    assert mended.code == 0, mended.output
    assert (mended.recap()[FIRST]["changed"], mended.recap()[SECOND]["changed"]) == (1, 0), mended.output
    assert image(estate, FIRST) == image(estate, SECOND)
    assert server(estate, SECOND)["metadata"]["uid"] == kept


def test_a_server_that_hangs_is_started_again(estate: Estate) -> None:
    """Its process is stopped, not ended."""
    name = server(estate, SECOND)["metadata"]["name"]

    def restarts() -> int:
        return int(server(estate, SECOND)["status"]["containerStatuses"][0]["restartCount"])

    running = [load for load in estate.status()["workloads"] if (load["pod"], load["container"]) == (name, "vllm")]
    before = restarts()
    os.kill(running[0]["pid"], signal.SIGSTOP)
    wait_until(lambda: restarts() > before, 180)


def test_weights_that_were_lost_or_cut_off_are_fetched_again(estate: Estate) -> None:
    [folder] = (estate.directory / "sandbox").rglob("gemma-3-27b-it/main")
    whole = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    lost, cut = sorted(whole)[:2]
    (folder / lost).unlink()
    (folder / cut).write_bytes(whole[cut][:-100])
    run = estate.play("site.yml")
    assert run.code == 0, run.output
    assert run.changed() == 2, run.output  # the Job that was complete is gone, and a new one is there
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == whole


def test_our_own_time_outs_are_no_change(estate: Estate) -> None:
    waits = {"model_wait_timeout": 100, "model_download_timeout": 200, "gateway_wait_timeout": 300}
    check = estate.play("site.yml", "--check", "-e", json.dumps(waits))
    assert (check.code, check.changed()) == (0, 0), check.output
