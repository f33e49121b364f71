# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What an inventory says, as plain data: one Region per host, and what was found wrong with it."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping

Json = dict[str, t.Any]
Path = tuple[t.Any, ...]  # keys of dictionaries and numbers of items

LONGEST = 100  # characters of a value that a message quotes


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``region``: the host, or "" for the estate as a whole.

    ``option`` is the variable, with the way into it (``cluster_node_pools[0].config.machine_type``); ``where`` the file
    and line, or the host when nobody knows. Read aloud: option, given, wrong, wanted.
    """

    region: str
    option: str
    given: str
    wrong: str
    wanted: str
    where: str = ""
    # How far from what somebody wrote down: 0 written, 1 made of other variables, 2 derived by roles and playbooks.
    distance: int = 0

    def __str__(self) -> str:
        subject = f"{self.region}: {self.option}" if self.region else self.option
        place = f" [{self.where}]" if self.where and self.where != self.region else ""
        return f"{subject}: {f'{self.given} {self.wrong}'.strip()}; {self.wanted}{place}"


@dataclasses.dataclass(frozen=True)
class Region:
    """A host of the group of regions.

    ``values``: every option that has a value, templated; ``stated``: those that the inventory or the command line
    states, so neither role defaults nor what a play derives; ``composed``: those that are templates; ``broken``:
    option -> why it has no value; ``places``: where a value stands; ``secret``: options whose values no message shows.
    """

    host: str
    values: Mapping[str, t.Any]
    stated: frozenset[str] = frozenset()
    composed: frozenset[str] = frozenset()
    broken: Mapping[str, str] = dataclasses.field(default_factory=dict)
    places: Mapping[Path, str] = dataclasses.field(default_factory=dict)
    secret: frozenset[str] = frozenset()

    def get(self, option: str) -> t.Any:
        """The value, or None when it has none that could be used."""
        return self.values.get(option)

    def text(self, option: str) -> str:
        value = self.values.get(option)
        return value if isinstance(value, str) else ""

    def problem(self, path: str | Path, wrong: str, wanted: str, **given: t.Any) -> Problem:
        """``path``: the option, or the way into it; ``given`` when it is another value than what stands there."""
        way = (path,) if isinstance(path, str) else path
        option = str(way[0])
        value = given["given"] if "given" in given else _at(self.values, way)
        return Problem(
            region=self.host,
            option=spelled(way),
            given="" if option in self.secret or value is None else shown(value),
            wrong=wrong,
            wanted=wanted,
            where=self._place(way),
            distance=2 if option not in self.stated else int(option in self.composed),
        )

    def _place(self, way: Path) -> str:
        """Of the value, or of the nearest thing around it."""
        return next((self.places[way[:end]] for end in range(len(way), 0, -1) if way[:end] in self.places), self.host)


@dataclasses.dataclass(frozen=True)
class Option:
    """A variable of a role: its argument spec, and whether the role has a default for it."""

    role: str
    spec: Json
    has_default: bool = False
    default: t.Any = None


@dataclasses.dataclass(frozen=True)
class Estate:
    """The whole inventory.

    ``options``: every known variable; ``roles``: those that will run, so that their required variables must be there;
    ``told``: what the play says itself; ``working``: the hosts that this run works on (``--limit``); ``zones``: zone ->
    machine types or their prefixes that Google sells there beyond the catalogue; ``loopback``: whether the cloud is an
    emulation on this machine.
    """

    regions: tuple[Region, ...]
    config_regions: tuple[str, ...]
    options: Mapping[str, Option]
    roles: frozenset[str]
    working: frozenset[str]
    forks: int
    zones: Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)
    loopback: bool = False
    told: frozenset[str] = frozenset()
    group: str = "regions"
    config_group: str = "config_region"

    def uses(self, *roles: str) -> bool:
        return self.roles.issuperset(roles)


def spelled(path: Path) -> str:
    """("pools", 0, "name") -> "pools[0].name"."""
    head, *rest = path
    return str(head) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


def shown(value: t.Any) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def listed(items: Iterable[t.Any], last: str = "and") -> str:
    """Words as a sentence has them: "a, b and c"."""
    *most, end = [str(item) for item in items] or ["nothing"]
    return f"{', '.join(most)} {last} {end}" if most else end


def _at(values: t.Any, way: Path) -> t.Any:
    for part in way:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values
