# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who runs the tests is told what was left out, right before the line that counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.estate import ROOT

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_needs_a_tool(number):
    pytest.skip("the tool is not there")

def test_needs_the_moon():
    pytest.skip("the moon is down")

def test_runs():
    pass
"""


def last_lines(directory: Path, tests: str) -> list[str]:
    (directory / "test_some.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-c", "/dev/null", "--rootdir", str(directory)]
    done = subprocess.run(
        [*command, str(directory)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_the_last_lines_say_what_was_skipped_and_why(tmp_path: Path) -> None:
    title, *reasons, closing = [line for line in last_lines(tmp_path, TESTS) if line][-6:]
    assert "not tested here" in title
    assert reasons == [
        "   3 the tool is not there",
        "          3 in test_some.py",
        "   1 the moon is down",
        "          1 in test_some.py",
    ]
    assert "1 passed, 4 skipped" in closing


def test_nothing_is_said_when_nothing_was_skipped(tmp_path: Path) -> None:
    said = last_lines(tmp_path, "def test_runs(): pass\n")
    assert "1 passed" in said[-1] and not any("not tested" in line for line in said)
