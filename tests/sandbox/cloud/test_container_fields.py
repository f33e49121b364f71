# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every field of GKE's messages: what is stated comes back, and every change is taken or refused for a reason."""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterator

import pytest
from google.cloud import container_v1
from googleapiclient import discovery_cache

from sandbox.cloud.container import pool_updates, updates
from tests.clouds import PROJECT, Running

Json = dict[str, t.Any]
CLUSTERS = f"container/v1/projects/{PROJECT}/locations/us-east5-a/clusters"
SCHEMAS: Json = json.loads(discovery_cache.get_static_doc("container", "v1"))["schemas"]
DEFAULT = f"projects/{PROJECT}/regions/us-east5/subnetworks/default"
# Values of fields that not every value is good for, by the end of their path.
VALUES: dict[str, t.Any] = {
    "acceleratorNetworkProfile": None,  # it needs a machine of its own; tested with pools that have one
    "accelerators": None,
    "autopilot": {"workloadPolicyConfig": {"allowNetAdmin": True}},
    "Cluster.autopilot.enabled": None,
    "cidrBlock": "10.0.0.0/8",
    "clusterIpv4Cidr": "10.4.0.0/14",
    "clusterIpv4CidrBlock": "10.4.0.0/14",
    "clusterSecondaryRangeName": None,
    "databaseEncryption": {"state": "ENCRYPTED", "keyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
    "datapathProvider": "ADVANCED_DATAPATH",
    "dailyMaintenanceWindow": {"startTime": "03:00"},
    "diskSizeGb": 50,
    "UpdateNodePoolRequest.diskSizeGb": "50",
    "diskType": "pd-ssd",
    "effect": "NO_SCHEDULE",
    "enableConfidentialStorage": True,
    "fleet": {"project": PROJECT},
    "flexStart": None,
    "imageType": "UBUNTU_CONTAINERD",
    "initialClusterVersion": "1.35.5-gke.1241004",
    "initialNodeCount": 2,
    "locations": ["us-east5-a"],
    "machineType": "n2d-standard-4",
    "maintenanceExclusions": {"x": {"startTime": "2027-01-01T00:00:00Z", "endTime": "2027-01-02T00:00:00Z"}},
    "masterAuth": {"clientCertificateConfig": {"issueClientCertificate": True}},
    "masterIpv4CidrBlock": "172.16.0.0/28",
    "maxPodsConstraint": {"maxPodsPerNode": "64"},
    "defaultMaxPodsConstraint": {"maxPodsPerNode": "64"},
    "maxRunDuration": None,
    "minNodeCount": 1,
    "maxNodeCount": 4,
    "name": "x",
    "network": "default",
    "networkPolicy": {"enabled": True, "provider": "CALICO"},
    "NodePool.networkConfig.podRange": None,
    "nodePools": [{"name": "pool", "initialNodeCount": 2}],
    "podIpv4CidrBlock": "10.8.0.0/20",
    "preemptible": None,
    "queuedProvisioning": None,
    "recurringWindow": {
        "window": {"startTime": "2027-01-01T00:00:00Z", "endTime": "2027-01-01T08:00:00Z"},
        "recurrence": "FREQ=DAILY",
    },
    "releaseChannel": {"channel": "RAPID"},
    "reservationAffinity": {"consumeReservationType": "ANY_RESERVATION"},
    "serviceAccount": "default",
    "servicesIpv4CidrBlock": "10.16.0.0/20",
    "servicesSecondaryRangeName": None,
    "sizeGb": "50",
    "subnetwork": "default",
    "NodePool.networkConfig.subnetwork": DEFAULT,
    "totalMaxNodeCount": None,
    "totalMinNodeCount": None,
    "tpuTopology": None,
    "version": "1.35.6-gke.1127000",
    "workloadPool": f"{PROJECT}.svc.id.goog",
    "autoUpgrade": True,
    "autoRepair": True,
    "resourceVersion": None,
}
# What is stated and does not come back, though the discovery document does not call it output only; each with why.
LOST: dict[str, str] = {
    r"Cluster\.conditions$": "what GKE has found out about the cluster",
    r"Cluster\.ipAllocationPolicy\.(node|services)Ipv4Cidr$": "deprecated for the fields with Block",
    r"Cluster\.(labelFingerprint|etag)$": "they are of the document that is there",
    r"Cluster\.fleet\.project$": "GKE answers the project's number",
}


EXPLAINED: set[str] = set()  # entries of LOST that were needed


def read_only(schema: str) -> set[str]:
    """The fields of a schema that Google's discovery document calls output only."""
    return {name for name, field in SCHEMAS[schema]["properties"].items() if field.get("readOnly")}


def sample(field: t.Any, path: str, schema: Json) -> t.Any:
    """A value for a field: an object of all its parts, an entry of a list, the last word of an enum. None for none."""
    names = path.split(".")
    for length in range(len(names), 0, -1):
        ending = ".".join(names[-length:])
        if ending in VALUES:
            return VALUES[ending]
    if schema.get("readOnly"):
        return None
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = sample(kind.fields_by_name["value"], f"{path}.*", schema.get("additionalProperties", {}))
        return {"a": value} if value is not None else None
    one: t.Any
    if kind is not None:
        one = message(kind, path, schema.get("items", schema))
    elif field.enum_type is not None:
        one = field.enum_type.values[-1].name
    else:
        one = {field.CPPTYPE_BOOL: True, field.CPPTYPE_STRING: "x", field.CPPTYPE_DOUBLE: 0.5}.get(field.cpp_type, 1)
        one = str(one) if field.type in (field.TYPE_INT64, field.TYPE_UINT64) else one
    return [one] if field.is_repeated and one is not None else one


def message(kind: t.Any, path: str, schema: Json) -> t.Any:
    """One with all its fields, but for what belongs to another choice of a oneof."""
    known = {"google.protobuf.Duration": "60s", "google.protobuf.Timestamp": "2027-01-01T00:00:00Z"}
    if kind.full_name in known:
        return known[kind.full_name]
    if kind.full_name.endswith("Value") and kind.full_name.startswith("google.protobuf."):
        return sample(kind.fields_by_name["value"], f"{path}.value", {})
    properties = SCHEMAS.get(schema.get("$ref", ""), {}).get("properties", {})
    chosen: set[str] = set()
    found: Json = {}
    for field in kind.fields:
        group = field.containing_oneof
        if group is not None and len(group.fields) > 1 and group.name in chosen:
            continue
        value = sample(field, f"{path}.{field.json_name}", properties.get(field.json_name, {}))
        if value is not None:
            chosen.add(group.name if group is not None else "")
            found[field.json_name] = value
    return found


def fields(name: str) -> list[t.Any]:
    return list(getattr(container_v1, name).pb().DESCRIPTOR.fields)


def lost(stated: t.Any, live: t.Any, path: str) -> Iterator[str]:
    """The paths of what is stated and not there."""
    if isinstance(stated, dict):
        for key, value in stated.items():
            # Zero is left out of answers.
            yield from lost(value, live.get(key) if isinstance(live, dict) else None, f"{path}.{key}")
    elif isinstance(stated, list) and isinstance(live, list):
        for index, value in enumerate(stated):
            yield from lost(value, live[index] if index < len(live) else None, path)
    elif stated != live and not (isinstance(live, str) and live.endswith(f"/{stated}")):
        yield path


def unexplained(paths: Iterator[str]) -> list[str]:
    found = list(paths)
    EXPLAINED.update(known for known in LOST for path in found if re.search(known, path))
    return [path for path in found if not any(re.search(known, path) for known in LOST)]


def made(cloud: Running, **more: t.Any) -> Json:
    """A cluster of this document, and what GET says of it."""
    body = {"name": "c", "initialNodeCount": 1, **more}
    if "nodePools" in more or "autopilot" in more and more["autopilot"].get("enabled"):
        del body["initialNodeCount"]
    if "confidentialNodes" in more:
        body["nodeConfig"] = {"machineType": "n2d-standard-4"}
    operation = cloud.done(cloud.ok("POST", CLUSTERS, {"cluster": body}))
    assert "error" not in operation, operation
    return t.cast(Json, cloud.ok("GET", f"{CLUSTERS}/{body['name']}"))


OLDER, OLD = "1.34.1-gke.2037000", "1.35.5-gke.1241004"
SETTABLE = [field for field in fields("Cluster") if field.json_name not in read_only("Cluster") | {"nodeConfig"}]
POOL_SETTABLE = [field for field in fields("NodePool") if field.json_name not in read_only("NodePool") | {"config"}]
CONFIG_SETTABLE = [field for field in fields("NodeConfig") if field.json_name not in read_only("NodeConfig")]


def test_what_is_stated_of_a_cluster_comes_back(cloud: Running) -> None:
    """Field by field; the discovery document says which are Google's own."""
    missing = []
    for number, field in enumerate(SETTABLE):
        name = field.json_name
        value = sample(field, f"Cluster.{name}", SCHEMAS["Cluster"]["properties"].get(name, {}))
        if value is None:
            continue
        live = made(cloud, **{"name": f"c{number}", name: value})
        missing += unexplained(lost({name: value}, live, "Cluster"))
        cloud.done(cloud.ok("DELETE", f"{CLUSTERS}/{live['name']}"))
    assert missing == []
    assert set(LOST) == EXPLAINED, "what does not come back is no longer what is written down"


@pytest.mark.parametrize("place", ["NodePool", "NodeConfig"])
def test_what_is_stated_of_a_pool_comes_back(cloud: Running, place: str) -> None:
    made(cloud)
    missing = []
    for number, field in enumerate(POOL_SETTABLE if place == "NodePool" else CONFIG_SETTABLE):
        value = sample(field, f"{place}.{field.json_name}", SCHEMAS[place]["properties"].get(field.json_name, {}))
        if value is None:
            continue
        stated = {field.json_name: value} if place == "NodePool" else {"config": {field.json_name: value}}
        if field.json_name == "confidentialNodes":
            stated["config"]["machineType"] = "n2d-standard-4"
        pool = {"name": f"p{number}", "initialNodeCount": 1, **stated}
        operation = cloud.done(cloud.ok("POST", f"{CLUSTERS}/c/nodePools", {"nodePool": pool}))
        assert "error" not in operation, operation
        live = cloud.ok("GET", f"{CLUSTERS}/c/nodePools/{pool['name']}")
        missing += unexplained(lost(stated, live, "NodePool"))
    assert missing == []


# Changes that leave a new cluster as it is, and why; or what they are refused for.
CHANGES: dict[str, t.Any] = {
    "desiredNodePoolId": None,  # it says which pool another change is for
    "etag": None,
    "desiredImage": "x",
    "desiredImageProject": "x",
    "desiredMasterVersion": "1.35.6-gke.1127000",
    "desiredNodeVersion": "1.35.5-gke.1241004",
    "desiredImageType": "UBUNTU_CONTAINERD",
    "desiredShieldedNodes": {"enabled": False},
    "desiredPodAutoscaling": {"hpaProfile": "NONE"},
    "desiredRbacBindingConfig": {"enableInsecureBindingSystemAuthenticated": False},
    "desiredAnonymousAuthenticationConfig": {"mode": "ENABLED"},
    "desiredNodePoolAutoscaling": {"enabled": True, "maxNodeCount": 3},
    "desiredDatabaseEncryption": VALUES["databaseEncryption"],
    "desiredLocations": ["us-east5-a", "us-east5-b"],
    "desiredFleet": {"project": PROJECT},
    "desiredReleaseChannel": {"channel": "RAPID"},
    "desiredDatapathProvider": "ADVANCED_DATAPATH",
    "desiredPrivateClusterConfig": {"enablePrivateEndpoint": True},
    "removedAdditionalPodRangesConfig": {"podRangeNames": ["x"]},
    "desiredEnablePrivateEndpoint": False,  # desiredPrivateClusterConfig has turned it on before
    "desiredLoggingService": "none",
    "desiredMonitoringService": "none",
    "desiredStackType": "IPV4_IPV6",
    "desiredControlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": False}},
    "desiredAddonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}},
    "desiredDefaultEnablePrivateNodes": True,
}
UPDATES = [field for field in fields("ClusterUpdate") if field.json_name not in ("etag", "desiredNodePoolId")]


