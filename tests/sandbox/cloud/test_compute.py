# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What compute assigns, what it refuses, and in which words."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running

COMPUTE = f"compute/v1/projects/{PROJECT}"
REGION = f"{COMPUTE}/regions/us-east5"
Json = dict[str, t.Any]


def insert(cloud: Running, path: str, **body: t.Any) -> Json:
    """Insert and return the resource."""
    operation = cloud.done(cloud.ok("POST", path, body))
    assert "error" not in operation
    return t.cast(Json, cloud.ok("GET", f"{path}/{body['name']}"))


def reason(answer: tuple[int, Json]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["errors"][0]["reason"]


@pytest.fixture
def network(cloud: Running) -> Running:
    """A custom network "net" with the subnetwork "nodes" 127.99.1.0/24."""
    insert(cloud, f"{COMPUTE}/global/networks", name="net", autoCreateSubnetworks=False)
    insert(cloud, f"{REGION}/subnetworks", name="nodes", network="global/networks/net", ipCidrRange="127.99.1.0/24")
    return cloud


def test_addresses_are_taken_from_the_subnetwork(network: Running) -> None:
    common: Json = {"addressType": "INTERNAL", "subnetwork": "regions/us-east5/subnetworks/nodes"}
    path = f"{REGION}/addresses"
    assert insert(network, path, name="a", **common)["address"] == "127.99.1.2"
    assert insert(network, path, name="c", address="127.99.1.4", **common)["address"] == "127.99.1.4"
    second = insert(network, path, name="b", **common)
    assert (second["address"], second["status"], second["purpose"]) == ("127.99.1.3", "RESERVED", "GCE_ENDPOINT")
    assert insert(network, path, name="d", **common)["address"] == "127.99.1.5"

    taken = network.call("POST", path, {"name": "e", "address": "127.99.1.4", **common})
    assert reason(taken) == (400, "invalid")
    outside = network.call("POST", path, {"name": "e", "address": "10.0.0.1", **common})
    assert reason(outside) == (400, "invalid")
    assert reason(network.call("POST", path, {"name": "a", **common})) == (409, "alreadyExists")

    network.done(network.ok("DELETE", f"{path}/a"))
    assert insert(network, path, name="e", **common)["address"] == "127.99.1.2"


def test_labels_need_the_fingerprint_of_the_live_ones(network: Running) -> None:
    path = f"{REGION}/addresses"
    live = insert(network, path, name="a", labels={"a": "1"})
    assert live["addressType"] == "EXTERNAL"
    stale = network.call("POST", f"{path}/a/setLabels", {"labels": {"a": "2"}, "labelFingerprint": "AAAA"})
    assert reason(stale) == (412, "conditionNotMet")
    body = {"labels": {"a": "2"}, "labelFingerprint": live["labelFingerprint"]}
    network.done(network.ok("POST", f"{path}/a/setLabels", body))
    changed = network.ok("GET", f"{path}/a")
    assert changed["labels"] == {"a": "2"}
    assert changed["labelFingerprint"] != live["labelFingerprint"]


def test_subnetworks_do_not_overlap_and_have_one_active_proxy_range(network: Running) -> None:
    path = f"{REGION}/subnetworks"
    common: Json = {"network": "global/networks/net"}
    status, answer = network.call("POST", path, {"name": "x", "ipCidrRange": "127.99.1.128/25", **common})
    assert status == 400
    assert "conflicts with existing subnetwork 'nodes' in region 'us-east5'" in answer["error"]["message"]
    proxy: Json = {"purpose": "GLOBAL_MANAGED_PROXY", **common}
    roleless = network.call("POST", path, {"name": "proxy", "ipCidrRange": "127.99.33.0/24", **proxy})
    assert reason(roleless) == (400, "invalid")
    insert(network, path, name="proxy", ipCidrRange="127.99.33.0/24", role="ACTIVE", **proxy)
    second = {"name": "more", "ipCidrRange": "127.99.34.0/24", "role": "ACTIVE", **proxy}
    assert reason(network.call("POST", path, second)) == (400, "invalidResourceUsage")
    insert(network, path, **{**second, "purpose": "REGIONAL_MANAGED_PROXY"})
    links = network.ok("GET", f"{COMPUTE}/global/networks/net")["subnetworks"]
    assert [link.rpartition("/")[2] for link in links] == ["nodes", "proxy", "more"]


def test_a_subnetwork_is_changed_with_its_fingerprint_only(network: Running) -> None:
    path = f"{REGION}/subnetworks/nodes"
    live = network.ok("GET", path)
    ranges = [{"rangeName": "pods", "ipCidrRange": "10.8.0.0/16"}]
    assert reason(network.call("PATCH", path, {"secondaryIpRanges": ranges})) == (412, "conditionNotMet")
    body = {"secondaryIpRanges": ranges, "fingerprint": live["fingerprint"]}
    network.done(network.ok("PATCH", path, body))
    assert reason(network.call("PATCH", path, body)) == (412, "conditionNotMet"), "the fingerprint moved"
    changed = network.ok("GET", path)
    assert changed["secondaryIpRanges"] == ranges
    body = {"ipCidrRange": "10.9.0.0/16", "fingerprint": changed["fingerprint"]}
    assert reason(network.call("PATCH", path, body)) == (400, "invalid"), "the range is not patched"
    network.done(network.ok("POST", f"{path}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": True}))
    network.done(network.ok("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "127.99.0.0/23"}))
    grown = network.ok("GET", path)
    assert (grown["ipCidrRange"], grown["privateIpGoogleAccess"]) == ("127.99.0.0/23", True)


def test_ranges_that_a_cluster_uses_stay(network: Running) -> None:
    path = f"{REGION}/subnetworks/nodes"
    live = network.ok("GET", path)
    ranges = [
        {"rangeName": name, "ipCidrRange": cidr} for name, cidr in (("pods", "10.8.0.0/16"), ("more", "10.9.0.0/16"))
    ]
    network.done(network.ok("PATCH", path, {"secondaryIpRanges": ranges, "fingerprint": live["fingerprint"]}))
    body = {
        **{"name": "c1", "network": "net", "subnetwork": "nodes", "initialNodeCount": 1},
        "ipAllocationPolicy": {"useIpAliases": True, "clusterSecondaryRangeName": "pods"},
    }
    gke = f"container/v1/projects/{PROJECT}/locations/us-east5-a/clusters"
    network.done(network.ok("POST", gke, {"cluster": body}))
    live = network.ok("GET", path)
    kept = {"fingerprint": live["fingerprint"], "secondaryIpRanges": ranges[:1]}
    lost = {"fingerprint": live["fingerprint"], "secondaryIpRanges": ranges[1:]}
    assert reason(network.call("PATCH", path, lost)) == (400, "resourceInUseByAnotherResource")
    network.done(network.ok("PATCH", path, kept))
    assert network.ok("GET", path)["secondaryIpRanges"] == ranges[:1]


def test_what_is_in_use_is_not_deleted(network: Running) -> None:
    insert(
        network,
        f"{REGION}/addresses",
        name="a",
        addressType="INTERNAL",
        subnetwork="regions/us-east5/subnetworks/nodes",
    )
    status, answer = network.call("DELETE", f"{REGION}/subnetworks/nodes")
    assert (status, answer["error"]["errors"][0]["reason"]) == (400, "resourceInUseByAnotherResource")
    user = f"projects/{PROJECT}/regions/us-east5/addresses/a"
    assert answer["error"]["message"].endswith(f"is already being used by '{user}'")
    failed = network.done(network.ok("DELETE", f"{COMPUTE}/global/networks/net"))
    assert failed["error"]["errors"][0]["code"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
    assert (failed["httpErrorStatusCode"], failed["httpErrorMessage"]) == (400, "BAD REQUEST")
    for path in (f"{REGION}/addresses/a", f"{REGION}/subnetworks/nodes", f"{COMPUTE}/global/networks/net"):
        network.done(network.ok("DELETE", path))
        assert network.call("GET", path)[0] == 404


def test_a_network_that_is_still_being_made_cannot_be_used(slow: Running) -> None:
    operation = slow.ok("POST", f"{COMPUTE}/global/networks", {"name": "net", "autoCreateSubnetworks": False})
    assert operation["status"] == "RUNNING"
    body = {"name": "nodes", "network": "global/networks/net", "ipCidrRange": "127.99.1.0/24"}
    assert reason(slow.call("POST", f"{REGION}/subnetworks", body)) == (400, "resourceNotReady")
    waited = slow.ok("POST", f"{COMPUTE}/global/operations/{operation['name']}/wait")
    assert (waited["status"], waited["progress"]) == ("DONE", 100)
    insert(slow, f"{REGION}/subnetworks", **body)


def test_a_router_gets_its_nat_by_patch(network: Running) -> None:
    path = f"{REGION}/routers"
    insert(network, path, name="router", network="global/networks/net")
    nat: Json = {
        "name": "nat",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
        "logConfig": {"enable": True, "filter": "ERRORS_ONLY"},
    }
    assert reason(network.call("PATCH", f"{path}/router", {"nats": [nat]})) == (400, "invalid")
    subnetworks = [{"name": "regions/us-east5/subnetworks/nodes", "sourceIpRangesToNat": ["ALL_IP_RANGES"]}]
    network.done(network.ok("PATCH", f"{path}/router", {"nats": [{**nat, "subnetworks": subnetworks}]}))
    live = network.ok("GET", f"{path}/router")["nats"][0]
    assert live["subnetworks"][0]["name"].startswith("https://www.googleapis.com/compute/v1/projects/")
    assert live["endpointTypes"] == ["ENDPOINT_TYPE_VM"]
    network.done(network.ok("PATCH", f"{path}/router", {"nats": [], "region": "us-east5", "network": "net"}))
    assert "nats" not in network.ok("GET", f"{path}/router")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "Exactly one of the fields"),
        ({"allowed": [{"IPProtocol": "tcp"}], "denied": [{"IPProtocol": "udp"}]}, "Exactly one of the fields"),
        (
            {"allowed": [{"IPProtocol": "tcp", "ports": ["http"]}]},
            "'resource.allowed[0].ports[0]': 'http'. Invalid port range",
        ),
        ({"allowed": [{"IPProtocol": "tcp"}], "sourceRanges": ["10.0.0.1/8"]}, "sourceRanges"),
        ({"allowed": [{"IPProtocol": "tcp"}], "direction": "IN"}, "direction"),
        ({"allowed": [{"IPProtocol": "tcp"}], "network": "global/networks/none"}, "was not found"),
        ({"allowed": [{"IPProtocol": "tcp"}], "name": "Upper"}, "Must be a match of regex"),
        ({"allowed": [{"IPProtocol": "tcp"}], "nonsense": 1}, "nonsense"),
    ],
)
def test_firewall_rules_that_google_refuses(network: Running, body: Json, why: str) -> None:
    status, answer = network.call("POST", f"{COMPUTE}/global/firewalls", {"name": "rule", **body})
    assert status in (400, 404)
    assert why in answer["error"]["message"]


