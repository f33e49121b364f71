# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What a drill is asked to do, whether that makes sense, and what follows from it. Nothing here looks at an estate."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from .._errors import InvalidOption
from .watch import LAG


@dataclasses.dataclass(frozen=True)
class Region:
    """A region of the service: its model servers' cluster, and the address that its clients ask."""

    region: str
    cluster: str
    location: str
    address_name: str

    def path(self) -> str:
        """The cluster within its project."""
        return f"{self.location}/{self.cluster}"


@dataclasses.dataclass(frozen=True)
class Options:
    """A drill as its user states it, in the right types. Seconds, requests per second, percent.

    ``hosts`` are those that this very drill is played on.
    """

    regions: Sequence[Region]
    primary: str
    hosts: Sequence[str]
    model: str
    namespace: str
    deployment: str
    gateway_port: int
    rate: float
    max_tokens: int
    request_timeout: float
    stable: float
    hold: float
    recovery_timeout: float
    restore_timeout: float
    objective_recovery_seconds: float | None
    objective_lost_percent: float | None
    objective_latency_p95_seconds: float | None

    @classmethod
    def of(cls, params: Mapping[str, t.Any]) -> Options:
        """From a module's options of the same names."""
        names = [field.name for field in dataclasses.fields(cls)]
        known = [field.name for field in dataclasses.fields(Region)]
        regions = [Region(**{name: item[name] for name in known}) for item in params["regions"]]
        return cls(**{**{name: params[name] for name in names}, "regions": regions})

    def names(self) -> list[str]:
        return [region.region for region in self.regions]

    def victim(self) -> Region:
        return next(region for region in self.regions if region.region == self.primary)

    def survivors(self) -> list[str]:
        return [name for name in self.names() if name != self.primary]

    def everyone_at_home(self) -> dict[str, list[str]]:
        """Per region's clients, who has to serve them in the steady state."""
        return {name: [name] for name in self.names()}

    def everyone_at_survivors(self) -> dict[str, list[str]]:
        return {name: self.survivors() for name in self.names()}

    def longest(self) -> int:
        """Seconds after which no drill can still be at work: the load ends then, whatever became of the others."""
        waits = 2 * self.recovery_timeout + self.hold + 2 * self.restore_timeout
        return math.ceil(waits + 2 * self.request_timeout)


class Rule(t.NamedTuple):
    """What a number must be, and how that is said."""

    holds: Callable[[float], bool]
    wanted: str


ABOVE_ZERO = Rule(lambda value: value > 0, "give a number above 0")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "give 0 or more")
SHARE = Rule(lambda value: 0 <= value <= 1, "give a number from 0 to 1")
TOKENS = Rule(lambda value: value >= 1, "give 1 or more")
PORT = Rule(lambda value: 1 <= value <= 65535, "give a port, 1 to 65535")

# By the options' names in all modules of the drill.
RULES: Mapping[str, Rule] = {
    "duration": ABOVE_ZERO,
    "gateway_port": PORT,
    "hold": NOT_NEGATIVE,
    "latency_p95_seconds": NOT_NEGATIVE,
    "lost_percent": NOT_NEGATIVE,
    "max_tokens": TOKENS,
    "objective_latency_p95_seconds": NOT_NEGATIVE,
    "objective_lost_percent": NOT_NEGATIVE,
    "objective_recovery_seconds": NOT_NEGATIVE,
    "rate": ABOVE_ZERO,
    "recovery_seconds": NOT_NEGATIVE,
    "recovery_timeout": ABOVE_ZERO,
    "request_timeout": ABOVE_ZERO,
    "restore_timeout": ABOVE_ZERO,
    "share": SHARE,
    "stable": ABOVE_ZERO,
    "timeout": NOT_NEGATIVE,
}

# Kubernetes' names of namespaces (RFC 1123 label) and of Deployments (RFC 1123 subdomain).
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def numbers(params: Mapping[str, t.Any], *names: str) -> list[InvalidOption]:
    """Those of the named options that break their rule; what was not stated breaks none."""
    given = {name: params[name] for name in names if params[name] is not None}
    return [
        InvalidOption(name, value, RULES[name].wanted)
        for name, value in given.items()
        if not (math.isfinite(value) and RULES[name].holds(value))
    ]


def insist(params: Mapping[str, t.Any], *names: str) -> None:
    """Raises the first of the problems with these numbers."""
    for problem in numbers(params, *names):
        raise problem


def problems(options: Options) -> list[InvalidOption]:
    """Everything that is wrong with the options, before anything is looked at or started."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    found = numbers(given, *(name for name in given if name in RULES))
    broken = {problem.details["option"] for problem in found}
    return [*found, *_places(options), *_texts(options), *_times(options, broken)]


def _places(options: Options) -> Iterable[InvalidOption]:
    names = options.names()
    if len(options.hosts) > 1:
        hosts = ", ".join(options.hosts)
        yield InvalidOption(
            "hosts", hosts, "give one host that plays the drill, or several would break regions at once"
        )
    if len(names) < 2 or options.primary not in names:
        known = ", ".join(names) or "none"
        yield InvalidOption("primary", options.primary, f"name one of at least two regions ({known})")
    for option, values in (
        ("region", names),
        ("cluster", [region.path() for region in options.regions]),
    ):
        for value, count in Counter(values).items():
            if count > 1:
                yield InvalidOption(f"regions[].{option}", value, f"give every region its own: {count} have this")
    for number, region in enumerate(options.regions):
        for name, value in dataclasses.asdict(region).items():
            if not value:
                yield InvalidOption(f"regions[{number}].{name}", value, "give it a value")


def _texts(options: Options) -> Iterable[InvalidOption]:
    if not options.model.strip():
        yield InvalidOption("model", options.model, "give the name of the served model")
    if not _LABEL.fullmatch(options.namespace):
        yield InvalidOption("namespace", options.namespace, "give the name of a Kubernetes namespace")
    if not _SUBDOMAIN.fullmatch(options.deployment):
        yield InvalidOption("deployment", options.deployment, "give the name of a Kubernetes Deployment")


def _times(options: Options, broken: set[str]) -> Iterable[InvalidOption]:
    """Numbers that are right by themselves and wrong together."""
    if broken & {"stable", "rate", "recovery_timeout", "restore_timeout"}:
        return
    for name in ("recovery_timeout", "restore_timeout"):
        if getattr(options, name) <= options.stable + LAG:
            wanted = f"give more than the {options.stable:g} s of stable and the {LAG:g} s until answers are in"
            yield InvalidOption(name, getattr(options, name), wanted)
    if options.rate * options.stable < 1:
        yield InvalidOption("rate", options.rate, f"give at least one request in the {options.stable:g} s of stable")
