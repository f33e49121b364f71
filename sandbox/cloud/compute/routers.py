# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers and Cloud NAT: Google's defaults and refusals."""

from __future__ import annotations

from collections.abc import Iterator

from ...interfaces import Json
from ..errors import invalid
from ..store import Project
from .links import full_link, lookup
from .refusals import check_name, check_one_of, check_within, required, wrong

SOURCES = ("ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES", "LIST_OF_SUBNETWORKS")
EVERYTHING = SOURCES[:2]
LIST = SOURCES[2]
ALL = "ALL_IP_RANGES"
PRIVATE_ASNS = ((64512, 65534), (4200000000, 4294967294))  # RFC 6996
GOOGLE_ASN = 16550  # for Partner Interconnect
FEWEST_PORTS, MOST_PORTS = 2, 65536  # https://cloud.google.com/nat/docs/ports-and-addresses#ports
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


def router(project: Project, document: Json, body: Json) -> None:
    if "network" not in document:
        raise required("network")
    document["network"] = lookup(project, document["network"], "network")["selfLink"]
    document.setdefault("encryptedInterconnectRouter", False)
    _check_asn(document.get("bgp", {}).get("asn"))
    if document.get("nats"):
        names = [nat.get("name") or "" for nat in document["nats"]]
        for number, name in enumerate(names):
            check_name(name, f"nats[{number}].name")
            if name in names[:number]:
                raise wrong(f"nats[{number}].name", name, "NAT names must be unique within a router.")
        document["nats"] = [_nat(project, document, number, nat) for number, nat in enumerate(document["nats"])]
        _check_overlap(project, document)
    else:
        document.pop("nats", None)


def _check_asn(asn: str | None) -> None:
    if asn is None or int(asn) == GOOGLE_ASN or any(first <= int(asn) <= last for first, last in PRIVATE_ASNS):
        return
    raise wrong("bgp.asn", asn, "Must be a private ASN of RFC 6996, or 16550.")


def _nat(project: Project, document: Json, number: int, given: Json) -> Json:
    nat: Json = {**(PRIVATE_NAT_DEFAULTS if given.get("type") == "PRIVATE" else NAT_DEFAULTS), **given}
    field = f"nats[{number}]"
    _check_allocation(nat)
    source = nat.get("sourceSubnetworkIpRangesToNat")
    check_one_of(f"{field}.sourceSubnetworkIpRangesToNat", source, SOURCES)
    if (source == LIST) != bool(nat.get("subnetworks")):
        raise invalid(f"subnetworks must be given with {LIST} and only then (NAT {nat['name']}).", reason="invalid")
    if "natIps" in nat:
        nat["natIps"] = [_external(project, document, f"{field}.natIps", link) for link in nat["natIps"]]
    if "subnetworks" in nat:
        nat["subnetworks"] = [
            {**entry, "name": _own(project, document, f"{field}.subnetworks[{index}].name", entry.get("name") or "")}
            for index, entry in enumerate(nat["subnetworks"])
        ]
    for bound in ("minPortsPerVm", "maxPortsPerVm"):
        if bound in nat:
            check_within(f"{field}.{bound}", int(nat[bound]), FEWEST_PORTS, MOST_PORTS)
    _link_rules(project, nat)
    if nat.get("logConfig"):
        nat["logConfig"] = {"enable": False, "filter": "ALL", **nat["logConfig"]}
    nat["effectiveTcpTimeWaitTimeoutSec"] = nat.get("tcpTimeWaitTimeoutSec", 120)
    return nat


def _external(project: Project, document: Json, field: str, link: str) -> str:
    """The full link of an external address of the router's region."""
    found = lookup(project, link, "natIps")
    if found.get("addressType") != "EXTERNAL" or found.get("region") != document["region"]:
        raise wrong(field, link, "Must be an external address of the router's region.")
    return str(found["selfLink"])


def _own(project: Project, document: Json, field: str, link: str) -> str:
    """The full link of a subnetwork of the router's region and network."""
    found = lookup(project, link, "subnetworks.name")
    if (found.get("region"), found.get("network")) != (document["region"], document["network"]):
        raise wrong(field, link, "Must be a subnetwork of the router's region and network.")
    return str(found["selfLink"])


def _check_allocation(nat: Json) -> None:
    """A public NAT says where its addresses come from, a private one has none: its rules name ranges."""
    allocate, private = nat.get("natIpAllocateOption"), nat.get("type") == "PRIVATE"
    if private and (allocate or nat.get("natIps")):
        raise invalid(f"A private NAT has no external addresses (NAT {nat['name']}).", reason="invalid")
    if not private and allocate not in ("AUTO_ONLY", "MANUAL_ONLY"):
        raise invalid(f"Invalid value for field 'natIpAllocateOption': '{allocate}'.", reason="invalid")
    if (allocate == "MANUAL_ONLY") != bool(nat.get("natIps")):
        raise invalid(f"natIps must be given with MANUAL_ONLY and only then (NAT {nat['name']}).", reason="invalid")


def _check_overlap(project: Project, document: Json) -> None:
    """A range of a subnetwork has one NAT of a type: https://cloud.google.com/nat/docs/overview#specs-subnets"""
    seen = list(_others(project, document))
    for number, nat in enumerate(document["nats"]):
        for other in seen:
            if other.get("type", "PUBLIC") == nat.get("type", "PUBLIC"):
                _check_apart(f"nats[{number}]", nat, other)
        seen.append(nat)


def _others(project: Project, document: Json) -> Iterator[Json]:
    """The NATs of the other routers of this region and network."""
    for path, item in project.compute.items():
        here = "/routers/" in path and item["selfLink"] != document["selfLink"]
        if here and (item["region"], item["network"]) == (document["region"], document["network"]):
            yield from item.get("nats", [])


def _check_apart(field: str, nat: Json, other: Json) -> None:
    source, theirs = nat["sourceSubnetworkIpRangesToNat"], other["sourceSubnetworkIpRangesToNat"]
    if source in EVERYTHING or theirs in EVERYTHING:
        option = theirs if theirs in EVERYTHING else source
        why = f"Can not create new Nats since a Nat with option {option} exists."
        raise wrong(f"{field}.sourceSubnetworkIpRangesToNat", option, why)
    listed = {entry["name"]: entry for entry in other["subnetworks"]}
    for index, entry in enumerate(nat["subnetworks"]):
        taken, wanted = _parts(listed.get(entry["name"])), _parts(entry)
        if taken and (ALL in taken | wanted or taken & wanted):
            options = ", ".join(listed[entry["name"]].get("sourceIpRangesToNat") or [ALL])
            why = (
                f"The subnetwork is already configured with {options} for Nat which conflicts with the specified "
                "IpRangeToNatOption options in this Nat."
            )
            raise wrong(f"{field}.subnetworks[{index}].sourceIpRangesToNat", "", why)


def _parts(entry: Json | None) -> set[str]:
    """Which ranges of its subnetwork an entry of a NAT takes: the primary one, secondary ones by name, or all."""
    options = (entry.get("sourceIpRangesToNat") or [ALL]) if entry else []
    secondary = entry.get("secondaryIpRangeNames", []) if entry else []
    return {option for option in options if option in (ALL, "PRIMARY_IP_RANGE")} | set(secondary)


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
