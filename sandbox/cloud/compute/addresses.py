# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regional addresses and routers with NAT: Google's defaults and refusals."""

from __future__ import annotations

import ipaddress
import itertools

from ...interfaces import Json
from ..errors import Refusal, invalid
from ..store import Project
from .links import full_link, lookup
from .networks import PROXY_PURPOSES

PURPOSES = ("GCE_ENDPOINT", "SHARED_LOADBALANCER_VIP", "VPC_PEERING", "PRIVATE_SERVICE_CONNECT", "NAT_AUTO")
FIRST_HOST = 2  # .0 is the network, .1 the gateway
EXTERNAL = ipaddress.ip_address("34.162.0.2")
NAT_DEFAULTS: Json = {
    "type": "PUBLIC",
    "enableEndpointIndependentMapping": False,
    "endpointTypes": ["ENDPOINT_TYPE_VM"],
    "autoNetworkTier": "PREMIUM",
}
PRIVATE_NAT_DEFAULTS: Json = {
    "enableDynamicPortAllocation": True,
    "enableEndpointIndependentMapping": False,
    "endpointTypes": ["ENDPOINT_TYPE_VM"],
}


def address(project: Project, document: Json, body: Json) -> None:
    kind = document.setdefault("addressType", "EXTERNAL")
    document.setdefault("networkTier", "PREMIUM")
    document.setdefault("description", "")
    if kind == "INTERNAL":
        _internal(project, document)
    elif kind == "EXTERNAL":
        if document.get("subnetwork"):
            raise invalid(
                "Invalid value for field 'resource.subnetwork': only INTERNAL addresses have a subnetwork.",
                reason="invalid",
            )
        used = taken(project, "EXTERNAL", "")
        candidates = (str(EXTERNAL + number) for number in itertools.count())
        document.setdefault("address", next(candidate for candidate in candidates if candidate not in used))
    else:
        raise invalid(f"Invalid value for field 'resource.addressType': '{kind}'.", reason="invalid")
    document["status"] = "RESERVING"


def _internal(project: Project, document: Json) -> None:
    purpose = document.setdefault("purpose", "GCE_ENDPOINT")
    if purpose not in PURPOSES:
        raise invalid(f"Invalid value for field 'resource.purpose': '{purpose}'.", reason="invalid")
    region = document["region"].rpartition("/")[2]
    link = document.get("subnetwork") or f"regions/{region}/subnetworks/default"
    subnetwork = lookup(project, link, "subnetwork")
    document["subnetwork"] = subnetwork["selfLink"]
    if subnetwork["purpose"] in PROXY_PURPOSES:
        raise invalid(
            f"Invalid value for field 'resource.subnetwork': '{link}'. Subnetwork must have purpose=PRIVATE.",
            reason="invalid",
        )
    block = ipaddress.ip_network(subnetwork["ipCidrRange"])
    used = taken(project, "INTERNAL", subnetwork["selfLink"])
    wanted = document.get("address")
    if wanted is None:
        hosts = (str(block[n]) for n in range(FIRST_HOST, block.num_addresses - 2))
        free = next((host for host in hosts if host not in used), None)
        if free is None:
            raise Refusal("INVALID_ARGUMENT", f"IP space of '{link}' is exhausted.", reason="ipSpaceExhausted")
        document["address"] = free
        return
    try:
        inside = ipaddress.ip_address(wanted) in block
    except ValueError as error:
        raise invalid(
            f"Invalid value for field 'resource.address': '{wanted}'. Must be a valid IP address.", reason="invalid"
        ) from error
    if not inside:
        raise invalid(
            f"Invalid value for field 'resource.address': '{wanted}'. Specified IP address is outside the "
            f"range {block} of the subnetwork.",
            reason="invalid",
        )
    if wanted in used:
        raise invalid(f"Specified IP address is in-use and would result in a conflict: '{wanted}'.", reason="ipInUse")


def taken(project: Project, kind: str, subnetwork: str) -> set[str]:
    return {
        item["address"]
        for path, item in project.compute.items()
        if "/addresses/" in path and item["addressType"] == kind and item.get("subnetwork", "") == subnetwork
    }


