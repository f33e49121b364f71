# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures on request: what a user asks to go wrong, for which calls, how often and for how long.

Here is only the book of them. Each part of the sandbox asks it at the place where Google's own would break:
the APIs (interference.py) and the operations of the cloud. A fault that nobody asked for never happens.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
import itertools
import random
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping

from .interfaces import Json


class BadFault(Exception):
    """A fault that cannot be made; the message names the setting and what would be right."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way in which things break. ``settings``: name -> default, which also gives the type."""

    text: str
    settings: Mapping[str, str | int | float | bool] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "error": Kind(
        "the API answers an error and does nothing; retry_after in seconds, 0 for no such header",
        {"code": 503, "retry_after": 0},
    ),
    "reset": Kind(
        "the connection breaks without an answer, before the work was done or after it",
        {"when": "before"},
        {"when": ("before", "after")},
    ),
    "slow": Kind("the API takes its time to answer", {"seconds": 5.0}),
    "operation-slow": Kind("an operation takes longer than usual, by this factor", {"factor": 5.0}),
    "operation-stuck": Kind("an operation goes on without an end until the fault is cleared"),
    "operation-error": Kind(
        "an operation ends in an error",
        {"reason": "internal"},
        {"reason": ("internal", "quota", "permission")},
    ),
    "stockout": Kind(
        "a zone is out of a machine type (machine, any when empty): creating a node pool there ends in "
        "GCE_STOCKOUT after 35 minutes of Google's time, and until then the pool cannot be deleted",
        {"machine": ""},
    ),
}


@dataclasses.dataclass(frozen=True)
class Place:
    """What a fault is asked about, or is restricted to: patterns of fnmatch, "" for any.

    ``service``: compute, container, gkehub, iam, storage, serviceusage, cloudresourcemanager or kubernetes;
    ``method``: the HTTP verb; ``resource``: the path below the service's base, or the target of an operation;
    ``location``: a region (which takes in its zones) or a zone.
    """

    service: str = ""
    method: str = ""
    resource: str = ""
    location: str = ""

    def holds(self, here: Place) -> bool:
        """Whether ``here`` is within this place."""
        plain = all(
            fnmatch.fnmatchcase(getattr(here, name), getattr(self, name) or "*")
            for name in ("service", "method", "resource")
        )
        region_of_it = self.location.count("-") == 1 and here.location.startswith(f"{self.location}-")
        return plain and (self.location in ("", here.location) or region_of_it)


@dataclasses.dataclass
class Fault:
    """One fault. ``times``: for how many calls (None: for all); ``until``: on the monotonic clock;
    ``share``: of the calls that it could hit, decided by ``dice`` so that the same seed gives the same ones."""

    name: str
    kind: str
    place: Place
    settings: Mapping[str, t.Any]
    times: int | None
    until: float | None
    share: float
    dice: random.Random
    seed: int
    hits: int = 0

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

    def add(self, wanted: Json) -> Fault:
        """Make a fault of its JSON: kind, settings, service, method, resource, location, times, seconds, share, seed.

        Raises BadFault.
        """
        fault = self._made(wanted)
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

    def holds(self, kind: str, here: Place) -> Fault | None:
        """The fault of this kind that is in force here, without using it up."""
        return next((fault for fault in self._live() if fault.kind == kind and fault.place.holds(here)), None)

    def strike(self, here: Place, *kinds: str) -> Fault | None:
        """The first fault of these kinds that hits a call here; it is used up by one."""
        for fault in self._live():
            if fault.kind not in kinds or not fault.place.holds(here):
                continue
            if fault.share < 1 and fault.dice.random() >= fault.share:
                continue
            fault.hits += 1
            if fault.times is not None and fault.hits >= fault.times:
                del self._faults[fault.name]
                self._tell()
            return fault
        return None

    async def gone(self, fault: Fault) -> None:
        """Return when the fault is no longer in force."""
        while fault.name in self._faults:
            left = None if fault.until is None else max(0.0, fault.until - self._clock())
            changed = self._changed
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                list(self._live())

    def _live(self) -> Iterator[Fault]:
        now = self._clock()
        for fault in list(self._faults.values()):
            if fault.until is not None and now >= fault.until:
                del self._faults[fault.name]
                self._tell()
            else:
                yield fault

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _made(self, wanted: Json) -> Fault:
        unknown = set(wanted) - {"kind", "settings", "times", "seconds", "share", "seed", *PLACE_FIELDS}
        if unknown:
            raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
        name = str(wanted.get("kind", ""))
        if name not in KINDS:
            raise BadFault(f"kind: {name!r} is none; one of {', '.join(KINDS)}")
        seconds, seed = _number(wanted, "seconds", 0.001), int(_number(wanted, "seed", 0) or 0)
        times, share = _number(wanted, "times", 1), _number(wanted, "share", 0)
        if share is not None and not 0 < share <= 1:
            raise BadFault(f"share: {share} is not between 0 and 1")
        return Fault(
            name=f"{name}-{next(self._numbers)}",
            kind=name,
            place=Place(**{field: str(wanted.get(field) or "") for field in PLACE_FIELDS}),
            settings=_settings(name, wanted.get("settings") or {}),
            times=None if times is None else int(times),
            until=None if seconds is None else self._clock() + seconds,
            share=1.0 if share is None else share,
            dice=random.Random(seed),
            seed=seed,
        )


PLACE_FIELDS = tuple(field.name for field in dataclasses.fields(Place))


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
    return settings
