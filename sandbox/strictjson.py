# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON as servers must read it: UTF-8, finite numbers, no nesting without end."""

from __future__ import annotations

import json
import math
import typing as t

DEEPEST = 100  # levels of objects and lists; Google's parser stops there, too


def loads(raw: bytes) -> t.Any:
    """Raises ValueError for what is not JSON, or JSON that nobody could write down again."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        raise too_deep() from error
    return checked(value, len(raw))


def checked(value: t.Any, size: int) -> t.Any:
    """``value`` if it is plain data with no more parts than the ``size`` bytes that it was read from can hold.

    Looks level by level, so that nothing is too deep to be looked at. Raises ValueError.
    """
    parts, level = 0, [value]
    for _unused in range(DEEPEST + 1):
        if not level:
            return value
        parts += len(level)
        if parts > size + 1:
            raise ValueError("document contains excessive aliasing")
        for part in level:
            _check_scalar(part)
        level = [entry for part in level for entry in _inside(part)]
    raise too_deep()


def too_deep() -> ValueError:
    return ValueError(f"exceeded max depth of {DEEPEST}")


def _inside(part: t.Any) -> t.Iterable[t.Any]:
    if isinstance(part, dict):
        return [*part, *part.values()]
    return part if isinstance(part, list) else ()


def _check_scalar(part: t.Any) -> None:
    if isinstance(part, float) and not math.isfinite(part):
        raise ValueError(f"{part} is not a number in JSON")
    if isinstance(part, str):
        part.encode("utf-8")  # a lone surrogate is no text
