# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""google-cloud-compute: a network with all that is in it through every method of its clients."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import typing as t
from collections.abc import Callable

import pytest

from tests.truth.driving import Json, Reached, Step, drive, methods, until, untried
from tests.truth.table import Note

pytestmark = pytest.mark.judges("compute")

JUDGE = "google-cloud-compute"
REGION, ZONE = "us-east1", "us-east1-b"
HERE = f"regions/{REGION}"

Client = t.Any
Request = Json | Callable[["Compute"], Json]


@dataclasses.dataclass(frozen=True)
class Compute:
    """Clients by the name of their class."""

    reached: Reached
    package: t.Any

    def client(self, name: str) -> Client:
        options = {"api_endpoint": f"http://{self.reached.host}"}
        return getattr(self.package, name)(credentials=self.reached.credentials, client_options=options)

    def call(self, name: str, method: str, request: Request) -> t.Any:
        """One call, where it needs them in the project, region and zone of this test, to its operation's end.

        The futures of these clients poll at Google's address; the operations' own clients poll where they are told.
        """
        client = self.client(name)
        unary = f"{method}_unary"
        function = getattr(client, unary if hasattr(client, unary) else method)
        wanted = request(self) if callable(request) else request
        places = {"project": self.reached.project, "region": REGION, "zone": ZONE}
        known = inspect.signature(function).parameters
        answer = function(request={**{name: value for name, value in places.items() if name in known}, **wanted})
        if hasattr(client, unary):
            return self.done(answer)
        return answer if not hasattr(answer, "__iter__") else list(answer)

    def done(self, operation: t.Any) -> t.Any:
        where = {"project": self.reached.project, "operation": operation.name}
        if operation.region:
            where["region"] = operation.region.rpartition("/")[2]
        api = self.client("RegionOperationsClient" if operation.region else "GlobalOperationsClient")
        ended = until(lambda: api.wait(**where), lambda found: found.status == found.Status.DONE)
        assert not ended.error.errors, ended.error
        return ended

    def operation(self, name: str) -> Json:
        """The request for one operation of a scope: its first."""
        return {"operation": self.call(name, "list", {})[0].name}


@pytest.fixture(scope="module")
def compute(enabled: Json) -> Compute:
    return Compute(Reached.of(enabled), importlib.import_module("google.cloud.compute_v1"))


def of(
    client: str, method: str, request: Request | None = None, good: Callable[[t.Any], object] = lambda answer: True
) -> tuple[str, Step]:
    """A call of a client's method."""
    return client, Step(method, lambda compute: compute.call(client, method, request or {}), good)


def add_ranges(compute: Compute) -> None:
    """One after the other, each under the fingerprint that the last one left."""
    for number in range(len(RANGES)):
        live = compute.call(SUBNETWORKS, "get", {"subnetwork": "py-nodes"})
        wanted = {"fingerprint": live.fingerprint, "secondary_ip_ranges": RANGES[: number + 1]}
        compute.call(SUBNETWORKS, "patch", {"subnetwork": "py-nodes", "subnetwork_resource": wanted})


def labels(client: str, body: str, kind: str, name: str) -> Callable[[Compute], Json]:
    def request(compute: Compute) -> Json:
        live = compute.call(client, "get", {kind: name})
        wanted = {"labels": {"team": "serving"}, "label_fingerprint": live.label_fingerprint}
        return {"resource": name, body: wanted}

    return request


def policy(bindings: list[Json]) -> Json:
    return {"resource": "py-nodes", "region_set_policy_request_resource": {"policy": {"bindings": bindings}}}


SUBNETWORK = {"name": "py-nodes", "network": "global/networks/py", "ip_cidr_range": "10.9.0.0/24"}
RULE = {
    "name": "py-rule",
    "network": "global/networks/py",
    "source_ranges": ["10.0.0.0/8"],
    "allowed": [{"I_p_protocol": "tcp", "ports": ["8000"]}],
}
NAT = {
    "name": "py-nat",
    "nat_ip_allocate_option": "AUTO_ONLY",
    "source_subnetwork_ip_ranges_to_nat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
}
RANGES = [{"range_name": f"r{number}", "ip_cidr_range": f"10.8.{number}.0/24"} for number in range(6)]
PEERING = {"name": "py-peering", "network": "global/networks/default", "exchange_subnet_routes": True}
PERMISSIONS = {"test_permissions_request_resource": {"permissions": ["compute.subnetworks.use"]}}
NETWORKS, SUBNETWORKS, FIREWALLS, ADDRESSES, GLOBAL_ADDRESSES, ROUTERS = CLIENTS = (
    "NetworksClient",
    "SubnetworksClient",
    "FirewallsClient",
    "AddressesClient",
    "GlobalAddressesClient",
    "RoutersClient",
)
GLOBAL_OPERATIONS, REGION_OPERATIONS, ZONE_OPERATIONS = OPERATIONS = (
    "GlobalOperationsClient",
    "RegionOperationsClient",
    "ZoneOperationsClient",
)