def test_lists_are_paged_filtered_and_aggregated(network: Running) -> None:
    for name in ("one", "two", "three"):
        insert(
            network,
            f"{COMPUTE}/global/firewalls",
            name=name,
            network="global/networks/net",
            allowed=[{"IPProtocol": "tcp"}],
        )
    path = f"{COMPUTE}/global/firewalls"
    found: list[str] = []
    token = ""
    while True:
        answer = network.ok("GET", f"{path}?maxResults=2&pageToken={token}")
        assert len(answer["items"]) <= 2
        found += [rule["name"] for rule in answer["items"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert {"one", "two", "three"} < set(found) and len(found) == len(set(found))
    assert [rule["name"] for rule in network.ok("GET", f"{path}?filter=name%3Dtwo")["items"]] == ["two"]
    matched = network.ok("GET", f"{path}?filter=name+eq+%22t.*%22")["items"]
    assert {rule["name"] for rule in matched} == {"two", "three"}
    assert reason(network.call("GET", f"{path}?filter=nonsense")) == (400, "invalid")

    scopes = network.ok("GET", f"{COMPUTE}/aggregated/subnetworks?filter=name%3Dnodes")["items"]
    assert [one["name"] for one in scopes["regions/us-east5"]["subnetworks"]] == ["nodes"]
    assert scopes["regions/us-east1"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    assert network.ok("GET", f"{COMPUTE}/regions/us-east5")["zones"][0].endswith("/zones/us-east5-a")
