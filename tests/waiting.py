# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable

T = t.TypeVar("T")


def until(look: Callable[[], T | None], what: str, *, seconds: float = 120.0) -> T:
    """The first true answer. Fails the test when there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return answer
