# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Has the service settled? Decided from the records of a running load, so that drill and report see the same data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from .records import Record, by_target

# A request that started less than this many seconds ago may still be under way and proves nothing.
LAG = 2.0


@dataclasses.dataclass(frozen=True)
class Settled:
    """The condition: for ``stable`` seconds every request succeeded, and the expected regions served.

    ``expected`` maps a target to the regions of which at least ``share`` of its
    answers must come; an empty sequence accepts any region.
    """

    expected: Mapping[str, Sequence[str]]
    stable: float
    share: float = 0.5

    def judge(self, records: Sequence[Record], *, since: float, now: float) -> str:
        """ "" when settled, else what is missing. ``since`` and ``now`` in seconds since the epoch."""
        grouped = by_target(records)
        for target, regions in self.expected.items():
            if missing := self._judge_target(grouped.get(target, []), regions, since, now):
                return f"{target}: {missing}"
        return ""

    def _judge_target(self, records: Sequence[Record], regions: Sequence[str], since: float, now: float) -> str:
        end = now - LAG
        begin = end - self.stable
        if begin < since:
            return f"watched for {max(0.0, end - since):.1f} s of {self.stable:g} s"
        window = [record for record in records if begin <= record.start <= end]
        if not window:
            return f"no request in the last {self.stable:g} s"
        failed = [record for record in window if not record.ok]
        if failed:
            return f"{len(failed)} of {len(window)} requests failed, the last with {describe(failed[-1])}"
        expected_count = window[-1].number - window[0].number + 1
        if len(window) < expected_count:
            return f"{expected_count - len(window)} requests have no answer yet"
        served = [record.region for record in window]
        if regions and sum(region in regions for region in served) < self.share * len(served):
            seen = ", ".join(sorted({region or "unknown" for region in served}))
            return f"served by {seen}, wanted {' or '.join(regions)}"
        return ""


def describe(record: Record) -> str:
    return f"{record.status} {record.error}".strip() if record.status else record.error
