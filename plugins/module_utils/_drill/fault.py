# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The fault of a drill and its undo, each a few steps around one write, with the journal ahead of both."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections.abc import Callable
from pathlib import Path

from .._errors import CollectionError
from . import journal
from .journal import Entry, Journal


class Workload(t.Protocol):
    """What is broken: _kube.scale.Workload, or a fake of it."""

    def replicas(self) -> int:
        """The number wanted now."""

    def set(self, replicas: int) -> None: ...

    def end(self) -> None:
        """End its Pods at once."""


@dataclasses.dataclass(frozen=True)
class Undone:
    """What became, or in check mode would become, of an entry of the journal."""

    entry: Entry
    live: int
    action: str

    def __str__(self) -> str:
        entry, live = self.entry, self.live
        if self.action == "restore":
            return f"{entry}: {live} -> {entry.before} replicas, as before the fault"
        if self.action == "wait":
            return f"{entry}: {live} replicas already, which have to get ready"
        return f"{entry}: {live} replicas, not the {entry.fault} of the fault, so it is left as it is"


def insist(path: Path, entry: Entry) -> None:
    """Raises CollectionError when a journal is open, or when there is nothing to take away."""
    if journal.read(path) is not None:
        raise CollectionError(f"the undo journal {path} of an earlier drill is still open: restore that one first")
    if entry.before <= entry.fault:
        raise CollectionError(f"{entry} has {entry.before} replicas already: there is nothing to take away")


def make(path: Path, entry: Entry, workload: Workload, now: Callable[[], float] = time.time) -> Journal:
    """Write the journal, make the fault, note that it is made. Raises CollectionError before anything is written.

    ``entry.before`` is what the workload wants at this moment.
    """
    insist(path, entry)
    planned = Journal("planned", began=now(), entries=(entry,))
    journal.write(path, planned)
    workload.set(entry.fault)
    if not entry.fault:
        workload.end()  # a region that is lost drains nothing
    made = dataclasses.replace(planned, phase="made", made_at=now())
    journal.write(path, made)
    return made


def judge(found: Journal, workload: Callable[[Entry], Workload]) -> list[Undone]:
    """What undoing would do to every entry, from what is there now."""
    live = [(entry, workload(entry).replicas()) for entry in found.entries]
    return [Undone(entry, count, journal.decide(found, entry, count)) for entry, count in live]


def undo(
    path: Path,
    found: Journal,
    workload: Callable[[Entry], Workload],
    ready: Callable[[Entry], None],
    now: Callable[[], float] = time.time,
) -> tuple[list[Undone], float]:
    """Restore what is still as the fault left it, wait until that is ``ready``, and close the journal.

    Returns what became of the entries, and when the restore had been written, in seconds since the epoch (in the
    error's details where it does not get ready). The journal stays open when anything raises.
    """
    done = judge(found, workload)
    broken = [item.entry for item in done if item.action == "restore"]
    if broken:
        journal.write(path, dataclasses.replace(found, phase="undoing"))
    for entry in broken:
        workload(entry).set(entry.before)
    written = now()
    try:
        for item in done:
            if item.action != "leave":
                ready(item.entry)
    except CollectionError as error:
        error.details.update(applied_at=written, changed=bool(broken))
        raise
    journal.close(path)
    return done, written
