# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With this checkout's ansible.cfg the screen shows the task that runs, not the one before it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def test_the_screen_shows_the_task_that_runs(tmp_path: Path) -> None:
    """The long wait ends only after its name was seen."""
    end = tmp_path / "end"
    tasks = [
        {"name": "Short", "ansible.builtin.debug": {"msg": "done"}},
        {"name": "Long", "ansible.builtin.wait_for": {"path": str(end), "timeout": 120, "sleep": 1}},
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    lines: queue.Queue[str] = queue.Queue()
    with subprocess.Popen(
        [
            BIN / "ansible-playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            "play.yml",
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        stdout = running.stdout

        def read() -> None:
            for line in stdout:
                lines.put(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while not lines.get(timeout=60).startswith("TASK [Long]"):
                pass
        finally:
            end.touch()
        assert running.wait(120) == 0
        reader.join(10)
