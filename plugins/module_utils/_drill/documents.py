# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Small typed documents in JSON: records, the undo journal, the lock. What is no such thing is told, never guessed."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import types
import typing as t
from pathlib import Path

from .._errors import CollectionError

T = t.TypeVar("T")


class Unreadable(Exception):
    """A document is not of the wanted shape; says where it is not."""


def typed(cls: type[T], document: t.Any) -> T:
    """A dataclass of str, int, finite float, ``X | None`` and ``tuple[dataclass, ...]``. Raises Unreadable."""
    if not isinstance(document, dict):
        raise Unreadable(f"an object was wanted, not {_shown(document)}")
    fields = _fields(t.cast(t.Hashable, cls))
    if unknown := sorted(set(document) - set(fields)):
        raise Unreadable(f"it has no key {unknown[0]!r}")
    if missing := [name for name, (_unused, needed) in fields.items() if needed and name not in document]:
        raise Unreadable(f"key {missing[0]!r} is missing")
    return cls(**{name: _value(name, fields[name][0], value) for name, value in document.items()})


@functools.cache
def _fields(cls: t.Any) -> dict[str, tuple[t.Any, bool]]:
    hints = t.get_type_hints(cls)
    return {field.name: (hints[field.name], field.default is dataclasses.MISSING) for field in dataclasses.fields(cls)}


def _value(name: str, hint: t.Any, value: t.Any) -> t.Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = t.get_args(hint)[0]
    if t.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise Unreadable(f"{name}: a list was wanted, not {_shown(value)}")
        return tuple(typed(t.get_args(hint)[0], item) for item in value)
    # JSON's numbers are one kind, true and false are none of them, and a time is never infinite.
    kinds = (int, float) if hint is float else hint
    if not isinstance(value, kinds) or isinstance(value, bool) or (hint is float and not -1e300 < value < 1e300):
        raise Unreadable(f"{name}: {hint.__name__} was wanted, not {_shown(value)}")
    return hint(value)


def _shown(value: t.Any) -> str:
    return f"a {type(value).__name__}" if isinstance(value, (dict, list)) else repr(value)[:40]


def read(path: Path, cls: type[T], what: str, remedy: str) -> T | None:
    """The document, or None where there is no file. Raises CollectionError: ``what`` it should be, ``remedy``."""
    try:
        return typed(cls, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, Unreadable) as cause:
        raise CollectionError(f"{path} is no {what}: {cause}; {remedy}") from cause


def write(path: Path, document: t.Any) -> None:
    """Whole and durable, for its owner's eyes only. Raises CollectionError."""
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
            json.dump(dataclasses.asdict(document), handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
        _sync(path.parent)
    except OSError as cause:
        raise CollectionError(f"cannot write {path}: {cause}") from cause


def remove(path: Path) -> bool:
    """Returns whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    _sync(path.parent)
    return True


def _sync(folder: Path) -> None:
    """Names are durable only once their directory is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
