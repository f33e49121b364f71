# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The waiter, with a clock of its own."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import WaitTimeout
from ansible_collections.aiserving.gke.plugins.module_utils._kube.parallel import each
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff, Clock, telling, wait_for

STEADY = Backoff(first=1.0, factor=2.0, cap=4.0, jitter=0.0)


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


def test_looks_before_it_sleeps() -> None:
    time = FakeTime()
    assert wait_for(lambda: "ready", lambda seen: seen == "ready", timeout=10, what="x", clock=time.clock()) == "ready"
    assert time.pauses == []


def test_pauses_grow_to_the_cap_and_the_last_ends_at_the_deadline() -> None:
    time = FakeTime()
    looks = []
    with pytest.raises(WaitTimeout):
        wait_for(
            lambda: looks.append(1), lambda _unused: False, timeout=12, what="x", backoff=STEADY, clock=time.clock()
        )
    assert time.pauses == [1.0, 2.0, 4.0, 4.0, 1.0]
    assert len(looks) == 6  # one more look at the deadline itself


def test_timeout_says_what_is_missing() -> None:
    time = FakeTime()
    with pytest.raises(WaitTimeout) as failure:
        wait_for(
            lambda: {"state": "CREATING"},
            lambda _unused: False,
            timeout=5,
            what="network vpc",
            why=lambda seen: f"it is {seen['state']}",
            clock=time.clock(),
        )
    assert failure.value.message == "waited 5 s for network vpc: it is CREATING"
    assert failure.value.details == {"last": {"state": "CREATING"}, "waited": 5}


def test_every_half_minute_it_says_what_is_missing_to_who_listens() -> None:
    time = FakeTime()
    lines: list[tuple[float, str]] = []

    def wait(why: t.Callable[[str], str] | None = None, brief: t.Callable[[str], str] | None = None) -> None:
        time.now = 0.0
        with pytest.raises(WaitTimeout):
            wait_for(
                lambda: "CREATING",
                lambda _unused: False,
                timeout=900,
                what="network vpc",
                why=why,
                brief=brief,
                clock=time.clock(),
            )

    wait()  # to nobody
    with telling(lambda line: lines.append((time.now, line))):
        wait(why=lambda seen: f"it is {seen}")
        assert len(lines) >= 900 / 30 - 2
        assert all(later - sooner <= 60 for (sooner, _one), (later, _other) in itertools.pairwise(lines))
        first, line = lines[0]
        assert 30 <= first < 34 and line == f"waited {first:.0f} of 900 s for network vpc: it is CREATING"
        wait(why=lambda seen: "a long story", brief=lambda seen: "in short")
        assert lines[-1][1].endswith("for network vpc: in short")
    known = len(lines)
    wait()
    assert len(lines) == known


def test_waits_side_by_side_tell_the_same_one() -> None:
    def wait(name: str) -> None:
        time = FakeTime()
        wait_for(lambda: time.now, lambda now: now > 40, timeout=60, what=name, clock=time.clock())

    lines = list[str]()
    with telling(lines.append):
        each(wait, ["a", "b", "c"])
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["a", "b", "c"]


def test_a_short_wait_says_nothing() -> None:
    time, lines = FakeTime(), list[str]()
    with telling(lines.append), pytest.raises(WaitTimeout):
        wait_for(lambda: 0, bool, timeout=29, what="x", clock=time.clock())
    assert lines == []


def test_an_error_of_done_ends_the_wait() -> None:
    def done(seen: str) -> bool:
        raise ValueError(seen)

    time = FakeTime()
    with pytest.raises(ValueError, match="hopeless"):
        wait_for(lambda: "hopeless", done, timeout=5, what="x", clock=time.clock())
    assert time.pauses == []


def test_jitter_stays_in_its_bounds() -> None:
    pauses = Backoff(first=10.0, factor=1.0, cap=10.0, jitter=0.2).pauses()
    seen = [next(pauses) for _unused in range(200)]
    assert all(8.0 <= pause <= 10.0 for pause in seen)
    assert len(set(seen)) > 100


def test_the_end_is_noticed_soon_whenever_it_comes_and_without_hammering() -> None:
    """Within a tenth of the work's length or a second, were it to end just after any of the looks."""
    time = FakeTime()
    looks: list[float] = []
    with pytest.raises(WaitTimeout):
        wait_for(
            lambda: looks.append(time.now),
            lambda _unused: False,
            timeout=3600,
            what="x",
            backoff=Backoff(jitter=0),
            clock=time.clock(),
        )
    for look, pause in zip(looks, time.pauses, strict=False):
        assert pause <= max(1.0, 0.1 * look), look
    for minutes, most in ((1 / 6, 30), (1, 50), (8, 80), (60, 200)):
        assert sum(look <= 60 * minutes for look in looks) <= most
