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

from .._errors import CollectionError
from .documents import Unreadable, typed


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


def read(lines: Iterable[str], name: str = "the records", first: int = 1) -> Iterator[Record]:
    """Records of complete lines; the last line of a file that is being written may be half there.

    ``first`` is the number of the first line. Raises CollectionError, with file and line, for what is no record.
    """
    for number, line in enumerate(lines, first):
        if line.endswith("\n"):
            try:
                yield typed(Record, json.loads(line))
            except (ValueError, RecursionError, Unreadable) as cause:
                raise CollectionError(f"{name}, line {number}: no record of a load ({cause})") from cause


def read_file(path: str | Path) -> list[Record]:
    """Raises OSError when there is no such file, CollectionError when it holds anything else."""
    with open(path, encoding="utf-8", errors="replace", newline="\n") as handle:
        return list(read(handle, str(path)))


class Tail:
    """Reads a growing file of records; every look costs only what is new."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._offset = 0
        self.records: list[Record] = []

    def look(self) -> list[Record]:
        """All records so far; none while there is no file. Raises CollectionError."""
        try:
            with open(self._path, "rb") as handle:
                handle.seek(self._offset)
                fresh: bytes = handle.read()
        except FileNotFoundError:
            return self.records
        complete = fresh[: fresh.rfind(b"\n") + 1]
        lines = complete.decode("utf-8", errors="replace").split("\n")
        self.records.extend(read((f"{line}\n" for line in lines[:-1]), str(self._path), len(self.records) + 1))
        self._offset += len(complete)
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
