# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed loses nothing: all is there once. (Two at the same moment, and many more kills: tests/chaos.)"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.census import Census, assert_same, census
from tests.e2e.estate import ROOT, Estate, started
from tests.e2e.interrupted import converges
from tests.e2e.playing import Playing, proc


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One region: all kinds of objects, in half the time."""
    folder = tmp_path_factory.mktemp("inventory") / "inventory"
    shutil.copytree(ROOT / "inventories" / "sandbox", folder)
    (folder / "europe-west4.yml").unlink()
    return folder


@pytest.fixture
def region(inventory: Path, tmp_path: Path) -> Iterator[Estate]:
    with started(tmp_path, inventory) as estate:
        yield estate


@pytest.fixture(scope="module")
def undisturbed(inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> Census:
    """What one run builds when nothing comes between."""
    with started(tmp_path_factory.mktemp("undisturbed"), inventory) as estate:
        estate.build()
        return census(estate)


def test_a_kill_leaves_no_process_of_a_run(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    argument = f"600.{uuid.uuid4().int}"
    playbook.write_text(
        f"""
- hosts: regions
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: sleep {argument}
"""
    )

    def sleeping() -> list[int]:
        """Judged by what runs, not by the mark that the kill goes by."""
        return [pid for pid, line in proc("cmdline") if argument.encode() in line]

    with Playing(Estate(tmp_path), str(playbook)) as playing:
        playing.until("Sleep")
        deadline = time.monotonic() + 60
        while len(sleeping()) < 2:
            assert time.monotonic() < deadline, playing.output()
            time.sleep(0.02)
        assert playing.kill() >= 5  # the playbook, and a worker and what it runs for each region
        assert not sleeping()


def test_a_run_after_killed_ones_builds_everything_once(region: Estate, undisturbed: Census) -> None:
    for task in (
        "Traffic | Give the nodes a way out",  # the cluster is being created
        "Start | Apply what serves the model",  # so are node pool and features
        "Ready | Wait until the model is served",
    ):
        with Playing(region, "site.yml") as playing:
            playing.until(task)
            assert playing.kill() >= 1, playing.output()  # between two tasks no worker is there
            assert not playing.processes()
    converges(region)
    assert_same(region, undisturbed)
