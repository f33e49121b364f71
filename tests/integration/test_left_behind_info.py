# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module left_behind_info against the sandbox's cloud."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.clouds import Running, running_cloud
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

PLACES = {"kept": "us-east5-a", "dropped": "europe-west4-a", "gone": "us-east5-b", "foreign": "us-east5-c"}
WANTED = {"us-east5-a/kept": ["tpu"], "us-east5-b/unbuilt": ["tpu"]}


@pytest.fixture(scope="module", autouse=True)
def estate(cloud_server: Running) -> None:
    cloud = cloud_server.args
    run_module("network", {**cloud, "name": "serving", "auto_create_subnetworks": True})
    for name, zone in PLACES.items():
        network = {} if name == "foreign" else {"network": "serving", "subnetwork": "serving"}
        run_module("cluster", {**cloud, "name": name, "location": zone, **network})
        run_module("fleet_membership", {**cloud, "name": name, "cluster": name, "cluster_location": zone})
    for pool in ("tpu", "renamed"):
        machine = {"machine_type": "e2-standard-4"}
        where = {"cluster": "kept", "location": "us-east5-a"}
        run_module("node_pool", {**cloud, **where, "name": pool, "initial_node_count": 0, "config": machine})
    run_module("cluster", {**cloud, "name": "gone", "location": PLACES["gone"], "state": "absent"})


def look(cloud: Json, clusters: t.Any, network: str = "serving", check: bool = False) -> Json:
    return run_module("left_behind_info", {**cloud, "network": network, "clusters": clusters}, check=check)


def test_what_is_not_named_is_told_with_what_removes_it(cloud: Json) -> None:
    found = look(cloud, WANTED)
    assert not found["changed"] and found["unknown"] == []
    assert {(entry["kind"], entry["name"]) for entry in found["left_behind"]} == {
        ("cluster", "dropped"),
        ("node pool", "renamed"),
        ("membership", "gone"),
    }
    commands = " ".join(entry["command"] for entry in found["left_behind"])
    assert "clusters delete dropped --location europe-west4-a" in commands
    assert "node-pools delete renamed --cluster kept --location us-east5-a" in commands
    assert "memberships delete gone --location global" in commands
    assert look(cloud, WANTED, check=True)["left_behind"] == found["left_behind"]


def test_what_is_named_or_somebody_elses_is_not_told(cloud: Json) -> None:
    everything: Json = {f"{zone}/{name}": [] for name, zone in PLACES.items()}
    assert look(cloud, everything)["left_behind"] == []
    # A cluster that moved to another zone is another cluster.
    moved = look(cloud, {**everything, "us-east5-b/kept": [], "us-east5-a/kept": ["tpu", "renamed"]})
    assert moved["left_behind"] == []
    assert look(cloud, {f"/{name}": [] for name in PLACES})["left_behind"] == []
    del everything["us-east5-a/kept"]
    assert [entry["name"] for entry in look(cloud, {**everything, "us-east5-b/kept": []})["left_behind"]] == ["kept"]


def test_who_may_not_list_is_told_so_and_nothing_fails(cloud: Json) -> None:
    refused = {**cloud, "access_token": "another"}
    found = look(refused, WANTED)
    assert found["left_behind"] == []
    assert [text.split(":")[0] for text in found["unknown"]] == [
        "clusters cannot be listed",
        "memberships cannot be listed",
    ]


def test_a_project_without_its_apis_has_nothing_in_check_mode(tmp_path: Path) -> None:
    with running_cloud(tmp_path, services=()) as server:
        found = look(dict(server.args), WANTED, check=True)
        fleet = run_module("fleet_info", server.args, check=True)
        with pytest.raises(ModuleFailed, match="gkehub"):
            run_module("fleet_info", server.args)
    assert (found["left_behind"], found["unknown"]) == ([], [])
    assert (fleet["memberships"], fleet["features"]) == ([], [])


@pytest.mark.parametrize("clusters", [{"kept": []}, {"us-east5-a/kept": "tpu"}, {"a/b/c": []}])
def test_what_is_no_cluster_is_refused(cloud: Json, clusters: Json) -> None:
    with pytest.raises(ModuleFailed, match=r"clusters.*is not valid"):
        look(cloud, clusters)
