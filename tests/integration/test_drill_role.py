# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role failover finds its journal wherever the playbook is started, and whichever way its tasks run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.checkout import ROOT

PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"failover_project": "sandbox-project", "ansible_python_interpreter": sys.executable},
        "tasks": [{"ansible.builtin.include_role": {"name": "aiserving.gke.failover", "tasks_from": "restore"}}],
    }
]


def restore(folder: Path, cwd: Path, **variables: str) -> str:
    """What entry point restore prints, played from ``cwd``; the playbook lies elsewhere."""
    playbook = folder / "plays" / "restore.yml"
    playbook.parent.mkdir(exist_ok=True)
    playbook.write_text(yaml.safe_dump(PLAY))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(playbook)]
    done = subprocess.run(
        [*command, *(word for name, value in variables.items() for word in ("-e", f"{name}={value}"))],
        cwd=cwd,
        env={**os.environ, "HOME": str(folder), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return " ".join(done.stdout.split())  # Ansible folds lines


def test_the_default_directory_does_not_depend_on_the_working_directory(tmp_path: Path) -> None:
    journal = tmp_path / "aiserving-reports" / "sandbox-project" / "undo.json"
    nothing = restore(tmp_path, tmp_path)
    assert "failed=0" in nothing, nothing
    assert not journal.parent.exists(), "looking for a journal makes nothing"
    journal.parent.mkdir(parents=True)
    journal.write_text("{half")
    for cwd, in_process in ((tmp_path, "true"), (Path("/"), "false")):
        told = restore(tmp_path, cwd, aiserving_in_process=in_process)
        assert f"{journal} is no undo journal of a drill" in told, told


def test_a_relative_directory_is_one_place_for_every_task(tmp_path: Path) -> None:
    """A module in a process of its own works in the playbook's directory, all else where the playbook was started."""
    journal = tmp_path / "work" / "reports" / "undo.json"
    journal.parent.mkdir(parents=True)
    journal.write_text("{half")
    for in_process in ("true", "false"):
        options = {"failover_report_directory": "reports", "aiserving_in_process": in_process}
        told = restore(tmp_path, tmp_path / "work", **options)
        assert f"{journal} is no undo journal of a drill" in told, told
