# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that meet, and runs that are killed at any moment: afterwards everything is there, once."""

from __future__ import annotations

import random
import signal

import pytest

from tests.chaos.conftest import SEED
from tests.e2e.census import Census, assert_same
from tests.e2e.estate import Estate
from tests.e2e.interrupted import converges, together
from tests.e2e.playing import Playing

PAIRS = 10
ROUNDS, KILLS = 4, 5


@pytest.mark.parametrize("number", range(1, PAIRS + 1))
def test_two_runs_at_the_same_moment(number: int, estate: Estate, undisturbed: tuple[Census, float]) -> None:
    together(estate)
    assert_same(estate, undisturbed[0])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(1, ROUNDS + 1))
def test_runs_that_are_killed_one_after_the_other(
    number: int, estate: Estate, undisturbed: tuple[Census, float]
) -> None:
    wanted, longest = undisturbed
    moments = random.Random(f"{SEED}/{number}")
    kills = 0
    while kills < KILLS:
        with Playing(estate, "site.yml") as playing:
            run = playing.end(moments.uniform(0, longest))
            assert not playing.processes()
        if run.code == -signal.SIGKILL:
            kills += 1
            print(f"seed {SEED}: killed after {run.seconds:.2f} s")
        else:  # it was done before: the next moments must be earlier
            assert run.code == 0, run.output
            longest = run.seconds
    converges(estate)
    assert_same(estate, wanted)
