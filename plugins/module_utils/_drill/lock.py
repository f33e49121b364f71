# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""One drill at a time: a file that names the playbook which has the drill's directory.

A playbook's tasks are processes of their own and none of them lives as long as the
drill, so no lock of the kernel's can last from one to the next: the file names the
process that does, and whoever finds it looks whether that still runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import getpass
import os
import socket
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

from .._errors import CollectionError
from . import documents

NAME = "drill.lock"


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process: its ``pid`` on ``host``, and when the system says it began, since numbers are used again."""

    pid: int  # 0: not known, so it cannot be looked for
    began: str
    host: str
    user: str
    since: float  # seconds since the epoch

    def is_running(self) -> bool | None:
        """None where nobody can tell: on another machine, or without a pid."""
        if not self.pid or self.host != socket.gethostname():
            return None
        return is_running(self.pid, self.began)

    def same(self, other: Holder) -> bool:
        return (self.pid, self.began, self.host) == (other.pid, other.began, other.host)

    def told(self, now: float) -> str:
        process = f"process {self.pid}" if self.pid else "a process of unknown number"
        return f"{process} of {self.user} on {self.host}, for {max(0.0, now - self.since) / 60:.0f} min"


def holder(pid: int) -> Holder:
    """The process of this number on this machine, from now on."""
    return Holder(pid, began(pid), socket.gethostname(), getpass.getuser(), time.time())


def began(pid: int) -> str:
    """When a process began, in the kernel's own unit; "" where that is not told (no /proc), or it has gone."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def is_running(pid: int, since: str) -> bool:
    """Whether the process lives; one that nobody has waited for is dead, and so is one that began at another time."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    fields = _stat(pid)
    return not fields or (fields[0] != "Z" and fields[19] == (since or fields[19]))


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat behind the name, which may hold anything: state first, the 20th is the start (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def look(directory: Path) -> Holder | None:
    """Who has the lock, dead or alive. Raises CollectionError when the file is no lock."""
    path = directory / NAME
    return documents.read(path, Holder, "lock of a drill", "delete it when no drill is at work")


def refuse(directory: Path, found: Holder) -> t.NoReturn:
    raise CollectionError(
        f"another drill is at work in {directory}: {found.told(time.time())}. "
        f"If that is certainly not so, delete {directory / NAME}"
    )


def take(directory: Path, me: Holder) -> Holder | None:
    """Returns the dead holder that was put away, if there was one. Raises CollectionError while another has it."""
    with _alone(directory):
        found = look(directory)
        if found is not None and found.is_running() is not False:
            refuse(directory, found)
        documents.write(directory / NAME, me)
        return found


def release(directory: Path, me: Holder) -> bool:
    """Give up a lock of our own; returns whether there was one. Somebody else's stays."""
    if not directory.exists():
        return False
    with _alone(directory):
        found = look(directory)
        return found is not None and found.same(me) and documents.remove(directory / NAME)


@contextlib.contextmanager
def held(directory: Path, me: Holder) -> Iterator[None]:
    """For as long as the block runs; a lock that is ours already stays afterwards. Raises CollectionError."""
    found = look(directory)
    if found is not None and found.same(me):
        yield
        return
    take(directory, me)
    try:
        yield
    finally:
        release(directory, me)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else on this machine looks at or writes the lock meanwhile. Ends with the process, however that ends.

    Raises CollectionError when the directory cannot be made or read.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
    except OSError as cause:
        raise CollectionError(f"report_directory: cannot use {directory}: {cause}") from cause
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
