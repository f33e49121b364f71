# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One drill at a time, judged by processes that live, die, and race."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import lock
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError

ROOT = Path(__file__).resolve().parents[4]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".venv" / "collections")])}


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def test_a_lock_of_a_living_process_is_refused_and_told(tmp_path: Path) -> None:
    other = sleeper()
    try:
        lock.take(tmp_path, dataclasses.replace(lock.holder(other.pid), since=lock.holder(1).since - 720))
        with pytest.raises(CollectionError) as failed:
            lock.take(tmp_path, lock.holder(os.getpid()))
        for told in (f"process {other.pid} of ", "for 12 min", str(tmp_path / lock.NAME), "delete"):
            assert told in failed.value.message
        assert not lock.release(tmp_path, lock.holder(os.getpid())), "somebody else's"
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("reaped", [True, False])
def test_a_lock_of_a_killed_process_is_taken_over(tmp_path: Path, reaped: bool) -> None:
    """Also of one that nobody has waited for, as in a container without an init process."""
    other = sleeper()
    dead = lock.holder(other.pid)
    lock.take(tmp_path, dead)
    other.kill()
    if reaped:
        other.wait()
    else:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert lock.take(tmp_path, lock.holder(os.getpid())) == dead
    other.wait()
    assert lock.release(tmp_path, lock.holder(os.getpid()))
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    me = lock.holder(os.getpid())
    lock.take(tmp_path, dataclasses.replace(me, began=str(int(me.began or 1) - 1)))
    assert lock.take(tmp_path, me) is not None


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"pid": 0}])
def test_a_lock_that_nobody_can_judge_counts_as_held(tmp_path: Path, change: dict[str, object]) -> None:
    lock.take(tmp_path, dataclasses.replace(lock.holder(1), **change))  # type: ignore[arg-type]
    with pytest.raises(CollectionError, match="another drill is at work"):
        lock.take(tmp_path, lock.holder(os.getpid()))


def test_a_file_that_is_no_lock_is_told(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text("123")
    with pytest.raises(CollectionError, match="is no lock of a drill: .*delete it when no drill is at work"):
        lock.take(tmp_path, lock.holder(os.getpid()))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CollectionError, match="report_directory: cannot use .*/file/reports: "):
        lock.take(tmp_path / "file" / "reports", lock.holder(os.getpid()))


def test_a_lock_of_ones_own_is_kept_by_the_steps_within(tmp_path: Path) -> None:
    me = lock.holder(os.getpid())
    with lock.held(tmp_path / "new", me):
        assert lock.look(tmp_path / "new") is not None
    assert lock.look(tmp_path / "new") is None
    lock.take(tmp_path, me)
    with lock.held(tmp_path, me):
        pass
    assert lock.look(tmp_path) == me
    with pytest.raises(CollectionError, match="another drill is at work"):
        lock.take(tmp_path, me)  # two hosts of one playbook are two drills


RACE = """
import sys
from pathlib import Path
from ansible_collections.aiserving.gke.plugins.module_utils._drill import lock
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError
import os
sys.stdin.readline()
try:
    lock.take(Path(sys.argv[1]), lock.holder(os.getpid()))
    print("mine", flush=True)
except CollectionError:
    print("refused", flush=True)
sys.stdin.readline()
"""


def test_of_many_that_find_a_dead_lock_at_once_one_gets_it(tmp_path: Path) -> None:
    other = sleeper()
    lock.take(tmp_path, lock.holder(other.pid))
    other.kill()
    other.wait()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for _unused in range(6)
    ]
    try:
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
        assert sorted(said) == ["mine"] + ["refused"] * 5
    finally:
        for racer in racers:
            racer.communicate("\n", timeout=60)
