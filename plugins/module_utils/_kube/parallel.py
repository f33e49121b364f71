# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Requests side by side, where their order says nothing."""

from __future__ import annotations

import contextvars
import typing as t
from concurrent.futures import ThreadPoolExecutor

T = t.TypeVar("T")
R = t.TypeVar("R")

# Each is a connection of its own: more would cost more in handshakes than they save.
AT_ONCE = 4


def each(work: t.Callable[[T], R], items: t.Sequence[T]) -> list[R]:
    """``work`` of every item, in the items' order. All end before the first error, in that order, is raised."""
    if len(items) < 2:
        return [work(item) for item in items]
    contexts = [contextvars.copy_context() for _item in items]  # a wait in a thread tells whom its caller tells
    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        return list(pool.map(lambda context, item: context.run(work, item), contexts, items))
