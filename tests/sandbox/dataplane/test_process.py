# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes: how they are stopped, and that they do not outlive the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.dataplane import process
from tests.sandbox.dataplane.support import alive

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = """
import asyncio, os, sys
from pathlib import Path
from sandbox.dataplane import process

async def main():
    child = await process.spawn(["sleep", "600"], env={"PATH": os.defpath}, cwd=Path.cwd(), log=Path(os.devnull))
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_process_ends_with_a_sandbox_that_is_killed() -> None:
    root = Path(__file__).resolve().parents[3]
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while alive(child):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_stop_asks_first_and_kills_after_the_grace(tmp_path: Path) -> None:
    async def scene() -> None:
        for code, expected in (("import time; time.sleep(600)", -signal.SIGTERM), (STUBBORN, -signal.SIGKILL)):
            log = tmp_path / f"{expected}.log"
            argv = [sys.executable, "-c", code]
            child = await process.spawn(argv, env={"PATH": os.defpath}, cwd=tmp_path, log=log)
            while code is STUBBORN and not log.read_text():
                await asyncio.sleep(0.01)
            assert await process.stop(child, 0.3 if code is STUBBORN else 30) == expected
            assert not alive(child.pid)

    asyncio.run(scene())


def test_a_program_that_is_missing_is_an_error(tmp_path: Path) -> None:
    async def scene() -> None:
        with pytest.raises(OSError, match="no-such"):
            await process.spawn(["/no-such"], env={}, cwd=tmp_path, log=tmp_path / "log")

    asyncio.run(scene())
