# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a document that a program writes: what stands between two comments."""

from __future__ import annotations

from pathlib import Path


def write_between(document: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- NAME: begin -->`` and its end. Raises ValueError when they are not there."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _old, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{document} has no {begin} ... {end}")
    document.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")
