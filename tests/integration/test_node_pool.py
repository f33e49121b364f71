# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node pool modules against the sandbox's cloud."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gke.api import Gke

from tests.clouds import Running
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]
ZONE = "us-east5-a"
POOLS = f"v1/projects/sandbox-project/locations/{ZONE}/clusters/serving/nodePools"
OWN: Json = {"cluster": "serving", "location": ZONE, "name": "tpu"}
TPU: Json = {
    **OWN,
    "dranet": True,
    "initial_node_count": 1,
    "config": {"machine_type": "ct6e-standard-4t", "spot": True, "labels": {"team": "serving"}},
}
PLAIN: Json = {
    "cluster": "serving",
    "location": ZONE,
    "name": "plain",
    "node_count": 1,
    "config": {"machine_type": "e2-standard-4", "labels": {"a": "1"}, "tags": ["one"]},
}
CHANGED: Json = {
    **PLAIN,
    "node_count": 3,
    "config": {
        "machine_type": "e2-standard-8",
        "labels": {"b": "2"},
        "tags": ["two"],
        "taints": [{"key": "k", "value": "v", "effect": "NO_SCHEDULE"}],
    },
    "management": {"auto_upgrade": False},
    "upgrade_settings": {"max_surge": 2},
}


@pytest.fixture(scope="module")
def serving(cloud_server: Running) -> Iterator[Json]:
    """A cluster that carries managed DRANET, for all tests of this module."""
    args = {**cloud_server.args, "name": "serving", "location": ZONE}
    yield run_module(
        "cluster",
        {
            **args,
            "release_channel": {"channel": "UNSPECIFIED"},  # on a channel, pools have to follow it
            "network_config": {"datapath_provider": "ADVANCED_DATAPATH"},
        },
    )["cluster"]
    run_module("cluster", {**args, "state": "absent"})


@pytest.fixture(autouse=True)
def tidy(cloud: Json, serving: Json) -> Iterator[None]:
    yield
    for name in ("tpu", "plain"):
        run_module("node_pool", {**cloud, **OWN, "name": name, "state": "absent"})


def test_the_life_of_a_tpu_pool_with_dranet(cloud: Json, cloud_server: Running) -> None:
    planned = run_module("node_pool", {**cloud, **TPU}, check=True, diff=True)
    assert planned["changed"] and planned["plan"]["action"] == "create"
    assert planned["diff"]["after"]["network_config"] == {"accelerator_network_profile": "auto"}
    assert cloud_server.find("container", f"{POOLS}/tpu") is None
    assert "MTU 1460" in str(planned["warnings"])

    made = run_module("node_pool", {**cloud, **TPU})
    pool = made["node_pool"]
    assert pool["status"] == "RUNNING"
    assert made["operation"]["operation_type"] == "CREATE_NODE_POOL"
    # What GKE has added by itself...
    assert pool["config"]["labels"] == {
        "team": "serving",
        "cloud.google.com/gke-networking-dra-driver": "true",
        "gke.networks.io/accelerator-network-profile": "auto",
    }
    assert pool["network_config"]["additional_node_network_configs"]
    # ...is no difference.
    again = run_module("node_pool", {**cloud, **TPU}, diff=True)
    assert not again["changed"] and again["diff"] == {"before": {}, "after": {}}

    other = {**TPU, "config": {**TPU["config"], "spot": False}}
    for check in (True, False):
        with pytest.raises(ModuleFailed) as caught:
            run_module("node_pool", {**cloud, **other}, check=check)
        assert caught.value.result["fields"] == ["config.spot"]
    planned = run_module("node_pool", {**cloud, **other, "recreate": True}, check=True)
    assert planned["plan"]["action"] == "recreate"
    anew = run_module("node_pool", {**cloud, **other, "recreate": True})
    assert anew["plan"]["action"] == "recreate" and "spot" not in anew["node_pool"]["config"]
    assert not run_module("node_pool", {**cloud, **other, "recreate": True})["changed"]

    absent = {**cloud, **OWN, "state": "absent"}
    assert run_module("node_pool", absent, check=True)["plan"]["action"] == "delete"
    assert run_module("node_pool", absent)["changed"]
    assert not run_module("node_pool", absent)["changed"]


