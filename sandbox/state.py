# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one directory in which a sandbox lives, and what other processes may learn from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t
from collections.abc import Iterator
from pathlib import Path

Json = dict[str, t.Any]


def default_directory() -> Path:
    """$AISERVING_SANDBOX_DIR, else .sandbox in the checkout (or the installed collection)."""
    named = os.environ.get("AISERVING_SANDBOX_DIR")
    return Path(named) if named else Path(__file__).resolve().parent.parent / ".sandbox"


class StateDirectory:
    """Paths, the lock that tells whether the sandbox runs, and status.json (0600: it holds the token)."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.status_file = self.path / "status.json"
        self.log_file = self.path / "server.log"
        self._lock_file = self.path / "lock"

    def create(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held by the server for its life. Raises BlockingIOError when another server has it."""
        with open(self._lock_file, "w", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def running(self) -> bool:
        """Whether a server lives here; a lock cannot be mistaken as a recycled pid can."""
        if not self._lock_file.exists():
            return False
        try:
            with self.lock():
                return False
        except BlockingIOError:
            return True

    def write_status(self, status: Json) -> None:
        """Atomically, so that a reader never sees half of it."""
        draft = self.status_file.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
            json.dump(status, handle, indent=2)
        draft.replace(self.status_file)

    def read_status(self) -> Json | None:
        """What the running server wrote when it became ready; None when there is none."""
        if not self.running():
            return None
        try:
            status: Json = json.loads(self.status_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return status
