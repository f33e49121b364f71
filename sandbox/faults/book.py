# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which faults are in force: what a user asks to go wrong, where, how often and for how long.

Each part of the sandbox asks the book at the place where Google's own would break. A fault that nobody asked for
never happens, and while there is none nobody looks: who must know at once follows ``changes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fnmatch
import itertools
import random
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping

from ..interfaces import Hit, Json, Place
from .kinds import KINDS, LOCATION, METHODS, PLACE_FIELDS, SERVICES

OPTIONS = ("kind", "settings", "times", "seconds", "share", "seed", *PLACE_FIELDS)


class BadFault(Exception):
    """A fault that cannot be made; the message names the setting and what would be right."""


@dataclasses.dataclass
class Fault:
    """One fault. ``times``: how many it hits, of what its kind counts (None: all); ``until``: on the monotonic clock;
    ``share``: of those it could hit, chosen so that the same seed gives the same ones."""

    name: str
    kind: str
    place: Place
    settings: Mapping[str, t.Any]
    times: int | None
    until: float | None
    share: float
    seed: int
    hits: int = 0
    dice: random.Random = dataclasses.field(default_factory=random.Random)
    # Who has been looked at, and whether it was struck: what is broken stays so, and what was spared too.
    verdicts: dict[tuple[str, Place, str], bool] = dataclasses.field(default_factory=dict)

    def as_kind(self, kind: str) -> Hit | None:
        """What this fault is to one who asks for ``kind``: a kind may consist of others."""
        if kind == self.kind:
            return Hit(self.name, kind, self.settings)
        part = KINDS[self.kind].parts.get(kind)
        if part is None:
            return None
        own = {name: value for name, value in self.settings.items() if name in KINDS[kind].settings}
        return Hit(self.name, kind, {**KINDS[kind].settings, **part, **own})

    def chosen(self) -> bool:
        """Whether the next one is among those that the fault hits."""
        return self.share >= 1 or self.dice.random() < self.share

    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def rendered(self, now: float) -> Json:
        left = None if self.until is None else max(0.0, round(self.until - now, 3))
        return {
            "name": self.name,
            "kind": self.kind,
            "place": {key: value for key, value in dataclasses.asdict(self.place).items() if value},
            "settings": dict(self.settings),
            "times": self.times,
            "seconds_left": left,
            "share": self.share,
            "seed": self.seed,
            "hits": self.hits,
        }