def test_the_life_of_a_plain_pool(cloud: Json, cloud_server: Running) -> None:
    made = run_module("node_pool", {**cloud, **PLAIN})["node_pool"]
    assert (made["initial_node_count"], made["node_count"]) == (1, 1)
    assert not run_module("node_pool", {**cloud, **PLAIN})["changed"]

    before = cloud_server.find("container", f"{POOLS}/plain")
    planned = run_module("node_pool", {**cloud, **CHANGED}, check=True, diff=True)
    assert [change["call"] for change in planned["plan"]["changes"]] == [
        "update_node_pool.machine",
        "update_node_pool.taints",
        "update_node_pool.tags",
        "update_node_pool.labels",
        "update_node_pool.upgradeSettings",
        "set_node_pool_management",
        "set_node_pool_size",
    ]
    assert planned["diff"]["before"]["node_count"] == 1 and planned["diff"]["after"]["node_count"] == 3
    assert cloud_server.find("container", f"{POOLS}/plain") == before

    live = run_module("node_pool", {**cloud, **CHANGED})["node_pool"]
    assert live["node_count"] == 3
    assert live["config"]["machine_type"] == "e2-standard-8"
    assert live["config"]["labels"] == {"a": "1", "b": "2"}
    assert live["config"]["tags"] == ["two"]
    assert live["management"] == {"auto_repair": True}
    assert live["upgrade_settings"] == {"strategy": "SURGE", "max_surge": 2}
    assert not run_module("node_pool", {**cloud, **CHANGED})["changed"]

    scaled = {**PLAIN, "autoscaling": {"enabled": True, "min_node_count": 1, "max_node_count": 4}}
    del scaled["node_count"]
    assert run_module("node_pool", {**cloud, **scaled, "config": {}})["changed"]
    less = {"autoscaling": {"enabled": True, "max_node_count": 2}}
    live = run_module("node_pool", {**cloud, **OWN, "name": "plain", **less})["node_pool"]
    assert live["autoscaling"] == {"enabled": True, "min_node_count": 1, "max_node_count": 2}

    info = run_module("node_pool_info", {**cloud, **OWN, "name": "plain"})
    assert info["exists"] and info["node_pool"]["autoscaling"]["max_node_count"] == 2
    listed = run_module("node_pool_info", {**cloud, "cluster": "serving", "location": ZONE})
    assert {"default-pool", "plain"} <= {one["name"] for one in listed["node_pools"]}

    emptied = {"node_count": 0, "autoscaling": {"enabled": False}}
    assert run_module("node_pool", {**cloud, **OWN, "name": "plain", **emptied})["node_pool"]["node_count"] == 0
    assert not run_module("node_pool", {**cloud, **OWN, "name": "plain", **emptied})["changed"]


def test_a_stockout_is_a_failure_until_the_pool_is_replaced(cloud: Json, cloud_server: Running) -> None:
    short = {"location": ZONE, "settings": {"machine": "ct6e-standard-4t", "minutes": 1}}
    with cloud_server.fault("stockout", **short), pytest.raises(ModuleFailed) as caught:
        run_module("node_pool", {**cloud, **TPU})
    first = caught.value.result
    assert "GCE_STOCKOUT" in first["msg"] and "GCE_STOCKOUT" in first["cause"]
    assert "recreate: true" in first["remedy"] and "reservation" in first["remedy"]

    # GKE keeps the pool: it is there, and yet no success.
    with pytest.raises(ModuleFailed, match=r"node pool tpu is ERROR.*recreate: true"):
        run_module("node_pool", {**cloud, **TPU})
    assert run_module("node_pool", {**cloud, **TPU, "recreate": True}, check=True)["plan"]["action"] == "recreate"
    with cloud_server.fault("stockout", **short), pytest.raises(ModuleFailed, match="GCE_STOCKOUT"):
        run_module("node_pool", {**cloud, **TPU, "recreate": True})
    replaced = run_module("node_pool", {**cloud, **TPU, "recreate": True})
    assert replaced["plan"]["action"] == "recreate"
    assert replaced["node_pool"]["status"] == "RUNNING"
    assert not run_module("node_pool", {**cloud, **TPU, "recreate": True})["changed"]


