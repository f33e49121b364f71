# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The verdict on a whole inventory: every problem of every region, before anything is made and without a cloud."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from . import arguments, credentials, drill, limits, model, names, pools, ranges, regions
from .estate import Estate, Path, Problem, Region, listed

# Rules of one region by itself, and rules of all together.
ALONE = (names.judge, regions.judge, ranges.judge, pools.judge, limits.judge, drill.judge, credentials.judge)
TOGETHER = (regions.judge_all, ranges.judge_all)

# Handed to modules as they are, where nothing means "not stated".
NULLABLE = ("cluster_min_version", "cluster_labels", "network_mtu")
# Characters of a value by which it is known again in another that is made of it.
TELLING = 3


def judge(estate: Estate) -> list[Problem]:
    """All problems: those of the estate as a whole first, then region by region in the inventory's order."""
    found: list[Problem] = []
    readable: list[Region] = []
    for region in estate.regions:
        region, problems = _readable(region, estate)
        readable.append(region)
        found += problems
    estate = dataclasses.replace(estate, regions=tuple(readable))
    found += _unreadable(estate)
    for together in TOGETHER:
        found += together(estate)
    for region in estate.regions:
        for alone in ALONE:
            found += alone(region, estate)
        # Whether model servers fit can only be said of pools that are right.
        if not any(problem.region == region.host and problem.option.startswith(pools.OPTION) for problem in found):
            found += model.judge(region, estate)
    return _merged(_without_echoes(found), estate)


def ours(problems: Iterable[Problem], estate: Estate) -> tuple[list[Problem], list[Problem]]:
    """(those of what this run works on, those of regions that --limit leaves out)."""
    idle = {region.host for region in estate.regions} - estate.working
    left_out = [problem for problem in problems if problem.region and idle.issuperset(problem.region.split(", "))]
    return [problem for problem in problems if problem not in left_out], left_out


def verdict(problems: list[Problem]) -> str:
    """The list as people read it."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"The inventory has {count}, and nothing was changed:", *(f"- {found}" for found in problems)])


def needed(estate: Estate) -> str:
    """What an inventory without regions must have, as people read it."""
    required = [
        name
        for name, option in estate.options.items()
        if option.role in estate.roles and option.spec.get("required") and not option.has_default
        if name not in estate.told
    ]
    return (
        f"The inventory has no host in group {estate.group}, so there is nothing to do. It needs group {estate.group} "
        f"with one host per Google Cloud region, named after it; group {estate.config_group} with the one of them "
        f"whose cluster holds the Gateway; gcp_project; and for every region {listed(required)}, and zone unless its "
        "cluster is regional. inventories/example of the collection is one to copy."
    )


def _readable(region: Region, estate: Estate) -> tuple[Region, list[Problem]]:
    """The region with its values as their types have them, and what could not be read."""
    values, found = dict(region.values), []
    for name, option in estate.options.items():
        if name in region.broken:
            continue
        if name not in values:
            if option.spec.get("required") and option.role in estate.roles:
                wanted = f"give {arguments.describe(option.spec)}: {_told(option.spec)}"
                found.append(dataclasses.replace(region.problem(name, "is missing", wanted), distance=0))
            continue
        given = values.pop(name)
        if given is None and option.default is None and option.has_default:
            continue
        if given is None and not option.spec.get("required") and name in NULLABLE:
            continue
        if given is None:
            found.append(region.problem(name, "is empty", "give a value, or leave it out to have the role's default"))
            continue
        converted, faults = arguments.check(given, option.spec, (name,))
        found += [_problem(region, fault.path, fault) for fault in faults]
        if converted is not None:
            values[name] = converted
    found += _misspelt(region, estate)
    return dataclasses.replace(region, values=values), found


def _problem(region: Region, path: Path, fault: arguments.Fault) -> Problem:
    return region.problem(path, fault.wrong, fault.wanted, given=fault.given)


def _told(spec: dict[str, object]) -> str:
    """The first sentence of an option's description."""
    text = spec.get("description") or ""
    first = text if isinstance(text, str) else str(text[0]) if isinstance(text, list) and text else ""
    return first.rstrip(".")