STEPS = (
    of(NETWORKS, "insert", {"network_resource": {"name": "py", "auto_create_subnetworks": False, "mtu": 8896}}),
    of(NETWORKS, "get", {"network": "py"}, lambda live: live.mtu == 8896 and not live.auto_create_subnetworks),
    of(NETWORKS, "list", {}, lambda found: "py" in [network.name for network in found]),
    of(NETWORKS, "patch", {"network": "py", "network_resource": {"routing_config": {"routing_mode": "GLOBAL"}}}),
    of(NETWORKS, "get_effective_firewalls", {"network": "py"}),
    of(
        NETWORKS,
        "add_peering",
        {"network": "py", "networks_add_peering_request_resource": {"network_peering": PEERING}},
    ),
    of(
        NETWORKS,
        "update_peering",
        {"network": "py", "networks_update_peering_request_resource": {"network_peering": PEERING}},
    ),
    of(NETWORKS, "list_peering_routes", {"network": "py", "peering_name": "py-peering", "region": REGION}),
    of(
        NETWORKS,
        "remove_peering",
        {"network": "py", "networks_remove_peering_request_resource": {"name": "py-peering"}},
    ),
    of(SUBNETWORKS, "insert", {"subnetwork_resource": SUBNETWORK}),
    (SUBNETWORKS, Step("patch", add_ranges)),
    of(SUBNETWORKS, "get", {"subnetwork": "py-nodes"}, lambda live: len(live.secondary_ip_ranges) == len(RANGES)),
    of(SUBNETWORKS, "list", {}, lambda found: "py-nodes" in [subnetwork.name for subnetwork in found]),
    of(SUBNETWORKS, "aggregated_list", {}, lambda found: dict(found)[HERE].subnetworks),
    of(SUBNETWORKS, "list_usable", {}, lambda found: any("py-nodes" in one.subnetwork for one in found)),
    of(
        SUBNETWORKS,
        "expand_ip_cidr_range",
        {
            "subnetwork": "py-nodes",
            "subnetworks_expand_ip_cidr_range_request_resource": {"ip_cidr_range": "10.9.0.0/23"},
        },
    ),
    of(
        SUBNETWORKS,
        "set_private_ip_google_access",
        {
            "subnetwork": "py-nodes",
            "subnetworks_set_private_ip_google_access_request_resource": {"private_ip_google_access": True},
        },
    ),
    of(SUBNETWORKS, "get_iam_policy", {"resource": "py-nodes"}),
    of(
        SUBNETWORKS,
        "set_iam_policy",
        policy([{"role": "roles/compute.networkUser", "members": ["user:a@example.com"]}]),
    ),
    of(SUBNETWORKS, "test_iam_permissions", {"resource": "py-nodes", **PERMISSIONS}),
    of(FIREWALLS, "insert", {"firewall_resource": RULE}),
    of(FIREWALLS, "get", {"firewall": "py-rule"}, lambda live: live.allowed[0].ports == ["8000"]),
    of(FIREWALLS, "list", {}, lambda found: "py-rule" in [rule.name for rule in found]),
    of(FIREWALLS, "patch", {"firewall": "py-rule", "firewall_resource": {"priority": 900}}),
    of(FIREWALLS, "test_iam_permissions", {"resource": "py-rule", **PERMISSIONS}),
    of(FIREWALLS, "update", {"firewall": "py-rule", "firewall_resource": {**RULE, "priority": 800}}),
    of(
        ADDRESSES,
        "insert",
        {
            "address_resource": {
                "name": "py-vip",
                "address_type": "INTERNAL",
                "subnetwork": f"{HERE}/subnetworks/py-nodes",
                "purpose": "SHARED_LOADBALANCER_VIP",
            }
        },
    ),
    of(ADDRESSES, "get", {"address": "py-vip"}, lambda live: live.status == "RESERVED" and live.address),
    of(ADDRESSES, "list", {}, lambda found: [address.name for address in found] == ["py-vip"]),
    of(ADDRESSES, "aggregated_list", {}, lambda found: dict(found)[HERE].addresses),
    of(ADDRESSES, "set_labels", labels(ADDRESSES, "region_set_labels_request_resource", "address", "py-vip")),
    of(ADDRESSES, "test_iam_permissions", {"resource": "py-vip", **PERMISSIONS}),
    of(GLOBAL_ADDRESSES, "insert", {"address_resource": {"name": "py-anycast"}}),
    of(GLOBAL_ADDRESSES, "get", {"address": "py-anycast"}, lambda live: live.address and not live.region),
    of(GLOBAL_ADDRESSES, "list", {}, lambda found: [address.name for address in found] == ["py-anycast"]),
    of(
        GLOBAL_ADDRESSES,
        "set_labels",
        labels(GLOBAL_ADDRESSES, "global_set_labels_request_resource", "address", "py-anycast"),
    ),
    of(GLOBAL_ADDRESSES, "test_iam_permissions", {"resource": "py-anycast", **PERMISSIONS}),
    of(ROUTERS, "insert", {"router_resource": {"name": "py-router", "network": "global/networks/py"}}),
    of(ROUTERS, "patch", {"router": "py-router", "router_resource": {"nats": [NAT]}}),
    of(ROUTERS, "get", {"router": "py-router"}, lambda live: [nat.name for nat in live.nats] == ["py-nat"]),
    of(ROUTERS, "list", {}, lambda found: [router.name for router in found] == ["py-router"]),
    of(ROUTERS, "aggregated_list", {}, lambda found: dict(found)[HERE].routers),
    of(
        ROUTERS, "get_router_status", {"router": "py-router"}, lambda found: found.result.nat_status[0].name == "py-nat"
    ),
    of(ROUTERS, "get_nat_ip_info", {"router": "py-router"}),
    of(ROUTERS, "get_nat_mapping_info", {"router": "py-router"}),
    of(ROUTERS, "preview", {"router": "py-router", "router_resource": {"nats": [NAT]}}),
    of(
        ROUTERS,
        "update",
        {"router": "py-router", "router_resource": {"name": "py-router", "network": "global/networks/py"}},
    ),
    *(
        step
        for name in (GLOBAL_OPERATIONS, REGION_OPERATIONS)
        for step in (
            of(name, "list", {}, lambda found: found),
            of(name, "get", lambda compute, name=name: compute.operation(name), lambda found: found.name),
            of(name, "wait", lambda compute, name=name: compute.operation(name), lambda found: found.name),
        )
    ),
    of(GLOBAL_OPERATIONS, "aggregated_list", {}, lambda found: dict(found)[HERE].operations),
    of(ZONE_OPERATIONS, "list"),
    of(ROUTERS, "delete", {"router": "py-router"}),
    of(ADDRESSES, "delete", {"address": "py-vip"}),
    of(GLOBAL_ADDRESSES, "delete", {"address": "py-anycast"}),
    of(FIREWALLS, "delete", {"firewall": "py-rule"}),
    of(SUBNETWORKS, "delete", {"subnetwork": "py-nodes"}),
    of(NETWORKS, "delete", {"network": "py"}),
)

