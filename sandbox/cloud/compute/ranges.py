# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which IP ranges a subnetwork may have, and which of its addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ...catalogue.places import CLOSED_REGIONS, REGIONS
from ...interfaces import Json
from .refusals import required, wrong

Range = ipaddress.IPv4Network

# https://cloud.google.com/vpc/docs/subnets#ip-ranges: an auto mode network takes a /20 of this per region, which can
# be expanded to a /16; a primary range has four addresses that nobody gets, the first two and the last two.
AUTO_RANGE = ipaddress.IPv4Network("10.128.0.0/9")
AUTO_LARGEST = 16
LARGEST, SMALLEST = 4, 29  # prefix lengths
KEPT = 2  # at either end
# https://cloud.google.com/load-balancing/docs/proxy-only-subnets: 64 addresses at least.
SMALLEST_OF_PROXIES = 26
# https://cloud.google.com/vpc/docs/subnets#restricted-ranges, but for 127.0.0.0/8: the sandbox's machines and load
# balancers have their addresses there.
PROHIBITED = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "199.36.153.4/30",
        "199.36.153.8/30",
        "224.0.0.0/4",
        "255.255.255.255/32",
    )
]


def parse(field: str, text: object) -> Range:
    """The IPv4 range that a field holds. Raises Refusal 400."""
    if text in (None, ""):
        raise required(field)
    try:
        return ipaddress.IPv4Network(str(text))
    except ValueError as error:
        raise wrong(field, text, "Must be a CIDR address range without host bits.") from error


def of(subnetwork: Json) -> Iterator[tuple[str, str]]:
    """(field, range) of the primary range and all secondary ones."""
    yield "ipCidrRange", subnetwork.get("ipCidrRange", "")
    for number, secondary in enumerate(subnetwork.get("secondaryIpRanges", [])):
        yield f"secondaryIpRanges[{number}].ipCidrRange", secondary.get("ipCidrRange", "")


def check(subnetwork: Json, others: list[Json], *, auto: bool) -> None:
    """``others``: the subnetworks of the same network; ``auto``: that is an auto mode network. Raises Refusal 400."""
    mine: list[Range] = []
    for field, text in of(subnetwork):
        given = parse(field, text)
        if not LARGEST <= given.prefixlen <= SMALLEST:
            raise wrong(field, text, f"IP range size must be between /{LARGEST} and /{SMALLEST}.")
        if any(given.overlaps(one) for one in PROHIBITED):
            raise wrong(field, text, f"Invalid IPCidrRange: {text} is in a range that is not allowed.")
        if any(given.overlaps(one) for one in mine):
            raise wrong(field, text, _conflict(text, subnetwork))
        if auto and given.overlaps(AUTO_RANGE) and not is_auto(given):
            why = f"Extended subnetworks in auto subnet mode networks cannot overlap with {AUTO_RANGE}."
            raise wrong(field, text, why)
        for other in others:
            if other["id"] != subnetwork["id"] and any(
                given.overlaps(ipaddress.IPv4Network(theirs)) for _unused, theirs in of(other)
            ):
                raise wrong(field, text, _conflict(text, other))
        mine.append(given)


def _conflict(text: str, other: Json) -> str:
    region = other["region"].rpartition("/")[2]
    return f"Invalid IPCidrRange: {text} conflicts with existing subnetwork '{other['name']}' in region '{region}'."


def auto_ranges() -> dict[str, str]:
    """Region -> the range that an auto mode network has there."""
    blocks = AUTO_RANGE.subnets(new_prefix=20)
    regions = (region for region in REGIONS if region not in CLOSED_REGIONS)
    return {region: str(block) for region, block in zip(regions, blocks, strict=False)}


def is_auto(given: Range) -> bool:
    """Whether this is, or has grown out of, the range of an auto mode network in a region."""
    return any(ipaddress.IPv4Network(text).subnet_of(given) for text in auto_ranges().values())


def expanded(subnetwork: Json, wanted: str, *, auto: bool) -> str:
    """The primary range that a subnetwork has after it has grown to this one. Raises Refusal 400."""
    new, old = parse("ipCidrRange", wanted), ipaddress.IPv4Network(subnetwork["ipCidrRange"])
    if new == old or not old.subnet_of(new):
        raise wrong("ipCidrRange", wanted, f"The new range must contain the current one, {old}, and be larger.")
    if auto and new.prefixlen < AUTO_LARGEST:
        raise wrong("ipCidrRange", wanted, f"Subnetworks of auto mode networks grow to /{AUTO_LARGEST} at most.")
    return str(new)


def assignable(subnetwork: Json) -> Iterator[str]:
    """The addresses of the primary range that can be given out."""
    block = ipaddress.IPv4Network(subnetwork["ipCidrRange"])
    return (str(block[number]) for number in range(KEPT, block.num_addresses - KEPT))