def _misspelt(region: Region, estate: Estate) -> Iterator[Problem]:
    """A variable that looks like one of a role and is none: the role would silently take its default."""
    known = {name: option for name, option in estate.options.items() if option.role in estate.roles}
    for name in sorted(region.stated - estate.options.keys()):
        meant = arguments.near(name, known)
        if meant and meant not in region.stated and _close(name, meant) and known[meant].has_default:
            yield region.problem(
                name, "is no variable of a role", f"did you mean {meant}? Otherwise call it differently"
            )


def _close(name: str, meant: str) -> bool:
    """One letter more, fewer, other or swapped."""
    if sorted(name) == sorted(meant):
        return True
    short, long = sorted((name, meant), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((index for index, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[start:] == long[start + 1 :] or short[start + 1 :] == long[start + 1 :]


def _unreadable(estate: Estate) -> Iterator[Problem]:
    """One problem for each thing that keeps variables from having a value, however many need it."""
    told: set[str] = set()
    configured = len(estate.config_regions) == 1 and estate.config_regions[0] in [r.host for r in estate.regions]
    for stated in (True, False):
        for region in estate.regions:
            causes: dict[str, list[str]] = {}
            for option, why in region.broken.items():
                # What the play derives from the config region fails with it.
                if (option in region.stated) is stated and (configured or option not in estate.told):
                    causes.setdefault(why, []).append(option)
            for why, options in causes.items():
                if stated or why not in told:
                    yield _without_value(region, why, options, estate)
                told.add(why)


def _without_value(region: Region, why: str, options: list[str], estate: Estate) -> Problem:
    undefined = re.fullmatch(r"'(\w+)' is undefined", why)
    if undefined and undefined[1] in estate.options:
        problem = region.problem(undefined[1], "is missing", f"set it, for {listed(options)}", given=None)
    else:
        also = f" (nor have {listed(options[1:])})" if options[1:] else ""
        problem = region.problem(options[0], f"has no value{also}", why, given=None)
    return dataclasses.replace(problem, distance=0)


def _without_echoes(found: list[Problem]) -> list[Problem]:
    """What is only made of a value that is wrong already is no problem of its own."""
    return [problem for problem in found if not any(_echoes(problem, other) for other in found)]


def _echoes(problem: Problem, other: Problem) -> bool:
    if problem.distance <= other.distance or not other.given:
        return False
    text = other.given.strip("'")
    return problem.given == other.given or (len(text) >= TELLING and text in problem.given)


def _merged(found: list[Problem], estate: Estate) -> list[Problem]:
    """The same problem of several regions once; of all of them, as one of the estate."""
    order = {region.host: number for number, region in enumerate(estate.regions, start=1)}
    alike: dict[tuple[str, ...], list[Problem]] = {}
    for problem in found:
        key = (problem.option, problem.given, problem.wrong, problem.wanted, "" if problem.region else "-")
        same = alike.setdefault(key, [])
        if problem.region not in [other.region for other in same]:
            same.append(problem)
    merged = []
    for same in alike.values():
        hosts = sorted((problem.region for problem in same), key=lambda host: order.get(host, 0))
        everywhere = len(hosts) == len(order) > 1
        places = sorted({problem.where for problem in same if problem.where not in order})
        where = ", ".join(places) if places else "" if everywhere or len(hosts) > 1 else same[0].where
        region = "" if everywhere else ", ".join(hosts)
        merged.append(
            (order.get(hosts[0], 0) if region else 0, dataclasses.replace(same[0], region=region, where=where))
        )
    return [problem for _rank, problem in sorted(merged, key=lambda item: item[0])]


def as_result(problem: Problem) -> dict[str, str]:
    """A problem as a task returns it."""
    return {key: value for key, value in dataclasses.asdict(problem).items() if key != "distance"}
