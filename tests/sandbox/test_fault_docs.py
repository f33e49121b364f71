# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written about faults is what they are: the manual, the table in the README, every command in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sandbox.cli import parser, wanted_fault
from sandbox.faults import KINDS, Faults
from sandbox.faults.describe import COMMAND, manual, table
from tests.markers import between

ROOT = Path(__file__).resolve().parents[2]
MANUAL, README = ROOT / "docs" / "faults.md", ROOT / "README.md"
EXAMPLES = sorted({kind.example for kind in KINDS.values()})


def test_the_manual_and_the_readme_tell_the_kinds_as_they_are() -> None:
    assert between(MANUAL, "kinds") == manual(), "write there what `python -m sandbox fault kinds` prints"
    assert between(README, "faults") == table()


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_fault(example: str) -> None:
    options = parser().parse_args(["fault", "add", *shlex.split(example)])
    assert Faults().add(wanted_fault(options)).kind == example.split()[0]


@pytest.mark.parametrize("document", [README, MANUAL], ids=lambda path: path.name)
def test_every_command_that_is_written_down_is_taken(document: Path) -> None:
    commands = re.findall(rf"^{COMMAND} (.*)$", document.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        Faults().add(wanted_fault(parser().parse_args(["fault", "add", *shlex.split(command)])))


def test_the_help_tells_every_kind_and_all_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["fault", "add", "--help"])
    told = capsys.readouterr().out
    for name, kind in KINDS.items():
        assert f"\n  {name}\n" in told
        assert all(f"{setting}={default}" in told for setting, default in kind.settings.items())