def test_every_change_of_a_cluster_is_taken_or_refused_for_a_reason(cloud: Running) -> None:
    pool = {"name": "p", "initialNodeCount": 1, "version": OLDER}
    live = made(cloud, initialClusterVersion=OLD, nodePools=[pool])
    for field in UPDATES:
        name = field.json_name
        value = CHANGES.get(name)
        if value is None:
            value = sample(field, f"ClusterUpdate.{name}", SCHEMAS["ClusterUpdate"]["properties"].get(name, {}))
        status, answer = cloud.call("PUT", f"{CLUSTERS}/c", {"update": {name: value}})
        if name in updates.REFUSED:
            assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
            assert updates.REFUSED[name] in answer["error"]["message"]
            continue
        assert status == 200, answer
        assert "error" not in cloud.done(answer)
        before, live = live, cloud.ok("GET", f"{CLUSTERS}/c")
        assert live != before, f"{name} has changed nothing"


POOL_CHANGES: dict[str, t.Any] = {
    "nodeVersion": "1.35.6-gke.1127000",
    "machineType": "n2d-standard-4",
    "locations": ["us-east5-b"],
    "confidentialNodes": {"enabled": True},
    "flexStart": None,
    "maxRunDuration": None,
    "queuedProvisioning": None,
    "accelerators": None,
}
POOL_UPDATES = [field for field in fields("UpdateNodePoolRequest") if field.json_name not in pool_updates.ADDRESS]


