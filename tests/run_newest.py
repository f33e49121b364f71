# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the collection's own tests on the newest Python and ansible-core of this machine.

The floor (ansible-core 2.19 on Python 3.11) is what everything else runs on;
where no newer interpreter is, there is nothing to do, and it says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT

# What depends on Ansible and on Python; how the sandbox behaves is proven once.
TESTS = ["tests/unit", "tests/integration/test_twins.py", "tests/integration/test_node_pool.py"]


def newest_interpreter() -> Path | None:
    """The highest python3.N beyond the running one that works, from PATH and from pyenv."""
    found: dict[tuple[int, int], Path] = {}
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    for folder in folders:
        for path in folder.glob("python3.*"):
            if (named := re.fullmatch(r"python3\.(\d+)", path.name)) and works(path):
                found.setdefault((3, int(named.group(1))), path)
    newest = max(found, default=(0, 0))
    return found[newest] if newest > sys.version_info[:2] else None


def works(path: Path) -> bool:
    """A shim of pyenv for a version that is not chosen here exits with an error."""
    return subprocess.run([path, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0


def environment(interpreter: Path) -> Path:
    """A virtual environment with everything the tests need, made once per interpreter; returns its python."""
    folder = ROOT / ".cache" / "newest" / interpreter.name
    python = folder / "bin" / "python"
    marker = folder / "ready"
    wanted = "".join((ROOT / f"requirements{name}.txt").read_text() for name in ("", "-sandbox", "-dev"))
    if not marker.exists() or marker.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements-dev.txt"], check=True)
        marker.write_text(wanted)
    return python


def main() -> int:
    interpreter = newest_interpreter()
    if interpreter is None:
        print(f"newest: no Python newer than {sys.version.split()[0]} here; nothing to do")
        return 0
    python = environment(interpreter)
    version = subprocess.run(
        [python, "-c", "import ansible.release, sys; print(ansible.release.__version__, 'on', sys.version.split()[0])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print(f"newest: ansible-core {version}", flush=True)
    path = f"{python.parent}:{os.environ['PATH']}"
    return subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
