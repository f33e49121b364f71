# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How clusters and node pools are compared, and the bodies of the calls that change them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ImmutableField
from ansible_collections.aiserving.gke.plugins.module_utils._gke import updates
from ansible_collections.aiserving.gke.plugins.module_utils._gke.clusters import connection_of, explain_immutable
from ansible_collections.aiserving.gke.plugins.module_utils._gke.fields import (
    CLUSTER_FIELDS,
    cluster_fields,
    node_pool_fields,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gke.messages import from_message, to_message
from ansible_collections.aiserving.gke.plugins.module_utils._gke.spec import CLUSTER_SPEC, NODE_POOL_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._naming import to_api
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import Json, Plan, make_plan


class Thing:
    """A resource that is only planned."""

    kind, name = "thing", "x"
    identity: t.ClassVar[Json] = {}

    def __init__(self, fields: t.Any) -> None:
        self.fields = fields

    def get(self) -> Json | None:
        raise NotImplementedError

    create = update = delete = t.cast(t.Any, get)


def plan(fields: t.Any, desired: Json, live: Json, recreate: bool = False) -> Plan:
    return make_plan(Thing(fields), desired, live, state="present", recreate=recreate)


def pool_plan(desired: Json, live: Json, recreate: bool = False) -> Plan:
    machine = (desired.get("config") or {}).get("machineType")
    return plan(node_pool_fields(machine), desired, {"status": "RUNNING", **live}, recreate)


# Recorded traffic: what Google answers to a request shows no difference from that request.


def recorded(shared: Path, name: str) -> list[Json]:
    file = shared / "recorded" / "container" / f"{name}.json"
    if not file.is_file():
        pytest.skip(f"no recorded traffic {file}")
    return t.cast(list[Json], json.loads(file.read_text()))


@pytest.mark.parametrize(
    "name",
    [
        "cluster",
        "cluster-minimal",
        "cluster-dns-and-ip-endpoints",
        "cluster-maintenance-policy",
        "cluster-private-endpoint-subnetwork",
        "node-pool",
        "node-pool-subnetwork",
    ],
)
def test_recorded_clusters_show_no_difference(shared: Path, name: str) -> None:
    traffic = recorded(shared, name)
    start = next(i for i, e in enumerate(traffic) if e["method"] == "POST" and e["url"].endswith("/clusters"))
    wanted = traffic[start]["request"]["cluster"]
    tail = f"/clusters/{wanted['name']}"
    live = next(e["response"] for e in traffic[start:] if e["method"] == "GET" and e["url"].endswith(tail))
    assert plan(CLUSTER_FIELDS, wanted, live).action == "none"


@pytest.mark.parametrize("name", ["node-pool", "node-pool-remove-taint", "node-pool-subnetwork"])
def test_recorded_node_pools_show_no_difference(shared: Path, name: str) -> None:
    traffic = recorded(shared, name)
    start = next(i for i, e in enumerate(traffic) if e["method"] == "POST" and e["url"].endswith("/nodePools"))
    wanted = traffic[start]["request"]["nodePool"]
    tail = f"/nodePools/{wanted['name']}"
    live = next(e["response"] for e in traffic[start:] if e["method"] == "GET" and e["url"].endswith(tail))
    assert pool_plan(wanted, live).action == "none"


def test_the_recorded_change_of_taints_is_made_by_the_recorded_request(shared: Path) -> None:
    traffic = recorded(shared, "node-pool-remove-taint")
    change = next(e for e in traffic if e["method"] == "PUT")
    before = next(e["response"] for e in traffic if "config" in e["response"] and e["url"] == change["url"])
    made = pool_plan({"config": {"taints": change["request"]["taints"]["taints"]}}, before)
    assert list(made.calls) == ["update_node_pool.taints"]
    assert updates.node_pool_update("taints", made.changes) == {"taints": change["request"]["taints"]}


def test_recorded_answers_survive_the_library(shared: Path) -> None:
    """What google-cloud-container makes of an answer compares as the answer itself."""
    for name in ("cluster", "cluster-minimal"):
        for entry in recorded(shared, name):
            live = entry["response"]
            if live.get("currentMasterVersion"):
                known = {key: live[key] for key in live if key in ("name", "addonsConfig", "releaseChannel", "status")}
                assert from_message(to_message("Cluster", known)) == {
                    **known,
                    "addonsConfig": {
                        key: {k: v for k, v in value.items() if v is not False}
                        for key, value in known["addonsConfig"].items()
                    },
                }


# What GKE adds, defaults or spells otherwise is no difference.


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        (
            {"config": {"labels": {"a": "1"}}},
            {"config": {"labels": {"a": "1", "gke.networks.io/accelerator-network-profile": "auto"}}},
        ),
        (
            {"networkConfig": {"acceleratorNetworkProfile": "auto", "additionalNodeNetworkConfigs": []}},
            {
                "networkConfig": {
                    "acceleratorNetworkProfile": "auto",
                    "additionalNodeNetworkConfigs": [{"network": "gke-made", "subnetwork": "gke-made"}],
                }
            },
        ),
        (
            {"config": {"taints": []}},
            {"config": {"taints": [{"key": "google.com/tpu", "value": "present", "effect": "NO_SCHEDULE"}]}},
        ),
        (
            {"config": {"taints": [{"key": "a", "effect": "NO_EXECUTE"}, {"key": "b", "effect": "NO_EXECUTE"}]}},
            {"config": {"taints": [{"key": "b", "effect": "NO_EXECUTE"}, {"key": "a", "effect": "NO_EXECUTE"}]}},
        ),
        ({"config": {"oauthScopes": ["a", "b"]}}, {"config": {"oauthScopes": ["b", "a"]}}),
        ({"config": {"spot": False, "gvnic": {"enabled": False}}}, {"config": {}}),
        ({"config": {"reservationAffinity": {"consumeReservationType": "NO_RESERVATION"}}}, {"config": {}}),
        (
            {"config": {"accelerators": [{"acceleratorType": "t", "acceleratorCount": 8}]}},
            {"config": {"accelerators": [{"acceleratorType": "t", "acceleratorCount": "8", "maxTime": "x"}]}},
        ),
        ({"autoscaling": {"enabled": True, "minNodeCount": 0}}, {"autoscaling": {"enabled": True, "maxNodeCount": 3}}),
        ({"version": "1.34.1-gke.5"}, {"version": "1.34.1-gke.6"}),
        ({"maxPodsConstraint": {"maxPodsPerNode": 64}}, {"maxPodsConstraint": {"maxPodsPerNode": "64"}}),
        ({"initialNodeCount": 3}, {"initialNodeCount": 1}),
    ],
)
def test_pools_that_are_as_wanted(desired: Json, live: Json) -> None:
    assert pool_plan(desired, live).action == "none"


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ({"network": "n", "subnetwork": "s"}, {"network": "n", "subnetwork": "projects/p/regions/r/subnetworks/s"}),
        ({"network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/n"}, {"network": "n"}),
        ({"ipAllocationPolicy": {"clusterIpv4CidrBlock": "/20"}}, {"ipAllocationPolicy": {}}),
        ({"addonsConfig": {"httpLoadBalancing": {"disabled": False}}}, {"addonsConfig": {"httpLoadBalancing": {}}}),
        ({"masterVersion": "1.34"}, {"currentMasterVersion": "1.35.0-gke.1"}),
        ({"nodeConfig": {"machineType": "a"}}, {"nodeConfig": {"machineType": "b"}}),  # no default-pool any more
        (
            {"nodeConfig": {"machineType": "a"}},
            {"nodePools": [{"name": "default-pool", "config": {"machineType": "a"}}]},
        ),
        ({"resourceLabels": {"a": "1"}}, {"resourceLabels": {"a": "1", "b": "2"}}),
        (
            {"loggingConfig": {"componentConfig": {"enableComponents": ["A", "B"]}}},
            {"loggingConfig": {"componentConfig": {"enableComponents": ["B", "A"]}}},
        ),
    ],
)
def test_clusters_that_are_as_wanted(desired: Json, live: Json) -> None:
    assert plan(CLUSTER_FIELDS, desired, {"status": "RUNNING", **live}).action == "none"


