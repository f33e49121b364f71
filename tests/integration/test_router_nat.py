# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module router_nat."""

from __future__ import annotations

import time
import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import live_through, prepare
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

REGION = f"projects/{PROJECT}/regions/us-east5"
NAT: Json = {
    "name": "nat",
    "router": "router",
    "region": "us-east5",
    "network": "vpc",
    "log_config": {"enable": True, "filter": "ERRORS_ONLY"},
}


@pytest.fixture(autouse=True)
def _subnetworks(cloud: Json) -> None:
    nodes = {"name": "nodes", "region": "us-east5", "network": "vpc", "ip_cidr_range": "10.0.1.0/24"}
    more = {**nodes, "name": "more", "ip_cidr_range": "10.0.2.0/24"}
    prepare(cloud, ("network", {"name": "vpc"}), ("subnetwork", nodes), ("subnetwork", more))


@pytest.fixture(autouse=True)
def _no_routers(cloud_server: Running, _subnetworks: None) -> None:
    """Google has one NAT for a subnetwork: those of earlier tests go."""
    for one in cloud_server.request("GET", "compute", f"{REGION}/routers").get("items", []):
        cloud_server.request("DELETE", "compute", f"{REGION}/routers/{one['name']}")
    end = time.monotonic() + 10
    while cloud_server.request("GET", "compute", f"{REGION}/routers").get("items"):
        assert time.monotonic() < end
        time.sleep(0.02)


def router(server: Running, name: str = "router") -> Json | None:
    return server.find("compute", f"{REGION}/routers/{name}")


def nats(server: Running, name: str = "router") -> dict[str, Json]:
    return {nat["name"]: nat for nat in (router(server, name) or {}).get("nats", [])}


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "router_nat",
        cloud,
        create=NAT,
        change={
            "min_ports_per_vm": 128,
            "log_config": {"enable": False},
            "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS",
            "subnetworks": [{"name": "nodes"}, {"name": "more", "source_ip_ranges_to_nat": ["PRIMARY_IP_RANGE"]}],
        },
        diff=(
            {
                "source_subnetwork_ip_ranges_to_nat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "subnetworks": None,
                "min_ports_per_vm": None,
                "log_config": {"enable": True, "filter": "ERRORS_ONLY"},
            },
            {
                "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS",
                "subnetworks": [
                    {"name": f"{REGION}/subnetworks/nodes", "source_ip_ranges_to_nat": ["ALL_IP_RANGES"]},
                    {"name": f"{REGION}/subnetworks/more", "source_ip_ranges_to_nat": ["PRIMARY_IP_RANGE"]},
                ],
                "min_ports_per_vm": 128,
                "log_config": {"enable": False, "filter": "ERRORS_ONLY"},
            },
        ),
        look=lambda: nats(cloud_server).get("nat"),
    )
    assert created["natIpAllocateOption"] == "AUTO_ONLY"
    assert changed["logConfig"] == {"enable": False, "filter": "ERRORS_ONLY"}, "the filter was not to change"
    assert router(cloud_server) is None, "the router that the module made goes with its last NAT"


def test_subnetworks_have_no_order(cloud: Json) -> None:
    listed = {**NAT, "name": "listed", "router": "listed", "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS"}
    run_module("router_nat", {**cloud, **listed, "subnetworks": [{"name": "nodes"}, {"name": "more"}]})
    again = run_module("router_nat", {**cloud, **listed, "subnetworks": [{"name": "more"}, {"name": "nodes"}]})
    assert again["changed"] is False
    fewer = run_module("router_nat", {**cloud, **listed, "subnetworks": [{"name": "more"}]})
    assert fewer["changed"] is True


def test_a_router_of_the_users_own_stays(cloud: Json, cloud_server: Running) -> None:
    body = {"name": "own", "network": f"projects/{PROJECT}/global/networks/vpc", "description": "mine"}
    cloud_server.request("POST", "compute", f"{REGION}/routers", body)
    own = {**NAT, "router": "own"}
    first = {**cloud, **own, "name": "first", "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS"}
    second = {**first, "name": "second", "subnetworks": [{"name": "more"}]}
    first["subnetworks"] = [{"name": "nodes"}]
    assert run_module("router_nat", first)["changed"] is True
    assert run_module("router_nat", second)["changed"] is True
    assert set(nats(cloud_server, "own")) == {"first", "second"}
    before = nats(cloud_server, "own")["second"]
    run_module("router_nat", {**first, "min_ports_per_vm": 256})
    assert nats(cloud_server, "own")["second"] == before, "a change of one NAT touched another"
    run_module("router_nat", {**first, "state": "absent"})
    assert set(nats(cloud_server, "own")) == {"second"}
    run_module("router_nat", {**second, "state": "absent"})
    assert (router(cloud_server, "own") or {}).get("description") == "mine"


def test_addresses_of_the_users_own(cloud: Json, cloud_server: Running) -> None:
    run_module("address", {**cloud, "name": "out", "region": "us-east5", "address_type": "EXTERNAL"})
    manual = {**NAT, "name": "manual", "router": "manual", "nat_ip_allocate_option": "MANUAL_ONLY"}
    with pytest.raises(ModuleFailed, match="nat_ips"):
        run_module("router_nat", {**cloud, **manual})
    assert run_module("router_nat", {**cloud, **manual, "nat_ips": ["out"]})["changed"] is True
    assert run_module("router_nat", {**cloud, **manual, "nat_ips": ["out"]})["changed"] is False
    # Not stated, so not compared: the addresses stay.
    bare = {key: value for key, value in manual.items() if key != "nat_ip_allocate_option"}
    assert run_module("router_nat", {**cloud, **bare})["changed"] is False
    assert nats(cloud_server, "manual")["manual"]["natIpAllocateOption"] == "MANUAL_ONLY"


def test_a_router_needs_a_network(cloud: Json) -> None:
    args = {key: value for key, value in NAT.items() if key != "network"}
    with pytest.raises(ModuleFailed, match="network: is not set: there is no router lost"):
        run_module("router_nat", {**cloud, **args, "router": "lost"})


def test_another_network_is_an_error(cloud: Json) -> None:
    run_module("router_nat", {**cloud, **NAT, "router": "there"})
    run_module("network", {**cloud, "name": "elsewhere"})
    with pytest.raises(ModuleFailed, match="cannot change in place: network"):
        run_module("router_nat", {**cloud, **NAT, "router": "there", "network": "elsewhere"})
    with pytest.raises(ModuleFailed, match="network: 'elsewhere' is not valid"):
        run_module("router_nat", {**cloud, **NAT, "name": "new", "router": "there", "network": "elsewhere"})
