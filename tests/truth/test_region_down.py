# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole region is gone, under load, and comes back: what clients, gcloud and kubectl see of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.e2e.estate import Estate
from tests.e2e.load import Load

LOST, OTHER = "us-east5", "europe-west4"  # the one that is lost holds the config cluster
ZONES = {LOST: "us-east5-b", OTHER: "europe-west4-a"}


def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not look():
        assert time.monotonic() < deadline, f"not within two minutes: {what}"
        time.sleep(0.1)


def cluster(region: str) -> str:
    return f"{ZONES[region]}/gke-{region}"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    estate = Estate(tmp_path_factory.mktemp("region"))
    assert estate.sandbox("start").code == 0
    try:
        build = estate.play("site.yml")
        assert build.code == 0, build.output
        yield estate
    finally:
        assert estate.sandbox("stop").code == 0


@pytest.mark.timeout(600)
def test_a_region_goes_and_comes_back(estate: Estate) -> None:
    addresses = {listener["region"]: listener["url"] for listener in estate.status()["listeners"]}
    with Load(addresses) as load:
        until(lambda: load.at_home(0), "every region serves its own clients")
        gone = time.monotonic()
        assert estate.sandbox("fault", "add", "region-down", "--location", LOST).code == 0
        until(lambda: load.last(LOST) == "", "nobody answers at the lost region's address")
        lost_to_all(estate, addresses)
        until(lambda: load.settled_at(OTHER, gone, 5.0), "the other region serves on")
        assert not load.lost(OTHER, gone).requests, "whoever asks the other region's address notices nothing"
        assert estate.sandbox("fault", "clear").code == 0
        back = time.monotonic()
        until(lambda: load.at_home(back), "both serve their own clients again, by themselves")
        assert not load.lost(OTHER, back).requests
    again = estate.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output


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