@pytest.mark.parametrize(("live", "action"), [("p", "none"), ("123", "none"), ("456", "update"), ("q", "update")])
def test_a_fleets_project_is_known_by_its_id_and_its_own_number(live: str, action: str) -> None:
    fields = cluster_fields(lambda one, other: one == other or {one, other} == {"p", "123"})
    assert plan(fields, {"fleet": {"project": "p"}}, {"status": "RUNNING", "fleet": {"project": live}}).action == action
    assert plan(fields, {"fleet": {"project": "p"}}, {"status": "RUNNING"}).action == "update"


# What cannot change in place names its field.


@pytest.mark.parametrize(
    ("desired", "live", "field"),
    [
        ({"networkConfig": {"acceleratorNetworkProfile": "auto"}}, {}, "network_config.accelerator_network_profile"),
        ({"placementPolicy": {"type": "COMPACT", "tpuTopology": "2x4"}}, {}, "placement_policy"),
        ({"config": {"spot": True}}, {"config": {}}, "config.spot"),
        (
            {"config": {"reservationAffinity": {"consumeReservationType": "SPECIFIC_RESERVATION", "values": ["r"]}}},
            {"config": {}},
            "config.reservation_affinity",
        ),
        (
            {"config": {"machineType": "ct6e-standard-8t"}},
            {"config": {"machineType": "ct6e-standard-4t"}},
            "config.machine_type",
        ),
        ({"config": {"serviceAccount": "a"}}, {"config": {"serviceAccount": "b"}}, "config.service_account"),
    ],
)
def test_pools_that_must_be_made_anew(desired: Json, live: Json, field: str) -> None:
    with pytest.raises(ImmutableField) as caught:
        pool_plan(desired, live)
    assert caught.value.details["fields"] == [field]
    assert pool_plan(desired, live, recreate=True).action == "recreate"


