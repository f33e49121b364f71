# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module address: a virtual address is never released to change it."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import live_through, prepare
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

ADDRESSES = f"projects/{PROJECT}/regions/us-east5/addresses"
VIP: Json = {
    "name": "vip",
    "region": "us-east5",
    "subnetwork": "nodes",
    "address_type": "INTERNAL",
    "purpose": "SHARED_LOADBALANCER_VIP",
    "labels": {"my_team": "serving"},
}


@pytest.fixture(autouse=True)
def _subnetwork(cloud: Json) -> None:
    nodes = {"name": "nodes", "region": "us-east5", "network": "vpc", "ip_cidr_range": "10.0.1.0/24"}
    prepare(cloud, ("network", {"name": "vpc"}), ("subnetwork", nodes))


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "address",
        cloud,
        create=VIP,
        change={"labels": {"stage": "test"}},
        diff=({"labels": {"my_team": "serving"}}, {"labels": {"my_team": "serving", "stage": "test"}}),
        look=lambda: cloud_server.find("compute", f"{ADDRESSES}/vip"),
    )
    assert created["address"].startswith("10.0.1.")
    assert changed["address"] == created["address"]
    assert changed["labels"] == {"my_team": "serving", "stage": "test"}


@pytest.mark.parametrize(
    "difference",
    [{"description": "new"}, {"address": "10.0.1.77"}, {"purpose": "GCE_ENDPOINT"}, {"address_type": "EXTERNAL"}],
)
def test_a_difference_never_releases_the_address(cloud: Json, cloud_server: Running, difference: Json) -> None:
    run_module("address", {**cloud, **VIP, "name": "kept"})
    before = cloud_server.find("compute", f"{ADDRESSES}/kept")
    for check in (True, False):
        with pytest.raises(ModuleFailed, match=f"address kept: cannot change in place: {next(iter(difference))}"):
            run_module("address", {**cloud, **VIP, "name": "kept", **difference}, check=check)
    assert cloud_server.find("compute", f"{ADDRESSES}/kept") == before


def test_what_google_adds_is_no_difference(cloud: Json) -> None:
    bare = {"name": "bare", "region": "us-east5", "subnetwork": "nodes", "address_type": "INTERNAL"}
    made = run_module("address", {**cloud, **bare})
    again = run_module("address", {**cloud, **bare})
    assert again["changed"] is False
    assert again["address"]["address"] == made["address"]["address"]


def test_an_address_of_the_users_choice(cloud: Json) -> None:
    args = {**cloud, **VIP, "name": "chosen", "address": "10.0.1.50"}
    assert run_module("address", args)["address"]["address"] == "10.0.1.50"
    assert run_module("address", args)["changed"] is False
    with pytest.raises(ModuleFailed, match="address: 'ten' is not valid: give an IP address"):
        run_module("address", {**args, "address": "ten"})
