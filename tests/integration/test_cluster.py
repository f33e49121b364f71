# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster modules against the sandbox's cloud."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gke.api import Gke

from tests.clouds import CA, Running, running_cloud
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]
ZONE = "us-east5-a"
SERVING: Json = {
    "name": "serving",
    "location": ZONE,
    "network": "default",
    "subnetwork": "default",
    "release_channel": {"channel": "RAPID"},
    "min_version": "1.34.1-gke.1829001",
    "initial_node_count": 1,
    "node_config": {
        "machine_type": "e2-standard-16",
        "oauth_scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "workload_metadata_config": {"mode": "GKE_METADATA"},
    },
    "network_config": {
        "datapath_provider": "ADVANCED_DATAPATH",
        "gateway_api_config": {"channel": "CHANNEL_STANDARD"},
    },
    "ip_allocation_policy": {"use_ip_aliases": True, "cluster_ipv4_cidr_block": "/20"},
    "workload_identity_config": {"workload_pool": "sandbox-project.svc.id.goog"},
    "addons_config": {"gcs_fuse_csi_driver_config": {"enabled": True}, "dns_cache_config": {"enabled": True}},
    "monitoring_config": {"managed_prometheus_config": {"enabled": True}},
    "resource_labels": {"team": "serving"},
}
CHANGED: Json = {
    **SERVING,
    "release_channel": {"channel": "REGULAR"},
    "network_config": {**SERVING["network_config"], "enable_multi_networking": True},
    "addons_config": {"gcs_fuse_csi_driver_config": {"enabled": False}, "dns_cache_config": {"enabled": False}},
    "logging_config": {"component_config": {"enable_components": ["SYSTEM_COMPONENTS"]}},
    "monitoring_config": {"managed_prometheus_config": {"enabled": False}},
    "resource_labels": {"stage": "test"},
}


def test_the_life_of_a_cluster(cloud: Json, cloud_server: t.Any) -> None:
    planned = run_module("cluster", {**cloud, **SERVING}, check=True, diff=True)
    assert planned["changed"] and planned["plan"]["action"] == "create"
    assert planned["diff"]["before"] == {}
    assert planned["diff"]["after"]["release_channel"] == {"channel": "RAPID"}
    assert cloud_server.request("GET", "container", f"v1/projects/sandbox-project/locations/{ZONE}/clusters") == {}

    created = run_module("cluster", {**cloud, **SERVING})
    assert created["changed"] and created["operation"]["operation_type"] == "CREATE_CLUSTER"
    live = created["cluster"]
    assert live["status"] == "RUNNING"
    assert live["addons_config"]["gcs_fuse_csi_driver_config"] == {"enabled": True}
    assert live["network_config"]["gateway_api_config"] == {"channel": "CHANNEL_STANDARD"}
    assert [pool["name"] for pool in live["node_pools"]] == ["default-pool"]

    again = run_module("cluster", {**cloud, **SERVING}, diff=True)
    assert not again["changed"] and again["plan"] == {"action": "none", "changes": []}
    assert again["diff"] == {"before": {}, "after": {}}

    # Only what is stated is compared.
    assert not run_module("cluster", {**cloud, "name": "serving", "location": ZONE})["changed"]

    planned = run_module("cluster", {**cloud, **CHANGED}, check=True, diff=True)
    assert planned["plan"]["action"] == "update"
    assert [change["call"] for change in planned["plan"]["changes"]] == [
        "update_cluster.desiredReleaseChannel",
        "update_cluster.desiredAddonsConfig",
        "update_cluster.desiredAddonsConfig",
        "update_cluster.desiredEnableMultiNetworking",
        "update_cluster.desiredLoggingConfig",
        "update_cluster.desiredMonitoringConfig",
        "set_labels",
    ]
    assert planned["diff"]["before"]["release_channel.channel"] == "RAPID"
    assert planned["diff"]["after"]["release_channel.channel"] == "REGULAR"
    assert not run_module("cluster", {**cloud, **SERVING})["changed"]

    changed = run_module("cluster", {**cloud, **CHANGED})
    assert changed["changed"]
    assert changed["cluster"]["release_channel"] == {"channel": "REGULAR"}
    assert changed["cluster"]["network_config"]["enable_multi_networking"] is True
    assert changed["cluster"]["network_config"]["gateway_api_config"] == {"channel": "CHANNEL_STANDARD"}
    assert changed["cluster"]["resource_labels"] == {"team": "serving", "stage": "test"}
    assert not run_module("cluster", {**cloud, **CHANGED})["changed"]

    info = run_module("cluster_info", {**cloud, "name": "serving", "location": ZONE})
    assert info["exists"] and not info["changed"]
    assert info["connection"] == {"endpoint": "127.99.0.11:6443", "ca_certificate": CA}
    listed = run_module("cluster_info", cloud)
    assert [one["name"] for one in listed["clusters"]] == ["serving"]
    assert "exists" not in listed

    absent = {**cloud, "name": "serving", "location": ZONE, "state": "absent"}
    planned = run_module("cluster", absent, check=True, diff=True)
    assert planned["plan"]["action"] == "delete" and planned["diff"]["after"] == {}
    gone = run_module("cluster", absent)
    assert gone["changed"] and gone["cluster"] == {}
    assert not run_module("cluster", absent)["changed"]
    info = run_module("cluster_info", {**cloud, "name": "serving", "location": ZONE})
    assert (info["exists"], info["cluster"], info["connection"], info["clusters"]) == (False, {}, {}, [])


