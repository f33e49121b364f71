# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill concludes from its records, by tables of made-up outages."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import chart, statistics
from ansible_collections.aiserving.gke.plugins.module_utils._drill.records import Record, Tail, percentile, read
from ansible_collections.aiserving.gke.plugins.module_utils._drill.watch import LAG, Settled
from hypothesis import given, settings
from hypothesis import strategies as st

FAULT = 1000.0


def request(
    start: float, region: str = "a", *, target: str = "a", status: int = 200, latency: float = 0.1, number: int = -1
) -> Record:
    place = number if number >= 0 else round(start * 10)
    return Record(target, place, start, start, latency, 0.05, status, region if status == 200 else "", 4, "")


def outage(lost_from: float, lost_until: float, *, target: str = "a", until: float = 1030.0) -> list[Record]:
    """Ten requests a second from 990 on: region a before the fault, none in the outage, b after it."""
    records = []
    for number in range(9900, round(until * 10)):
        start = number / 10
        if lost_from <= start < lost_until:
            records.append(request(start, status=503, target=target))
        else:
            records.append(request(start, "a" if start < FAULT else "b", target=target))
    return records


@pytest.mark.parametrize(
    ("records", "lost", "first_lost", "seconds"),
    [
        pytest.param(outage(1000.0, 1004.0), 40, 0.0, 4.0, id="lost until the survivors take over"),
        pytest.param(outage(1002.0, 1004.0), 20, 2.0, 4.0, id="recovery counts from the fault, not the first loss"),
        pytest.param(outage(0, 0), 0, None, 0.0, id="nothing lost, the survivor at once"),
        pytest.param(outage(1000.0, 2000.0), 300, 0.0, None, id="never"),
        pytest.param(
            [*outage(1000.0, 1004.0), request(1010.05, status=503)], 41, 0.0, 10.1, id="a late loss is no recovery"
        ),
        pytest.param(
            [*outage(0, 0), request(1003.05, "a")], 0, None, 3.1, id="the victim still serving is no recovery"
        ),
        pytest.param(
            [*outage(0, 0), request(999.95, status=503, latency=1)], 1, 0.0, 0.0, id="cut off by the fault counts"
        ),
    ],
)
def test_recover(records: list[Record], lost: int, first_lost: float | None, seconds: float | None) -> None:
    records.sort(key=lambda record: record.start)
    found = statistics.recover(records, "a", statistics.Events(fault=FAULT), "a")
    assert (found.lost, found.first_lost, found.seconds) == (lost, first_lost, seconds)


def test_recovery_ends_where_the_restore_begins() -> None:
    records = outage(1000.0, 1004.0) + [request(1031.0, "a"), request(1032.0, status=503)]
    found = statistics.recover(records, "a", statistics.Events(fault=FAULT, restored=1030.0), "a")
    assert (found.lost, found.seconds) == (40, 4.0)


def test_summary_counts_the_slowest_target_and_judges() -> None:
    records = outage(1000.0, 1004.0) + outage(0, 0, target="b")
    summary = statistics.summarize(
        records,
        statistics.Events(fault=FAULT, restored=1030.0),
        "a",
        statistics.Objectives(recovery_seconds=3.0, lost_percent=10.0),
    )
    assert summary["recovery_seconds"] == 4.0
    assert summary["requests"] == 800 and summary["lost"] == 40 and summary["lost_percent_of_run"] == 5.0
    assert summary["lost_percent"] == pytest.approx(100 * 40 / 600, abs=0.001)  # of the 600 of a minute
    assert summary["rate"] == pytest.approx(20, abs=0.2)
    assert [(o["objective"], o["met"]) for o in summary["objectives"]] == [
        ("recovery_seconds", False),
        ("lost_percent", True),
    ]
    assert summary["passed"] is False
    assert summary["phases"]["before"]["served_by_target"] == {"a": {"a": 100}, "b": {"a": 100}}
    assert summary["phases"]["outage"]["served_by_target"] == {"a": {}, "b": {"b": 40}}
    assert summary["phases"]["recovered"]["served_by"] == {"b": 520}


