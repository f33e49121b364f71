# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a client sends, the cloud answers as Google does: never with a failure of its own."""

from __future__ import annotations

import functools
import json
import logging
import re
import typing as t
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clouds import PROJECT, TOKEN, Running, running_cloud
from tests.sandbox import hostile
from tests.sandbox.hostile import Request

Json = dict[str, t.Any]

FLEET_INGRESS = "multiclusteringress"


ZONE = f"projects/{PROJECT}/zones/us-east5-a"
REGION = f"projects/{PROJECT}/regions/us-east5"
CLUSTER = f"container/v1/{ZONE}/clusters/c1"
ACCOUNT = f"writer@{PROJECT}.iam.gserviceaccount.com"
LINK = f"//container.googleapis.com/{ZONE.replace('zones', 'locations')}/clusters/c1"

NETWORK: Json = {"name": "net", "autoCreateSubnetworks": False, "mtu": 8896, "routingConfig": {"routingMode": "GLOBAL"}}
SUBNETWORK: Json = {
    "name": "nodes",
    "network": "global/networks/net",
    "ipCidrRange": "10.0.1.0/24",
    "secondaryIpRanges": [{"rangeName": "pods", "ipCidrRange": "10.4.0.0/20"}],
    "logConfig": {"enable": True, "flowSampling": 0.5},
}
PROXIES: Json = {**SUBNETWORK, "name": "p", "ipCidrRange": "10.1.0.0/24", "purpose": "GLOBAL_MANAGED_PROXY"}
RULE: Json = {
    "name": "rule",
    "network": "global/networks/net",
    "sourceRanges": ["10.0.0.0/8"],
    "allowed": [{"IPProtocol": "tcp", "ports": ["80", "1-2"]}],
    "priority": 900,
}
VIP: Json = {
    "name": "vip",
    "addressType": "INTERNAL",
    "subnetwork": "regions/us-east5/subnetworks/nodes",
    "labels": {"a": "b"},
    "purpose": "SHARED_LOADBALANCER_VIP",
}
NAT: Json = {
    "name": "nat",
    "natIpAllocateOption": "AUTO_ONLY",
    "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
    "subnetworks": [{"name": "regions/us-east5/subnetworks/nodes", "sourceIpRangesToNat": ["ALL_IP_RANGES"]}],
    "logConfig": {"enable": True, "filter": "ERRORS_ONLY"},
    "rules": [{"ruleNumber": 1, "action": {"sourceNatActiveIps": ["x"]}}],
}
ROUTER: Json = {"name": "router", "network": "global/networks/net", "nats": [NAT], "bgp": {"asn": 64512}}
CREATE_CLUSTER: Json = {
    "cluster": {
        "name": "c2",
        "network": "default",
        "initialNodeCount": 1,
        "releaseChannel": {"channel": "RAPID"},
        "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH", "gatewayApiConfig": {"channel": "CHANNEL_STANDARD"}},
        "ipAllocationPolicy": {"useIpAliases": True, "clusterIpv4CidrBlock": "/20"},
        "workloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"},
        "controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": True}},
        "maintenancePolicy": {"window": {"dailyMaintenanceWindow": {"startTime": "03:00"}}},
        "fleet": {"project": PROJECT},
    }
}
CREATE_POOL: Json = {
    "nodePool": {
        "name": "p2",
        "initialNodeCount": 1,
        "autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 2},
        "config": {"machineType": "e2-medium", "labels": {"a": "b"}, "taints": [{"key": "k", "effect": "NO_SCHEDULE"}]},
        "networkConfig": {"acceleratorNetworkProfile": "auto"},
        "locations": ["us-east5-a"],
    }
}
UPDATE: Json = {
    "update": {"desiredControlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enablePublicEndpoint": False}}}
}
RESERVATION: Json = {
    "name": "more",
    "specificReservation": {"count": "2", "instanceProperties": {"machineType": "ct6e-standard-4t"}},
}
MEMBERSHIP: Json = {
    "labels": {"a": "b"},
    "endpoint": {"gkeCluster": {"resourceLink": LINK}},
    "authority": {"issuer": "https://container.googleapis.com/v1/x"},
}
FEATURE: Json = {
    "spec": {"multiclusteringress": {"configMembership": f"projects/{PROJECT}/locations/global/memberships/m1"}},
    "membershipSpecs": {f"projects/{PROJECT}/locations/global/memberships/m1": {}},
}
POLICY: Json = {
    "etag": "ACAB",
    "version": 1,
    "bindings": [
        {
            "role": "roles/viewer",
            "members": [f"serviceAccount:{ACCOUNT}"],
            "condition": {"title": "t", "expression": "e"},
        }
    ],
    "auditConfigs": [{"service": "x"}],
}
BUCKET: Json = {
    "name": "weights-2",
    "location": "us",
    "labels": {"a": "b"},
    "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
    "softDeletePolicy": {"retentionDurationSeconds": "604800"},
    "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 1}}]},
    "autoclass": {"enabled": True},
    "versioning": {"enabled": False},
    "storageClass": "STANDARD",
}
METADATA: Json = {"name": "n", "contentType": "a/b", "metadata": {"a": "b"}, "crc32c": "AAAAAA==", "cacheControl": "c"}
COMPOSITION: Json = {
    "sourceObjects": [
        {"name": "o", "generation": "1", "objectPreconditions": {"ifGenerationMatch": "1"}},
        {"name": "o"},
    ],
    "destination": METADATA,
    "deleteSourceObjects": False,
}
COPY = {"bucket": "weights-1", "toBucket": "weights-1", "toObject": "copy"}
DOWNLOAD = re.compile(r"/download/|/storage/v1/b/[^/]*/o/[^/]*\?(.*&)?alt=media(&|$)")  # refused in plain words
Case = tuple[dict[str, str], list[t.Any]]
PLACE = {"version": "v1", "project": PROJECT, "operation": "x"}
GLOBAL, REGIONAL = {**PLACE, "scope": "global"}, {**PLACE, "scope": "regions/us-east5"}
HUB = {**PLACE, "location": "global", "?": "membershipId=m2&updateMask=labels,authority,description"}
GKE = {**PLACE, "area": "zones", "location": "us-east5-a", "cluster": "c1", "pool": "default-pool"}
# Service -> what its placeholders stand for, and the bodies that belong there.
CASES: dict[str, list[Case]] = {
    "compute": [
        ({**GLOBAL, "collection": "networks", "name": "net"}, [NETWORK]),
        (
            {**REGIONAL, "collection": "subnetworks", "name": "nodes", "verb": "expandIpCidrRange"},
            [SUBNETWORK, PROXIES, {"ipCidrRange": "10.0.0.0/16", "privateIpGoogleAccess": True}],
        ),
        ({**GLOBAL, "collection": "firewalls", "name": "rule"}, [RULE]),
        (
            {**REGIONAL, "collection": "addresses", "name": "vip", "verb": "setLabels"},
            [VIP, {"labels": {"a": "b"}, "labelFingerprint": "AAAA"}],
        ),
        ({**REGIONAL, "collection": "routers", "name": "router"}, [ROUTER, {"nats": [NAT]}]),
        ({**PLACE, "scope": "zones/us-east5-a", "collection": "zones", "name": "us-east5-a"}, []),
        (
            {
                **PLACE,
                "scope": "zones/us-east5-a",
                "collection": "instanceGroups",
                "name": "x",
                "verb": "listInstances",
            },
            [{"instanceState": "ALL"}],
        ),
        ({**GLOBAL, "collection": "addresses", "name": "world"}, [{"name": "world", "addressType": "EXTERNAL"}]),
        ({**PLACE, "zone": "us-east5-a", "collection": "machineTypes", "name": "e2-medium"}, []),
        ({**PLACE, "scope": "zones/us-east5-a", "collection": "reservations", "name": "kept"}, [RESERVATION]),
    ],
    "container": [
        (GKE, [CREATE_CLUSTER, CREATE_POOL, UPDATE]),
        (GKE, [{"update": {"desiredFleet": {"project": PROJECT}}}, {"update": {"desiredNodeVersion": "1.34"}}]),
        (GKE, [{"labels": {"labels": {"a": "b"}}, "taints": {"taints": []}, "tags": {"tags": ["a"]}}]),
        ({**GKE, "verb": "setSize"}, [{"nodeCount": 2}]),
        ({**GKE, "verb": "setAutoscaling"}, [{"autoscaling": {"enabled": True, "minNodeCount": 1}}]),
        ({**GKE, "verb": "setResourceLabels"}, [{"resourceLabels": {"a": "b"}, "labelFingerprint": "x"}]),
        ({**GKE, "verb": "setMaintenancePolicy"}, [{"maintenancePolicy": {"resourceVersion": "x"}}]),
        ({**GKE, "verb": "setAddons"}, [{"addonsConfig": {"httpLoadBalancing": {"disabled": True}}}]),
        ({**GKE, "verb": "updateMaster"}, [{"masterVersion": "1.34"}]),
        ({**GKE, "verb": "addons"}, [{"addonsConfig": {"httpLoadBalancing": {"disabled": True}}}]),
        ({**GKE, "verb": "rollback"}, [{"respectPdb": True}]),
    ],
    "gkehub": [
        ({**HUB, "collection": "memberships", "name": "m1"}, [MEMBERSHIP]),
        (
            {
                **HUB,
                "collection": "features",
                "name": FLEET_INGRESS,
                "?": "featureId=multiclusteringress&updateMask=labels,spec,membershipSpecs",
            },
            [FEATURE],
        ),
        (
            {**HUB, "fleet": "default", "?": "updateMask=labels,displayName"},
            [{"displayName": "fleet", "labels": {"a": "b"}}],
        ),
    ],
    "iam": [
        (
            {**PLACE, "account": ACCOUNT, "role": "container.admin"},
            [
                {"accountId": "reader", "serviceAccount": {"displayName": "x"}},
                {"policy": POLICY},
                {"serviceAccount": {"displayName": "y", "etag": "AAAA"}, "updateMask": "displayName"},
                {"displayName": "z", "etag": "AAAA"},
            ],
        )
    ],
    "cloudresourcemanager": [
        (
            PLACE,
            [
                {"policy": POLICY},
                {"projectId": "another-project", "labels": {"a": "b"}, "parent": {"type": "folder", "id": "1"}},
                {"permissions": ["x"], "options": {"requestedPolicyVersion": 3}},
            ],
        )
    ],
    "serviceusage": [
        (
            {**PLACE, "service": "dns.googleapis.com"},
            [{"serviceIds": ["dns.googleapis.com"]}, {"disableDependentServices": True}],
        )
    ],
    "storage": [
        (
            {**COPY, "object": "o", "?": f"project={PROJECT}&name=n"},
            [BUCKET, POLICY, {"labels": {"a": None}}, METADATA, COMPOSITION],
        ),
        ({**COPY, "object": "o", "?": "uploadType=resumable&name=n&maxBytesRewrittenPerCall=1048576"}, [METADATA]),
        ({"bucket": "weights-1", "object": "o/below", "?": "uploadType=multipart&name=o/below"}, []),
        ({"bucket": "weights-1", "object": "folder", "?": "name=folder"}, []),
    ],
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A cloud that has one of everything, so that requests get as far as they can."""
    with running_cloud(tmp_path_factory.mktemp("town"), scale=0.0001, hostile=True) as cloud:
        compute = f"compute/v1/projects/{PROJECT}/global"
        for where, document in (
            (f"{compute}/networks", NETWORK),
            (f"compute/v1/{REGION}/subnetworks", SUBNETWORK),
            (f"{compute}/firewalls", RULE),
            (f"compute/v1/{REGION}/addresses", VIP),
            (f"compute/v1/{REGION}/routers", {**ROUTER, "nats": []}),
            (f"compute/v1/{ZONE}/reservations", {**RESERVATION, "name": "kept"}),
        ):
            cloud.done(cloud.ok("POST", where, document))
        body = {"cluster": {**CREATE_CLUSTER["cluster"], "name": "c1", "fleet": {}}}
        cloud.done(cloud.ok("POST", f"container/v1/{ZONE}/clusters", body))
        cloud.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "weights-1"})
        for name in ("o", "folder/file"):
            assert cloud.call("POST", f"upload/storage/v1/b/weights-1/o?name={name}", data=b"x")[0] == 200
        cloud.ok("POST", f"iam/v1/projects/{PROJECT}/serviceAccounts", {"accountId": "writer"})
        hub = f"gkehub/v1/projects/{PROJECT}/locations/global"
        for where, document in (
            ("memberships?membershipId=m1", MEMBERSHIP),
            (f"features?featureId={FLEET_INGRESS}", FEATURE),
        ):
            operation = cloud.ok("POST", f"{hub}/{where}", document)
            cloud.done(operation, f"gkehub/v1/{operation['name']}")
        yield cloud


def routes(cloud: Running, service: str) -> list[tuple[str, str, Case]]:
    """(method, path with {placeholders}, case) of every route of the service with every case that reaches it."""
    found = []
    for route in cloud.cloud.app.router.routes():
        assert route.resource is not None
        template = route.resource.canonical
        if service not in template.split("/")[1:3] or route.method in ("HEAD", "*"):
            continue
        pattern = route.resource.get_info().get("pattern") or re.compile(re.escape(template))
        reached = [case for case in CASES[service] if pattern.fullmatch(hostile.path(template, case[0]))]
        assert reached, f"no case reaches {template}"
        # Requests that write are looked at much harder.
        found += [(route.method, template, case) for case in reached] * (1 if route.method in ("GET", "DELETE") else 4)
    return found


def requests(known: list[tuple[str, str, Case]]) -> st.SearchStrategy[Request]:
    """Requests to these routes with one hostile part; what would take the town away hits other names."""
    good = (("Authorization", f"Bearer {TOKEN}".encode()),)

    def one(drawn: tuple[str, str, Case]) -> st.SearchStrategy[Request]:
        method, template, (names, seeds) = drawn
        destroys = method == "DELETE" or template.endswith(":disable")
        writes = method not in ("GET", "DELETE")
        query = [(name, value) for name, _is, value in (pair.partition("=") for pair in names.get("?", "").split("&"))]
        hostile_paths = hostile.paths(template, names)
        paths = hostile_paths if destroys else st.just(hostile.path(template, names))
        usual = paths.map(lambda path: hostile.with_query(path, query))
        queried = st.tuples(paths, hostile.PARAMETERS).map(
            lambda drawn: hostile.with_query(drawn[0], [*drawn[1], *query])
        )
        plain = st.sampled_from([json.dumps(seed).encode() for seed in seeds] or [b""]) if writes else st.just(b"")
        request = functools.partial(st.builds, Request, st.just(method))
        kinds = [
            request(hostile_paths, st.just(good), plain),
            request(queried, st.just(good), plain),
            request(usual, hostile.HEADERS.map(lambda header: (*good, header)), plain),
            request(usual, hostile.BEARERS.map(lambda text: (("Authorization", text),)), plain),
        ]
        if writes:
            kinds += [request(usual, st.just(good), hostile.bodies(seeds))] * 8
            kinds += [request(queried, st.just(good), hostile.bodies(seeds))] * 2
        return st.one_of(*kinds)

    return st.sampled_from(known).flatmap(one)


@pytest.mark.parametrize("service", sorted(CASES))
def test_every_answer_is_googles(town: Running, service: str, caplog: pytest.LogCaptureFixture) -> None:
    known = routes(town, service)
    assert known

    @hostile.examples
    @given(requests(known))
    def check(request: Request) -> None:
        caplog.clear()
        answer = hostile.send("127.0.0.1", town.port, request)
        if answer.status in (404, 412, 416, 501) and DOWNLOAD.match(request.path):
            assert answer.body and answer.headers["content-type"].startswith("text/"), answer
        else:
            judge(answer)
        failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert [record.getMessage() for record in failures if record.name.startswith("sandbox")] == []

    check()


@pytest.mark.parametrize("bearer", [b"", b"Bearer \xff", "Bearer ü".encode(), b"Bearer wrong", TOKEN.encode()])
def test_the_status_is_for_who_has_the_token(town: Running, bearer: bytes) -> None:
    def ask(given: bytes) -> int:
        return hostile.send(
            "127.0.0.1", town.port, Request("GET", "/sandbox/status", (("Authorization", given),))
        ).status

    assert (ask(bearer), ask(f"Bearer {TOKEN}".encode())) == (401, 200)


def judge(answer: hostile.Answer) -> None:
    """No failure of the server's own, and every refusal in Google's JSON."""
    assert answer.status < 500 or answer.status == 501, answer.body
    if answer.status < 400:
        return
    assert answer.headers["content-type"].startswith("application/json"), answer.body
    error = answer.json["error"]
    assert error["code"] == answer.status
    assert isinstance(error["message"], str) and error["message"]
    assert "status" in error or error["errors"][0]["reason"]
