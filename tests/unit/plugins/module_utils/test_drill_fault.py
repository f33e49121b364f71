# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault, its journal and its undo, killed at every moment and with others at work in between."""

from __future__ import annotations

import dataclasses
import itertools
import json
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import fault, journal
from ansible_collections.aiserving.gke.plugins.module_utils._drill.journal import Entry, Journal
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError
from hypothesis import given
from hypothesis import strategies as st

ENTRY = Entry("p", "gke-a", "zone", "Deployment", "inference", "m", before=1, fault=0)


class Killed(BaseException):
    """As kill -9: nothing of ours runs after it."""


@dataclasses.dataclass
class World:
    """One workload and the files of a drill; every write to either may be the last thing that happens."""

    live: int
    writes: int = 10**6  # how many are left until the kill
    readied: list[int] = dataclasses.field(default_factory=list)

    def tick(self) -> None:
        if self.writes == 0:
            raise Killed
        self.writes -= 1

    def replicas(self) -> int:
        return self.live

    def set(self, replicas: int) -> None:
        self.tick()
        self.live = replicas
        self.tick()

    def end(self) -> None:
        """Its Pods are not what the journal is about."""

    def ready(self, entry: Entry) -> None:
        self.tick()
        self.readied.append(self.live)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "undo.json"


def make(path: Path, world: World) -> Journal:
    return fault.make(path, dataclasses.replace(ENTRY, before=world.live), world, now=lambda: 100.0)


def undo(path: Path, world: World) -> list[str]:
    found = journal.read(path)
    if found is None:
        return []
    done, _unused = fault.undo(path, found, lambda entry: world, world.ready, now=lambda: 200.0)
    return [item.action for item in done]


def with_ticks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills before and after each write of the journal, too."""
    for name in ("write", "remove"):
        real = getattr(journal.documents, name)

        def ticking(*arguments: t.Any, real: t.Any = real) -> t.Any:
            world.tick()
            answer = real(*arguments)
            world.tick()
            return answer

        monkeypatch.setattr(journal.documents, name, ticking)


def test_a_fault_is_written_down_before_it_is_made_and_undone_from_that_alone(path: Path) -> None:
    world = World(live=2)
    made = make(path, world)
    assert (made.phase, made.made_at, world.live) == ("made", 100.0, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert journal.read(path) == made == dataclasses.replace(made, entries=(dataclasses.replace(ENTRY, before=2),))
    assert undo(path, world) == ["restore"]
    assert (world.live, world.readied, path.exists()) == (2, [2], False)


def test_nothing_is_written_where_nothing_can_be_taken_away(path: Path) -> None:
    with pytest.raises(CollectionError, match="inference/m in gke-a has 0 replicas already"):
        make(path, World(live=0))
    assert not path.exists()


def test_an_open_journal_is_not_overwritten(path: Path) -> None:
    make(path, World(live=2))
    with pytest.raises(CollectionError, match="still open: restore that one first"):
        fault.make(path, dataclasses.replace(ENTRY, before=3), World(live=3), now=lambda: 300.0)
    assert t.cast(Journal, journal.read(path)).entries[0].before == 2


@pytest.mark.parametrize("scaled_to", [None, 1, 2, 3])
def test_killed_at_any_moment_and_scaled_by_others_it_is_never_made_worse(
    path: Path, monkeypatch: pytest.MonkeyPatch, scaled_to: int | None
) -> None:
    """After any kill the next drill restores what the fault took, and touches nothing that is anybody else's."""
    for lives in itertools.count():
        world = World(live=2, writes=lives)
        with monkeypatch.context() as patch:
            with_ticks(world, patch)
            try:
                make(path, world)
            except Killed:
                pass
            else:
                break
            world.writes = 10**6
            if scaled_to is not None:
                world.live = scaled_to
            undo(path, world)
        assert world.live == (2 if scaled_to is None else scaled_to), f"killed after {lives} writes"
        assert not path.exists() or journal.read(path) is None
    assert lives > 5


def test_an_undo_that_is_killed_at_any_moment_is_finished_by_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lives in itertools.count():
        world = World(live=2)
        make(path, world)
        with monkeypatch.context() as patch:
            with_ticks(world, patch)
            world.writes = lives
            try:
                undo(path, world)
            except Killed:
                pass
            else:
                break
            world.writes = 10**6
            undo(path, world)
        assert (world.live, path.exists()) == (2, False), f"killed after {lives} writes"
        assert world.readied, "nobody has waited until it was ready"
    assert lives > 5


def test_what_does_not_get_ready_leaves_the_journal_open_and_tells_when_it_was_written(path: Path) -> None:
    world = World(live=2)
    found = make(path, world)

    def ready(entry: Entry) -> None:
        raise CollectionError("waited 1 s")

    with pytest.raises(CollectionError, match="waited 1 s") as failed:
        fault.undo(path, found, lambda entry: world, ready, now=lambda: 200.0)
    assert failed.value.details == {"applied_at": 200.0, "changed": True}
    assert (world.live, t.cast(Journal, journal.read(path)).phase) == (2, "undoing")
    assert undo(path, world) == ["wait"] and world.readied == [2]


@given(
    phase=st.sampled_from(["planned", "made", "undoing"]),
    before=st.integers(1, 5),
    live=st.integers(0, 5),
)
def test_only_what_is_as_the_fault_left_it_is_written(phase: str, before: int, live: int) -> None:
    entry = dataclasses.replace(ENTRY, before=before)
    found = Journal(phase, 1.0, (entry,))
    [item] = fault.judge(found, lambda entry: World(live))
    assert (item.action == "restore") == (live == 0)
    assert (item.action == "wait") == (phase == "undoing" and live == before)
    told = str(item)
    assert told.startswith("Deployment inference/m in gke-a") and (f"{live} -> {before}" in told) == (live == 0)


ENTRY_JSON = dataclasses.asdict(ENTRY)
GOOD = {"phase": "made", "began": 1.0, "made_at": 2.0, "entries": [ENTRY_JSON]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{half", "Expecting property name"),
        ("", "Expecting value"),
        ("\xff", ""),
        ("[]", "an object was wanted, not a list"),
        ('"PASSED"', "an object was wanted, not 'PASSED'"),
        (json.dumps({"began": 1.0, "entries": []}), "key 'phase' is missing"),
        (json.dumps({**GOOD, "phase": "later"}), "phase: 'later'"),
        (json.dumps({**GOOD, "entries": {}}), "entries: a list was wanted"),
        (json.dumps({**GOOD, "entries": [{**ENTRY_JSON, "before": "1"}]}), "before: int was wanted, not '1'"),
        (json.dumps({**GOOD, "colour": "red"}), "it has no key 'colour'"),
        ("[" * 100_000, ""),
    ],
)
def test_a_file_that_is_no_journal_is_told_and_kept(path: Path, text: str, told: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CollectionError, match="is no undo journal of a drill") as failed:
        journal.read(path)
    assert told in failed.value.message and "restore by hand" in failed.value.message
    with pytest.raises(CollectionError, match="is no undo journal of a drill"):
        make(path, World(live=2))
    assert path.exists()
