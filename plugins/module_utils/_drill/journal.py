# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The undo journal: written before the fault, so that whoever comes later can restore from it alone."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from .._errors import CollectionError

Json = dict[str, t.Any]


def read(path: str | Path) -> Json | None:
    """The journal of a drill that has not been restored, or None. Raises CollectionError when it is unreadable."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        journal: Json = json.loads(text)
    except ValueError as cause:
        raise CollectionError(
            f"the undo journal {path} is unreadable ({cause}); restore by hand, then delete it"
        ) from cause
    return journal


def write(path: str | Path, entries: t.Sequence[Json], began: float) -> Json:
    """Write it whole and durable before it is relied on. Raises CollectionError when one is open already."""
    if (open_one := read(path)) is not None:
        raise CollectionError(
            f"the undo journal {path} of an earlier drill is still open: restore that one first", journal=open_one
        )
    journal: Json = {"began": began, "entries": list(entries)}
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump(journal, handle, indent=2)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(target)
    return journal


def close(path: str | Path) -> bool:
    """Everything is restored; returns whether there was a journal."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return False
    return True
