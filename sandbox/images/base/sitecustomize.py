# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs first in every Python process of a Pod: gives it what a network namespace and read-only mounts would."""

from __future__ import annotations

import errno
import os
import socket
import sys
import typing as t

_WILDCARDS = ("", "0.0.0.0", "::")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events of what changes a directory -> how many of their arguments are paths.
_CHANGES = {"os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.truncate": 1}


def _bind_within(pod_address: str) -> None:
    """All addresses of a Pod are its one address; Pods share the machine's loopback here."""
    bind = socket.socket.bind

    def bind_pod(self: socket.socket, address: t.Any) -> None:
        if isinstance(address, tuple) and address[0] in _WILDCARDS:
            address = (f"::ffff:{pod_address}" if self.family == socket.AF_INET6 else pod_address, *address[1:])
        bind(self, address)

    socket.socket.bind = bind_pod  # type: ignore[method-assign, assignment]


def _forbid_writes(directories: list[str]) -> None:
    def audit(event: str, args: tuple[t.Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and (args[2] or 0) & _WRITES):
            return
        for path in args[: _CHANGES.get(event, 1)]:
            if isinstance(path, (str, bytes, os.PathLike)):
                full = os.path.abspath(os.fsdecode(path))
                if any(full == directory or full.startswith(directory + "/") for directory in directories):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    sys.addaudithook(audit)


if os.environ.get("SANDBOX_POD_ADDRESS"):
    _bind_within(os.environ["SANDBOX_POD_ADDRESS"])
if os.environ.get("SANDBOX_READ_ONLY"):
    _forbid_writes(os.environ["SANDBOX_READ_ONLY"].split(":"))
