# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said before anything is changed."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption
from ansible_collections.aiserving.gke.plugins.module_utils._gke import preflight
from ansible_collections.aiserving.gke.plugins.module_utils._gke.clusters import check_versions, pick_version

Json = dict[str, t.Any]
TPU = {"machineType": "ct6e-standard-4t"}
CLUSTER = {
    "name": "c",
    "location": "us-east5-a",
    "locations": ["us-east5-a"],
    "currentMasterVersion": "1.34.1-gke.1829001",
    "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"},
}


def test_dranet_sets_profile_and_label_and_keeps_what_is_stated() -> None:
    pool = preflight.complete({"config": {**TPU, "labels": {"team": "a"}}, "initialNodeCount": 1}, dranet=True)
    assert pool == {
        "config": {**TPU, "labels": {"team": "a", "cloud.google.com/gke-networking-dra-driver": "true"}},
        "networkConfig": {"acceleratorNetworkProfile": "auto"},
        "initialNodeCount": 1,
    }


def test_without_dranet_nothing_is_added() -> None:
    assert preflight.complete({"initialNodeCount": 1}, dranet=False) == {"initialNodeCount": 1}


def test_flex_start_means_no_node_at_first_and_no_reservation() -> None:
    pool = preflight.complete(
        {"config": {**TPU, "flexStart": True}, "autoscaling": {"enabled": True, "maxNodeCount": 1}}, dranet=False
    )
    assert pool["initialNodeCount"] == 0
    assert pool["config"]["reservationAffinity"] == {"consumeReservationType": "NO_RESERVATION"}


def test_a_reservation_gets_its_key() -> None:
    affinity = {"consumeReservationType": "SPECIFIC_RESERVATION", "values": ["r"]}
    pool = preflight.complete({"config": {"reservationAffinity": affinity}}, dranet=False)
    assert pool["config"]["reservationAffinity"]["key"] == "compute.googleapis.com/reservation-name"


SPECIFIC = {"consumeReservationType": "SPECIFIC_RESERVATION", "values": ["r"]}
SCALED = {"enabled": True, "maxNodeCount": 1}


@pytest.mark.parametrize(
    ("pool", "dranet", "option", "says"),
    [
        ({"config": {"machineType": "e2-standard-4"}}, True, "config.machine_type", "ct6e-"),
        ({}, True, "config.machine_type", "ct6e-"),
        ({"config": TPU, "locations": ["a", "b"]}, True, "locations", "one zone"),
        (
            {"config": TPU, "networkConfig": {"additionalNodeNetworkConfigs": [{"network": "n"}]}},
            True,
            "network_config.additional_node_network_configs",
            "leave it out",
        ),
        (
            {"config": {**TPU, "labels": {preflight.PROFILE_LABEL: "false"}}},
            True,
            f"config.labels[{preflight.PROFILE_LABEL}]",
            "true",
        ),
        ({"config": {"spot": True, "flexStart": True}, "autoscaling": SCALED}, False, "config.flex_start", "spot"),
        ({"config": {"spot": True, "reservationAffinity": SPECIFIC}}, False, "config.spot", "reservation"),
        ({"config": {"flexStart": True}}, False, "autoscaling", "flex_start"),
        (
            {"config": {"flexStart": True}, "autoscaling": SCALED, "initialNodeCount": 2},
            False,
            "initial_node_count",
            "0",
        ),
        (
            {"config": {"flexStart": True, "reservationAffinity": SPECIFIC}, "autoscaling": SCALED},
            False,
            "config.reservation_affinity.consume_reservation_type",
            "flex_start",
        ),
        (
            {"config": {"reservationAffinity": SPECIFIC}, "queuedProvisioning": {"enabled": True}},
            False,
            "config.reservation_affinity.consume_reservation_type",
            "queued_provisioning",
        ),
        ({"queuedProvisioning": {"enabled": True}}, False, "autoscaling", "queued_provisioning"),
        (
            {"config": {"reservationAffinity": {"consumeReservationType": "SPECIFIC_RESERVATION"}}},
            False,
            "config.reservation_affinity.values",
            "name",
        ),
        (
            {"config": {"reservationAffinity": {"consumeReservationType": "ANY_RESERVATION", "values": ["r"]}}},
            False,
            "config.reservation_affinity.values",
            "leave it out",
        ),
        ({"config": {"maxRunDuration": "8d"}}, False, "config.max_run_duration", "604800s"),
        ({"config": {"maxRunDuration": "604801s"}}, False, "config.max_run_duration", "604800s"),
        ({"nodeCount": 1, "autoscaling": SCALED}, False, "node_count", "autoscaling"),
        ({"autoscaling": {"enabled": True, "maxNodeCount": 1, "totalMaxNodeCount": 1}}, False, "autoscaling", "both"),
        ({"autoscaling": {"enabled": True, "minNodeCount": 2, "maxNodeCount": 1}}, False, "autoscaling", "maximum"),
        (
            {"config": TPU, "placementPolicy": {"type": "COMPACT", "tpuTopology": "2x2"}},
            False,
            "placement_policy.tpu_topology",
            "takes no topology",
        ),
        ({"config": TPU, "placementPolicy": {"tpuTopology": "2x4"}}, False, "placement_policy.type", "COMPACT"),
        (
            {"config": TPU, "placementPolicy": {"type": "COMPACT", "tpuTopology": "2x4"}, "initialNodeCount": 1},
            False,
            "initial_node_count",
            "2 ",
        ),
    ],
)
def test_contradictions_name_the_option(pool: Json, dranet: bool, option: str, says: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        preflight.complete(pool, dranet=dranet)
    assert caught.value.details["option"] == option
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("cluster", "pool", "says"),
    [
        ({"currentMasterVersion": "1.34.1-gke.1829000"}, {}, "1.34.1-gke.1829001 or later"),
        ({"currentMasterVersion": "1.33.9-gke.9999999"}, {}, "upgrade with master_version"),
        ({}, {"version": "1.33.1-gke.1"}, "version is 1.33.1-gke.1"),
        ({"networkConfig": {}}, {}, "datapath_provider: ADVANCED_DATAPATH"),
        ({"networkConfig": {"datapathProvider": "LEGACY_DATAPATH"}}, {}, "Dataplane V2"),
        ({"locations": ["us-east5-a", "us-east5-b"]}, {}, "one zone"),
        ({"locations": [], "location": "us-east5"}, {}, "one zone"),
        ({"autopilot": {"enabled": True}}, {}, "ComputeClass"),
    ],
)
def test_a_cluster_that_cannot_carry_dranet(cluster: Json, pool: Json, says: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        preflight.check_dranet({**CLUSTER, **cluster}, pool)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("cluster", "pool"),
    [
        ({}, {}),
        ({"currentMasterVersion": "1.35.0-gke.1"}, {"version": "1.35"}),
        ({"location": "us-east5", "locations": ["us-east5-a", "us-east5-b"]}, {"locations": ["us-east5-b"]}),
    ],
)
def test_a_cluster_that_carries_dranet(cluster: Json, pool: Json) -> None:
    preflight.check_dranet({**CLUSTER, **cluster}, pool)