@pytest.fixture
def serving(cloud: Json) -> Iterator[Json]:
    """A cluster with Dataplane V2 that is deleted afterwards."""
    made = run_module("cluster", {**cloud, **SERVING})["cluster"]
    yield made
    run_module("cluster", {**cloud, "name": "serving", "location": ZONE, "state": "absent"})


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"network_config": {"datapath_provider": "LEGACY_DATAPATH"}}, "network_config.datapath_provider"),
        ({"node_config": {"machine_type": "e2-standard-4"}}, "node_config.machine_type"),
        ({"network": "other"}, "network"),
    ],
)
def test_what_cannot_change_fails_and_names_the_field(cloud: Json, serving: Json, options: Json, field: str) -> None:
    for check in (True, False):
        with pytest.raises(ModuleFailed) as caught:
            run_module("cluster", {**cloud, "name": "serving", "location": ZONE, **options}, check=check)
        assert caught.value.result["fields"] == [field]
        assert field in caught.value.result["msg"]


def test_a_lower_version_than_the_control_plane_runs_is_no_change(cloud: Json, serving: Json) -> None:
    own = {**cloud, "name": "serving", "location": ZONE}
    assert serving["current_master_version"] == "1.35.6-gke.1127000"
    assert not run_module("cluster", {**own, "master_version": "1.34.1-gke.1829001"})["changed"]


def test_an_older_control_plane_is_upgraded(cloud: Json) -> None:
    own = {**cloud, "name": "older", "location": ZONE, "release_channel": {"channel": "RAPID"}}
    made = run_module("cluster", {**own, "initial_cluster_version": "1.34"})
    assert made["cluster"]["current_master_version"] == "1.34.1-gke.2037000"
    with pytest.raises(
        ModuleFailed,
        match=r"min_version: '1.35' is not valid: cluster older runs 1\.34\.1-gke\.2037000, which is below",
    ) as caught:
        run_module("cluster", {**own, "min_version": "1.35"})
    assert not caught.value.result.get("changed")
    with pytest.raises(ModuleFailed) as caught:
        run_module("cluster", {**own, "min_version": "1.35", "resource_labels": {"told": "1"}})
    assert caught.value.result["changed"] is True
    upgraded = run_module("cluster", {**own, "master_version": "1.35.2-gke.1842000", "min_version": "1.35"})
    assert upgraded["cluster"]["current_master_version"] == "1.35.2-gke.1842000"
    run_module("cluster", {**own, "state": "absent"})


