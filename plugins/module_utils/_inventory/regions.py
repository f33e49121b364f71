# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The regions as a whole: which there are, where they lie, what they share and what each must have for itself."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator

from . import catalogue
from .arguments import near
from .estate import Estate, Problem, Region, listed, shown

# Where an estate names what is newer than the catalogue.
REMEDY = "if Google has it by now, say so in catalogue_zones ({zone: [machine types]})"

# What every region must say alike, by the role that makes it once for all of them.
SHARED: dict[str, tuple[str, ...]] = {
    "network": ("gcp_project", "network_project", "network_name", "network_mtu", "network_serving_port"),
    "model": ("model_bucket", "model_bucket_location", "model_service_account"),
    "fleet": ("fleet_location", "fleet_config_membership"),
    # One gateway sends the same requests to all of them.
    "gateway": (
        "model_name",
        "model_namespace",
        "model_port",
        "model_repository",
        "model_revision",
        "gateway_name",
        "gateway_namespace",
        "gateway_model",
        "gateway_model_port",
        "gateway_port",
    ),
}
# Roles that ask which region holds the Gateway.
CONFIGURED = frozenset({"fleet", "gateway", "failover"})
# What two regions cannot both have: the options that together name one thing.
DISTINCT = (
    (("network_project", "network_name", "network_region"), "network_region", "proxy-only subnet and gateway address"),
    (("cluster_project", "cluster_location", "cluster_name"), "cluster_name", "cluster"),
    (("fleet_project", "fleet_location", "fleet_membership"), "fleet_membership", "membership of the fleet"),
    (("network_project", "network_region", "network_subnet_name"), "network_subnet_name", "subnet"),
    (("network_project", "network_region", "network_vip_name"), "network_vip_name", "address"),
)


def judge_all(estate: Estate) -> Iterator[Problem]:
    yield from _config(estate)
    yield from _forks(estate)
    yield from _shared(estate)
    yield from _distinct(estate)
    yield from _told(estate)
    yield from _downloads(estate)


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    """Where one region lies."""
    yield from _place(region, estate)
    yield from _location(region, estate)
    yield from _bucket_location(region, estate)


def _config(estate: Estate) -> Iterator[Problem]:
    hosts = estate.config_regions
    if not estate.roles & CONFIGURED:
        return
    if len(hosts) != 1:
        yield Problem(
            region="",
            option=f"group {estate.config_group}",
            given=f"({', '.join(hosts)})" if hosts else "",
            wrong=f"has {len(hosts)} hosts" if hosts else "is empty or missing",
            wanted="name exactly one region: the one whose cluster holds the Gateway and its routes",
        )
    known = [region.host for region in estate.regions]
    for host in hosts:
        if host not in known:
            yield Problem(
                region="",
                option=f"group {estate.config_group}",
                given=shown(host),
                wrong=f"is not in group {estate.group}",
                wanted=f"name one of {', '.join(known)}",
            )


def _forks(estate: Estate) -> Iterator[Problem]:
    if (wanted := len(estate.working)) > estate.forks:
        yield Problem(
            region="",
            option="forks",
            given=str(estate.forks),
            wrong=f"is less than the {wanted} regions, so that they would wait for each other",
            wanted=f"give at least {wanted}: --forks {wanted}, or forks in ansible.cfg",
            where="ansible.cfg",
        )


def _shared(estate: Estate) -> Iterator[Problem]:
    differing: list[str] = []
    for option in (option for role, options in SHARED.items() if estate.uses(role) for option in options):
        said: dict[str, list[Region]] = {}
        for region in estate.regions:
            if (value := region.get(option)) is not None:
                said.setdefault(shown(value), []).append(region)
        if len(said) < 2 or _made_of(option, differing, estate):
            continue
        differing.append(option)
        told = "; ".join(f"{value} in {listed(region.host for region in who)}" for value, who in said.items())
        if any(option in region.stated for region in estate.regions):
            yield Problem(
                region="",
                option=option,
                given=told,
                wrong="is not the same in every region",
                wanted="give one value for all: it is made once, and every region uses it",
                where=", ".join(sorted({who[0].problem(option, "", "").where for who in said.values()})),
            )


def _made_of(option: str, others: t.Iterable[str], estate: Estate) -> bool:
    """Whether its values differ only because those of another do."""
    return any(all(str(region.get(other)) in str(region.get(option)) for region in estate.regions) for other in others)