def test_a_replacement_that_is_broken_too_is_no_success(cloud: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """recreate overlooks what an earlier run has left behind, not what this one has made."""
    run_module("node_pool", {**cloud, **TPU})
    original = Gke._send

    def ill(self: Gke, method: str, body: Json) -> Json:
        answer = original(self, method, body)
        if method == "get_node_pool" and answer["status"] == "RUNNING":
            conditions = [{"canonicalCode": "RESOURCE_EXHAUSTED", "message": "[GCE_STOCKOUT]: no room"}]
            return {**answer, "status": "RUNNING_WITH_ERROR", "conditions": conditions}
        return answer

    monkeypatch.setattr(Gke, "_send", ill)
    with pytest.raises(ModuleFailed, match=r"node pool tpu is RUNNING_WITH_ERROR.*no room.*reservation"):
        run_module("node_pool", {**cloud, **TPU, "recreate": True})


def test_a_replacement_begins_when_the_old_pool_is_gone(cloud: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    run_module("node_pool", {**cloud, **TPU})
    sent: list[str] = []
    original = Gke._send

    def watched(self: Gke, method: str, body: Json) -> Json:
        sent.append(method)
        return original(self, method, body)

    monkeypatch.setattr(Gke, "_send", watched)
    other = {**TPU, "config": {**TPU["config"], "spot": False}, "recreate": True, "wait": False}
    started = run_module("node_pool", {**cloud, **other})
    assert started["node_pool"]["status"] == "PROVISIONING"
    assert sent.index("delete_node_pool") < sent.index("get_operation") < sent.index("create_node_pool")


def test_a_creation_that_was_not_waited_for_is_picked_up(cloud: Json) -> None:
    started = run_module("node_pool", {**cloud, **PLAIN, "wait": False})
    assert started["changed"] and started["node_pool"]["status"] == "PROVISIONING"
    joined = run_module("node_pool", {**cloud, **PLAIN})
    assert not joined["changed"] and joined["node_pool"]["status"] == "RUNNING"
    leaving = run_module("node_pool", {**cloud, **OWN, "name": "plain", "state": "absent", "wait": False})
    assert leaving["changed"] and leaving["node_pool"] == {}
    anew = run_module("node_pool", {**cloud, **PLAIN})
    assert anew["plan"]["action"] == "create" and anew["node_pool"]["status"] == "RUNNING"


def test_a_pool_waits_for_another_pools_operation(cloud: Json) -> None:
    run_module("node_pool", {**cloud, **PLAIN, "wait": False})
    assert run_module("node_pool", {**cloud, **TPU})["node_pool"]["status"] == "RUNNING"


def test_a_specific_reservation_gets_its_key(cloud: Json, cloud_server: Running) -> None:
    properties = {"count": "1", "instanceProperties": {"machineType": "ct6e-standard-4t"}}
    reservations = f"projects/sandbox-project/zones/{ZONE}/reservations"
    cloud_server.request("POST", "compute", reservations, {"name": "mine", "specificReservation": properties})
    reserved = {
        **OWN,
        "initial_node_count": 1,
        "config": {
            "machine_type": "ct6e-standard-4t",
            "reservation_affinity": {"consume_reservation_type": "SPECIFIC_RESERVATION", "values": ["mine"]},
        },
    }
    made = run_module("node_pool", {**cloud, **reserved})["node_pool"]
    assert made["config"]["reservation_affinity"]["key"] == "compute.googleapis.com/reservation-name"
    assert not run_module("node_pool", {**cloud, **reserved})["changed"]


def test_flex_start_begins_without_nodes(cloud: Json) -> None:
    flex = {
        **OWN,
        "autoscaling": {"enabled": True, "max_node_count": 1},
        "config": {"machine_type": "ct6e-standard-4t", "flex_start": True, "max_run_duration": "3600s"},
    }
    made = run_module("node_pool", {**cloud, **flex})["node_pool"]
    assert "initial_node_count" not in made
    assert not run_module("node_pool", {**cloud, **flex})["changed"]


NETWORK_ADMIN = "roles/compute.networkAdmin"


def test_a_service_agent_without_its_role_is_told_before_the_pool_is_made(cloud: Json) -> None:
    """Without the role GKE takes the pool and fails it after minutes."""
    for check in (True, False):
        told = str(run_module("node_pool", {**cloud, **TPU}, check=check)["warnings"])
        assert NETWORK_ADMIN in told and "is not seen to hold" in told
    assert NETWORK_ADMIN not in str(run_module("node_pool", {**cloud, **TPU})["warnings"]), "it is there by now"
    run_module("node_pool", {**cloud, **OWN, "state": "absent"})
    asked = {**cloud, "name": ["container.googleapis.com"], "service_identity": True}
    agent = run_module("service", asked)["identities"]["container.googleapis.com"]
    grant = {**cloud, "role": NETWORK_ADMIN, "member": f"serviceAccount:{agent}"}
    run_module("iam_member", grant)
    assert NETWORK_ADMIN not in str(run_module("node_pool", {**cloud, **TPU})["warnings"])
    run_module("iam_member", {**grant, "state": "absent"})


@pytest.mark.parametrize(
    ("resource", "options", "says"),
    [
        ("*/global/networks/*", TPU, "the MTU of network"),
        ("*:getIamPolicy", TPU, "whether service-"),
        ("v1/projects/sandbox-project", TPU, "does not tell its number"),
        ("*/instanceGroupManagers/*", PLAIN, "the instance groups cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(
    cloud: Json, cloud_server: Running, resource: str, options: Json, says: str
) -> None:
    """A caller that may make pools but not read everything goes on, and knows what was not looked at."""
    with cloud_server.fault("error", settings={"code": 403}, resource=resource):
        made = run_module("node_pool", {**cloud, **options})
    assert made["node_pool"]["status"] == "RUNNING"
    assert says in str(made["warnings"]) and "does not have permission" in str(made["warnings"])


def test_a_change_that_does_not_end_in_time_is_a_change(cloud: Json) -> None:
    with pytest.raises(ModuleFailed, match="waited 0 s for create node pool plain in us-east5-a: operation") as caught:
        run_module("node_pool", {**cloud, **PLAIN, "wait_timeout": 0})
    assert caught.value.result["changed"] is True
    assert not run_module("node_pool", {**cloud, **PLAIN})["changed"]
    with pytest.raises(ModuleFailed) as caught:
        run_module("node_pool", {**cloud, **PLAIN, "config": {"spot": True}})
    assert not caught.value.result.get("changed")


def test_check_mode_plans_a_pool_of_a_cluster_that_is_not_there_yet(cloud: Json) -> None:
    early = {**cloud, **TPU, "cluster": "later"}
    assert run_module("node_pool", early, check=True)["plan"]["action"] == "create"
    with pytest.raises(ModuleFailed, match=r"cluster later in us-east5-a does not exist.*aiserving\.gke\.cluster"):
        run_module("node_pool", early)
    assert not run_module("node_pool", {**early, "state": "absent"})["changed"]
    assert run_module("node_pool_info", {**cloud, "cluster": "later", "location": ZONE})["node_pools"] == []


def test_a_cluster_without_dataplane_v2_is_refused_before_anything_is_changed(
    cloud: Json, cloud_server: Running
) -> None:
    args = {**cloud, "name": "legacy", "location": ZONE}
    old = {"initial_cluster_version": "1.33.5-gke.1162000", "release_channel": {"channel": "RAPID"}}
    run_module("cluster", {**args, **old})
    for says in ("1.34.1-gke.1829001 or later", "ADVANCED_DATAPATH"):
        for check in (True, False):
            with pytest.raises(ModuleFailed, match=says):
                run_module("node_pool", {**cloud, **TPU, "cluster": "legacy"}, check=check)
        for version in ("1.34.1-gke.2037000", "1.35.5-gke.1241004"):
            run_module("cluster", {**args, "master_version": version})
    path = f"v1/projects/sandbox-project/locations/{ZONE}/clusters/legacy/nodePools/tpu"
    assert cloud_server.find("container", path) is None
    run_module("cluster", {**args, "state": "absent"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"config": {"machine_type": "e2-standard-4"}}, "config.machine_type"),
        (
            {
                "config": {"machine_type": "ct6e-standard-4t"},
                "placement_policy": {"type": "COMPACT", "tpu_topology": "2x2"},
            },
            "takes no topology",
        ),
        ({"name": "TPU"}, "name:"),
        ({"cluster": "a_b"}, "cluster:"),
        ({"initial_node_count": -1}, "initial_node_count: -1 is not valid: give 0 or more"),
    ],
)
def test_bad_options_are_refused(cloud: Json, options: Json, says: str) -> None:
    with pytest.raises(ModuleFailed, match=says):
        run_module("node_pool", {**cloud, **TPU, **options})
