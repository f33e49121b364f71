# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a VPC network's firewall lets a load balancer reach Pods."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Collection, Iterable, Sequence

from sandbox.interfaces import Json

# Where Google's health checks come from.
HEALTH_CHECK_RANGES = ("130.211.0.0/22", "35.191.0.0/16")

_ANY = "0.0.0.0/0"


def admits(rules: Sequence[Json], source: str, port: int, tags: Collection[str] = ()) -> bool:
    """Whether TCP from all of ``source`` to ``port`` of instances with these network tags comes in.

    The rule of the lowest priority number decides, a denial before an admission of the same; a denial of a part
    of the range is a denial here. Without a rule nothing comes in (Google's implied rule).
    """
    network = ipaddress.IPv4Network(source)

    def order(rule: Json) -> tuple[int, bool]:
        return int(rule.get("priority", 1000)), not rule.get("denied")

    for rule in sorted(rules, key=order):
        if rule.get("disabled") or rule.get("direction", "INGRESS") != "INGRESS":
            continue
        targets = rule.get("targetTags") or []
        if rule.get("targetServiceAccounts") or (targets and not set(targets) & set(tags)):
            continue
        sources = [ipaddress.IPv4Network(text) for text in _sources(rule)]
        if rule.get("denied"):
            if any(network.overlaps(item) for item in sources) and _covers(rule["denied"], port):
                return False
        elif any(network.subnet_of(item) for item in sources) and _covers(rule.get("allowed") or [], port):
            return True
    return False


def _sources(rule: Json) -> Iterable[str]:
    listed: list[str] = rule.get("sourceRanges") or []
    if not listed and (rule.get("sourceTags") or rule.get("sourceServiceAccounts")):
        return ()
    return [text for text in listed or [_ANY] if ":" not in text]


def _covers(protocols: Sequence[Json], port: int) -> bool:
    return any(
        str(item.get("IPProtocol", "")).lower() in ("tcp", "6", "all") and _in(item.get("ports"), port)
        for item in protocols
    )


def _in(ports: t.Sequence[str] | None, port: int) -> bool:
    if not ports:
        return True
    for text in ports:
        first, _unused, last = str(text).partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False
