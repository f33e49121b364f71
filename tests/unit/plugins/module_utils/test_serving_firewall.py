# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the firewall is said to refuse, judged packet by packet."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._serving.firewall import HEALTH_CHECKERS, refused
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, t.Any]

SOURCE = "10.1.2.0/30"
RANGES = ["10.1.2.0/30", "10.1.2.0/31", "10.1.2.2/31", "10.1.0.0/16", "0.0.0.0/0", "10.9.0.0/16", "fd00::/8"]
PORTS = [[], ["8000"], ["8000-8002"], ["80", "7999-8000"], ["443"]]


def rule(name: str, action: str, ranges: list[str], protocol: str, ports: list[str], **more: t.Any) -> Json:
    entry: Json = {"IPProtocol": protocol, **({"ports": ports} if ports else {})}
    return {"name": name, action: [entry], "sourceRanges": ranges, "direction": "INGRESS", **more}


rules = st.lists(
    st.builds(
        rule,
        st.sampled_from("abc"),
        st.sampled_from(["allowed", "denied"]),
        st.lists(st.sampled_from(RANGES), min_size=1, max_size=2),
        st.sampled_from(["tcp", "udp", "all"]),
        st.sampled_from(PORTS),
        priority=st.sampled_from([100, 1000, 65534]),
        disabled=st.sampled_from([False, False, True]),
        direction=st.sampled_from(["INGRESS", "INGRESS", "EGRESS"]),
    ),
    max_size=6,
)


def admitted(found: list[Json], address: ipaddress.IPv4Address) -> bool:
    """One TCP packet to port 8000, as the VPC firewall judges it."""
    matching = []
    for one in found:
        [entry] = one.get("allowed") or one["denied"]
        spans = [(int(p.split("-")[0]), int(p.split("-")[-1])) for p in entry.get("ports", ["0-65535"])]
        if (
            one["direction"] == "INGRESS"
            and not one["disabled"]
            and entry["IPProtocol"] in ("tcp", "all")
            and any(low <= 8000 <= high for low, high in spans)
            and any(address in ipaddress.ip_network(text) for text in one["sourceRanges"])
        ):
            matching.append((one["priority"], "allowed" in one))
    return min(matching, default=(0, False))[1]


@given(rules)
def test_nothing_is_said_only_when_every_packet_comes_in(found: list[Json]) -> None:
    told = refused(found, [SOURCE], 8000)
    fate = {admitted(found, address) for address in ipaddress.IPv4Network(SOURCE)}
    if not told:
        assert fate == {True}
    # One rule must admit the whole range: two halves are told to be missing though they add up.
    halves = any(len(text) == 11 and text.endswith("/31") for one in found for text in one["sourceRanges"])
    if fate == {True} and not halves:
        assert told == []


def test_each_range_is_told_with_what_is_wrong() -> None:
    assert refused([], HEALTH_CHECKERS, 8000) == [
        "no firewall rule admits 130.211.0.0/22 to port 8000",
        "no firewall rule admits 35.191.0.0/16 to port 8000",
    ]
    admits = rule("checks", "allowed", list(HEALTH_CHECKERS), "tcp", ["8000"])
    assert refused([admits], HEALTH_CHECKERS, 8000) == []
    assert len(refused([admits], HEALTH_CHECKERS, 8001)) == 2
    drill = rule("drill", "denied", ["35.191.0.0/16"], "tcp", [], priority=10)
    assert refused([admits, drill], HEALTH_CHECKERS, 8000) == ["firewall rule drill denies 35.191.0.0/16 on port 8000"]
    assert refused([{**admits, "sourceRanges": []}], HEALTH_CHECKERS, 8000) == []
    assert len(refused([{**admits, "sourceRanges": [], "sourceTags": ["x"]}], HEALTH_CHECKERS, 8000)) == 2