def address_users(project: Project, document: Json) -> list[str]:
    """Routers whose NAT holds the address."""
    return [
        f"projects/{project.id}/{path}"
        for path, item in project.compute.items()
        if "/routers/" in path and any(document["selfLink"] in nat.get("natIps", []) for nat in item.get("nats", []))
    ]


def set_labels(_project: Project, document: Json, body: Json) -> Json:
    """Replaces the labels; without the fingerprint of the live ones it is refused, as on Google."""
    if not body.get("labelFingerprint"):
        raise Refusal("CONDITION_NOT_MET", "Labels fingerprint either invalid or resource labels have changed")
    document.pop("labels", None)
    if body.get("labels"):
        document["labels"] = body["labels"]
    return document


def router(project: Project, document: Json, body: Json) -> None:
    if "network" not in document:
        raise invalid("Required field 'resource.network' not specified", reason="required")
    document["network"] = lookup(project, document["network"], "network")["selfLink"]
    document.setdefault("encryptedInterconnectRouter", False)
    names = [nat.get("name") for nat in document.get("nats", [])]
    if len(names) != len(set(names)) or not all(names):
        raise invalid("Invalid value for field 'resource.nats': each NAT needs a name of its own.", reason="invalid")
    if names:
        document["nats"] = [_nat(project, nat) for nat in document["nats"]]
    else:
        document.pop("nats", None)


def _nat(project: Project, given: Json) -> Json:
    nat: Json = {**(PRIVATE_NAT_DEFAULTS if given.get("type") == "PRIVATE" else NAT_DEFAULTS), **given}
    _check_allocation(nat)
    source = nat.get("sourceSubnetworkIpRangesToNat")
    if source not in (
        "ALL_SUBNETWORKS_ALL_IP_RANGES",
        "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
        "LIST_OF_SUBNETWORKS",
    ):
        raise invalid(f"Invalid value for field 'sourceSubnetworkIpRangesToNat': '{source}'.", reason="invalid")
    if (source == "LIST_OF_SUBNETWORKS") != bool(nat.get("subnetworks")):
        raise invalid(
            f"subnetworks must be given with LIST_OF_SUBNETWORKS and only then (NAT {nat['name']}).", reason="invalid"
        )
    if "natIps" in nat:
        nat["natIps"] = [lookup(project, link, "natIps")["selfLink"] for link in nat["natIps"]]
    if "subnetworks" in nat:
        nat["subnetworks"] = [
            {**entry, "name": lookup(project, entry["name"], "subnetworks.name")["selfLink"]}
            for entry in nat["subnetworks"]
        ]
    _link_rules(project, nat)
    if nat.get("logConfig"):
        nat["logConfig"] = {"enable": False, "filter": "ALL", **nat["logConfig"]}
    nat["effectiveTcpTimeWaitTimeoutSec"] = nat.get("tcpTimeWaitTimeoutSec", 120)
    return nat


def _check_allocation(nat: Json) -> None:
    """A public NAT says where its addresses come from, a private one has none: its rules name ranges."""
    allocate, private = nat.get("natIpAllocateOption"), nat.get("type") == "PRIVATE"
    if private and (allocate or nat.get("natIps")):
        raise invalid(f"A private NAT has no external addresses (NAT {nat['name']}).", reason="invalid")
    if not private and allocate not in ("AUTO_ONLY", "MANUAL_ONLY"):
        raise invalid(f"Invalid value for field 'natIpAllocateOption': '{allocate}'.", reason="invalid")
    if (allocate == "MANUAL_ONLY") != bool(nat.get("natIps")):
        raise invalid(f"natIps must be given with MANUAL_ONLY and only then (NAT {nat['name']}).", reason="invalid")


def _link_rules(project: Project, nat: Json) -> None:
    for rule in nat.get("rules", []):
        action = rule.get("action", {})
        for key in ("sourceNatActiveIps", "sourceNatDrainIps"):
            if key in action:
                action[key] = [full_link(project, link) for link in action[key]]


def router_status(document: Json) -> Json:
    """What a router's NATs hold; no VM of this cloud uses one."""
    status: Json = {"network": document["network"]}
    nats = [
        {"name": nat["name"], "minExtraNatIpsNeeded": 0, "numVmEndpointsWithNatMappings": 0}
        for nat in document.get("nats", [])
    ]
    return {**status, **({"natStatus": nats} if nats else {})}
