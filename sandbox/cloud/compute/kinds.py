# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of compute resources: which fields they have, what Google fills in, what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ...interfaces import Json
from ..bodies import Shape, fields
from ..store import Project
from . import addresses, firewalls, networks, ranges, reservations, routers, shapes
from .links import LINK, full_link

Complete = Callable[[Project, Json, Json], None]
Action = Callable[[Project, Json, Json], Json]


def nobody(_project: Project, _document: Json) -> list[str]:
    return []


def as_it_is(_project: Project, document: Json) -> Json:
    return document


@dataclasses.dataclass(frozen=True)
class Kind:
    """``complete(project, document, body)`` checks a document and fills in what the server sets;
    ``users`` tells what still refers to it, which is found ``late`` when the operation of its deletion runs;
    ``check_delete`` refuses a deletion for other reasons; ``fingerprint`` names its field, "" for none."""

    collection: str
    noun: str
    scopes: tuple[str, ...]  # "global", "regions", "zones"
    latency: str
    message: shapes.Message  # what a user may state
    mutable: frozenset[str]
    complete: Complete
    users: Callable[[Project, Json], list[str]]
    server: shapes.Message = dataclasses.field(default_factory=dict)  # what it answers besides
    fingerprint: str = ""
    actions: Mapping[str, tuple[Shape, Action]] = dataclasses.field(default_factory=dict)
    verbs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    late: bool = False
    check_delete: Callable[[Project, Json], object] = nobody
    shown: Callable[[Project, Json], Json] = as_it_is

    @property
    def shape(self) -> Shape:
        """All that a request may carry."""
        return {**shapes.COMMON, **shapes.SERVER, **self.message, **self.server}


def same(project: Project, live: object, given: object) -> bool:
    """Whether an unchangeable field keeps its value: links are compared by the resource that they name."""
    if live == given or given in (None, "") and live in (None, ""):
        return True
    if isinstance(live, str) and isinstance(given, str) and "/" in live:
        if "/" not in given:
            return live.rpartition("/")[2] == given
        return full_link(project, live) == full_link(project, given)
    return False


KINDS: dict[str, Kind] = {
    "networks": Kind(
        collection="networks",
        noun="network",
        scopes=("global",),
        latency="network_insert",
        message=shapes.NETWORK,
        server=shapes.NETWORK_SERVER,
        mutable=fields(
            "routingConfig mtu enableUlaInternalIpv6 internalIpv6Range description "
            "networkFirewallPolicyEnforcementOrder"
        ),
        complete=networks.network,
        users=networks.network_users,
        late=True,
        verbs={"patch": "updateNetwork"},
    ),
    "subnetworks": Kind(
        collection="subnetworks",
        noun="subnetwork",
        scopes=("regions",),
        latency="subnetwork_insert",
        message=shapes.SUBNETWORK,
        server=shapes.SUBNETWORK_SERVER,
        mutable=fields(
            "role secondaryIpRanges logConfig stackType ipv6AccessType privateIpv6GoogleAccess enableFlowLogs "
            "description privateIpGoogleAccess"
        ),
        complete=networks.subnetwork,
        users=networks.subnetwork_users,
        check_delete=networks.check_delete_subnetwork,
        fingerprint="fingerprint",
        actions={
            "setPrivateIpGoogleAccess": (shapes.SET_PRIVATE_ACCESS, networks.set_private_access),
            "expandIpCidrRange": (shapes.EXPAND_RANGE, networks.expand),
        },
    ),
    "firewalls": Kind(
        collection="firewalls",
        noun="firewall",
        scopes=("global",),
        latency="firewall_insert",
        message=shapes.FIREWALL,
        mutable=fields(
            "priority sourceRanges destinationRanges sourceTags targetTags sourceServiceAccounts "
            "targetServiceAccounts allowed denied disabled logConfig description"
        ),
        complete=firewalls.firewall,
        users=nobody,
        verbs={"patch": "compute.firewalls.patch", "update": "compute.firewalls.update"},
    ),
    "addresses": Kind(
        collection="addresses",
        noun="address",
        scopes=("global", "regions"),
        latency="address_insert",
        message=shapes.ADDRESS,
        server=shapes.ADDRESS_SERVER,
        mutable=frozenset(),
        complete=addresses.address,
        users=addresses.address_users,
        shown=addresses.shown,
        fingerprint="labelFingerprint",
        actions={"setLabels": (shapes.SET_LABELS, addresses.set_labels)},
    ),
    "routers": Kind(
        collection="routers",
        noun="router",
        scopes=("regions",),
        latency="router_insert",
        message=shapes.ROUTER,
        server=shapes.ROUTER_SERVER,
        mutable=fields("bgp bgpPeers interfaces nats description"),
        complete=routers.router,
        users=nobody,
    ),
    "reservations": Kind(
        collection="reservations",
        noun="reservation",
        scopes=("zones",),
        latency="address_insert",
        message=shapes.RESERVATION,
        server=shapes.RESERVATION_SERVER,
        mutable=frozenset(),
        complete=reservations.complete,
        users=reservations.users,
    ),
}


def auto_subnetworks(network: str, name: str) -> list[tuple[str, str, Json]]:
    """(scope, collection, body) of the subnetworks of an auto mode network."""
    return [
        (f"regions/{region}", "subnetworks", {"name": name, "network": network, "ipCidrRange": cidr})
        for region, cidr in ranges.auto_ranges().items()
    ]


def default_network(project: Project) -> list[tuple[str, str, Json]]:
    """(scope, collection, body) of what makes the network "default" with its subnetworks and firewall rules."""
    network = f"{LINK}projects/{project.id}/global/networks/default"
    parts: list[tuple[str, str, Json]] = [
        (
            "global",
            "networks",
            {
                "name": "default",
                "description": "Default network for the project",
                "autoCreateSubnetworks": True,
                "routingConfig": {"routingMode": "REGIONAL"},
            },
        )
    ]
    parts += auto_subnetworks(network, "default")
    rules = (
        ("default-allow-icmp", "0.0.0.0/0", [{"IPProtocol": "icmp"}]),
        (
            "default-allow-internal",
            str(ranges.AUTO_RANGE),
            [
                {"IPProtocol": "tcp", "ports": ["0-65535"]},
                {"IPProtocol": "udp", "ports": ["0-65535"]},
                {"IPProtocol": "icmp"},
            ],
        ),
        ("default-allow-ssh", "0.0.0.0/0", [{"IPProtocol": "tcp", "ports": ["22"]}]),
    )
    for name, source, allowed in rules:
        body = {"name": name, "network": network, "priority": 65534, "sourceRanges": [source], "allowed": allowed}
        parts.append(("global", "firewalls", body))
    return parts