@pytest.mark.parametrize("status", ["ERROR", "RUNNING_WITH_ERROR"])
def test_a_broken_pool_is_replaced_only_on_request(status: str) -> None:
    assert pool_plan({}, {"status": status}, recreate=True).action == "recreate"
    assert pool_plan({}, {"status": "RUNNING"}, recreate=True).action == "none"


def test_a_cluster_that_cannot_change_says_what_to_do_instead() -> None:
    live = {"status": "RUNNING", "nodePools": [{"name": "default-pool", "config": {"machineType": "b"}}]}
    with pytest.raises(ImmutableField) as caught:
        plan(CLUSTER_FIELDS, {"nodeConfig": {"machineType": "a"}}, live)
    assert "aiserving.gke.node_pool" in explain_immutable(caught.value).message
    with pytest.raises(ImmutableField) as caught:
        plan(CLUSTER_FIELDS, {"networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"}}, live)
    told = explain_immutable(caught.value).message
    assert "network_config.datapath_provider" in told
    assert "another name" in told


# The bodies of the calls.


@pytest.mark.parametrize(
    ("desired", "live", "bodies"),
    [
        (
            {"releaseChannel": {"channel": "RAPID"}},
            {"releaseChannel": {"channel": "REGULAR"}},
            [{"desiredReleaseChannel": {"channel": "RAPID"}}],
        ),
        (
            {"addonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}, "dnsCacheConfig": {"enabled": True}}},
            {"addonsConfig": {"dnsCacheConfig": {"enabled": True}}},
            [{"desiredAddonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}}}],
        ),
        (
            {
                "networkConfig": {
                    "gatewayApiConfig": {"channel": "CHANNEL_STANDARD"},
                    "enableMultiNetworking": True,
                    "enableIntraNodeVisibility": True,
                }
            },
            {},
            [
                {"desiredGatewayApiConfig": {"channel": "CHANNEL_STANDARD"}},
                {"desiredEnableMultiNetworking": True},
                {"desiredIntraNodeVisibilityConfig": {"enabled": True}},
            ],
        ),
        (
            {
                "monitoringConfig": {
                    "componentConfig": {"enableComponents": ["DCGM"]},
                    "managedPrometheusConfig": {"enabled": True},
                }
            },
            {},
            [
                {
                    "desiredMonitoringConfig": {
                        "componentConfig": {"enableComponents": ["DCGM"]},
                        "managedPrometheusConfig": {"enabled": True},
                    }
                }
            ],
        ),
        (
            {"masterVersion": "1.35"},
            {"currentMasterVersion": "1.34.1-gke.1"},
            [{"desiredMasterVersion": "1.35"}],
        ),
        ({"fleet": {"project": "p"}}, {}, [{"desiredFleet": {"project": "p"}}]),
    ],
)
def test_one_group_per_cluster_update(desired: Json, live: Json, bodies: list[Json]) -> None:
    made = plan(CLUSTER_FIELDS, desired, {"status": "RUNNING", **live})
    sent = [updates.cluster_update(call.partition(".")[2], changes) for call, changes in made.calls.items()]
    assert sent == bodies
    for update in sent:
        to_message("UpdateClusterRequest", {"name": "c", "update": update})


def test_every_cluster_update_has_a_place_in_the_api() -> None:
    for field in CLUSTER_FIELDS:
        if field.call and field.call.startswith("update_cluster."):
            group = field.call.partition(".")[2]
            assert group in updates._CLUSTER_ROOTS
            assert field.path.startswith(updates._CLUSTER_ROOTS[group])


def test_labels_of_a_cluster_are_added_to_the_others() -> None:
    live = {"status": "RUNNING", "resourceLabels": {"theirs": "1"}, "labelFingerprint": "f"}
    made = plan(CLUSTER_FIELDS, {"resourceLabels": {"ours": "2"}}, live)
    body = updates.resource_labels(made.changes, live)
    assert body == {"resourceLabels": {"theirs": "1", "ours": "2"}, "labelFingerprint": "f"}


@pytest.mark.parametrize(
    ("desired", "live", "method", "body"),
    [
        (
            {"config": {"labels": {"a": "2"}}},
            {"config": {"labels": {"a": "1", "b": "1"}}},
            "update_node_pool",
            {"labels": {"labels": {"a": "2", "b": "1"}}},
        ),
        (
            {"config": {"taints": [{"key": "a", "effect": "NO_EXECUTE"}]}},
            {
                "config": {
                    "taints": [{"key": "old", "effect": "NO_EXECUTE"}, {"key": "google.com/tpu", "value": "present"}]
                }
            },
            "update_node_pool",
            {
                "taints": {
                    "taints": [{"key": "a", "effect": "NO_EXECUTE"}, {"key": "google.com/tpu", "value": "present"}]
                }
            },
        ),
        ({"config": {"tags": ["t"]}}, {}, "update_node_pool", {"tags": {"tags": ["t"]}}),
        (
            {"config": {"machineType": "e2-standard-8", "diskSizeGb": 200}},
            {"config": {"machineType": "e2-standard-4", "diskSizeGb": 100}},
            "update_node_pool",
            {"machineType": "e2-standard-8", "diskSizeGb": 200},
        ),
        ({"version": "1.35"}, {"version": "1.34.1-gke.1"}, "update_node_pool", {"nodeVersion": "1.35"}),
        ({"locations": ["a", "b"]}, {"locations": ["a"]}, "update_node_pool", {"locations": ["a", "b"]}),
        (
            {"queuedProvisioning": {"enabled": True}},
            {},
            "update_node_pool",
            {"queuedProvisioning": {"enabled": True}},
        ),
        (
            {"upgradeSettings": {"maxSurge": 2}},
            {"upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"}},
            "update_node_pool",
            {"upgradeSettings": {"maxSurge": 2, "strategy": "SURGE"}},
        ),
        (
            {"upgradeSettings": {"strategy": "BLUE_GREEN"}},
            {"upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"}},
            "update_node_pool",
            {"upgradeSettings": {"strategy": "BLUE_GREEN"}},
        ),
        (
            {"networkConfig": {"enablePrivateNodes": True}},
            {},
            "update_node_pool",
            {"nodeNetworkConfig": {"enablePrivateNodes": True}},
        ),
    ],
)
def test_bodies_of_node_pool_updates(desired: Json, live: Json, method: str, body: Json) -> None:
    live = {"status": "RUNNING", **live}
    made = pool_plan(desired, live)
    (call, changes), *rest = made.calls.items()
    assert not rest
    assert call.partition(".")[0] == method
    sent = updates.node_pool_update(call.partition(".")[2], changes)
    assert sent == body
    to_message("UpdateNodePoolRequest", {"name": "n", **sent})


def test_autoscaling_keeps_what_is_not_stated() -> None:
    live = {"autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 3}}
    made = pool_plan({"autoscaling": {"enabled": True, "maxNodeCount": 5}}, live)
    body = updates.node_pool_setting(*next(iter(made.calls.items())))
    assert body == {"autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 5}}


def test_a_resize_is_a_call_of_its_own() -> None:
    made = pool_plan({"nodeCount": 0}, {"nodeCount": 2})
    assert updates.node_pool_setting(*next(iter(made.calls.items()))) == {"nodeCount": 0}


def test_zones_of_different_size_are_evened() -> None:
    assert pool_plan({"nodeCount": 2}, {"nodeCount": None}).action == "update"


# The options fit the library's messages, so that none is refused or lost on the way.


@pytest.mark.parametrize(
    ("kind", "spec", "how"),
    [
        ("Cluster", CLUSTER_SPEC, {"state", "location", "min_version", "master_version", "purge_labels"}),
        (
            "NodePool",
            NODE_POOL_SPEC,
            {"state", "location", "cluster", "dranet", "recreate", "node_count", "purge_labels"},
        ),
    ],
)
def test_every_option_is_a_field_of_the_api(kind: str, spec: dict[str, t.Any], how: set[str]) -> None:
    example = {name: sample(option) for name, option in spec.items() if name not in how}
    body = to_api(example)
    assert from_message(to_message(kind, body)).keys() == body.keys()


def sample(option: dict[str, t.Any]) -> t.Any:
    kind = option.get("elements", option["type"])
    value: t.Any = {"int": 7, "bool": True, "str": "7s"}.get(kind)
    if option.get("choices"):
        value = option["choices"][0]
        # An enum's zero value is not printed.
        value = option["choices"][-1] if value == "NONE" else value
    if "options" in option:
        value = {name: sample(inner) for name, inner in option["options"].items()}
        if "enable_components" in value:
            value["enable_components"] = ["SYSTEM_COMPONENTS"]
    elif kind == "dict":
        value = {"k": "v"}
    return [value] if option["type"] == "list" else value


# The connection to a cluster.


def test_the_connection_is_the_endpoint_and_the_certificate() -> None:
    live = {"endpoint": "127.0.0.1:6443", "masterAuth": {"clusterCaCertificate": "UEVN"}}
    assert connection_of(live) == {"endpoint": "127.0.0.1:6443", "ca_certificate": "PEM"}


def test_without_addresses_the_connection_is_by_name() -> None:
    access = {"ipEndpointsConfig": {"enabled": False}, "dnsEndpointConfig": {"endpoint": "gke-x.gke.goog"}}
    live = {"endpoint": "10.0.0.2", "controlPlaneEndpointsConfig": access}
    assert connection_of(live) == {"endpoint": "gke-x.gke.goog", "ca_certificate": None}


def test_there_is_no_connection_before_there_is_an_endpoint() -> None:
    assert connection_of({"status": "PROVISIONING"}) == {}
    assert connection_of(None) == {}
