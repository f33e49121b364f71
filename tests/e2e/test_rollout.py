# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changed model servers go out one region at a time, and nobody is without an answer.

Every test leaves the estate as it found it.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime
import json
import os
import re
import signal
import threading
import time
import typing as t
from collections.abc import Iterator

import aiohttp
import pytest

from tests.e2e.estate import Estate, Run

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


def test_our_own_time_outs_are_no_change(built: Estate) -> None:
    waits = {"model_wait_timeout": 100, "model_download_timeout": 200, "gateway_wait_timeout": 300}
    check = built.play("site.yml", "--check", "-e", json.dumps(waits))
    assert (check.code, check.changed()) == (0, 0), check.output


def test_check_tells_which_regions_would_be_replaced_in_which_order(built: Estate) -> None:
    before = {region: image(built, region) for region in CLUSTERS}
    check = built.play("site.yml", "--check", "-e", "model_image=vllm/vllm-tpu:v9.9.9")
    assert (check.code, check.changed()) == (0, 2), check.output
    assert told_order(check) == [FIRST, SECOND], check.output
    assert "would change" in check.output
    assert {region: image(built, region) for region in CLUSTERS} == before


def test_a_new_image_leaves_nobody_without_an_answer(built: Estate) -> None:
    old = {region: server(built, region) for region in CLUSTERS}
    with Load(urls(built)) as load:
        run = built.play("site.yml", "-e", "model_image=vllm/vllm-tpu:v9.9.9", "-e", "model_hang_timeout=3")
    assert run.code == 0, run.output
    assert load.lost == [], f"{len(load.lost)} lost, {load.served}"
    new = {region: server(built, region) for region in CLUSTERS}
    for region, other in ((FIRST, SECOND), (SECOND, FIRST)):
        assert image(built, region) == "vllm/vllm-tpu:v9.9.9"
        assert new[region]["metadata"]["uid"] != old[region]["metadata"]["uid"]
        # Clients were at home before and after, and next door meanwhile.
        assert load.served[region, region] and load.served[region, other], load.served
    assert told_order(run) == [FIRST, SECOND]
    assert ready_since(new[FIRST]) <= moment(new[SECOND]["metadata"]["creationTimestamp"])


def test_a_server_that_hangs_is_started_again(built: Estate) -> None:
    """With the change of before: hung after three seconds. Its process is stopped, not ended."""
    before = server(built, SECOND)

    def restarts() -> int:
        return int(server(built, SECOND)["status"]["containerStatuses"][0]["restartCount"])

    [pid] = [
        load["pid"]
        for load in built.status()["workloads"]
        if load["pod"] == before["metadata"]["name"] and load["container"] == "vllm"
    ]
    count = restarts()
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: restarts() > count, 180)
    run = built.play("site.yml")
    assert run.code == 0, run.output
    assert run.changed() == 2, run.output  # the default image and patience again
    assert {image(built, region) for region in CLUSTERS} == {"vllm/vllm-tpu:v0.11.1"}


@contextlib.contextmanager
def broken_in_the_first_region(estate: Estate) -> Iterator[Run]:
    """A server that ends at once; afterwards the inventory's server, which is a change of the first region's alone."""
    yield estate.play("site.yml", *BROKEN)
    mended = estate.play("site.yml")
    assert mended.code == 0, mended.output
    assert mended.recap()[SECOND]["changed"] == 0
    assert {region: image(estate, region) for region in CLUSTERS} == dict.fromkeys(CLUSTERS, "vllm/vllm-tpu:v0.11.1")


BROKEN = ("-e", json.dumps({"model_extra_args": ["--max-num-seqs=none"], "model_wait_timeout": 25}))


def test_a_rollout_that_fails_stops_in_its_first_region(built: Estate) -> None:
    kept = server(built, SECOND)["metadata"]["uid"]
    with broken_in_the_first_region(built) as run:
        assert run.code != 0
        assert "Replace | Change the model server and wait until it serves" in run.output
        assert "PLAY RECAP" in run.output and run.recap()[FIRST]["failed"] == 1
        with Load(urls(built)) as load:
            again = built.play("site.yml", *BROKEN)
        assert again.code != 0
        # What has been changed must serve before the next region is touched.
        assert again.recap()[SECOND]["changed"] == 0, again.output
        assert server(built, SECOND)["metadata"]["uid"] == kept
        assert load.lost == [] and load.served[FIRST, SECOND]
    assert server(built, SECOND)["metadata"]["uid"] == kept


@pytest.mark.parametrize("allowed", [False, True])
def test_the_last_region_that_serves_is_left_alone(built: Estate, allowed: bool) -> None:
    """The other one has been scaled to nought by hand, and this run leaves it out."""
    change = ["-e", "model_image=vllm/vllm-tpu:v9.9.9", "--limit", FIRST, "--tags", "model"]
    kubectl(built, SECOND, "scale", f"deployment/{MODEL}", "--replicas=0")
    try:
        run = built.play("site.yml", *change, "-e", f"model_allow_outage={str(allowed).lower()}")
        assert (run.code == 0) is allowed, run.output
        assert (image(built, FIRST) == "vllm/vllm-tpu:v9.9.9") is allowed
        assert ("accept the outage with -e model_allow_outage=true" in run.output) is not allowed
    finally:
        kubectl(built, SECOND, "scale", f"deployment/{MODEL}", "--replicas=1")
    back = built.play("site.yml", "-e", "model_force_conflicts=true")
    assert back.code == 0, back.output
    assert image(built, FIRST) == "vllm/vllm-tpu:v0.11.1"


def test_an_image_that_was_set_by_hand_is_taken_back_on_the_users_word(built: Estate) -> None:
    kubectl(built, FIRST, "set", "image", f"deployment/{MODEL}", "vllm=vllm/vllm-tpu:by-hand")
    refused = built.play("site.yml")
    assert refused.code != 0
    assert "kubectl-set" in refused.output and ".spec.template" in refused.output
    taken = built.play("site.yml", "-e", "model_force_conflicts=true")
    assert taken.code == 0, taken.output
    assert image(built, FIRST) == "vllm/vllm-tpu:v0.11.1"
    again = built.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output


def test_weights_that_were_lost_or_cut_off_are_fetched_again(built: Estate) -> None:
    [folder] = (built.directory / "sandbox").rglob("gemma-3-27b-it/main")
    shards = sorted(folder.glob("*.safetensors"))
    whole = {path.name: path.read_bytes() for path in shards}
    shards[1].unlink()
    shards[2].write_bytes(whole[shards[2].name][:-100])
    check = built.play("site.yml", "--check")
    assert check.code == 0 and check.recap()["us-east5"]["changed"] > 0, check.output
    run = built.play("site.yml")
    assert run.code == 0, run.output
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == whole
    again = built.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output
