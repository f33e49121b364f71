# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Whether a network's firewall rules let a load balancer reach the model servers. No I/O.

Rules are compute v1's ``firewalls``, as the API answers them. Those for certain targets only count as for
all: who wrote such a rule for the model servers must not be told that it is missing.
"""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Iterable, Sequence

Json = dict[str, t.Any]

# Google's health checkers (https://cloud.google.com/load-balancing/docs/health-check-concepts).
HEALTH_CHECKERS = ("130.211.0.0/22", "35.191.0.0/16")


def refused(rules: Sequence[Json], sources: Iterable[str], port: int) -> list[str]:
    """A sentence for each of these ranges that cannot reach TCP ``port``."""
    return [why for source in sources if (why := _why_refused(rules, source, port))]


def _why_refused(rules: Sequence[Json], source: str, port: int) -> str:
    # The lowest priority decides, and at the same priority what denies.
    for rule in sorted(rules, key=lambda rule: (int(rule.get("priority", 1000)), not rule.get("denied"))):
        if rule.get("disabled") or rule.get("direction", "INGRESS") != "INGRESS":
            continue
        if rule.get("denied"):
            if _meets(rule, source, whole=False) and _names(rule["denied"], port):
                return f"firewall rule {rule['name']} denies {source} on port {port}"
        elif _meets(rule, source, whole=True) and _names(rule.get("allowed") or [], port):
            return ""
    return f"no firewall rule admits {source} to port {port}"


def _meets(rule: Json, source: str, *, whole: bool) -> bool:
    """Whether the rule is about all of ``source``, or else about a part of it."""
    ranges = rule.get("sourceRanges") or []
    if not ranges and not rule.get("sourceTags") and not rule.get("sourceServiceAccounts"):
        return True  # from everywhere
    wanted = ipaddress.IPv4Network(source)
    found = [ipaddress.IPv4Network(item, strict=False) for item in ranges if ":" not in item]
    return any(wanted.subnet_of(one) if whole else wanted.overlaps(one) for one in found)


def _names(entries: Sequence[Json], port: int) -> bool:
    for entry in entries:
        if str(entry["IPProtocol"]).lower() in ("all", "tcp", "6") and _has(entry.get("ports") or ["0-65535"], port):
            return True
    return False


def _has(ports: Sequence[str], port: int) -> bool:
    for text in ports:
        first, _dash, last = str(text).partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False
