# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever ends the making, the removal follows; only what nobody lets end is left to the next run."""

from __future__ import annotations

import asyncio
import os
import signal
import typing as t
from pathlib import Path

import pytest

from proof import __main__ as program
from proof.journal import Journal, Made
from proof.options import Options, Refused, read
from proof.prices import estimate
from proof.run import StepFailed, refuse_foreign

LEFT = [Made("networks", "", "gkeproof-0a1b2c3d")]


class FakeRun:
    """``making`` is what happens while steps are made, ``removing`` how each removal ends."""

    def __init__(self, making: t.Callable[[], t.Awaitable[None]], removing: t.Callable[[], list[Made]]) -> None:
        self.make = making
        self._removing = removing
        self.removals = 0
        self.outcome = ""
        self.evidence = self
        self.folder = "evidence"

    async def remove(self) -> list[Made]:
        self.removals += 1
        return self._removing()

    def conclude(self, _price: object, outcome: str, _seconds: float) -> None:
        self.outcome = outcome


def play(run: FakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> int:
    monkeypatch.setattr(program, "Run", lambda *_unused: run)
    options: Options = read(["PROJECT=my-project", "STEPS=bucket", "DEADLINE=1", *words])
    nobody: t.Any = None
    whole = program.whole(options, nobody, "1", [], Journal(tmp_path / "journal.jsonl"), estimate(options))
    return asyncio.run(asyncio.wait_for(whole, 20))


async def well() -> None:
    pass


async def badly() -> None:
    raise StepFailed("bucket")


async def unthought_of() -> None:
    raise RuntimeError("nobody has thought of this")


async def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)


def nothing() -> list[Made]:
    return []


@pytest.mark.parametrize(
    ("making", "left", "code", "outcome"),
    [
        (well, nothing, 0, "done"),
        (well, lambda: LEFT, 3, "done"),
        (badly, nothing, 1, "failed: bucket"),
        (badly, lambda: LEFT, 3, "failed: bucket"),
        (interrupted, nothing, 1, "stopped: SIGINT"),
    ],
)
def test_the_removal_follows(
    making: t.Any, left: t.Any, code: int, outcome: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = FakeRun(making, left)
    assert play(run, monkeypatch, tmp_path) == code
    assert (run.removals, run.outcome) == (1, outcome)


def test_the_removal_follows_what_nobody_has_thought_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = FakeRun(unthought_of, nothing)
    with pytest.raises(RuntimeError):
        play(run, monkeypatch, tmp_path)
    assert run.removals == 1


def test_the_deadline_takes_everything_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(program.Stopped, match="deadline"):
        asyncio.run(program.until_stopped(asyncio.sleep(60), 0.05))


def test_a_removal_that_cannot_ask_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> list[Made]:
        raise Refused("PROJECT", "no answer")

    assert play(FakeRun(well, refuse), monkeypatch, tmp_path) == 3
    assert "CLEAN=1" in capsys.readouterr().out


def test_what_no_run_of_ours_has_made_is_refused(tmp_path: Path) -> None:
    class There:
        def named(self) -> list[Made]:
            return LEFT

    there: t.Any = There()
    with pytest.raises(Refused, match="networks/gkeproof-0a1b2c3d"):
        refuse_foreign(there, [])
    (tmp_path / "0a1b2c3d").mkdir()
    refuse_foreign(there, [Journal(tmp_path / "0a1b2c3d" / "journal.jsonl")])
