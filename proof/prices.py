# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run costs, from a price file, before it begins."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Sequence
from pathlib import Path

import yaml

from .options import Options, Refused
from .steps import STEPS

# Minutes that taking everything down may need, during which all of it is still paid.
REMOVAL = 30.0


@dataclasses.dataclass(frozen=True)
class Line:
    """One item: what an hour of all that is needed of it costs."""

    item: str
    number: float
    per_hour: float
    source: str


@dataclasses.dataclass(frozen=True)
class Estimate:
    """``expected`` and ``most``: dollars when all goes well, and when everything is there until the deadline."""

    date: str
    lines: tuple[Line, ...]
    per_hour: float
    expected: float
    most: float


def estimate(options: Options) -> Estimate:
    """Raises Refused for a price file that lacks something, for too little time, and for more money than CAP."""
    document = _read(options.prices)
    minutes = sum(STEPS[name].minutes for name in options.steps)
    if minutes > options.deadline:
        raise Refused("DEADLINE", f"these steps take about {minutes:g} minutes, not {options.deadline:g}")
    factor = max(1.0 if zone.startswith("us-") else document["elsewhere"] for zone in _zones(options))
    lines = tuple(
        Line(item, number, number * factor * document["items"][item]["per_hour"], document["items"][item]["source"])
        for item, number in needed(options.steps).items()
    )
    per_hour = sum(line.per_hour for line in lines)
    expected = per_hour * (minutes + REMOVAL) / 60
    most = per_hour * (options.deadline + REMOVAL) / 60
    if most > options.cap:
        raise Refused(
            "CAP",
            f"these steps cost up to {most:.2f} dollars ({per_hour:.2f} an hour until DEADLINE={options.deadline:g} "
            f"minutes, and {REMOVAL:g} more to take it down), and {options.cap:.2f} may be spent; "
            f"leave steps out, lower DEADLINE, or give CAP={math.ceil(most)}",
        )
    return Estimate(str(document["date"]), lines, per_hour, expected, most)


def needed(steps: Sequence[str]) -> dict[str, float]:
    """How many of each item are there at once at most: what steps make side by side is added up."""
    total: dict[str, float] = {}
    for name in steps:
        for item, number in STEPS[name].costs.items():
            total[item] = total.get(item, 0) + number
    return total


def _zones(options: Options) -> tuple[str, ...]:
    return options.zones if "service" in options.steps else options.zones[:1]


def _read(path: Path) -> dict[str, t.Any]:
    try:
        document: t.Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        for item in {item for step in STEPS.values() for item in step.costs}:
            entry = document["items"][item]
            if not (isinstance(entry["per_hour"], (int, float)) and entry["per_hour"] > 0 and entry["source"]):
                raise ValueError(f"{item} needs per_hour, a number above zero, and its source")
        if not isinstance(document["elsewhere"], (int, float)) or not document["date"]:
            raise ValueError("elsewhere is a factor, date the day of the prices")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Refused("PRICES", f"{path} is no price file like proof/prices.yml: {error}") from error
    return t.cast(dict[str, t.Any], document)