LINKS = "networks of several VPCs are not part of the chain"
BGP = "routers here have NATs and no BGP"
BGP_METHODS = (
    *("list_bgp_routes", "list_route_policies", "get_route_policy", "patch_route_policy", "update_route_policy"),
    *("delete_route_policy", "list_named_sets", "get_named_set", "patch_named_set", "update_named_set"),
    "delete_named_set",
)
FORGOTTEN = "nobody needs operations to be forgotten"
UNTRIED = {
    NETWORKS: {
        "switch_to_custom_mode": "networks of auto mode are not part of the chain",
        "request_remove_peering": LINKS,
        "cancel_request_remove_peering": LINKS,
    },
    ADDRESSES: {"move": LINKS},
    GLOBAL_ADDRESSES: {"move": LINKS},
    ROUTERS: dict.fromkeys(BGP_METHODS, BGP),
    GLOBAL_OPERATIONS: {"delete": FORGOTTEN},
    REGION_OPERATIONS: {"delete": FORGOTTEN},
    ZONE_OPERATIONS: dict.fromkeys(("get", "wait", "delete"), "nothing zonal is made with compute's API"),
}


@pytest.mark.parametrize(("client", "step"), STEPS, ids=[f"{client}.{step.method}" for client, step in STEPS])
def test_a_method(client: str, step: Step, compute: Compute, note: Note) -> None:
    drive(JUDGE, getattr(compute.package, client), step, compute, note)


@pytest.mark.parametrize("client", [*CLIENTS, *OPERATIONS])
def test_all_methods_are_counted(client: str, compute: Compute, note: Note) -> None:
    kind = getattr(compute.package, client)
    names = methods(kind)
    why = {name: reason for name, reason in UNTRIED.get(client, {}).items() if name in names}
    untried(JUDGE, kind, names, {step.method for name, step in STEPS if name == client}, why, note)