def judged(records: list[Record], restored: float, *, fault: float | None = FAULT) -> dict[str, t.Any]:
    events = statistics.Events(fault=fault, restored=restored)
    return statistics.summarize(records, events, "a", statistics.Objectives(lost_percent=10.0))


@settings(max_examples=25, deadline=None)
@given(
    lost=st.sets(st.integers(9950, 10100), max_size=60),
    others=st.sets(st.integers(9950, 10100), max_size=60),
    hold=st.integers(0, 3000),
    longer=st.integers(1, 3000),
)
def test_waiting_longer_makes_no_outage_smaller(lost: set[int], others: set[int], hold: int, longer: int) -> None:
    """The very same outage, held for longer: the same measure and verdict, though the whole run's share shrinks."""

    def drill(held: int) -> dict[str, t.Any]:
        numbers = range(9900, 10101 + held)
        victim = [request(n / 10, "b", status=503 if n in lost else 200) for n in numbers]
        rest = [request(n / 10, "b", status=503 if n in others else 200, target="b") for n in numbers]
        return judged(victim + rest, 1010.1 + held / 10)

    short, long = drill(hold), drill(hold + longer)
    assert long["lost_percent"] == pytest.approx(short["lost_percent"], abs=0.002)
    assert short["lost_percent"] == pytest.approx(100 * sum(n >= 9999 for n in lost) / 600, abs=0.01)
    assert long["lost_percent_of_run"] <= short["lost_percent_of_run"]
    verdicts = [[item["met"] for item in each["objectives"]] for each in (short, long)]
    assert verdicts[0] == verdicts[1] or short["lost_percent"] == pytest.approx(10.0, abs=0.01)


@settings(deadline=None)
@given(tail=st.lists(st.booleans(), max_size=100))
def test_whatever_comes_before_the_restore_only_adds(tail: list[bool]) -> None:
    records = outage(1000.0, 1004.0)
    more = [request(1030 + n / 10, "b", status=200 if ok else 503) for n, ok in enumerate(tail)]
    found = judged(records + more, 1100.0)["lost_percent"]
    assert found >= judged(records, 1100.0)["lost_percent"] - 0.002
    assert found == pytest.approx(100 * (40 + tail.count(False)) / 600, abs=0.01)


def test_what_is_lost_elsewhere_or_after_the_restore_is_not_the_victims_outage() -> None:
    records = outage(1000.0, 1004.0, target="a") + outage(1000.0, 1029.0, target="b")
    assert judged(records, 1002.0)["lost_percent"] == pytest.approx(100 * 20 / 600, abs=0.01)


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        pytest.param(outage(1000.0, 1004.0), None, id="no fault"),
        pytest.param(outage(0, 0, target="b"), FAULT, id="no clients in the victim"),
        pytest.param([request(1000.0)], FAULT, id="no pace to see"),
    ],
)
def test_an_outage_that_cannot_be_measured_misses_its_objective(records: list[Record], fault: float | None) -> None:
    summary = judged(records, 1100.0, fault=fault)
    assert summary["lost_percent"] is None and not summary["objectives"][0]["met"]


def test_a_step_that_failed_is_the_verdict() -> None:
    events = statistics.Events(fault=FAULT, restored=1030.0)
    good = statistics.summarize(outage(1000.0, 1004.0), events, "a", statistics.Objectives())
    bad = statistics.summarize(outage(1000.0, 1004.0), events, "a", statistics.Objectives(), ["not restored"])
    assert (good["passed"], good["failures"]) == (True, [])
    assert (bad["passed"], bad["failures"]) == (False, ["not restored"])


@pytest.mark.parametrize(
    ("events", "records"),
    [
        pytest.param(statistics.Events(), outage(0, 0), id="no fault was made"),
        pytest.param(
            statistics.Events(fault=FAULT),
            [dataclasses.replace(r, region="b") for r in outage(0, 0)],
            id="the victim had not served",
        ),
        pytest.param(statistics.Events(fault=FAULT), outage(1000.0, 2000.0), id="never recovered"),
    ],
)
def test_a_drill_that_proved_nothing_does_not_pass(events: statistics.Events, records: list[Record]) -> None:
    assert not statistics.summarize(records, events, "a", statistics.Objectives(recovery_seconds=60))["passed"]


