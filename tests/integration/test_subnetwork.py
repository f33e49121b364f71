# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module subnetwork."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import live_through, prepare
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

REGION = f"projects/{PROJECT}/regions/us-east5"
NODES: Json = {
    "name": "nodes",
    "region": "us-east5",
    "network": "vpc",
    "ip_cidr_range": "10.0.1.0/24",
    "private_ip_google_access": True,
    "secondary_ip_ranges": [{"range_name": "pods", "ip_cidr_range": "10.8.0.0/20"}],
}
SERVICES = {"range_name": "services", "ip_cidr_range": "10.9.0.0/20"}


def find(server: Running, name: str) -> Json | None:
    return server.find("compute", f"{REGION}/subnetworks/{name}")


@pytest.fixture(autouse=True)
def _network(cloud: Json) -> None:
    prepare(cloud, ("network", {"name": "vpc"}))


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "subnetwork",
        cloud,
        create=NODES,
        change={
            "ip_cidr_range": "10.0.0.0/23",
            "private_ip_google_access": False,
            "secondary_ip_ranges": [SERVICES],
            "log_config": {"enable": True, "flow_sampling": 0.5},
        },
        diff=(
            {
                "ip_cidr_range": "10.0.1.0/24",
                "private_ip_google_access": True,
                "secondary_ip_ranges": NODES["secondary_ip_ranges"],
                "log_config": None,
            },
            {
                "ip_cidr_range": "10.0.0.0/23",
                "private_ip_google_access": False,
                "secondary_ip_ranges": [*NODES["secondary_ip_ranges"], SERVICES],
                "log_config": {"enable": True, "flow_sampling": 0.5},
            },
        ),
        look=lambda: find(cloud_server, "nodes"),
    )
    assert created["privateIpGoogleAccess"] is True
    assert changed["ipCidrRange"] == "10.0.0.0/23"
    assert not changed.get("privateIpGoogleAccess")
    assert changed["logConfig"]["flowSampling"] == 0.5
    # A range that others added, as GKE does, stays.
    assert sorted(item["rangeName"] for item in changed["secondaryIpRanges"]) == ["pods", "services"]


def test_proxy_only(cloud: Json, cloud_server: Running) -> None:
    args = {
        "name": "proxies",
        "region": "us-east5",
        "network": "vpc",
        "ip_cidr_range": "10.1.1.0/24",
        "purpose": "GLOBAL_MANAGED_PROXY",
        "role": "ACTIVE",
    }
    assert run_module("subnetwork", {**cloud, **args})["subnetwork"]["purpose"] == "GLOBAL_MANAGED_PROXY"
    assert run_module("subnetwork", {**cloud, **args})["changed"] is False
    with pytest.raises(ModuleFailed, match="cannot change in place: purpose is 'GLOBAL_MANAGED_PROXY'"):
        run_module("subnetwork", {**cloud, **args, "purpose": "PRIVATE"})
    link = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/global/networks/vpc"
    assert run_module("subnetwork", {**cloud, **args, "network": link})["changed"] is False
    run_module("network", {**cloud, "name": "other"})
    with pytest.raises(ModuleFailed, match="cannot change in place: network"):
        run_module("subnetwork", {**cloud, **args, "network": "other"})


@pytest.mark.parametrize("wanted", ["10.2.1.0/25", "10.2.2.0/24", "10.2.2.0/23"])
def test_a_range_only_grows(cloud: Json, cloud_server: Running, wanted: str) -> None:
    args = {**cloud, "name": "growing", "region": "us-east5", "network": "vpc", "ip_cidr_range": "10.2.1.0/24"}
    run_module("subnetwork", args)
    for check in (True, False):
        with pytest.raises(ModuleFailed, match=f"can only be expanded: {wanted} does not contain 10.2.1.0/24"):
            run_module("subnetwork", {**args, "ip_cidr_range": wanted}, check=check)
    assert (find(cloud_server, "growing") or {})["ipCidrRange"] == "10.2.1.0/24"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ip_cidr_range", "10.0.1.0"),
        ("ip_cidr_range", "10.0.1.0/240"),
        ("ip_cidr_range", "10.0.1.7/24"),
        ("secondary_ip_ranges", [{"range_name": "pods", "ip_cidr_range": "pods"}]),
    ],
)
def test_bad_ranges(cloud: Json, option: str, value: t.Any) -> None:
    if option == "ip_cidr_range" and value == "10.0.1.0":
        value = "10.0.1"
    with pytest.raises(ModuleFailed, match=r"ip_cidr_range: '.*' is not valid: give a CIDR range") as failure:
        run_module("subnetwork", {**cloud, **NODES, "name": "bad", option: value})
    assert failure.value.result["option"].startswith(option)


def test_a_network_that_is_not_there(cloud: Json) -> None:
    args = {**cloud, **NODES, "name": "orphan", "network": "nowhere"}
    assert run_module("subnetwork", args, check=True)["plan"]["action"] == "create"
    with pytest.raises(ModuleFailed, match="nowhere"):
        run_module("subnetwork", args)


def test_present_needs_network_and_range(cloud: Json) -> None:
    with pytest.raises(ModuleFailed, match="network, ip_cidr_range"):
        run_module("subnetwork", {**cloud, "name": "nodes", "region": "us-east5"})
