# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Today's GKE: endpoints, encryption, Autopilot, upgrades that are rolled back or completed, the deprecated paths."""

from __future__ import annotations

import typing as t

from tests.clouds import PROJECT, Running, until

Json = dict[str, t.Any]
ROOT = f"container/v1/projects/{PROJECT}"
ZONAL = f"{ROOT}/locations/us-east5-a"
CLUSTER = f"{ZONAL}/clusters/c"
POOL = f"{CLUSTER}/nodePools/default-pool"


def make(cloud: Running, where: str = ZONAL, **stated: t.Any) -> Json:
    body = {"name": "c", "initialNodeCount": 1, **stated}
    operation = cloud.done(cloud.ok("POST", f"{where}/clusters", {"cluster": body}))
    assert "error" not in operation, operation
    return t.cast(Json, cloud.ok("GET", f"{where}/clusters/c"))


def change(cloud: Running, **update: t.Any) -> Json:
    assert "error" not in cloud.done(cloud.ok("PUT", CLUSTER, {"update": update}))
    return t.cast(Json, cloud.ok("GET", CLUSTER))


def test_an_ip_endpoint_goes_and_comes_back(cloud: Running) -> None:
    live = make(cloud)
    address = live["endpoint"]
    live = change(cloud, desiredControlPlaneEndpointsConfig={"ipEndpointsConfig": {"enabled": False}})
    assert live["endpoint"] == live["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["endpoint"]
    assert live["controlPlaneEndpointsConfig"]["ipEndpointsConfig"] == {"enabled": False}
    assert (live["privateClusterConfig"], live["masterAuthorizedNetworksConfig"]) == ({}, {})
    live = change(cloud, desiredControlPlaneEndpointsConfig={"ipEndpointsConfig": {"enabled": True}})
    assert live["endpoint"] == live["privateClusterConfig"]["publicEndpoint"] == address
    live = change(cloud, desiredControlPlaneEndpointsConfig={"ipEndpointsConfig": {"enablePublicEndpoint": False}})
    assert "publicEndpoint" not in live["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    assert live["privateClusterConfig"]["enablePrivateEndpoint"] is True
    private = {"enablePrivateNodes": True, "masterIpv4CidrBlock": "172.16.0.0/28", "enablePrivateEndpoint": True}
    cloud.done(cloud.ok("DELETE", CLUSTER))
    live = make(cloud, privateClusterConfig=private)
    assert live["privateClusterConfig"].items() >= private.items()
    assert live["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]["enablePublicEndpoint"] is False


def test_secrets_are_encrypted_and_decrypted(cloud: Running) -> None:
    key = "projects/p/locations/us-east5/keyRings/r/cryptoKeys/k"
    live = make(cloud)
    assert live["databaseEncryption"] == {"state": "DECRYPTED", "currentState": "CURRENT_STATE_DECRYPTED"}
    live = change(cloud, desiredDatabaseEncryption={"state": "ENCRYPTED", "keyName": key})
    assert live["databaseEncryption"] == {
        "state": "ENCRYPTED",
        "keyName": key,
        "currentState": "CURRENT_STATE_ENCRYPTED",
    }
    live = change(cloud, desiredDatabaseEncryption={"state": "DECRYPTED"})
    assert live["databaseEncryption"] == {"state": "DECRYPTED", "currentState": "CURRENT_STATE_DECRYPTED"}


def test_new_pools_stream_their_images_when_the_cluster_says_so(cloud: Running) -> None:
    make(cloud)
    change(cloud, desiredGcfsConfig={"enabled": True})
    for name, stated in (("a", {}), ("b", {"gcfsConfig": {"enabled": False}})):
        pool = {"name": name, "initialNodeCount": 1, "config": stated}
        cloud.done(cloud.ok("POST", f"{CLUSTER}/nodePools", {"nodePool": pool}))
    assert cloud.ok("GET", f"{CLUSTER}/nodePools/a")["config"]["gcfsConfig"] == {"enabled": True}
    assert cloud.ok("GET", f"{CLUSTER}/nodePools/b")["config"]["gcfsConfig"] == {}


def test_autopilot_manages_its_nodes(cloud: Running) -> None:
    regional = f"{ROOT}/locations/us-east5"
    body = {"name": "c", "autopilot": {"enabled": True}, "location": "us-east5"}
    cloud.done(cloud.ok("POST", f"{regional}/clusters", {"cluster": body}))
    live = cloud.ok("GET", f"{regional}/clusters/c")
    assert live["autopilot"] == {"enabled": True}
    assert live["workloadIdentityConfig"] == {"workloadPool": f"{PROJECT}.svc.id.goog"}
    assert live["networkConfig"]["datapathProvider"] == "ADVANCED_DATAPATH"
    assert live["networkConfig"]["gatewayApiConfig"] == {"channel": "CHANNEL_STANDARD"}
    assert live["autoscaling"]["enableNodeAutoprovisioning"] is True
    assert live["releaseChannel"] == {"channel": "REGULAR"}
    assert [pool["name"] for pool in live["nodePools"]] == ["default-pool"]
    status, answer = cloud.call("DELETE", f"{regional}/clusters/c/nodePools/default-pool")
    assert (status, answer["error"]["message"]) == (400, "Autopilot node pools cannot be accessed or modified.")
    assert "error" not in cloud.done(cloud.ok("DELETE", f"{regional}/clusters/c"))


def test_an_upgrade_that_failed_is_rolled_back(cloud: Running) -> None:
    make(cloud, initialClusterVersion="1.35.5-gke.1241004")
    change(cloud, desiredMasterVersion="1.35.6-gke.1127000")
    cloud.cloud.faults.add({"kind": "operation-error", "service": "container", "times": 1})
    operation = cloud.done(cloud.ok("PUT", POOL, {"nodeVersion": "1.35.6-gke.1127000"}))
    assert operation["error"]
    assert cloud.ok("GET", POOL)["status"] == "ERROR"
    operation = cloud.done(cloud.ok("POST", f"{POOL}:rollback", {"respectPdb": True}))
    assert (operation["operationType"], "error" in operation) == ("UPGRADE_NODES", False)
    live = cloud.ok("GET", POOL)
    assert (live["status"], live["version"]) == ("RUNNING", "1.35.5-gke.1241004")
    assert not {"statusMessage", "conditions"} & live.keys()


def test_a_blue_green_upgrade_is_completed_before_its_time(slow: Running) -> None:
    make(slow, initialClusterVersion="1.35.5-gke.1241004")
    change(slow, desiredMasterVersion="1.35.6-gke.1127000")
    status, answer = slow.call("POST", f"{POOL}:completeUpgrade", {})
    assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
    settings = {"upgradeSettings": {"strategy": "BLUE_GREEN", "blueGreenSettings": {"nodePoolSoakDuration": "3600s"}}}
    slow.done(slow.ok("PUT", POOL, settings))
    # An hour, unless it is completed.
    slow.cloud.faults.add({"kind": "operation-slow", "settings": {"factor": 6000}, "times": 1})
    operation = slow.ok("PUT", POOL, {"nodeVersion": "1.35.6-gke.1127000"})
    until(lambda: slow.ok("GET", POOL)["status"], lambda status: status == "RECONCILING")
    assert slow.ok("POST", f"{POOL}:completeUpgrade", {}) == {}
    assert "error" not in slow.done(operation)
    assert slow.ok("GET", POOL)["version"] == "1.35.6-gke.1127000"


def test_the_deprecated_paths_do_the_same(cloud: Running) -> None:
    legacy = f"{ROOT}/zones/us-east5-a"
    assert cloud.ok("GET", f"{legacy}/serverconfig") == cloud.ok("GET", f"{ZONAL}/serverConfig")
    make(cloud, legacy)
    cluster, pool = f"{legacy}/clusters/c", f"{legacy}/clusters/c/nodePools/default-pool"
    for path, body in (
        (f"{cluster}/addons", {"addonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}}}),
        (f"{cluster}/legacyAbac", {"enabled": True}),
        (f"{cluster}/logging", {"loggingService": "none"}),
        (f"{cluster}/monitoring", {"monitoringService": "none"}),
        (f"{cluster}/locations", {"locations": ["us-east5-a", "us-east5-b"]}),
        (f"{cluster}/resourceLabels", {"resourceLabels": {"a": "b"}, "labelFingerprint": ""}),
        (f"{cluster}:setNetworkPolicy", {"networkPolicy": {"enabled": True, "provider": "CALICO"}}),
        (f"{pool}/setSize", {"nodeCount": 2}),
        (f"{pool}/autoscaling", {"autoscaling": {"enabled": True, "maxNodeCount": 4}}),
        (f"{pool}/setManagement", {"management": {"autoRepair": True, "autoUpgrade": True}}),
        (f"{pool}/update", {"tags": {"tags": ["one"]}}),
    ):
        if "labelFingerprint" in body:
            body["labelFingerprint"] = cloud.ok("GET", cluster)["labelFingerprint"]
        assert "error" not in cloud.done(cloud.ok("POST", path, body)), path
    live = cloud.ok("GET", CLUSTER)
    assert live["addonsConfig"]["gcsFuseCsiDriverConfig"] == {"enabled": True}
    assert (live["loggingService"], live["legacyAbac"], live["resourceLabels"]) == (
        "none",
        {"enabled": True},
        {"a": "b"},
    )
    assert live["networkPolicy"] == {"enabled": True, "provider": "CALICO"}
    assert live["locations"] == ["us-east5-a", "us-east5-b"]
    (one,) = live["nodePools"]
    assert (one["initialNodeCount"], one["autoscaling"]["maxNodeCount"], one["config"]["tags"]) == (2, 4, ["one"])


def test_what_the_sandbox_has_not_is_not_absent(cloud: Running) -> None:
    make(cloud)
    for method, path in (("POST", f"{CLUSTER}:startIpRotation"), ("GET", f"{CLUSTER}:fetchClusterUpgradeInfo")):
        status, answer = cloud.call(method, path, {} if method == "POST" else None)
        assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED")
