# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Firewall rules: Google's defaults and refusals. https://cloud.google.com/firewall/docs/firewalls"""

from __future__ import annotations

import ipaddress
import re

from ...interfaces import Json
from ..errors import invalid
from ..store import Project
from .links import lookup
from .refusals import check_name, check_one_of, check_within, required, wrong

LOWEST_PRIORITY = 65535
PROTOCOLS = frozenset({"tcp", "udp", "icmp", "esp", "ah", "sctp", "ipip", "all"})
LARGEST_PROTOCOL = 255  # IANA's numbers
WITH_PORTS = frozenset({"tcp", "udp", "sctp", "6", "17", "132"})
PORTS = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?")
LARGEST_PORT = 65535
SOURCES = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
# Fields that exclude each other: https://cloud.google.com/firewall/docs/firewalls#filter_by_service_account_versus_tag
APART = (
    ("sourceTags", "sourceServiceAccounts"),
    ("targetTags", "targetServiceAccounts"),
    ("sourceTags", "targetServiceAccounts"),
    ("targetTags", "sourceServiceAccounts"),
)


def firewall(project: Project, document: Json, body: Json) -> None:
    document["network"] = lookup(project, document.get("network", "global/networks/default"), "network")["selfLink"]
    direction = document.setdefault("direction", "INGRESS")
    document.setdefault("priority", 1000)
    document.setdefault("disabled", False)
    document.setdefault("logConfig", {"enable": False})
    check_one_of("direction", direction, ("EGRESS", "INGRESS"))
    if bool(document.get("allowed")) == bool(document.get("denied")):
        raise invalid("Exactly one of the fields 'allowed' and 'denied' must be specified.", reason="invalid")
    check_within("priority", int(document["priority"]), 0, LOWEST_PRIORITY)
    _check_ends(document, direction)
    if direction == "INGRESS" and not any(document.get(field) for field in SOURCES):
        document["sourceRanges"] = ["0.0.0.0/0"]
    if direction == "EGRESS" and not document.get("destinationRanges"):
        document["destinationRanges"] = ["0.0.0.0/0"]
    for action in ("allowed", "denied"):
        for number, rule in enumerate(document.get(action) or []):
            _check_rule(f"{action}[{number}]", rule)


def _check_ends(document: Json, direction: str) -> None:
    for field in ("sourceRanges", "destinationRanges"):
        for number, text in enumerate(document.get(field, [])):
            try:
                ipaddress.ip_network(str(text))
            except ValueError as error:
                raise wrong(f"{field}[{number}]", text, "Must be a CIDR address range without host bits.") from error
    for field in ("sourceTags", "targetTags"):
        for number, tag in enumerate(document.get(field, [])):
            check_name(tag, f"{field}[{number}]")
    for field in ("sourceTags", "sourceServiceAccounts"):
        if direction == "EGRESS" and document.get(field):
            raise wrong(field, document[field], "Cannot be specified for a rule of direction EGRESS.")
    for one, other in APART:
        if document.get(one) and document.get(other):
            raise wrong(one, document[one], f"Cannot be specified together with {other}.")


def _check_rule(field: str, rule: Json) -> None:
    protocol = str(rule.get("IPProtocol") or "").lower()
    if not protocol:
        raise required(f"{field}.IPProtocol")
    number = protocol.isdecimal() and int(protocol) <= LARGEST_PROTOCOL
    if protocol not in PROTOCOLS and not number:
        raise wrong(f"{field}.IPProtocol", rule["IPProtocol"], "Invalid IP protocol specification.")
    for index, text in enumerate(rule.get("ports", [])):
        if protocol not in WITH_PORTS:
            raise wrong(f"{field}.ports[{index}]", text, "Ports may only be specified for TCP, UDP and SCTP.")
        ends = PORTS.fullmatch(str(text))
        first, last = (int(ends["first"]), int(ends["last"] or ends["first"])) if ends else (1, 0)
        if not first <= last <= LARGEST_PORT:
            raise wrong(f"{field}.ports[{index}]", text, "Invalid port range specification.")
