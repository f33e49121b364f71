# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of compute resources: which fields they have, what Google fills in, what it refuses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

from ...interfaces import Json
from ..bodies import Shape
from ..errors import invalid
from ..store import Project
from . import addresses, networks, reservations, shapes
from .links import LINK, full_link

NAME = re.compile(r"(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)")

Complete = Callable[[Project, Json, Json], None]
Action = Callable[[Project, Json, Json], Json]


@dataclasses.dataclass(frozen=True)
class Kind:
    """``complete(project, document, body)`` checks a document and fills in what the server sets;
    ``users`` tells what still refers to it; ``fingerprint`` names its field, "" for none."""

    collection: str
    noun: str
    scope: str  # "global", "regions" or "zones"
    latency: str
    message: shapes.Message  # what a user may state
    mutable: frozenset[str]
    complete: Complete
    users: Callable[[Project, Json], list[str]]
    server: shapes.Message = dataclasses.field(default_factory=dict)  # what it answers besides
    fingerprint: str = ""
    actions: Mapping[str, tuple[Shape, Action]] = dataclasses.field(default_factory=dict)
    verbs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> str:
        return f"compute#{self.noun}"

    @property
    def shape(self) -> Shape:
        """All that a request may carry."""
        return {**shapes.COMMON, **shapes.SERVER, **self.message, **self.server}

    @property
    def list_kind(self) -> str:
        return f"compute#{self.noun}List"


def nobody(_project: Project, _document: Json) -> list[str]:
    return []


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise invalid(
            f"Invalid value for field 'resource.name': '{name}'. Must be a match of regex '{NAME.pattern}'",
            reason="invalid",
        )


def same(project: Project, live: object, given: object) -> bool:
    """Whether an unchangeable field keeps its value: links are compared by the resource that they name."""
    if live == given or given in (None, "") and live in (None, ""):
        return True
    if isinstance(live, str) and isinstance(given, str) and "/" in live:
        if "/" not in given:
            return live.rpartition("/")[2] == given
        return full_link(project, live) == full_link(project, given)
    return False


def fields(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: dict[str, Kind] = {
    "networks": Kind(
        collection="networks",
        noun="network",
        scope="global",
        latency="network_insert",
        message=shapes.NETWORK,
        server=shapes.NETWORK_SERVER,
        mutable=fields(
            "routingConfig mtu enableUlaInternalIpv6 internalIpv6Range description "
            "networkFirewallPolicyEnforcementOrder"
        ),
        complete=networks.network,
        users=networks.network_users,
        verbs={"patch": "updateNetwork"},
    ),
    "subnetworks": Kind(
        collection="subnetworks",
        noun="subnetwork",
        scope="regions",
        latency="subnetwork_insert",
        message=shapes.SUBNETWORK,
        server=shapes.SUBNETWORK_SERVER,
        mutable=fields(
            "role secondaryIpRanges logConfig stackType ipv6AccessType privateIpv6GoogleAccess enableFlowLogs "
            "description privateIpGoogleAccess"
        ),
        complete=networks.subnetwork,
        users=networks.subnetwork_users,
        fingerprint="fingerprint",
        actions={
            "setPrivateIpGoogleAccess": (shapes.SET_PRIVATE_ACCESS, networks.set_private_access),
            "expandIpCidrRange": (shapes.EXPAND_RANGE, networks.expand),
        },
    ),
    "firewalls": Kind(
        collection="firewalls",
        noun="firewall",
        scope="global",
        latency="firewall_insert",
        message=shapes.FIREWALL,
        mutable=fields(
            "priority sourceRanges destinationRanges sourceTags targetTags sourceServiceAccounts "
            "targetServiceAccounts allowed denied disabled logConfig description"
        ),
        complete=networks.firewall,
        users=nobody,
        verbs={"patch": "compute.firewalls.patch", "update": "compute.firewalls.update"},
    ),
    "addresses": Kind(
        collection="addresses",
        noun="address",
        scope="regions",
        latency="address_insert",
        message=shapes.ADDRESS,
        server=shapes.ADDRESS_SERVER,
        mutable=frozenset(),
        complete=addresses.address,
        users=addresses.address_users,
        fingerprint="labelFingerprint",
        actions={"setLabels": (shapes.SET_LABELS, addresses.set_labels)},
    ),
    "routers": Kind(
        collection="routers",
        noun="router",
        scope="regions",
        latency="router_insert",
        message=shapes.ROUTER,
        server=shapes.ROUTER_SERVER,
        mutable=fields("bgp bgpPeers interfaces nats description"),
        complete=addresses.router,
        users=nobody,
    ),
    "reservations": Kind(
        collection="reservations",
        noun="reservation",
        scope="zones",
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
        for region, cidr in networks.auto_ranges()
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
            networks.AUTO_RANGE,
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
