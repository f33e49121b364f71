# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that people and machines are told are those that the Makefile has."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.estate import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
TELLING = sorted({ROOT / ".ci" / "run", ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")})


def told(path: Path) -> set[str]:
    """The targets of every `make` that a file tells people to type, or runs."""
    return set(re.findall(r"(?:^|^exec |[`'\"$] ?)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", TELLING, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_told_is_there(path: Path) -> None:
    assert told(path) <= TARGETS


def test_every_target_that_is_no_file_is_phony_and_every_one_told_is_explained() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS
    explained = set(re.findall(r"@echo 'make ([a-z]+) ", MAKEFILE))
    assert told(ROOT / "README.md") <= explained


def test_what_ci_runs_is_all_of_it() -> None:
    """And the last line of its output is that of pytest, which is last."""
    [command] = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("exec ")]
    assert shlex.split(command) == ["exec", "make", "test"]
    [recipe] = re.findall(r"^test: env\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    *first, last = recipe.splitlines()
    assert last.split()[-1] == "pytest" and {"lint", "sanity", "newest"} < set(" ".join(first).split())


@pytest.mark.parametrize("target", sorted(TARGETS - {"clean"}))
def test_make_knows_how(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
