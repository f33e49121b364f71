# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""IPv4 ranges: that they are some, that Google lets a subnet have them, and that no two of a network overlap."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
from collections.abc import Iterator

from .estate import Estate, Problem, Region

Net = ipaddress.IPv4Network

# https://cloud.google.com/vpc/docs/subnets#prohibited-ranges, and the range that GKE takes Services from by itself
# (https://cloud.google.com/kubernetes-engine/docs/concepts/alias-ips#cluster_sizing_secondary_range_svcs).
RESERVED = (
    ("0.0.0.0/8", "this network"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("199.36.153.4/30", "restricted.googleapis.com"),
    ("199.36.153.8/30", "private.googleapis.com"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("130.211.0.0/22", "Google's health checkers"),
    ("35.191.0.0/16", "Google's health checkers"),
    ("34.118.224.0/20", "GKE's Services"),
)
LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")

# A subnet has /29 at least, of which Google keeps four addresses; the gateway's address comes out of it too.
SMALLEST = 29
KEPT = 4
# https://cloud.google.com/load-balancing/docs/proxy-only-subnets: 64 addresses at least, /23 recommended.
SMALLEST_PROXY = 26
PROXY_ADVICE = f"at least /{SMALLEST_PROXY} (/23 recommended)"
LARGEST = 8

OPTIONS = {"network_node_cidr": SMALLEST, "network_proxy_only_cidr": SMALLEST_PROXY}


def parse(text: object) -> Net | None:
    """The range, or None when it is none. Host bits are a mistake, a bare address is no range."""
    try:
        return ipaddress.IPv4Network(text) if isinstance(text, str) and "/" in text else None
    except ValueError:
        return None


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    """Ranges of one region by themselves."""
    for option, smallest in OPTIONS.items():
        given = region.get(option)
        if given is None:
            continue
        net = parse(given)
        if net is None:
            yield region.problem(option, "is no IPv4 range", _meant(given) or "give one such as 10.0.1.0/24")
            continue
        for reserved, whose in RESERVED:
            if net.overlaps(Net(reserved)) and not (estate.loopback and Net(reserved) == LOOPBACK):
                yield region.problem(option, f"overlaps {reserved}, which is kept for {whose}", "give another range")
                break
        if not LARGEST <= net.prefixlen <= smallest:
            small = PROXY_ADVICE if smallest == SMALLEST_PROXY else f"at least /{smallest}"
            wrong, wanted = ("large", f"at most /{LARGEST}") if net.prefixlen < LARGEST else ("small", small)
            yield region.problem(option, f"is too {wrong}", f"give {wanted}")
    for index, item in enumerate(region.get("network_health_check_ranges") or []):
        if parse(item) is None:
            yield region.problem(
                ("network_health_check_ranges", index),
                "is no IPv4 range",
                _meant(item) or "give one such as 35.191.0.0/16",
            )


def room(region: Region) -> int | None:
    """How many nodes fit into the node subnet beside the gateway's address."""
    net = parse(region.get("network_node_cidr"))
    return None if net is None or net.prefixlen > SMALLEST else net.num_addresses - KEPT - 1


def judge_all(estate: Estate) -> Iterator[Problem]:
    """Ranges of all regions with each other; of regions or within one."""
    found = [
        (region, option, net)
        for region in estate.regions
        for option in OPTIONS
        if (net := parse(region.get(option))) is not None
    ]
    for first, second in itertools.combinations(found, 2):
        if not first[2].overlaps(second[2]) or first[0].get("network_name") != second[0].get("network_name"):
            continue
        (other, its, net), (region, option, _mine) = first, second
        size = f", {PROXY_ADVICE}" if OPTIONS[option] == SMALLEST_PROXY else ""
        wrong = f"overlaps {its} {net} of {other.host}"
        problem = region.problem(option, wrong, f"give it a range of its own{size}")
        # Nobody knows which of two is the wrong one, so both regions are named.
        yield (
            problem
            if other is region
            else dataclasses.replace(problem, region=f"{other.host}, {region.host}", wrong=f"in {region.host} {wrong}")
        )


def _meant(text: object) -> str | None:
    try:
        meant = ipaddress.IPv4Network(str(text), strict=False)
    except ValueError:
        return None
    return f"give {meant} without host bits" if "/" in str(text) else None
