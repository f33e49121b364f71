# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Gateway API objects to listeners and backends, and the status that tells of it: tables."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.controllers import backend_policies, gateway, gateway_status, routing
from sandbox.controllers.firewall import admits
from sandbox.controllers.gateway import Fault, Surroundings, Verdict
from sandbox.controllers.pools import Attachments, Site, pool_status, ready_endpoints, serves
from sandbox.interfaces import ClusterKey, Endpoint, HealthCheck, Json, Listener, Rule

EAST = ClusterKey("us-east5-a", "east")
IMPORT = {"group": "networking.gke.io", "kind": "GCPInferencePoolImport", "name": "pool"}
IMPORTS = {("default", "pool")}
POD = Endpoint("127.20.130.2", 8000, "us-east5", "us-east5-a")
SUBNETS = [
    {"name": "nodes", "region": "r/us-east5", "ipCidrRange": "127.20.1.0/24", "purpose": "PRIVATE"},
    {"name": "proxy", "region": "r/us-east5", "ipCidrRange": "127.20.33.0/24", "purpose": "GLOBAL_MANAGED_PROXY"},
]


def around(*, classes: tuple[str, ...] = (gateway.CLASS,), subnets: list[Json] | None = None) -> Surroundings:
    known = {("us-east5", "vip"): {"address": "127.20.1.2"}, ("us-east5", "reserving"): {}}
    return Surroundings(classes, "us-east5", SUBNETS if subnets is None else subnets, lambda *key: known.get(key))


def gw(address: Json | None = None, *, name: str = "gw", **listener: t.Any) -> Json:
    return {
        "metadata": {"namespace": "default", "name": name, "generation": 3, "uid": name},
        "spec": {
            "gatewayClassName": gateway.CLASS,
            "addresses": [address] if address else [],
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 8080, **listener}],
        },
    }


def named(value: str) -> Json:
    return {"type": "networking.gke.io/named-address-with-region", "value": value}


def route(*rules: Json, namespace: str = "default", hostnames: list[str] | None = None, **parent: t.Any) -> Json:
    return {
        "metadata": {
            "namespace": namespace,
            "name": "route",
            "generation": 5,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "parentRefs": [{"name": "gw", "namespace": "default", **parent}],
            "rules": list(rules) or [{"backendRefs": [IMPORT]}],
            **({"hostnames": hostnames} if hostnames else {}),
        },
    }


def test_a_valid_gateway_gets_its_addresses() -> None:
    assert gateway.judge(gw(named("regions/us-east5/addresses/vip")), around()) == Verdict(
        (("us-east5", "127.20.1.2"),)
    )


@pytest.mark.parametrize("address", [None, {"type": f"{gateway.EPHEMERAL}us-east5", "value": "us-east5"}])
def test_an_ephemeral_address_is_stable_and_of_the_node_subnet(address: Json | None) -> None:
    (vip,) = gateway.judge(gw(address), around()).vips
    assert vip == gateway.judge(gw(address), around()).vips[0]
    assert vip[0] == "us-east5" and vip[1].startswith("127.20.1.")
    assert gateway.judge(gw(address, name="other"), around()).vips[0] != vip


@pytest.mark.parametrize(
    ("obj", "surroundings", "condition", "reason"),
    [
        (gw(), around(classes=()), "Accepted", "Pending"),
        (
            {**gw(), "spec": {**gw()["spec"], "gatewayClassName": "gke-l7-rilb"}},
            around(classes=("gke-l7-rilb",)),
            "Accepted",
            "Invalid",
        ),
        (gw(protocol="HTTPS"), around(), "Accepted", "ListenersNotValid"),
        (gw({"type": "NamedAddress", "value": "vip"}), around(), "Accepted", "UnsupportedAddress"),
        (gw(named("vip")), around(), "Accepted", "UnsupportedAddress"),
        (gw(named("regions/us-east5/addresses/absent")), around(), "Programmed", "AddressNotAssigned"),
        (gw(named("regions/us-east5/addresses/reserving")), around(), "Programmed", "AddressNotAssigned"),
        (gw(named("regions/us-east5/addresses/vip")), around(subnets=SUBNETS[:1]), "Programmed", "Invalid"),
        (gw(), around(subnets=[]), "Programmed", "AddressNotAssigned"),
    ],
)
def test_faults_of_a_gateway(obj: Json, surroundings: Surroundings, condition: str, reason: str) -> None:
    fault = gateway.judge(obj, surroundings).fault
    assert fault is not None and (fault.condition, fault.reason) == (condition, reason) and fault.message
    status = gateway_status.gateway(obj, Verdict(fault=fault), {}, programmed=False)
    found = {item["type"]: item for item in status["conditions"]}
    assert found["Programmed"]["status"] == "False" and found["Programmed"]["message"] == fault.message
    assert (found["Accepted"]["status"] == "False") == (condition == "Accepted")
    assert "addresses" not in status