def test_a_floor_above_the_default_picks_the_version(cloud: Json) -> None:
    # EXTENDED's default is 1.34; the lowest version of the channel that will do is taken.
    own = {**cloud, "name": "floor", "location": ZONE, "min_version": "1.35"}
    made = run_module("cluster", {**own, "release_channel": {"channel": "EXTENDED"}})
    assert made["cluster"]["current_master_version"] == "1.35.5-gke.1241004"
    run_module("cluster", {**own, "state": "absent"})
    with pytest.raises(ModuleFailed, match="newest version is 1.34.8"):
        run_module("cluster", {**own, "release_channel": {"channel": "STABLE"}})
    assert not run_module("cluster_info", {**cloud, "name": "floor", "location": ZONE})["exists"]


def test_a_creation_that_was_not_waited_for_is_picked_up(cloud: Json, cloud_server: Running) -> None:
    # Long enough to be met under way on a busy machine, too.
    late = {"service": "container", "times": 1}
    with cloud_server.fault("operation-slow", settings={"factor": 3}, **late):
        started = run_module("cluster", {**cloud, **SERVING, "wait": False})
    assert started["changed"] and started["cluster"]["status"] == "PROVISIONING"
    assert started["operation"]["status"] != "DONE"
    # A look in check mode waits for nothing.
    assert not run_module("cluster", {**cloud, **SERVING}, check=True)["changed"]

    joined = run_module("cluster", {**cloud, **SERVING})
    assert not joined["changed"] and joined["cluster"]["status"] == "RUNNING"
    operations = cloud_server.request("GET", "container", f"v1/projects/sandbox-project/locations/{ZONE}/operations")
    mine = [one for one in operations["operations"] if one["targetLink"].endswith("/serving")]
    assert mine[-1]["name"] == started["operation"]["name"]

    own = {**cloud, "name": "serving", "location": ZONE}
    with cloud_server.fault("operation-slow", settings={"factor": 10}, **late):
        leaving = run_module("cluster", {**own, "state": "absent", "wait": False})
    assert leaving["changed"] and leaving["cluster"] == {}
    # To be deleted already: nothing to add; to be there again: said clearly, or made after it is gone.
    assert not run_module("cluster", {**own, "state": "absent", "wait": False})["changed"]
    with pytest.raises(ModuleFailed, match="is being deleted"):
        run_module("cluster", {**cloud, **SERVING, "wait": False})
    anew = run_module("cluster", {**cloud, **SERVING})
    assert anew["changed"] and anew["cluster"]["status"] == "RUNNING"
    run_module("cluster", {**own, "state": "absent"})


def test_a_change_waits_for_somebody_elses_operation(cloud: Json, serving: Json, cloud_server: t.Any) -> None:
    path = f"v1/projects/sandbox-project/locations/{ZONE}/clusters/serving"
    own = {**cloud, "name": "serving", "location": ZONE}
    theirs = {"update": {"desiredVerticalPodAutoscaling": {"enabled": True}}}
    cloud_server.request("PUT", "container", path, theirs)
    # wait: false does not settle first, so the request meets the running operation.
    mine = run_module("cluster", {**own, "cost_management_config": {"enabled": True}, "wait": False})
    assert mine["changed"]
    live = run_module("cluster", {**own, "cost_management_config": {"enabled": True}})
    assert not live["changed"]
    assert live["cluster"]["vertical_pod_autoscaling"] == {"enabled": True}


def test_a_cluster_joins_the_fleet_of_its_project(cloud: Json, serving: Json) -> None:
    own = {**cloud, "name": "serving", "location": ZONE, "fleet": {"project": "sandbox-project"}}
    joined = run_module("cluster", own)
    assert joined["plan"]["changes"][0]["call"] == "update_cluster.desiredFleet"
    # Google answers with the project's number, and keeps the membership in the region.
    assert joined["cluster"]["fleet"]["membership"].endswith("/locations/us-east5/memberships/serving")
    assert not run_module("cluster", own)["changed"]


def test_a_fleet_of_another_project_is_another_fleet(cloud: Json, serving: Json) -> None:
    """Google answers with a number; only Google knows whose it is."""
    own = {**cloud, "name": "serving", "location": ZONE}
    run_module("cluster", {**own, "fleet": {"project": "sandbox-project"}})
    assert run_module("cluster", {**own, "fleet": {"project": "elsewhere"}}, check=True)["changed"]
    number = run_module("cluster", own)["cluster"]["fleet"]["project"]
    assert number.isdigit()
    assert not run_module("cluster", {**own, "fleet": {"project": number}})["changed"]
    assert run_module("cluster", {**own, "fleet": {"project": "42"}}, check=True)["changed"]


