# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a document that a program writes: what stands between two comments."""

from __future__ import annotations

from pathlib import Path


def write_between(document: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- NAME: begin -->`` and its end. Raises ValueError when they are not there."""
    head, _old, tail = _parts(document, name)
    document.write_text(f"{head}\n{text}{tail}", encoding="utf-8")


def between(document: Path, name: str) -> str:
    """What stands there. Raises ValueError as above."""
    return _parts(document, name)[1].removeprefix("\n")


def _parts(document: Path, name: str) -> tuple[str, str, str]:
    """What is before it (with its begin), within, and after it (with its end)."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = document.read_text(encoding="utf-8").partition(begin)
    inside, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{document} has no {begin} ... {end}")
    return head + begin, inside, end + tail
