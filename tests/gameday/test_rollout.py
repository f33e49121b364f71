# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout that fails, and one that somebody began by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.estate import Estate
from tests.e2e.rollout import FIRST, MODEL, SECOND, image, kubectl, server, two_regions


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    yield from two_regions(tmp_path_factory.mktemp("rollout"))


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