def test_labels_survive_a_change_in_between(cloud: Json, serving: Json, cloud_server: Running) -> None:
    """The fingerprint is that of the moment of writing, not that of the comparison."""
    path = f"v1/projects/sandbox-project/locations/{ZONE}/clusters/serving"
    fingerprint = cloud_server.request("GET", "container", path)["labelFingerprint"]
    theirs = {"resourceLabels": {"team": "serving", "theirs": "1"}, "labelFingerprint": fingerprint}
    # So slow that the write comes while it lasts.
    with cloud_server.fault("operation-slow", service="container", settings={"factor": 12}, times=1):
        cloud_server.request("POST", "container", f"{path}:setResourceLabels", theirs)
    own = {**cloud, "name": "serving", "location": ZONE}
    run_module("cluster", {**own, "resource_labels": {"ours": "2"}, "wait": False})
    live = run_module("cluster", own)["cluster"]
    assert live["resource_labels"] == {"team": "serving", "theirs": "1", "ours": "2"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "Serving"}, "name:"),
        ({"location": "useast5"}, "location:"),
        ({"initial_cluster_version": "1.33", "min_version": "1.34"}, "initial_cluster_version:"),
        ({"master_version": "newest"}, "master_version:"),
        ({"logging_config": {"component_config": {"enable_components": ["EVERYTHING"]}}}, "EVERYTHING"),
        ({"resource_labels": {"team": True}}, "resourceLabels"),
    ],
)
def test_bad_options_are_refused(cloud: Json, options: Json, says: str) -> None:
    for check in (True, False):
        with pytest.raises(ModuleFailed, match=says):
            run_module("cluster", {**cloud, "name": "bad", "location": ZONE, **options}, check=check)
    assert run_module("cluster_info", cloud)["clusters"] == []


def test_a_cluster_that_does_not_come_up_is_a_failure(tmp_path: Path) -> None:
    """DONE with an error is no success, and the cluster that GKE keeps is no success later either."""
    with running_cloud(tmp_path) as server:
        ends = server.fault("operation-error", resource="*/clusters/serving", settings={"reason": "quota"})
        with ends, pytest.raises(ModuleFailed, match="create cluster serving.*Insufficient quota"):
            run_module("cluster", {**server.args, **SERVING})
        with pytest.raises(ModuleFailed, match="cluster serving is ERROR.*state: absent"):
            run_module("cluster", {**server.args, **SERVING})
        absent = {**server.args, "name": "serving", "location": ZONE, "state": "absent"}
        assert run_module("cluster", absent)["changed"]


@pytest.mark.parametrize("over", [False, True])
def test_an_answer_that_was_lost_does_not_create_twice(
    cloud: Json, cloud_server: Running, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    """The request lands, the answer does not: its operation is looked up, or what is there once that is over."""
    own = {**cloud, "name": "lost", "location": ZONE}
    lost = {"service": "container", "method": "POST", "resource": "*/clusters", "settings": {"when": "after"}}
    with monkeypatch.context() as patched, cloud_server.fault("reset", **lost) as name:
        if over:
            patched.setattr(Gke, "running", lambda self, target: None)
        made = run_module("cluster", own)
        assert cloud_server.faults()[name]["hits"] == 1
    assert made["cluster"]["status"] == "RUNNING"
    run_module("cluster", {**own, "state": "absent"})


def test_a_wait_that_runs_out_says_where_it_stands(cloud: Json, serving: Json) -> None:
    own = {**cloud, "name": "serving", "location": ZONE, "vertical_pod_autoscaling": {"enabled": True}}
    with pytest.raises(ModuleFailed, match=r"waited 0 s for update .*operation-"):
        run_module("cluster", {**own, "wait_timeout": 0})
    assert not run_module("cluster", own)["changed"]
