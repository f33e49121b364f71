# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changed model servers go out one region at a time, and nobody is without an answer.

The tests go on where the one before has ended, and each leaves a converged estate. What a rollout does that fails is
played in tests/gameday.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator

import pytest

from tests.e2e.estate import Estate
from tests.e2e.load import Load
from tests.e2e.rollout import (
    CLUSTERS,
    FIRST,
    SECOND,
    image,
    moment,
    ready_since,
    server,
    state,
    told_order,
    two_regions,
)

# Requests per second on each address; every STREAMS-th is a long one.
RATE, STREAMS = 10, 10


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    yield from two_regions(tmp_path_factory.mktemp("rollout"))


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
    with Load(estate.addresses(), rate=RATE, streams=STREAMS) as load:
        run = estate.play("site.yml")
    assert run.code == 0, run.output
    served = collections.Counter((record.target, record.served_by) for record in load.records)
    assert not any(served[region, ""] for region in CLUSTERS), served
    new = {region: server(estate, region) for region in CLUSTERS}
    for region, other in ((FIRST, SECOND), (SECOND, FIRST)):
        assert image(estate, region) == "vllm/vllm-tpu:v9.9.9"
        assert new[region]["metadata"]["uid"] != old[region]["metadata"]["uid"]
        # Clients were at home before and after, and next door meanwhile.
        assert served[region, region] and served[region, other], served
    assert told_order(run) == [FIRST, SECOND]
    assert ready_since(new[FIRST]) <= moment(new[SECOND]["metadata"]["creationTimestamp"])


def test_our_own_time_outs_are_no_change(estate: Estate) -> None:
    waits = {"model_wait_timeout": 100, "model_download_timeout": 200, "gateway_wait_timeout": 300}
    check = estate.play("site.yml", "--check", "-e", json.dumps(waits))
    assert (check.code, check.changed()) == (0, 0), check.output
