# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes of the sandbox: in a session of their own, with a log file, never outliving the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child before exec: a sandbox that is killed outright leaves nothing behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def spawn(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Process:
    """Start a process in its own session and process group; output is appended to ``log``.

    Raises OSError when there is no such program.
    """
    with open(log, "ab") as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=dict(env),
            cwd=cwd,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )


def kill_group(process: Process) -> None:
    """SIGKILL to whatever is left of the process's group, also after its leader has gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def pause(process: Process, still: bool) -> None:
    """Have the whole group stand still, or go on where it stood."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGSTOP if still else signal.SIGCONT)


async def stop(process: Process, grace: float) -> int:
    """SIGTERM to the leader, after ``grace`` seconds SIGKILL to all; returns the leader's exit code."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    kill_group(process)
    return await process.wait()
