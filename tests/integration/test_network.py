# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module network, and what all modules of compute share."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import PROJECT, Running, running_cloud
from tests.integration.life import live_through
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

NETWORKS = f"projects/{PROJECT}/global/networks"


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "network",
        cloud,
        create={"name": "vpc", "mtu": 8896, "routing_config": {"routing_mode": "GLOBAL"}, "description": "serving"},
        change={"mtu": 1460, "routing_config": {"routing_mode": "REGIONAL"}},
        diff=(
            {"routing_config": {"bgp_best_path_selection_mode": "LEGACY", "routing_mode": "GLOBAL"}, "mtu": 8896},
            {"routing_config": {"bgp_best_path_selection_mode": "LEGACY", "routing_mode": "REGIONAL"}, "mtu": 1460},
        ),
        look=lambda: cloud_server.find("compute", f"{NETWORKS}/vpc"),
    )
    assert (created["autoCreateSubnetworks"], created["mtu"]) == (False, 8896)
    assert (changed["mtu"], changed["routingConfig"]["routingMode"]) == (1460, "REGIONAL")


def test_only_what_is_stated_is_compared(cloud: Json) -> None:
    run_module("network", {**cloud, "name": "plain", "mtu": 8896, "routing_config": {"routing_mode": "GLOBAL"}})
    assert run_module("network", {**cloud, "name": "plain"})["changed"] is False
    # Google made this one in auto mode; not stating the mode is no wish to change it.
    assert run_module("network", {**cloud, "name": "default"})["changed"] is False


def test_what_cannot_change_fails_and_is_named(cloud: Json) -> None:
    run_module("network", {**cloud, "name": "fixed", "description": "a"})
    for option, value in (("description", "b"), ("auto_create_subnetworks", True)):
        for check in (True, False):
            with pytest.raises(ModuleFailed, match=f"network fixed: cannot change in place: {option}") as failure:
                run_module("network", {**cloud, "name": "fixed", option: value}, check=check)
            assert failure.value.result["fields"] == [option]


def test_a_network_in_use_stays_and_the_error_says_why(cloud: Json) -> None:
    run_module("network", {**cloud, "name": "used"})
    subnet = {"name": "user", "region": "us-east5", "network": "used", "ip_cidr_range": "10.9.0.0/24"}
    run_module("subnetwork", {**cloud, **subnet})
    with pytest.raises(ModuleFailed, match="already being used by") as failure:
        run_module("network", {**cloud, "name": "used", "state": "absent"})
    assert failure.value.result["remedy"] == "remove what uses it first"


def test_secrets_stay_secret(cloud: Json) -> None:
    for args in ({"name": "vpc2"}, {"name": "Bad Name"}):
        try:
            result = run_module("network", {**cloud, **args}, diff=True)
        except ModuleFailed as failure:
            result = failure.result
        assert cloud["access_token"] not in str(result)


def test_a_bad_endpoint_is_told_before_anything_is_sent(cloud: Json) -> None:
    for endpoints in ({"computer": "https://x/"}, {"compute": "http://example.com/compute/v1/"}):
        with pytest.raises(ModuleFailed, match="api_endpoints"):
            run_module("network", {**cloud, "name": "vpc", "api_endpoints": endpoints})


def test_a_wrong_token_is_told_in_one_sentence(cloud: Json) -> None:
    with pytest.raises(ModuleFailed, match="access_token was not accepted"):
        run_module("network", {**cloud, "name": "vpc", "access_token": "wrong"})


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Running]:
    """A cloud in which a network takes more than a second."""
    with running_cloud(tmp_path, scale=0.06, services=["compute.googleapis.com"]) as server:
        yield server


def running(server: Running) -> list[Json]:
    found = server.request("GET", "compute", f"projects/{PROJECT}/global/operations")
    return [operation for operation in found.get("items", []) if operation["status"] != "DONE"]


def test_what_a_killed_run_left_under_way_is_waited_for(slow: Running) -> None:
    args = {**slow.args, "name": "vpc"}
    left = run_module("network", {**args, "wait": False})
    assert left["changed"] is True
    assert left["operation"]["status"] in ("PENDING", "RUNNING")
    assert running(slow)
    repaired = run_module("network", args)
    assert (repaired["changed"], repaired["network"]["name"]) == (False, "vpc")
    assert not running(slow)

    # Deleting is under way: the network is made anew, not taken for there.
    assert "operation" in run_module("network", {**args, "state": "absent", "wait": False})
    assert run_module("network", args)["changed"] is True
    assert slow.find("compute", f"{NETWORKS}/vpc") is not None


def test_a_parent_that_is_not_ready_is_waited_for(slow: Running) -> None:
    run_module("network", {**slow.args, "name": "vpc", "wait": False})
    subnet = {"name": "nodes", "region": "us-east5", "network": "vpc", "ip_cidr_range": "10.0.1.0/24"}
    assert run_module("subnetwork", {**slow.args, **subnet})["subnetwork"]["state"] == "READY"


def test_the_wait_has_an_end(slow: Running) -> None:
    with pytest.raises(ModuleFailed, match="waited 0 s for create network vpc: operation .* is (PENDING|RUNNING)"):
        run_module("network", {**slow.args, "name": "vpc", "wait_timeout": 0})


def test_an_api_that_is_not_enabled(tmp_path: Path) -> None:
    with running_cloud(tmp_path, services=["storage.googleapis.com"]) as server:
        args = {**server.args, "name": "vpc"}
        assert run_module("network", args, check=True)["plan"]["action"] == "create"
        with pytest.raises(ModuleFailed, match=r"aiserving\.gke\.service"):
            run_module("network", args)