def test_every_change_of_a_pool_is_taken_or_refused_for_a_reason(cloud: Running) -> None:
    made(cloud, name="pools", initialClusterVersion=OLD)
    cluster = f"{CLUSTERS}/pools"
    cloud.done(cloud.ok("PUT", cluster, {"update": {"desiredMasterVersion": "1.35.6-gke.1127000"}}))
    for number, field in enumerate(POOL_UPDATES):
        name = field.json_name
        schema = SCHEMAS["UpdateNodePoolRequest"]["properties"].get(name, {})
        value = POOL_CHANGES.get(name) or sample(field, f"UpdateNodePoolRequest.{name}", schema)
        if value is None:
            # These demand a pool that was made for them: they are known all the same.
            assert name in pool_updates.PLACES
            continue
        config = {"machineType": "n2d-standard-4"} if name == "confidentialNodes" else {}
        pool = {"name": f"p{number}", "initialNodeCount": 1, "version": OLD, "config": config}
        cloud.done(cloud.ok("POST", f"{cluster}/nodePools", {"nodePool": pool}))
        before = cloud.ok("GET", f"{cluster}/nodePools/{pool['name']}")
        status, answer = cloud.call("PUT", f"{cluster}/nodePools/{pool['name']}", {name: value})
        if name in pool_updates.REFUSED:
            assert status == 400 and pool_updates.REFUSED[name] in answer["error"]["message"]
            continue
        assert status == 200, answer
        assert "error" not in cloud.done(answer)
        assert cloud.ok("GET", f"{cluster}/nodePools/{pool['name']}") != before, f"{name} has changed nothing"


def test_no_change_is_unknown() -> None:
    """The tables know every field that the messages have, and none that they have not."""
    known = {*updates.PLACES, *updates.MERGED, *updates.SPECIAL, *updates.REFUSED, *updates.QUALIFIERS}
    assert known == {field.json_name for field in fields("ClusterUpdate")}
    of_pools = {*pool_updates.PLACES, *pool_updates.MERGED, *pool_updates.SPECIAL, *pool_updates.REFUSED}
    assert of_pools == {field.json_name for field in POOL_UPDATES}
