# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What breaks in one region of a built estate, up to the whole of it, under load: what clients and kubectl see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.e2e.estate import Estate, started
from tests.e2e.load import Load
from tests.waiting import until

LOST, OTHER = "us-east5", "europe-west4"  # the one that is lost holds the config cluster
ZONES = {LOST: "us-east5-b", OTHER: "europe-west4-a"}


def cluster(region: str) -> str:
    return f"{ZONES[region]}/gke-{region}"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with started(tmp_path_factory.mktemp("region")) as estate:
        estate.build()
        yield estate


@pytest.fixture(autouse=True)
def mended(estate: Estate) -> Iterator[None]:
    """Whatever comes of a test, the next one begins without a fault."""
    yield
    assert estate.sandbox("fault", "clear").code == 0


@pytest.fixture(scope="module")
def load(estate: Estate) -> Iterator[Load]:
    """Clients of both addresses."""
    with Load(estate.addresses()) as asking:
        yield asking


def new_pods(estate: Estate) -> None:
    done = estate.kubectl(cluster(LOST), "delete", "pods", "-l", "app.kubernetes.io/component=model-server")
    assert done.code == 0, done.output


def waits_for_interfaces(estate: Estate) -> bool:
    events = estate.kubectl(cluster(LOST), "get", "events").output
    return (
        "FailedPrepareDynamicResources" in events and "Init:0/" in estate.kubectl(cluster(LOST), "get", "pods").output
    )


# Kind and settings, what has to be done for it to show, what kubectl tells of it.
BREAKS: dict[str, tuple[tuple[str, ...], Callable[[Estate], None] | None, Callable[[Estate], bool] | None]] = {
    "hung servers": (("pod-hang", "--resource", "inference/*"), None, None),
    "interfaces": (("nic-missing", "--resource", "inference/*"), new_pods, waits_for_interfaces),
    "health checks": (("health-checks-lost", "--resource", "inference/*"), None, None),
    "dead nodes": (("node-dead",), None, lambda estate: "NotReady" in nodes(estate)),
    "load balancer": (("envoy-down", "how=refused"), None, None),
}


def nodes(estate: Estate) -> str:
    return estate.kubectl(cluster(LOST), "get", "nodes").output


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_in_one_region_costs_the_other_nothing_and_mends_by_itself(
    estate: Estate, load: Load, name: str
) -> None:
    fault, provoke, told = BREAKS[name]
    until(lambda: load.at_home(0), "every region serves its own clients")
    began = time.monotonic()
    assert estate.sandbox("fault", "add", *fault, "--location", LOST).code == 0
    if provoke is not None:
        provoke(estate)
    if told is not None:
        until(lambda: told(estate), "kubectl tells of it")
    until(lambda: missed(load, LOST, began), f"{LOST} does not serve its clients")
    assert estate.sandbox("fault", "clear").code == 0
    back = time.monotonic()
    until(lambda: load.at_home(back), "every region serves its own clients again")
    assert not load.lost(OTHER, began).requests


@pytest.mark.timeout(600)
def test_a_region_goes_and_comes_back(estate: Estate, load: Load) -> None:
    until(lambda: load.at_home(0), "every region serves its own clients")
    gone = time.monotonic()
    assert estate.sandbox("fault", "add", "region-down", "--location", LOST).code == 0
    until(lambda: load.last(LOST) == "", "nobody answers at the lost region's address")
    lost_to_all(estate, load.addresses)
    until(lambda: served_at(load, OTHER, gone) >= 40, "the other region serves on")
    assert not load.lost(OTHER, gone).requests, "whoever asks the other region's address notices nothing"
    assert estate.sandbox("fault", "clear").code == 0
    back = time.monotonic()
    until(lambda: load.at_home(back), "both serve their own clients again, by themselves")
    assert not load.lost(OTHER, back).requests
    again = estate.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output


def missed(load: Load, region: str, since: float) -> bool:
    """Whether the region has not answered a request to its address since then."""
    return any(one.began >= since and one.target == region != one.served_by for one in list(load.records))


def served_at(load: Load, region: str, since: float) -> int:
    """How many requests to the region's address the region itself has answered since then."""
    return sum(one.began >= since and one.target == one.served_by == region for one in list(load.records))


def lost_to_all(estate: Estate, addresses: dict[str, str]) -> None:
    """What is in the region is lost to every kind of client; what is in the other is there."""
    with pytest.raises(requests.RequestException):
        requests.get(f"{addresses[LOST]}/v1/models", timeout=2)
    assert requests.get(f"{addresses[OTHER]}/v1/models", timeout=10).headers["x-serving-region"] == OTHER
    away = estate.kubectl(cluster(LOST), "get", "pods", "--request-timeout=2s")
    assert away.code != 0 and "Unable to connect to the server" in away.output, away.output
    assert estate.kubectl(cluster(OTHER), "get", "pods").code == 0
    status = estate.status()
    for region, code in ((LOST, 503), (OTHER, 200)):
        path = f"v1/projects/{status['project']}/locations/{ZONES[region]}/clusters"
        headers = {"Authorization": f"Bearer {status['token']}"}
        assert requests.get(status["endpoints"]["container"] + path, headers=headers, timeout=10).status_code == code
