# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What is kept of every request of a load: one JSON object a line, so that a killed run loses only the last ones."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from collections.abc import Iterable, Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Record:
    """One request. Times are seconds: ``scheduled`` and ``start`` since the epoch, the others durations."""

    target: str
    number: int  # counts up by one per target, so that a gap is a request still under way
    scheduled: float
    start: float
    latency: float
    first_token: float | None
    status: int  # 0: no answer at all
    region: str  # who served, by the header x-serving-region; "" when nobody did
    tokens: int = 0
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200 and not self.error

    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")) + "\n"


def read(lines: Iterable[str]) -> Iterator[Record]:
    """Records of complete lines; the last line of a file that is being written may be half there."""
    for line in lines:
        if line.endswith("\n"):
            yield Record(**json.loads(line))


def read_file(path: str | Path) -> list[Record]:
    with open(path, encoding="utf-8") as handle:
        return list(read(handle))


class Tail:
    """Reads a growing file of records; every look costs only what is new."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._offset = 0
        self.records: list[Record] = []

    def look(self) -> list[Record]:
        if self._path.exists():
            with open(self._path, "rb") as handle:
                handle.seek(self._offset)
                fresh: bytes = handle.read()
            complete = fresh[: fresh.rfind(b"\n") + 1]
            self._offset += len(complete)
            self.records.extend(read(complete.decode("utf-8").splitlines(keepends=True)))
        return self.records


def by_target(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Per target, in the order of their schedule."""
    grouped: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.number):
        grouped.setdefault(record.target, []).append(record)
    return grouped


def percentile(values: t.Sequence[float], share: float) -> float | None:
    """Nearest rank: the smallest value that at least ``share`` (0..1) of all do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[rank - 1]
