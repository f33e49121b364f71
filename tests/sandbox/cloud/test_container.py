# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GKE's rules: versions, updates, ranges, pools with TPUs and the accelerator network profile."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running

COMPUTE = f"compute/v1/projects/{PROJECT}"
PARENT = f"container/v1/projects/{PROJECT}/locations/us-east5-a"
CLUSTER = f"{PARENT}/clusters/c1"
POOLS = f"{CLUSTER}/nodePools"
Json = dict[str, t.Any]
BASE: Json = {
    "name": "c1",
    "network": "default",
    "initialNodeCount": 1,
    "releaseChannel": {"channel": "RAPID"},
    "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"},
}
TPU: Json = {
    "name": "tpu",
    "initialNodeCount": 1,
    "config": {"machineType": "ct6e-standard-4t"},
    "networkConfig": {"acceleratorNetworkProfile": "auto"},
}


def create(cloud: Running, **more: t.Any) -> Json:
    operation = cloud.done(cloud.ok("POST", f"{PARENT}/clusters", {"cluster": {**BASE, **more}}))
    assert "error" not in operation
    return t.cast(Json, cloud.ok("GET", f"{PARENT}/clusters/{more.get('name', 'c1')}"))


def message(answer: tuple[int, Json], code: int = 400) -> str:
    assert answer[0] == code, answer
    return str(answer[1]["error"]["message"])


@pytest.mark.parametrize(
    ("channel", "wanted", "given"),
    [
        ("RAPID", "", "1.35.6-gke.1127000"),
        ("RAPID", "1.34", "1.34.1-gke.2037000"),
        ("RAPID", "1.34.1-gke.1829001", "1.34.1-gke.1829001"),
        ("RAPID", "latest", "1.35.6-gke.1127000"),
        ("REGULAR", "-", "1.35.6-gke.1127000"),
    ],
)
def test_versions_resolve_within_the_channel(cloud: Running, channel: str, wanted: str, given: str) -> None:
    cluster = create(cloud, releaseChannel={"channel": channel}, initialClusterVersion=wanted)
    assert cluster["currentMasterVersion"] == given
    assert list(cloud.runtime.started.values()) == [given]


def test_a_version_that_is_not_offered_is_refused(cloud: Running) -> None:
    answer = cloud.call("POST", f"{PARENT}/clusters", {"cluster": {**BASE, "initialClusterVersion": "1.20"}})
    assert message(answer).startswith('Master version must be one of "RAPID" channel supported versions [1.33.5-gke')
    config = cloud.ok("GET", f"{PARENT}/serverConfig")
    assert [channel["channel"] for channel in config["channels"]] == ["RAPID", "REGULAR", "STABLE", "EXTENDED"]


def test_clusters_get_pod_ranges_of_their_own(cloud: Running) -> None:
    assert create(cloud)["clusterIpv4Cidr"] == "127.99.128.0/20"
    assert create(cloud, name="c2", ipAllocationPolicy={"clusterIpv4CidrBlock": "/20"})["clusterIpv4Cidr"] == (
        "127.99.144.0/20"
    )
    own = create(cloud, name="c3", ipAllocationPolicy={"clusterIpv4CidrBlock": "10.4.0.0/14"})
    assert own["ipAllocationPolicy"]["clusterIpv4CidrBlock"] == "10.4.0.0/14"
    cloud.done(cloud.ok("DELETE", CLUSTER))
    assert create(cloud, name="c4")["clusterIpv4Cidr"] == "127.99.128.0/20"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"network": "none"}, "does not exist"),
        ({"name": "Upper"}, "cluster.name"),
        ({"locations": ["us-east1-b"]}, "is not in region"),
        ({"initialNodeCount": 0}, "initial_node_count"),
        ({"nodeConfig": {"serviceAccount": f"none@{PROJECT}.iam.gserviceaccount.com"}}, "Service account"),
        ({"releaseChannel": {"channel": "FAST"}}, "release_channel"),
        ({"ipAllocationPolicy": {"clusterSecondaryRangeName": "pods"}}, 'Pod secondary range "pods"'),
    ],
)
def test_clusters_that_google_refuses(cloud: Running, more: Json, why: str) -> None:
    assert why in message(cloud.call("POST", f"{PARENT}/clusters", {"cluster": {**BASE, **more}}))
    assert cloud.ok("GET", f"{PARENT}/clusters") == {}