def test_status_while_the_load_balancer_is_made_and_after() -> None:
    obj = gw()
    verdict = Verdict((("us-east5", "127.20.1.2"),))
    obj["status"] = gateway_status.gateway(obj, verdict, {}, programmed=False)
    found = {item["type"]: (item["status"], item["reason"]) for item in obj["status"]["conditions"]}
    assert found["Accepted"] == ("True", "Accepted") and found["Programmed"] == ("Unknown", "Pending")
    for item in obj["status"]["conditions"]:
        item["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    obj["metadata"]["generation"] = 4
    status = gateway_status.gateway(obj, verdict, {"http": 2}, programmed=True)
    assert status["addresses"] == [{"type": "IPAddress", "value": "127.20.1.2"}]
    assert status["listeners"][0]["attachedRoutes"] == 2
    by_type = {item["type"]: item for item in status["conditions"]}
    assert {item["observedGeneration"] for item in status["conditions"]} == {4}
    assert by_type["Accepted"]["lastTransitionTime"] == "2026-01-01T00:00:00Z"  # still True since then
    assert by_type["Programmed"]["lastTransitionTime"] != "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("obj", "listener", "reason"),
    [
        (route(), {}, ""),
        (route(sectionName="http"), {}, ""),
        (route(sectionName="https"), {}, "NoMatchingParent"),
        (route(port=81), {}, "NoMatchingParent"),
        (route(namespace="other"), {}, "NotAllowedByListeners"),
        (route(namespace="other"), {"allowedRoutes": {"namespaces": {"from": "All"}}}, ""),
        (route(), {"allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}, "NotAllowedByListeners"),
        (route(hostnames=["a.example"]), {"hostname": "b.example"}, "NoMatchingListenerHostname"),
        (route(hostnames=["a.example"]), {"hostname": "*.example"}, ""),
        (route({"matches": [{"headers": [{"name": "x", "value": "y"}]}]}), {}, "UnsupportedValue"),
        (route({"matches": [{"path": {"type": "Exact", "value": "/a"}}]}), {}, "UnsupportedValue"),
        (route({"filters": [{"type": "URLRewrite"}]}), {}, "UnsupportedValue"),
    ],
)
def test_attachment(obj: Json, listener: Json, reason: str) -> None:
    (found,) = gateway.attach(obj, {("default", "gw"): gw(**listener)}, IMPORTS)
    assert (found.fault.reason if found.fault else "") == reason
    assert found.listeners == (() if reason else ("http",))
    (parent,) = gateway_status.route(obj, [found])["parents"]
    accepted = next(item for item in parent["conditions"] if item["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == (("False", reason) if reason else ("True", "Accepted"))
    assert accepted["observedGeneration"] == 5 and parent["controllerName"] == "networking.gke.io/gateway"


def test_a_route_of_no_gateway_of_ours_keeps_what_others_wrote() -> None:
    obj = route()
    theirs = {"parentRef": {"name": "gw"}, "controllerName": "example.net/other", "conditions": []}
    ours = {"parentRef": {"name": "gone"}, "controllerName": "networking.gke.io/gateway", "conditions": []}
    obj["status"] = {"parents": [theirs, ours]}
    assert gateway.attach(obj, {}, IMPORTS) == []
    assert gateway_status.route(obj, []) == {"parents": [theirs]}


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (IMPORT, ""),
        ({**IMPORT, "name": "absent"}, "BackendNotFound"),
        ({**IMPORT, "namespace": "other"}, "RefNotPermitted"),
        ({"name": "svc", "port": 80}, "InvalidKind"),
        ({"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}, "InvalidKind"),
    ],
)
def test_backends_of_a_route(backend: Json, reason: str) -> None:
    obj = route({"backendRefs": [backend]})
    fault = gateway.unresolved(obj, IMPORTS)
    assert (fault.reason if fault else "") == reason
    (rule,) = gateway.rules(obj, gw()["spec"]["listeners"][0], IMPORTS)
    assert rule.backends == (() if reason else (("default/pool", 1),))


def test_listeners_have_the_longest_prefix_first() -> None:
    rules = (
        {"matches": [{"path": {"value": "/"}}, {"path": {"value": "/v1/chat"}}], "backendRefs": [IMPORT]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}], "backendRefs": [{**IMPORT, "weight": 3}]},
    )
    obj = route(*rules, hostnames=["a.example"])
    (attached,) = gateway.attach(obj, {("default", "gw"): gw()}, IMPORTS)
    vips = (("us-east5", "127.20.1.2"), ("europe-west4", "127.20.2.2"))
    made = gateway.listeners(gw(), vips, [(obj, attached)], IMPORTS)
    wanted = tuple(
        Rule((("default/pool", weight),), (prefix,), ("a.example",))
        for prefix, weight in (("/v1/chat", 1), ("/v1", 3), ("/", 1))
    )
    assert made == [Listener("default/gw", "http", region, address, 8080, wanted) for region, address in vips]


def policy(own: str, default: Json, /, *, age: int = 0, **reference: str) -> Json:
    meta = {"namespace": "default", "name": own, "uid": own, "creationTimestamp": f"2026-01-0{age + 1}T00:00:00Z"}
    return {"metadata": meta, "spec": {"default": default, "targetRef": {**IMPORT, **reference}}}


@pytest.mark.parametrize(
    ("default", "check"),
    [
        (None, HealthCheck("/", None, 5, 5, 2, 2)),
        (
            {"config": {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health", "port": 8000}}},
            HealthCheck("/health", 8000),
        ),
        (
            {
                "checkIntervalSec": 1,
                "timeoutSec": 1,
                "healthyThreshold": 1,
                "unhealthyThreshold": 3,
                "config": {
                    "type": "HTTP",
                    "httpHealthCheck": {"requestPath": "/h", "port": 9, "portSpecification": "USE_SERVING_PORT"},
                },
            },
            HealthCheck("/h", None, 1, 1, 1, 3),
        ),
    ],
)
def test_health_check(default: Json | None, check: HealthCheck) -> None:
    assert backend_policies.health_check(policy("p", default) if default else None) == check


def test_the_oldest_policy_counts() -> None:
    old, young, lost = policy("b", {}), policy("a", {}, age=1), policy("c", {}, name="absent")
    chosen = backend_policies.effective([young, old, lost])
    assert chosen["default", "pool"] is old

    def reason(obj: Json) -> str:
        fault = backend_policies.fault(obj, chosen, IMPORTS)
        return fault.reason if fault else ""

    assert [reason(obj) for obj in (old, young, lost)] == ["", "Conflicted", "TargetNotFound"]
    status = gateway_status.policy(young, Fault("Attached", "Conflicted", "why"))
    assert (status["conditions"][0]["type"], status["conditions"][0]["status"]) == ("Attached", "False")


@pytest.mark.parametrize(
    ("default", "drained"),
    [
        ({}, False),
        ({"capacityScalerPercent": 0}, True),
        ({"scopes": [{"selector": {"gke.io/region": "us-east5"}, "capacityScalerPercent": 0}]}, True),
        ({"scopes": [{"selector": {"gke.io/region": "europe-west4"}, "capacityScalerPercent": 0}]}, False),
        ({"scopes": [{"selector": {"gke.io/cluster-name": "east"}, "capacityScalerPercent": 50}]}, False),
        (
            {"scopes": [{"selector": {"gke.io/zone": "us-east5-a"}}, {"selector": {}, "capacityScalerPercent": 0}]},
            False,
        ),
    ],
)
def test_drain_by_capacity(default: Json, drained: bool) -> None:
    assert backend_policies.drained(policy("p", default), POD, EAST) == drained


def rule(sources: list[str], *ports: str, protocol: str = "tcp", deny: bool = False, **more: t.Any) -> Json:
    listed = [{"IPProtocol": protocol, **({"ports": list(ports)} if ports else {})}]
    return {"direction": "INGRESS", "sourceRanges": sources, ("denied" if deny else "allowed"): listed, **more}


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        ([], False),
        ([rule(["35.191.0.0/16"], "8000")], True),
        ([rule(["35.191.0.0/16"], "7000-9000")], True),
        ([rule(["0.0.0.0/0"], protocol="all")], True),
        ([rule([])], True),  # no source at all is every source
        ([rule(["35.191.0.0/17"], "8000")], False),  # half of the range is not the range
        ([rule(["35.191.0.0/16"], "80")], False),
        ([rule(["35.191.0.0/16"], "8000", protocol="udp")], False),
        ([rule(["35.191.0.0/16"], "8000", disabled=True)], False),
        ([rule(["35.191.0.0/16"], "8000", direction="EGRESS")], False),
        ([rule(["35.191.0.0/16"], "8000", targetTags=["gpu"])], False),
        ([rule(["35.191.0.0/16"], "8000", targetTags=["tpu"])], True),
        ([rule([], "8000", sourceTags=["x"])], False),
        ([rule(["35.191.0.0/16"], "8000"), rule(["0.0.0.0/0"], deny=True)], False),
        ([rule(["35.191.0.0/16"], "8000", priority=10), rule(["0.0.0.0/0"], deny=True)], True),
    ],
)
def test_firewall(rules: list[Json], admitted: bool) -> None:
    assert admits(rules, "35.191.0.0/16", 8000, {"tpu"}) == admitted


@pytest.mark.parametrize(
    ("network", "ranges", "reached"),
    [
        ("vpc", ["130.211.0.0/22", "35.191.0.0/16", "127.20.33.0/24"], True),
        ("vpc", ["130.211.0.0/22", "35.191.0.0/16"], False),  # the proxies cannot come in
        ("vpc", ["35.191.0.0/16", "127.20.33.0/24"], False),
        ("other", ["0.0.0.0/0"], False),  # another VPC than the Gateway's
    ],
)
def test_reach(network: str, ranges: list[str], reached: bool) -> None:
    reach = routing.Reach("vpc", ["127.20.33.0/24"], {EAST: routing.Network(network, [rule(ranges, "8000")], ())})
    assert routing.reachable(POD, EAST, HealthCheck(), reach) == reached


def model_pod(name: str, *, ready: bool = True, app: str = "model", **meta: str) -> Json:
    return {
        "metadata": {"namespace": "default", "name": name, "labels": {"app": app}, **meta},
        "spec": {"nodeName": "node"},
        "status": {"podIP": "127.20.130.2", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def site(*pods: Json) -> Site:
    service = {"metadata": {"namespace": "default", "name": "pool-epp"}, "spec": {"selector": {"app": "epp"}}}
    return Site(EAST, "east", (), pods, [service], {"node": "us-east5-b"})


def pool(**reference: str) -> Json:
    return {
        "metadata": {"namespace": "default", "name": "pool", "generation": 2},
        "spec": {
            "selector": {"matchLabels": {"app": "model"}},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "pool-epp", **reference},
        },
    }


def test_only_ready_pods_of_the_pool_are_endpoints() -> None:
    assert ready_endpoints(pool(), site(model_pod("a"))) == {Endpoint("127.20.130.2", 8000, "us-east5", "us-east5-b")}
    others = (
        model_pod("unready", ready=False),
        model_pod("going", deletionTimestamp="2026-01-01T00:00:00Z"),
        model_pod("other", app="other"),
        model_pod("elsewhere", namespace="other"),
    )
    assert ready_endpoints(pool(), site(*others)) == set()


@pytest.mark.parametrize(
    ("reference", "picker", "serving"),
    [
        ({}, [model_pod("epp", app="epp")], True),
        ({}, [model_pod("epp", app="epp", ready=False)], False),
        ({}, [], False),
        ({"name": "absent"}, [model_pod("epp", app="epp")], False),
        ({"failureMode": "FailOpen"}, [], True),
    ],
)
def test_a_pool_fails_closed_without_its_endpoint_picker(reference: Json, picker: list[Json], serving: bool) -> None:
    assert serves(pool(**reference), site(*picker)) == serving


def test_pool_status_tells_of_the_export_and_of_a_lost_picker() -> None:
    status = pool_status(pool(name="absent"), site(), imported=True)
    found = {item["type"]: (item["status"], item["reason"]) for item in status["parents"][0]["conditions"]}
    assert found == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("False", "InvalidExtensionRef"),
        "Exported": ("True", "Exported"),
    }
    assert pool_status({**pool(), "status": status}, site(), imported=False) == {}


def test_endpoints_come_late_and_go_late() -> None:
    timers = Attachments(attach=60, detach=10)
    one = {("default/pool", POD)}
    assert timers.update(0, one) == (set(), 60)
    assert timers.update(59, one) == (set(), 1)
    assert timers.update(60, one) == (one, None)
    assert timers.update(100, set()) == (one, 10)  # the health check has to see to it meanwhile
    assert timers.update(105, one) == (one, None)  # back in time
    assert timers.update(110, set()) == (one, 10)
    assert timers.update(119, set()) == (one, 1)
    assert timers.update(120, set()) == (set(), None)
    assert timers.update(121, one) == (set(), 60)
    assert timers.update(130, set()) == (set(), None)  # gone before it ever came
