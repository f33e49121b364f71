# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reserved addresses of regions and global ones: Google's defaults and refusals."""

from __future__ import annotations

import ipaddress
import itertools

from ...interfaces import Json
from ..errors import Refusal
from ..store import Project
from . import instances, ranges
from .links import lookup, reference
from .networks import PROXY_PURPOSES
from .refusals import check_labels, check_one_of, required, wrong

TYPES = ("EXTERNAL", "INTERNAL")
# Purpose -> where an address of it can be, by the descriptions in the discovery document of compute v1. External
# addresses have none; NAT_AUTO and others are Google's own.
PURPOSES = {
    "GCE_ENDPOINT": "regions",
    "SHARED_LOADBALANCER_VIP": "regions",
    "VPC_PEERING": "global",
    "PRIVATE_SERVICE_CONNECT": "global",
}
TIERS = ("PREMIUM", "STANDARD")
EXTERNAL = ipaddress.ip_address("34.162.0.2")
GLOBAL = ipaddress.ip_address("34.120.0.2")


def address(project: Project, document: Json, body: Json) -> None:
    kind = document.setdefault("addressType", "EXTERNAL")
    check_one_of("addressType", kind, TYPES)
    check_labels(document.get("labels", {}))
    tier = document.setdefault("networkTier", "PREMIUM")
    check_one_of("networkTier", tier, TIERS)
    document.setdefault("description", "")
    if tier == "STANDARD" and (kind == "INTERNAL" or "region" not in document):
        raise wrong("networkTier", tier, "Only regional external addresses can be of the standard tier.")
    if kind == "EXTERNAL":
        _external(project, document)
    elif "region" in document:
        _internal(project, document)
    else:
        _internal_range(project, document)
    document["status"] = "RESERVING"


def _external(project: Project, document: Json) -> None:
    for field in ("subnetwork", "network", "purpose"):
        if document.get(field):
            raise wrong(field, document[field], f"Only addresses with type INTERNAL can have a {field}.")
    region = document.get("region", "").rpartition("/")[2]
    if document.get("address"):
        where = f"in region '{region}'" if region else "globally"
        text = document["address"]
        raise wrong("address", text, f"The specified external IP address '{text}' was not found {where}.")
    first = EXTERNAL if region else GLOBAL
    used = taken(project, "EXTERNAL", "")
    candidates = (str(first + number) for number in itertools.count())
    document["address"] = next(candidate for candidate in candidates if candidate not in used)


def _internal(project: Project, document: Json) -> None:
    purpose = document.setdefault("purpose", "GCE_ENDPOINT")
    if PURPOSES.get(purpose) != "regions":
        raise wrong("purpose", purpose, "Regional internal addresses are for GCE_ENDPOINT or SHARED_LOADBALANCER_VIP.")
    if document.get("network"):
        raise wrong("network", document["network"], "Only addresses with purpose VPC_PEERING can have a network.")
    region = document["region"].rpartition("/")[2]
    default = f"regions/{region}/subnetworks/default"
    if not document.get("subnetwork") and default not in project.compute:
        raise wrong("subnetwork", "", "No default subnetwork was found for an address with type INTERNAL.")
    link = document.get("subnetwork") or default
    subnetwork = lookup(project, link, "subnetwork")
    if subnetwork["region"] != document["region"]:
        raise wrong("subnetwork", link, f"The subnetwork must be in region '{region}'.")
    document["subnetwork"] = subnetwork["selfLink"]
    if subnetwork["purpose"] in PROXY_PURPOSES:
        raise wrong("subnetwork", link, "Subnetwork must have purpose=PRIVATE.")
    used = taken(project, "INTERNAL", subnetwork["selfLink"])
    if document.get("address") is None:
        free = next((host for host in ranges.assignable(subnetwork) if host not in used), None)
        if free is None:
            raise Refusal("INVALID_ARGUMENT", f"IP space of '{link}' is exhausted.", reason="ipSpaceExhausted")
        document["address"] = free
    else:
        _check_wanted(document["address"], subnetwork, used)