class Faults:
    """The book of faults. Single-threaded: only the event loop touches it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults: dict[str, Fault] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._version = 1

    def add(self, wanted: Json) -> Fault:
        """Make a fault of its JSON: kind, settings, service, method, resource, location, times, seconds, share, seed.

        Raises BadFault.
        """
        fault = made(wanted, next(self._numbers), self._clock())
        self._faults[fault.name] = fault
        self._tell()
        return fault

    def clear(self, name: str = "") -> int:
        """Take back one fault, or all of them; returns how many there were. Raises BadFault for an unknown name."""
        if name and name not in self._faults:
            raise BadFault(f"there is no fault {name!r}; there are: {', '.join(self._faults) or 'none'}")
        gone = [name] if name else list(self._faults)
        for each in gone:
            del self._faults[each]
        if gone:
            self._tell()
        return len(gone)

    def rendered(self) -> list[Json]:
        """Those in force, as JSON."""
        now = self._clock()
        return [fault.rendered(now) for fault in self._live()]

    def strike(self, here: Place, *kinds: str) -> Hit | None:
        """The first fault of these kinds that hits a call here; it is used up by one, and over when it is spent."""
        for fault, hit in self._found(here, *kinds):
            if not fault.chosen():
                continue
            fault.hits += 1
            if fault.spent():
                del self._faults[fault.name]
                self._tell()
            return hit
        return None

    def afflicts(self, kind: str, here: Place, turn: str = "", **only: str) -> Hit | None:
        """The fault of this kind that is upon what stands here, while it is in force; asking again changes nothing.

        ``turn`` tells apart what happens to the same place more than once, such as the starts of a container.
        ``only``: settings that restrict the fault, with their values here.
        """
        for fault, hit in self._found(here, kind):
            if any(hit.settings[name] not in ("", value) for name, value in only.items()):
                continue
            key = (kind, here, turn)
            if key not in fault.verdicts:
                if fault.spent():
                    continue
                fault.verdicts[key] = fault.chosen()
                fault.hits += fault.verdicts[key]
            if fault.verdicts[key]:
                return hit
        return None

    def mend(self, hit: Hit, here: Place, turn: str = "") -> None:
        """What was broken here has been replaced: this fault does not strike it again."""
        fault = self._faults.get(hit.fault)
        if fault is not None:
            fault.verdicts[hit.kind, here, turn] = False
            self._tell()

    async def gone(self, hit: Hit) -> None:
        """Return when the fault is no longer in force."""
        async with contextlib.aclosing(self.changes()) as changes:
            async for _unused in changes:
                if not any(fault.name == hit.fault for fault in self._live()):
                    return

    async def changes(self) -> t.AsyncGenerator[None, None]:
        """Once at the beginning, and again whenever a fault has come, gone or run out."""
        seen = 0
        while True:
            if self._version > seen:
                seen = self._version
                yield
                continue
            ends = [fault.until for fault in self._faults.values() if fault.until is not None]
            left = max(0.0, min(ends) - self._clock()) if ends else None
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()
            list(self._live())

    def _found(self, here: Place, *kinds: str) -> Iterator[tuple[Fault, Hit]]:
        for fault in self._live():
            if fault.place.holds(here):
                yield from ((fault, hit) for kind in kinds if (hit := fault.as_kind(kind)) is not None)

    def _live(self) -> Iterator[Fault]:
        now = self._clock()
        for fault in list(self._faults.values()):
            if fault.until is not None and now >= fault.until:
                del self._faults[fault.name]
                self._tell()
            else:
                yield fault

    def _tell(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()


def made(wanted: Json, number: int, now: float) -> Fault:
    """The fault that the JSON asks for. Raises BadFault."""
    if unknown := set(wanted) - set(OPTIONS):
        raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
    name = str(wanted.get("kind", ""))
    if name not in KINDS:
        raise BadFault(f"kind: {name!r} is none; one of {', '.join(KINDS)}")
    seconds, seed = _number(wanted, "seconds", 0.001), int(_number(wanted, "seed", 0) or 0)
    times, share = _number(wanted, "times", 1), _number(wanted, "share", 0)
    if share is not None and not 0 < share <= 1:
        raise BadFault(f"share: {share} is not between 0 and 1")
    if not KINDS[name].counts and (times is not None or share is not None):
        raise BadFault(
            f"{'times' if share is None else 'share'}: {name} is one state of things, there is nothing to count"
        )
    return Fault(
        name=f"{name}-{number}",
        kind=name,
        place=_place(name, wanted),
        settings=_settings(name, wanted.get("settings") or {}),
        times=None if times is None else int(times),
        until=None if seconds is None else now + seconds,
        share=1.0 if share is None else share,
        seed=seed,
        dice=random.Random(seed),
    )


def _place(name: str, wanted: Json) -> Place:
    given = {field: str(wanted.get(field) or "") for field in PLACE_FIELDS}
    kind = KINDS[name]
    for field, value in given.items():
        if value and field not in kind.place:
            raise BadFault(f"{field}: {name} does not look at it; it takes: {', '.join(kind.place) or 'no place'}")
        if field in kind.needs and not value:
            raise BadFault(f"{field}: {name} must be told where")
    for field, known in (("service", SERVICES), ("method", METHODS)):
        if given[field] and not fnmatch.filter(known, given[field]):
            raise BadFault(f"{field}: {given[field]!r} is none of {', '.join(known)}")
    if given["location"] and not LOCATION.fullmatch(given["location"]):
        raise BadFault(f"location: {given['location']!r} is no region and no zone")
    return Place(**given)


def _number(wanted: Json, name: str, least: float) -> float | None:
    value = wanted.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise BadFault(f"{name}: {value!r} is no number of at least {least:g}")
    return value


def _settings(kind: str, given: Json) -> Json:
    known = KINDS[kind]
    settings: Json = dict(known.settings)
    for name, value in given.items():
        if name not in known.settings:
            there = ", ".join(known.settings) or "none"
            raise BadFault(f"{name}: {kind} has no such setting; it has: {there}")
        kind_of_value = type(known.settings[name])
        try:
            settings[name] = kind_of_value(value)
        except (TypeError, ValueError) as error:
            raise BadFault(f"{name}: {value!r} is no {kind_of_value.__name__}") from error
        if settings[name] not in known.choices.get(name, (settings[name],)):
            raise BadFault(f"{name}: {value!r} is not one of {', '.join(known.choices[name])}")
        least, most = known.limits.get(name, (0, float("inf")))
        if not isinstance(settings[name], str) and not least <= settings[name] <= most:
            raise BadFault(f"{name}: {value!r} is not between {least:g} and {most:g}")
    return settings