def test_an_update_changes_one_thing(cloud: Running) -> None:
    create(cloud, addonsConfig={"gcsFuseCsiDriverConfig": {"enabled": True}})
    two = {"desiredGatewayApiConfig": {"channel": "CHANNEL_STANDARD"}, "desiredEnableMultiNetworking": True}
    assert "Exactly one update" in message(cloud.call("PUT", CLUSTER, {"update": two}))
    assert "Must specify" in message(cloud.call("PUT", CLUSTER, {"update": {}}))
    for update in (
        {"desiredAddonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": False}}},
        {"desiredReleaseChannel": {"channel": "REGULAR"}},
        {"desiredNodePoolId": "default-pool", "desiredNodePoolAutoscaling": {"enabled": True, "maxNodeCount": 3}},
        {"desiredFleet": {"project": PROJECT}},
    ):
        cloud.done(cloud.ok("PUT", CLUSTER, {"update": update}))
    cluster = cloud.ok("GET", CLUSTER)
    assert cluster["addonsConfig"]["gcsFuseCsiDriverConfig"] == {}
    assert cluster["addonsConfig"]["kubernetesDashboard"] == {"disabled": True}, "other addons stay"
    assert cluster["releaseChannel"] == {"channel": "REGULAR"}
    assert cluster["nodePools"][0]["autoscaling"] == {"enabled": True, "maxNodeCount": 3}
    assert cluster["fleet"]["membership"].endswith("/locations/us-east5/memberships/c1")
    member = cluster["fleet"]["membership"].replace("//gkehub.googleapis.com/", "gkehub/v1/")
    assert cloud.ok("GET", member)["state"] == {"code": "READY"}
    cloud.done(cloud.ok("PUT", CLUSTER, {"update": {"desiredFleet": {"project": ""}}}))
    assert "fleet" not in cloud.ok("GET", CLUSTER) and cloud.call("GET", member)[0] == 404
    stale = {"desiredReleaseChannel": {"channel": "RAPID"}, "etag": "AAAA"}
    assert "etag" in message(cloud.call("PUT", CLUSTER, {"update": stale}), 409)


def test_resource_labels_need_the_fingerprint(cloud: Running) -> None:
    cluster = create(cloud, resourceLabels={"a": "1"})
    body = {"resourceLabels": {"a": "2"}, "labelFingerprint": "AAAA"}
    assert "fingerprint" in message(cloud.call("POST", f"{CLUSTER}:setResourceLabels", body))
    body["labelFingerprint"] = cluster["labelFingerprint"]
    cloud.done(cloud.ok("POST", f"{CLUSTER}:setResourceLabels", body))
    assert cloud.ok("GET", CLUSTER)["resourceLabels"] == {"a": "2"}


