# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make truth` counts with: the codelab's commands, the table, and judges that are absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.truth.codelab import FOLDER, Command, Shell, commands
from tests.truth.table import Finding, markdown

ROOT = Path(__file__).resolve().parents[2]


def test_commands_are_read_with_their_steps_and_what_is_said_of_them() -> None:
    text = (
        "# why\n[one]\ngcloud a b\n    --c\n    > seen\n! kubectl d\n    ~ changed\n\n[two]\nhelm e\n    - not here\n"
    )
    assert list(commands(text)) == [
        Command("one", "gcloud a b --c", shows="seen"),
        Command("one", "kubectl d", refused=True, changed="changed"),
        Command("two", "helm e", untried="not here"),
    ]


def test_the_codelab_s_commands_are_named() -> None:
    known = list(commands((FOLDER / "commands.txt").read_text()))
    assert len(known) > 150 and all(command.step and command.name.startswith(command.tool) for command in known)


def test_a_shell_keeps_variables_and_fills_in_files(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"PATH": "/usr/bin:/bin"}, {"PROJECT": "p"})
    assert shell.run("A=$(echo one)").returncode == 0
    assert shell.run("echo $A $PROJECT").stdout == "one p\n"
    assert shell.run("false | cat").returncode == 1
    assert "gcs-fuse-sa@p.iam" in (tmp_path / "identity.yaml").read_text()


def test_the_table_counts_and_gives_reasons() -> None:
    found = [
        Finding("gcloud", "commands", "a", "as Google"),
        Finding("gcloud", "commands", "a", "as Google"),
        Finding("gcloud", "commands", "b|c", "other", "says less"),
        Finding("gcloud", "commands", "d", "not tried", "no exec"),
    ]
    assert markdown(found).splitlines()[2:] == ["| gcloud | commands | 3 | 2 | 1 says less: `b\\|c` | 1 no exec: `d` |"]


def test_an_absent_judge_fails_before_anything_runs() -> None:
    """It is named, with how to get it and how to do without."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.truth.table", "tests/truth/test_iam.py", "--collect-only"]
    environment = {"PATH": "/nowhere"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    told = done.stderr + done.stdout
    assert "gcloud is not here: install it from https://" in told and "make truth WITHOUT=gcloud" in told
    without = [*command, "--without=gcloud,kubectl,compute,gkehub,storage"]
    done = subprocess.run(without, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "deselected" in done.stdout, done.stdout
    assert "| gcloud |  | 0 | 0 | 0 | 1 left out with WITHOUT" in done.stdout
