# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How incidents are measured: what was lost and for how long, and how a run ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.census import differences
from tests.e2e.estate import Run
from tests.e2e.load import Load, Loss, Record
from tests.gameday.rows import Outcome, lost, markdown, said
from tests.markers import write_between


def load(*served: str) -> Load:
    """A second between requests to the address of "a"; "" for those that were lost."""
    found = Load({"a": "http://127.0.0.1:9"})
    found.records = [Record("a", float(n), n + 0.1, region) for n, region in enumerate(served)]
    return found


def test_the_time_without_an_answer_is_that_of_every_outage() -> None:
    assert load("a", "", "", "b", "b", "", "a").lost("a", 0.0) == Loss(3, 3.0)
    assert load("a", "", "a").lost("a", 1.5) == Loss()


def test_at_home_is_who_is_served_by_the_own_region_all_the_time() -> None:
    assert load("b", "a", "a").at_home(0.0, count=2)
    assert not load("a", "a", "b").at_home(0.0, count=2)
    assert not load("a", "a", "a").at_home(2.0, count=2)


RECAP = "\na : ok=3 changed=2 unreachable=0\nb : ok=3 changed=1 unreachable=0\n"
ERROR = "[ERROR]: Task failed: Action failed: POST http://127.0.0.1:4/x: 409 | taken\nOrigin: somewhere\n"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(0, RECAP, 1.0), "announces 3 changes"),
        (Run(0, "\na : ok=3 changed=0\n", 1.0), "sees nothing"),
        (Run(2, ERROR, 1.0), "fails: POST /x: 409 / taken"),
        (Run(-9, "", 1.0), "does not end within 240 s"),
    ],
)
def test_how_a_run_ended(run: Run, words: str) -> None:
    assert said(run) == words


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    losses = {"a": Loss(3, 1.25), "b": Loss()}
    assert lost(losses) == "a: 3 in 1.2 s" and lost({"b": Loss()}) == "none"
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- gameday: begin -->\nold\n<!-- gameday: end -->\nafter\n")
    write_between(document, "gameday", markdown([Outcome("x", "y", losses, "sees nothing", "repairs it", True)]))
    text = document.read_text()
    assert "| x | y | a: 3 in 1.2 s | sees nothing | repairs it |\n<!-- gameday: end -->\nafter\n" in text
    assert text.startswith("before\n<!-- gameday: begin -->\n| incident |") and "old" not in text
    with pytest.raises(ValueError, match="has no <!-- other: begin -->"):
        write_between(document, "other", "")


def test_a_census_differs_by_what_is_missing_or_too_many() -> None:
    wanted, found = {"pods": ["a", "a", "b"], "nodes": ["n"]}, {"pods": ["a", "b", "b"]}
    assert differences(wanted, wanted) == []
    assert differences(wanted, found) == ["nodes: n is missing", "pods: a is missing", "pods: b is too many"]