def test_an_objective_without_a_measure_is_missed() -> None:
    summary = statistics.summarize(
        outage(1000.0, 2000.0), statistics.Events(fault=FAULT), "a", statistics.Objectives(latency_p95_seconds=10)
    )
    assert summary["objectives"] == [{"objective": "latency_p95_seconds", "limit": 10, "measured": None, "met": False}]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.99, 7.0), ([3, 1, 2], 0.5, 2), (list(range(1, 101)), 0.95, 95), ([1, 2], 0.5, 1)],
)
def test_percentile(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def steady(region: str, **other: t.Any) -> list[Record]:
    return [request(start / 10, region, **other) for start in range(9800, 10000)]


@pytest.mark.parametrize(
    ("records", "missing"),
    [
        pytest.param(steady("a"), "", id="settled"),
        pytest.param([], "a: no request in the last 5 s", id="no load"),
        pytest.param(steady("b"), "a: served by b, wanted a", id="from elsewhere"),
        pytest.param(steady("a", status=503), "a: 50 of 50 requests failed, the last with 503", id="failing"),
        pytest.param(
            [r for r in steady("a") if r.number != 9950], "a: 1 requests have no answer yet", id="one is under way"
        ),
    ],
)
def test_settled(records: list[Record], missing: str) -> None:
    condition = Settled({"a": ["a"]}, stable=5)
    assert condition.judge(records, since=900, now=998 + LAG - 0.05) == missing


def test_settled_needs_its_time_after_the_event() -> None:
    condition = Settled({"a": []}, stable=5)
    assert condition.judge(steady("b"), since=994, now=997 + LAG) == "a: watched for 3.0 s of 5 s"
    assert condition.judge(steady("b"), since=900, now=997 + LAG) == ""


def test_settled_share() -> None:
    half = [dataclasses.replace(r, region="b" if r.number % 2 else "a") for r in steady("a")]
    assert Settled({"a": ["a"]}, stable=5, share=0.4).judge(half, since=900, now=998 + LAG) == ""
    assert "served by a, b" in Settled({"a": ["a"]}, stable=5, share=1.0).judge(half, since=900, now=998 + LAG)


def test_timeline_and_chart_show_every_request() -> None:
    records = outage(1000.0, 1004.0)
    buckets = statistics.timeline(records, 990.0, 1030.0)
    assert sum(bucket["lost"] for bucket in buckets) == 40
    assert sum(sum(bucket["served_by"].values()) for bucket in buckets) == len(records) - 40
    assert buckets[9]["served_by"] == {"a": 10} and buckets[15]["served_by"] == {"b": 10}
    marks = statistics.moments(statistics.Events(fault=FAULT, restored=1020.0), 4.0, 990.0)
    assert marks == {"fault": 10.0, "recovered": 14.0, "restored": 30.0}
    svg = chart.timeline_svg(buckets, ["a", "b"], marks, 1.0)
    assert svg.count(chart.LOST) == 4 and svg.count(f'fill="{chart.COLOURS[0]}"') == 10
    assert ">fault<" in svg and svg.startswith("<svg") and svg.endswith("</svg>")


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (0.03, 0.04), (7, 10), (30, 40), (41, 50), (100, 100)])
def test_nice(value: float, expected: float) -> None:
    assert chart.nice(value) == pytest.approx(expected)


def test_tail_reads_only_complete_lines(tmp_path: t.Any) -> None:
    path = tmp_path / "records.jsonl"
    tail = Tail(path)
    assert tail.look() == []
    first, second = request(1.0), request(2.0)
    path.write_text(first.line() + second.line()[:10])
    assert tail.look() == [first]
    with open(path, "a") as output:
        output.write(second.line()[10:])
    assert tail.look() == [first, second]
    assert list(read([first.line(), second.line()[:-1]])) == [first]
