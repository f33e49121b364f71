# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed loses nothing: the next one goes on with what it left under way."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.e2e.estate import BIN, ROOT, Estate


def kill_at(estate: Estate, task: str) -> None:
    """Run site.yml until this task begins, then end it and its children without a chance to clean up."""
    process = subprocess.Popen(
        [str(BIN / "ansible-playbook"), "-i", str(estate.inventory), "site.yml"],
        cwd=ROOT,
        env={**estate.environment(), "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("TASK") and task in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL, "".join(printed)
    process.stdout.close()


def test_a_run_after_killed_ones_builds_everything_once(one_region: Estate) -> None:
    kill_at(one_region, "Traffic | Give the nodes a way out")  # the cluster is being created
    kill_at(one_region, "Start | Apply what fetches the weights")  # so are node pool and features
    kill_at(one_region, "Ready | Wait until the model is served")
    run = one_region.play("site.yml")
    assert run.code == 0, run.output
    again = one_region.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output
    pods = one_region.kubectl("us-east5-b/gke-us-east5", "get", "pods", "-o", "name").output.split()
    assert len(pods) == 3, pods  # download, model server, endpoint picker