def test_the_accelerator_network_profile_makes_a_network_for_the_pool(cloud: Running) -> None:
    create(cloud)
    pool = {**TPU, "config": {**TPU["config"], "labels": {"cloud.google.com/gke-networking-dra-driver": "true"}}}
    cloud.done(cloud.ok("POST", POOLS, {"nodePool": pool}))
    live = cloud.ok("GET", f"{POOLS}/tpu")
    assert live["config"]["labels"] == {
        "cloud.google.com/gke-networking-dra-driver": "true",
        "gke.networks.io/accelerator-network-profile": "auto",
    }
    extra = live["networkConfig"]["additionalNodeNetworkConfigs"][0]
    assert cloud.ok("GET", f"{COMPUTE}/global/networks/{extra['network']}")["mtu"] == 8896
    cloud.ok("GET", f"{COMPUTE}/regions/us-east5/subnetworks/{extra['subnetwork']}")

    cloud.done(cloud.ok("PUT", f"{POOLS}/tpu", {"labels": {"labels": {"a": "b"}}}))
    labels = cloud.ok("GET", f"{POOLS}/tpu")["config"]["labels"]
    assert labels == {"a": "b", "gke.networks.io/accelerator-network-profile": "auto"}, "the server's label stays"
    cloud.done(cloud.ok("DELETE", f"{POOLS}/tpu"))
    assert cloud.call("GET", f"{COMPUTE}/global/networks/{extra['network']}")[0] == 404


@pytest.mark.parametrize(
    ("cluster", "pool", "why"),
    [
        ({"networkConfig": {}}, {}, "Dataplane V2"),
        ({}, {"config": {"machineType": "e2-standard-16"}}, "not supported for machine type"),
        ({}, {"networkConfig": {"acceleratorNetworkProfile": "fast"}}, 'The only valid value is "auto"'),
        ({}, {"locations": ["us-east5-a", "us-east5-b"]}, "single zone"),
        ({}, {"config": {"machineType": "tpu7x-standard-4t"}}, 'in zone "us-east5-a": GCE_NOT_FOUND'),
        (
            {},
            {
                "networkConfig": {
                    "acceleratorNetworkProfile": "auto",
                    "additionalNodeNetworkConfigs": [{"network": "a", "subnetwork": "b"}],
                }
            },
            "additional node network",
        ),
        (
            {},
            {
                "config": {
                    "machineType": "ct6e-standard-4t",
                    "reservationAffinity": {"consumeReservationType": "SPECIFIC_RESERVATION"},
                }
            },
            "reservation",
        ),
    ],
)
def test_pools_that_google_refuses(cloud: Running, cluster: Json, pool: Json, why: str) -> None:
    create(cloud, **cluster)
    assert why in message(cloud.call("POST", POOLS, {"nodePool": {**TPU, **pool}}))
    assert [pool["name"] for pool in cloud.ok("GET", CLUSTER)["nodePools"]] == ["default-pool"]


def test_a_pool_is_made_once_and_resized(slow: Running) -> None:
    create(slow)
    first = slow.ok("POST", POOLS, {"nodePool": TPU})
    assert first["status"] == "PENDING"
    assert message(slow.call("POST", POOLS, {"nodePool": TPU}), 409).startswith("Already exists: ")
    busy = slow.call("POST", f"{POOLS}/default-pool:setSize", {"nodeCount": 2})
    assert message(busy) == f"Cluster is running incompatible operation {first['name']}."
    assert slow.ok("GET", f"{POOLS}/tpu")["status"] == "PROVISIONING"
    assert slow.ok("GET", CLUSTER)["status"] == "RECONCILING"
    slow.done(first)
    slow.done(slow.ok("POST", f"{POOLS}/tpu:setSize", {"nodeCount": 0}))
    pool = slow.ok("GET", f"{POOLS}/tpu")
    assert pool["selfLink"].endswith("/zones/us-east5-a/clusters/c1/nodePools/tpu")
    assert message(slow.call("GET", f"{POOLS}/none"), 404) == 'Not found: node pool "none" not found.'
    assert (pool["status"], pool["initialNodeCount"]) == ("RUNNING", 0)
    group = slow.ok("GET", pool["instanceGroupUrls"][0].removeprefix("https://www.googleapis.com/"))
    assert group["targetSize"] == 0
    operations = slow.ok("GET", f"{PARENT}/operations")["operations"]
    assert {operation["operationType"] for operation in operations} == {
        "CREATE_CLUSTER",
        "CREATE_NODE_POOL",
        "SET_NODE_POOL_SIZE",
    }
