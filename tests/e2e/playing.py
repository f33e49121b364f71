# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook under way, and a kill that none of its processes survives."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.estate import BIN, ROOT, Estate, Run

# The variable that every process of a run has in its environment: workers are sessions of their own, and orphans
# once their parent is dead, so that neither process group nor parent finds them.
MARK = "AISERVING_TEST_RUN"
DEADLINE = 900


class Playing:
    """ansible-playbook, started and not waited for; at the end of the context nothing of it is left.

    The sandbox must run already, or it would be one of the run's processes.
    """

    def __init__(self, estate: Estate, playbook: str, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self._log = estate.directory / f"run-{self.mark}.log"
        self._began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(BIN / "ansible-playbook"), "-i", str(estate.inventory), playbook, *arguments],
                cwd=ROOT,
                # A banner must come with its task, not with its first result.
                env={**estate.environment(), MARK: self.mark, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "1"},
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.kill()

    def processes(self) -> list[int]:
        """Those of the run that live."""
        wanted = f"{MARK}={self.mark}".encode()
        return [pid for pid, environment in proc("environ") if wanted in environment.split(b"\0")]

    def output(self) -> str:
        return self._log.read_text()

    def until(self, task: str) -> None:
        """Return when workers are at this task. Fails when the run ends before."""
        banner = re.compile(rf"^TASK \[.*{re.escape(task)}", re.MULTILINE)
        while not banner.search(self.output()) or len(self.processes()) < 2:
            assert self._process.poll() is None, f"ended before {task}\n{self.output()}"
            assert time.monotonic() < self._began + DEADLINE, f"{task} does not begin\n{self.output()}"
            time.sleep(0.01)

    def end(self, limit: float = DEADLINE) -> Run:
        """Wait for the end; a run that has not ended ``limit`` seconds after its start is killed (code -9)."""
        left = self._began + limit - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=max(0.0, left))
        self.kill()
        return Run(self._process.returncode, self.output(), time.monotonic() - self._began)

    def kill(self) -> int:
        """SIGKILL to every process of the run until none is left; returns how many there were."""
        killed = set()
        deadline = time.monotonic() + 60
        while living := self.processes():
            assert time.monotonic() < deadline, f"{living} do not die"
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(living)
            time.sleep(0.01)
        self._process.wait(timeout=60)
        return len(killed)


def proc(file: str) -> Iterator[tuple[int, bytes]]:
    """(process, what /proc says of it) for all that live on this machine; of a zombie it says nothing."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(directory.name), (directory / file).read_bytes()
