# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The undo journal: written before the fault, so that whoever comes later can restore from it alone."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from .._errors import CollectionError
from . import documents

# planned: written, and the fault may have been made since or not · made: it was · undoing: the value before was
# set again, and what was broken may not be ready yet.
Phase = t.Literal["planned", "made", "undoing"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One workload's replicas: how many there were ``before``, and how many the ``fault`` leaves."""

    project: str
    cluster: str
    location: str
    kind: str
    namespace: str
    name: str
    before: int
    fault: int

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name} in {self.cluster}"


@dataclasses.dataclass(frozen=True)
class Journal:
    """Times in seconds since the epoch; ``made_at`` when the API server had taken the fault."""

    phase: str
    began: float
    entries: tuple[Entry, ...]
    made_at: float | None = None


def read(path: Path) -> Journal | None:
    """The journal of a drill that has not been undone, or None. Raises CollectionError when it is no journal."""
    remedy = "restore by hand what the drill took away, then delete the file"
    found = documents.read(path, Journal, "undo journal of a drill", remedy)
    if found is not None and found.phase not in t.get_args(Phase):
        raise CollectionError(f"{path} is no undo journal of a drill: phase: {found.phase!r}; {remedy}")
    return found


def write(path: Path, journal: Journal) -> None:
    """Whole and durable before it is relied on. Raises CollectionError."""
    documents.write(path, journal)


def close(path: Path) -> bool:
    """Everything is restored; returns whether there was a journal."""
    return documents.remove(path)


def decide(journal: Journal, entry: Entry, live: int) -> t.Literal["restore", "wait", "leave"]:
    """What undoes an entry whose workload wants ``live`` replicas now.

    Only what is still as the fault left it is restored: a drill that was killed before
    its fault has broken nothing, and what somebody has scaled since is theirs.
    """
    if live == entry.fault:
        return "restore"
    if journal.phase == "undoing" and live == entry.before:
        return "wait"  # an undo was cut short behind its write
    return "leave"
