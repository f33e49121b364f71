# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""From records and events to what a drill proved."""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter
from collections.abc import Mapping, Sequence

from .records import Record, by_target, percentile

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Events:
    """When things happened, in seconds since the epoch; None: it did not come to that."""

    fault: float | None = None
    restored: float | None = None


@dataclasses.dataclass(frozen=True)
class Objectives:
    """What must hold; None: not asked for."""

    recovery_seconds: float | None = None
    lost_percent: float | None = None
    latency_p95_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Recovery:
    """How one target came back. Offsets in seconds after the fault."""

    target: str
    lost: int  # between fault and restore
    first_lost: float | None  # offset of the first failed request
    seconds: float | None  # offset from which on requests succeed and survivors serve; None: never


def recover(records: Sequence[Record], target: str, events: Events, failed_region: str) -> Recovery:
    """Judge the outage as one target's clients saw it, from the fault to the restore.

    Recovered means: from this request on nothing failed until the restore, and
    the failed region served no more. Requests that started before the fault and
    were cut off by it count as lost, at offset 0.
    """
    fault = events.fault or 0.0
    end = events.restored or float("inf")
    touched = [r for r in records if r.start + r.latency >= fault and r.start < end]
    failures = [r for r in touched if not r.ok]
    after = [r for r in touched if r.start >= fault]
    bad = [r for r in after if not r.ok or r.region == failed_region]
    good = [r for r in after if not bad or r.start > bad[-1].start]
    return Recovery(
        target=target,
        lost=len(failures),
        first_lost=round(max(0.0, failures[0].start - fault), 3) if failures else None,
        seconds=round(good[0].start - fault, 3) if good else None,
    )


def lost_percent(victim: Recovery | None, records: Sequence[Record]) -> float | None:
    """What the victim's clients lost between fault and restore, in percent of what they send in one minute.

    A minute, and not the time between, which grows with every second that the drill waits: a
    longer hold must not turn the same outage into a smaller one. 100 is a minute of total
    outage, so more than 100 is possible. ``records`` are all of these clients, by their
    numbers; None when the pace of their schedule cannot be seen.
    """
    if victim is None or len(records) < 2 or records[-1].scheduled <= records[0].scheduled:
        return None
    sent = (records[-1].number - records[0].number) / (records[-1].scheduled - records[0].scheduled) * 60
    return round(100 * victim.lost / sent, 3) if sent > 0 else None


def phase_of(record: Record, events: Events, recovered_at: float | None) -> str:
    if events.fault is None or record.start < events.fault:
        return "before"
    if events.restored is not None and record.start >= events.restored:
        return "restored"
    if recovered_at is not None and record.start >= recovered_at:
        return "recovered"
    return "outage"


PHASES = ("before", "outage", "recovered", "restored")


def summarize(
    records: Sequence[Record],
    events: Events,
    failed_region: str,
    objectives: Objectives,
    failures: Sequence[str] = (),
) -> Json:
    """The whole verdict as plain data: totals, phases, recovery per target, objectives, pass or fail.

    ``failures`` are steps of the drill that went wrong: it has not passed then, whatever the records say.
    """
    grouped = by_target(records)
    recoveries = [recover(items, target, events, failed_region) for target, items in grouped.items()]
    recovery = worst(recoveries)
    recovered_at = events.fault + recovery if events.fault is not None and recovery is not None else None
    starts = [record.start for record in records]
    seconds = max(starts) - min(starts) if len(starts) > 1 else 0.0
    phases = {name: phase_summary([r for r in records if phase_of(r, events, recovered_at) == name]) for name in PHASES}
    lost = sum(not record.ok for record in records)
    victim = next((item for item in recoveries if item.target == failed_region), None)
    outage = lost_percent(victim, grouped.get(failed_region, ())) if events.fault is not None else None
    summary: Json = {
        "requests": len(records),
        "lost": lost,
        "lost_percent": outage,
        "lost_percent_of_run": round(100 * lost / len(records), 3) if records else 0.0,
        "seconds": round(seconds, 1),
        "rate": round((len(records) - 1) / seconds, 1) if seconds else 0.0,
        "schedule_slip_p99": rounded(percentile([r.start - r.scheduled for r in records], 0.99)),
        "recovery_seconds": recovery,
        "targets": {item.target: dataclasses.asdict(item) for item in recoveries},
        "phases": phases,
        "errors": dict(Counter(describe_error(r) for r in records if not r.ok).most_common(5)),
    }
    summary["objectives"] = judge(summary, objectives)
    summary["failures"] = list(failures)
    # A drill without a fault, or whose victim had not served, has proved nothing.
    proved = events.fault is not None and phases["before"]["served_by"].get(failed_region, 0) > 0
    summary["passed"] = proved and not failures and all(item["met"] for item in summary["objectives"])
    return summary


