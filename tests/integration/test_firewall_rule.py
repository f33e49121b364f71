# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module firewall_rule."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import live_through, prepare
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

FIREWALLS = f"projects/{PROJECT}/global/firewalls"
HEALTH: Json = {
    "name": "health",
    "network": "vpc",
    "direction": "INGRESS",
    "source_ranges": ["130.211.0.0/22", "35.191.0.0/16"],
    "allowed": [{"ip_protocol": "tcp", "ports": ["8000", "9002"]}, {"ip_protocol": "icmp"}],
}


@pytest.fixture(autouse=True)
def _network(cloud: Json) -> None:
    prepare(cloud, ("network", {"name": "vpc"}))


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "firewall_rule",
        cloud,
        create=HEALTH,
        change={"allowed": [{"ip_protocol": "tcp", "ports": ["8000"]}], "priority": 900, "disabled": True},
        diff=(
            {"priority": 1000, "allowed": HEALTH["allowed"], "disabled": False},
            {"priority": 900, "allowed": [{"ip_protocol": "tcp", "ports": ["8000"]}], "disabled": True},
        ),
        look=lambda: cloud_server.find("compute", f"{FIREWALLS}/health"),
    )
    assert created["allowed"][0]["IPProtocol"] == "tcp"
    assert (changed["priority"], changed["disabled"]) == (900, True)
    assert changed["sourceRanges"] == HEALTH["source_ranges"]


def test_order_says_nothing(cloud: Json) -> None:
    run_module("firewall_rule", {**cloud, **HEALTH, "name": "ordered"})
    turned = {
        "source_ranges": HEALTH["source_ranges"][::-1],
        "allowed": [{"ip_protocol": "ICMP"}, {"ip_protocol": "tcp", "ports": ["9002", "8000"]}],
    }
    assert run_module("firewall_rule", {**cloud, **HEALTH, "name": "ordered", **turned})["changed"] is False


def test_a_rule_turns_from_allow_to_deny(cloud: Json, cloud_server: Running) -> None:
    run_module("firewall_rule", {**cloud, **HEALTH, "name": "turning"})
    deny = {"name": "turning", "network": "vpc", "denied": [{"ip_protocol": "all"}]}
    assert run_module("firewall_rule", {**cloud, **deny})["changed"] is True
    assert run_module("firewall_rule", {**cloud, **deny})["changed"] is False
    live = cloud_server.find("compute", f"{FIREWALLS}/turning") or {}
    assert live["denied"] == [{"IPProtocol": "all"}]
    assert not live.get("allowed")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"name": "x", "network": "vpc"}, "any of the following are missing: allowed, denied"),
        ({"name": "x", "allowed": [{"ip_protocol": "tcp"}]}, "network"),
        (
            {"name": "x", "network": "vpc", "allowed": [{"ip_protocol": "tcp"}], "denied": [{"ip_protocol": "tcp"}]},
            "mutually exclusive",
        ),
        ({**HEALTH, "source_ranges": ["130.211.0.0/22", "anywhere"]}, r"source_ranges\[1\]: 'anywhere'"),
    ],
)
def test_bad_options(cloud: Json, args: Json, told: str) -> None:
    with pytest.raises(ModuleFailed, match=told):
        run_module("firewall_rule", {**cloud, **args})


def test_direction_and_network_are_fixed(cloud: Json) -> None:
    run_module("firewall_rule", {**cloud, **HEALTH, "name": "fixed"})
    with pytest.raises(ModuleFailed, match="cannot change in place: direction"):
        run_module("firewall_rule", {**cloud, **HEALTH, "name": "fixed", "direction": "EGRESS"})