def test_the_mtu_is_a_warning() -> None:
    assert preflight.mtu_warning({"name": "n", "mtu": 8896}) is None
    assert "MTU 1460" in (preflight.mtu_warning({"name": "n"}) or "")


@pytest.mark.parametrize(
    ("stated", "floor", "option"),
    [
        ({"initialClusterVersion": "1.33"}, "1.34.1-gke.1", "initial_cluster_version"),
        ({"initialClusterVersion": "1.34.1-gke.0"}, "1.34.1-gke.1", "initial_cluster_version"),
        ({"initialClusterVersion": "newest"}, None, "initial_cluster_version"),
        ({"masterVersion": "1.33.1-gke.1"}, "1.34", "master_version"),
        ({"masterVersion": "latest"}, None, "master_version"),
        ({}, "one", "min_version"),
    ],
)
def test_versions_that_contradict_each_other(stated: Json, floor: str | None, option: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_versions(stated, floor)
    assert caught.value.details["option"] == option


@pytest.mark.parametrize("stated", ["latest", "-", "1.34", "1.34.1", "1.34.1-gke.1829001", "1.35"])
def test_versions_that_may_meet_the_floor(stated: str) -> None:
    check_versions({"initialClusterVersion": stated}, "1.34.1-gke.1829001")


CHANNELS = {
    "channels": [
        {
            "channel": "RAPID",
            "defaultVersion": "1.34.0-gke.5",
            "validVersions": ["1.35.1-gke.1", "1.34.1-gke.2", "1.34.1-gke.10", "1.34.0-gke.5"],
        }
    ]
}


@pytest.mark.parametrize(
    ("channel", "floor", "version"),
    [
        ("RAPID", "1.34.0-gke.5", None),
        ("RAPID", "1.34.1-gke.3", "1.34.1-gke.10"),
        ("RAPID", "1.34.1", "1.34.1-gke.2"),
        ("STABLE", "1.34.1", None),  # nothing is known of it: GKE decides, and the floor is checked afterwards
    ],
)
def test_the_lowest_version_that_meets_the_floor(channel: str, floor: str, version: str | None) -> None:
    assert pick_version(CHANNELS, channel, floor) == version


def test_a_floor_that_the_channel_does_not_reach() -> None:
    with pytest.raises(InvalidOption, match=r"newest version is 1\.35\.1-gke\.1"):
        pick_version(CHANNELS, "RAPID", "1.36")
