# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/unproven.md speaks of files and steps that there are, in rows that are whole."""

from __future__ import annotations

import re

from proof.options import ROOT
from proof.steps import STEPS

HEAD = "| file | what is assumed | if it is wrong | what would prove it |"
FILE = re.compile(r"`([^`]+)`")
STEP = re.compile(r"step `([^`]+)`")
ASK = re.compile(r"question to Google: \S+")


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "unproven.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    return [line.strip("|").split("|") for line in tables if line != HEAD and not line.startswith("| ---")]


def test_every_row_is_whole() -> None:
    assert len(rows()) > 100
    for row in rows():
        assert len(row) == 4, row
        assert all(len(cell.strip()) > 3 for cell in row), row


def test_every_file_exists() -> None:
    missing = {
        row[0] for row in rows() if not (found := FILE.fullmatch(row[0].strip())) or not (ROOT / found[1]).is_file()
    }
    assert not missing


def test_a_row_says_what_would_prove_it() -> None:
    for row in rows():
        steps = STEP.findall(row[3])
        assert set(steps) <= set(STEPS), row
        assert steps or ASK.search(row[3]), row


def test_no_assumption_is_told_twice() -> None:
    told = [(row[0], row[1]) for row in rows()]
    assert len(told) == len(set(told))


def test_every_step_proves_something() -> None:
    named = {step for row in rows() for step in STEP.findall(row[3])}
    assert named == set(STEPS)
