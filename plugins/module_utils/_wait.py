# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The one waiter: look first, back off, monotonic deadline; every half minute it says what is waited for."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import random
import time
import typing as t

from ._errors import WaitTimeout

T = t.TypeVar("T")
Tell = t.Callable[[str], None]

# Seconds between two lines on what is waited for.
TELL_EVERY = 30.0

# Ambient, as the clock is: waits happen deep inside of clients that know no call and no user.
_tell: contextvars.ContextVar[Tell | None] = contextvars.ContextVar("tell", default=None)


@contextlib.contextmanager
def telling(tell: Tell) -> t.Iterator[None]:
    """``tell`` gets a line every half minute from every wait inside of the block; without one, waits are silent."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


@dataclasses.dataclass(frozen=True)
class Backoff:
    """Pauses between looks, in seconds: ``first``, then times ``factor`` up to ``cap``, each less up to ``jitter``.

    A pause is about ``factor - 1`` of the time waited so far. So by default the end
    of short and long work alike is seen within a tenth of its length, and eight
    minutes take some seventy looks.
    """

    first: float = 0.15
    factor: float = 1.08
    cap: float = 30.0
    jitter: float = 0.1

    def pauses(self) -> t.Iterator[float]:
        pause = self.first
        while True:
            yield pause * (1 - random.uniform(0, self.jitter))
            pause = min(pause * self.factor, self.cap)


@dataclasses.dataclass(frozen=True)
class Clock:
    """Time as the waiter sees it; tests pass their own."""

    now: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep


def wait_for(
    look: t.Callable[[], T],
    done: t.Callable[[T], bool],
    *,
    timeout: float,
    what: str,
    why: t.Callable[[T], str] | None = None,
    brief: t.Callable[[T], str] | None = None,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
) -> T:
    """Look until ``done(seen)``; return what was seen.

    ``done`` raises for a state that can only fail. At the deadline one last look
    is taken, so that the user gets at least the ``timeout`` (seconds) asked for.
    ``why(seen)`` says what is missing still; ``brief(seen)`` says it in one line, for
    whoever watches meanwhile, where ``why`` is long or costs requests. Raises WaitTimeout.
    """
    clock = clock or Clock()
    started = clock.now()
    pauses = (backoff or Backoff()).pauses()
    told = 0
    while True:
        seen = look()
        if done(seen):
            return seen
        waited = clock.now() - started
        if waited >= timeout:
            break
        tell, due = _tell.get(), int(waited // TELL_EVERY)
        if tell and due > told:
            told, said = due, brief or why
            tell(f"waited {waited:.0f} of {timeout:g} s for {what}" + (f": {said(seen)}" if said else ""))
        clock.sleep(min(next(pauses), timeout - waited))
    missing = f": {why(seen)}" if why else ""
    raise WaitTimeout(f"waited {timeout:g} s for {what}{missing}", last=seen, waited=timeout)