def _check_wanted(wanted: str, subnetwork: Json, used: set[str]) -> None:
    block = ipaddress.IPv4Network(subnetwork["ipCidrRange"])
    try:
        given = ipaddress.IPv4Address(wanted)
    except ValueError as error:
        raise wrong("address", wanted, "Must be a valid IP address.") from error
    if given not in block:
        raise wrong("address", wanted, f"Specified IP address is outside the range {block} of the subnetwork.")
    if min(int(given) - int(block[0]), int(block[-1]) - int(given)) < ranges.KEPT:
        raise wrong("address", wanted, f"Specified IP address is one of the reserved addresses of {block}.")
    if wanted in used:
        raise wrong("address", wanted, "Specified IP address is in-use and would result in a conflict.")


def _internal_range(project: Project, document: Json) -> None:
    """A global internal address: a range for a peered network, or one address for Private Service Connect."""
    purpose = document.get("purpose")
    if PURPOSES.get(purpose or "") != "global":
        raise wrong(
            "purpose", purpose or "", "Global internal addresses are for VPC_PEERING or PRIVATE_SERVICE_CONNECT."
        )
    if not document.get("network"):
        raise required("network")
    document["network"] = lookup(project, document["network"], "network")["selfLink"]
    if purpose == "PRIVATE_SERVICE_CONNECT" and not document.get("address"):
        raise required("address")
    if purpose == "VPC_PEERING" and not document.get("prefixLength"):
        raise required("prefixLength")
    if purpose == "VPC_PEERING" and not document.get("address"):
        document["address"] = str(_free_range(project, document))


def _free_range(project: Project, document: Json) -> ipaddress.IPv4Address:
    """The first range of this length in 10.0.0.0/8 that the network does not use."""
    used = [
        ipaddress.IPv4Network(text)
        for path, item in project.compute.items()
        if "/subnetworks/" in path and item["network"] == document["network"]
        for _unused, text in ranges.of(item)
    ]
    used += [
        ipaddress.IPv4Network(f"{item['address']}/{item['prefixLength']}")
        for path, item in project.compute.items()
        if "/addresses/" in path and item.get("network") == document["network"] and item.get("prefixLength")
    ]
    length = int(document["prefixLength"])
    if not 8 <= length <= 30:
        raise wrong("prefixLength", length, "Must be between 8 and 30.")
    candidates = ipaddress.IPv4Network("10.0.0.0/8").subnets(new_prefix=length)
    free = next((one for one in candidates if not any(one.overlaps(other) for other in used)), None)
    if free is None:
        raise Refusal("INVALID_ARGUMENT", "IP space is exhausted.", reason="ipSpaceExhausted")
    return free.network_address


def taken(project: Project, kind: str, subnetwork: str) -> set[str]:
    """The addresses that nobody else can have: reserved ones, those of machines and of load balancers."""
    used = {
        item["address"]
        for path, item in project.compute.items()
        if "/addresses/" in path and item["addressType"] == kind and item.get("subnetwork", "") == subnetwork
    }
    used |= {
        item["IPAddress"]
        for item in project.balancing.values()
        if item.get("subnetwork") == subnetwork and "IPAddress" in item
    }
    here = reference(subnetwork)
    return used | {one.address for one in instances.machines(project) if subnetwork and one.subnetwork == here}


def address_users(project: Project, document: Json) -> list[str]:
    """Routers whose NAT holds the address, forwarding rules that lead from it."""
    nats = [
        f"projects/{project.id}/{path}"
        for path, item in project.compute.items()
        if "/routers/" in path and any(document["selfLink"] in nat.get("natIps", []) for nat in item.get("nats", []))
    ]
    return nats + [
        f"projects/{project.id}/{path}"
        for path, item in project.balancing.items()
        if document.get("subnetwork")
        and (item.get("IPAddress"), item.get("subnetwork")) == (document["address"], document["subnetwork"])
    ]


def shown(project: Project, document: Json) -> Json:
    """The address with who uses it."""
    users = [f"https://www.googleapis.com/compute/v1/{path}" for path in address_users(project, document)]
    return {**document, "status": "IN_USE", "users": users} if users else document


def set_labels(_project: Project, document: Json, body: Json) -> Json:
    """Replaces the labels; without the fingerprint of the live ones it is refused, as on Google."""
    if not body.get("labelFingerprint"):
        raise Refusal("CONDITION_NOT_MET", "Labels fingerprint either invalid or resource labels have changed")
    check_labels(body.get("labels") or {})
    document.pop("labels", None)
    if body.get("labels"):
        document["labels"] = body["labels"]
    return document