def _distinct(estate: Estate) -> Iterator[Problem]:
    blamed: set[str] = set()
    for options, named, what in DISTINCT:
        if not estate.uses(named.partition("_")[0]):
            continue
        owners: dict[tuple[t.Any, ...], Region] = {}
        for region in estate.regions:
            key = tuple(region.get(option) for option in options)
            if None in key or region.host in blamed:
                continue
            first = owners.setdefault(key, region)
            if first is not region:
                blamed.add(region.host)
                problem = region.problem(named, "is the same in both", f"give every region a {what} of its own")
                yield dataclasses.replace(problem, region=f"{first.host}, {region.host}")


def _told(estate: Estate) -> Iterator[Problem]:
    """Lists that name every region: of its address for the gateway, of its cluster for the drill."""
    for region in estate.regions:
        addresses = region.get("gateway_addresses")
        mine = {"region": region.get("gateway_region"), "name": region.get("gateway_vip_name")}
        complete = isinstance(addresses, list) and all(item and mine.keys() == item.keys() for item in addresses)
        if complete and None not in mine.values() and mine not in addresses:
            yield region.problem(
                "gateway_addresses", f"has no entry {mine}", "list every region with its network_vip_name"
            )
        memberships, member = region.get("fleet_memberships"), region.get("fleet_membership")
        if isinstance(memberships, list) and member and member not in memberships and region.host in estate.working:
            yield region.problem("fleet_memberships", f"leaves out {member}", "list the memberships of all regions")
        known = [other.get("fleet_membership") for other in estate.regions]
        chosen = region.get("fleet_config_membership")
        if isinstance(chosen, str) and chosen not in known and None not in known:
            yield region.problem(
                "fleet_config_membership", "is no region's fleet_membership", f"name one of {', '.join(known)}"
            )


def _downloads(estate: Estate) -> Iterator[Problem]:
    working = [region for region in estate.regions if region.host in estate.working]
    loading = [region for region in working if region.get("model_download") is True]
    for option in ("model_bucket", "model_repository", "model_revision"):
        if len({shown(region.get(option)) for region in loading}) > 1:
            return
    if len(loading) > 1 and estate.uses("model"):
        yield Problem(
            region="",
            option="model_download",
            given=f"True in {listed(region.host for region in loading)}",
            wrong="lets several regions write the same weights",
            wanted="let one region do it",
            where=loading[-1].problem("model_download", "", "").where,
        )


def _place(region: Region, estate: Estate) -> Iterator[Problem]:
    place, known = region.text("network_region"), catalogue.regions(estate.zones)
    if place and place not in known:
        option = "region" if region.get("region") == place else "network_region"
        meant = near(place, known)
        yield region.problem(option, "is no region of Google that is known", f"{_hint(meant)}{REMEDY}", given=place)
    for option in ("cluster_region", "model_region", "gateway_region"):
        if place and (other := region.text(option)) and other != place:
            yield region.problem(option, f"is not network_region {place}", "give each host one region")


def _location(region: Region, estate: Estate) -> Iterator[Problem]:
    location, place = region.text("cluster_location"), region.text("network_region") or region.text("cluster_region")
    option = "zone" if region.get("zone") == location else "cluster_location"
    if not location or place not in catalogue.regions(estate.zones):
        return
    if catalogue.region_of(location) != place:
        zones = catalogue.zones(place, estate.zones)
        yield region.problem(
            option, f"is not in {place}", f"give one of {', '.join(zones)}; or {place} for a regional cluster"
        )
    elif catalogue.is_zone(location):
        yield from zone_problems(region, (option,), location, place, estate)


def zone_problems(
    region: Region, path: tuple[str | int, ...], zone: str, place: str, estate: Estate
) -> Iterator[Problem]:
    """A zone that the region has not."""
    known = catalogue.zones(place, estate.zones)
    if zone not in known:
        yield region.problem(path, f"is no zone of {place} that is known", f"give one of {', '.join(known)}; {REMEDY}")


def _bucket_location(region: Region, estate: Estate) -> Iterator[Problem]:
    location = region.text("model_bucket_location")
    known = {*catalogue.BUCKET_LOCATIONS, *(name.upper() for name in catalogue.regions(estate.zones))}
    if location and location.upper() not in known:
        meant = near(location.upper(), known)
        yield region.problem(
            "model_bucket_location",
            "is no location of buckets",
            f"{_hint(meant)}give a multi-region ({', '.join(catalogue.BUCKET_LOCATIONS)}) or a region",
        )


def _hint(meant: str | None) -> str:
    return f"did you mean {meant}? " if meant else ""