def worst(recoveries: Sequence[Recovery]) -> float | None:
    """The slowest target's recovery; None when one never came back, or there is none."""
    seconds = [item.seconds for item in recoveries]
    known = [value for value in seconds if value is not None]
    return max(known) if known and len(known) == len(seconds) else None


def phase_summary(records: Sequence[Record]) -> Json:
    good = [record for record in records if record.ok]
    return {
        "requests": len(records),
        "lost": len(records) - len(good),
        "latency_p50": rounded(percentile([r.latency for r in good], 0.50)),
        "latency_p95": rounded(percentile([r.latency for r in good], 0.95)),
        "latency_p99": rounded(percentile([r.latency for r in good], 0.99)),
        "first_token_p95": rounded(percentile([r.first_token for r in good if r.first_token is not None], 0.95)),
        "tokens": sum(record.tokens for record in good),
        "served_by": dict(sorted(Counter(record.region or "unknown" for record in good).items())),
        "served_by_target": {
            target: dict(sorted(Counter(r.region or "unknown" for r in items if r.ok).items()))
            for target, items in by_target(records).items()
        },
    }


def judge(summary: Mapping[str, t.Any], objectives: Objectives) -> list[Json]:
    """Each objective with what was measured; a measure that is missing misses its objective."""
    measured = {
        "recovery_seconds": summary["recovery_seconds"],
        "lost_percent": summary["lost_percent"],
        "latency_p95_seconds": summary["phases"]["recovered"]["latency_p95"],
    }
    return [
        {
            "objective": name,
            "limit": limit,
            "measured": measured[name],
            "met": measured[name] is not None and measured[name] <= limit,
        }
        for name, limit in dataclasses.asdict(objectives).items()
        if limit is not None
    ]


def describe_error(record: Record) -> str:
    return f"{record.status or 'no answer'}: {record.error or 'no body'}"


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def timeline(records: Sequence[Record], begin: float, end: float, width: float = 1.0) -> list[Json]:
    """Buckets of ``width`` seconds from ``begin`` to ``end``: answers per region, lost, and p95 latency."""
    buckets: list[list[Record]] = [[] for _unused in range(max(1, int((end - begin) / width) + 1))]
    for record in records:
        place = int((record.start - begin) / width)
        if 0 <= place < len(buckets):
            buckets[place].append(record)
    return [
        {
            "offset": round(number * width, 3),
            "served_by": dict(sorted(Counter(r.region or "unknown" for r in bucket if r.ok).items())),
            "lost": sum(not r.ok for r in bucket),
            "latency_p95": rounded(percentile([r.latency for r in bucket if r.ok], 0.95)),
        }
        for number, bucket in enumerate(buckets)
    ]


def moments(events: Events, recovery_seconds: float | None, began: float) -> dict[str, float]:
    """The labelled moments of a drill in seconds after ``began``, in their order."""
    found = {"fault": events.fault, "restored": events.restored}
    if events.fault is not None and recovery_seconds is not None:
        found["recovered"] = events.fault + recovery_seconds
    known = {name: round(moment - began, 3) for name, moment in found.items() if moment is not None}
    return dict(sorted(known.items(), key=lambda item: item[1]))
