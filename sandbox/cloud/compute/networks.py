# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks and subnetworks: Google's defaults and refusals."""

from __future__ import annotations

import ipaddress

from ...interfaces import Json
from ..errors import invalid, lacking
from ..store import Project
from . import instances, ranges
from .links import LINK, lookup, reference
from .refusals import check_name, check_one_of, check_within, required, wrong

SMALLEST_MTU, LARGEST_MTU = 1300, 8896  # the discovery document of compute v1
ROUTING_MODES = ("GLOBAL", "REGIONAL")
PROXY_PURPOSES = ("GLOBAL_MANAGED_PROXY", "REGIONAL_MANAGED_PROXY")
PURPOSES = ("PRIVATE", "PRIVATE_NAT", "PRIVATE_SERVICE_CONNECT", "PRIVATE_RFC_1918", *PROXY_PURPOSES)
FLOW_LOGS: Json = {
    "aggregationInterval": "INTERVAL_5_SEC",
    "flowSampling": 0.5,
    "metadata": "INCLUDE_ALL_METADATA",
}


def network(_project: Project, document: Json, body: Json) -> None:
    if document.get("mtu") is not None:
        check_within("mtu", int(document["mtu"]), SMALLEST_MTU, LARGEST_MTU)
    document.setdefault("autoCreateSubnetworks", True)
    mode = document.get("routingConfig", {}).get("routingMode", "REGIONAL")
    check_one_of("routingConfig.routingMode", mode, ROUTING_MODES)
    document["routingConfig"] = {
        "bgpBestPathSelectionMode": "LEGACY",
        **document.get("routingConfig", {}),
        "routingMode": mode,
    }
    document.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
    document["selfLinkWithId"] = f"{document['selfLink'].rpartition('/')[0]}/{document['id']}"
    if document.get("networkProfile"):
        document["networkProfile"] = f"{LINK}{reference(document['networkProfile'])}"
    if not document.get("enableUlaInternalIpv6"):
        document.pop("enableUlaInternalIpv6", None)
    else:
        document.setdefault("internalIpv6Range", "fd20:eb5:88a:0:0:0:0:0/48")


def network_users(project: Project, document: Json) -> list[str]:
    """What keeps a network from being deleted; the subnetworks of an auto mode network go with it."""
    link = document["selfLink"]
    return [
        f"projects/{project.id}/{path}"
        for path, other in [*project.compute.items(), *project.balancing.items()]
        if other.get("network") == link and not (document["autoCreateSubnetworks"] and "/subnetworks/" in path)
    ]


def subnetworks(project: Project, link: str) -> list[Json]:
    return [item for path, item in project.compute.items() if "/subnetworks/" in path and item["network"] == link]


def path_of(document: Json) -> str:
    """Where a document lies in the project: "regions/R/subnetworks/NAME"."""
    return reference(document["selfLink"]).split("/", 2)[2]


def list_subnetworks(project: Project) -> None:
    """Write into every network which subnetworks it has."""
    for path, document in project.compute.items():
        if "/networks/" in path:
            links = [item["selfLink"] for item in subnetworks(project, document["selfLink"])]
            document.pop("subnetworks", None)
            document |= {"subnetworks": links} if links else {}


def subnetwork(project: Project, document: Json, body: Json) -> None:
    if "network" not in document:
        raise required("network")
    parent = lookup(project, document["network"], "network")
    document["network"] = parent["selfLink"]
    _check_purpose(project, document)
    _check_secondary(project, document)
    ranges.check(document, subnetworks(project, document["network"]), auto=parent["autoCreateSubnetworks"])
    document.setdefault("gatewayAddress", str(ipaddress.IPv4Network(document["ipCidrRange"])[1]))
    document.setdefault("privateIpGoogleAccess", False)
    document.setdefault("privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS")
    if document["purpose"] != "PRIVATE_NAT":
        document.setdefault("stackType", "IPV4_ONLY")
    document["state"] = "READY"
    if document.get("logConfig", {}).get("enable"):
        document["logConfig"] = {**FLOW_LOGS, **document["logConfig"]}


def usable(document: Json) -> Json:
    """A subnetwork in the list of those that the caller may use."""
    shown: Json = {
        key: document[key] for key in ("network", "ipCidrRange", "purpose", "role", "stackType") if key in document
    }
    answer: Json = {"subnetwork": document["selfLink"], **shown}
    if document.get("secondaryIpRanges"):
        keys = ("rangeName", "ipCidrRange")
        answer["secondaryIpRanges"] = [{key: one[key] for key in keys} for one in document["secondaryIpRanges"]]
    return answer


def _check_purpose(project: Project, document: Json) -> None:
    purpose, role = document.setdefault("purpose", "PRIVATE"), document.get("role")
    check_one_of("purpose", purpose, PURPOSES)
    if purpose not in PROXY_PURPOSES:
        if role:
            raise wrong("role", role, f"Subnetwork role cannot be specified when purpose set to {purpose}.")
        return
    if role not in ("ACTIVE", "BACKUP"):
        why = f"Subnetwork role must be specified when purpose set to {purpose}."
        raise wrong("role", role or "UNSPECIFIED_ROLE", why)
    for field in ("logConfig", "secondaryIpRanges"):
        if document.get(field):
            raise wrong(field, document[field], f"Invalid field set in subnetwork with purpose {purpose}.")
    size = ranges.parse("ipCidrRange", document.get("ipCidrRange")).prefixlen
    if size > ranges.SMALLEST_OF_PROXIES:
        why = f"Subnetworks with purpose {purpose} must be /{ranges.SMALLEST_OF_PROXIES} or larger."
        raise wrong("ipCidrRange", document["ipCidrRange"], why)
    if role == "ACTIVE":
        _check_active(project, document)


def _check_active(project: Project, document: Json) -> None:
    """One active proxy-only subnetwork of a purpose per region and network."""
    purpose = document["purpose"]
    for other in subnetworks(project, document["network"]):
        twin = other["region"] == document["region"] and other["purpose"] == purpose and other["id"] != document["id"]
        if not twin or other.get("role") != "ACTIVE":
            continue
        if path_of(document) in project.compute:
            raise lacking("the promotion of a backup proxy-only subnetwork while another one is active")
        raise invalid(
            f"Invalid resource usage: 'There is already an active subnetwork of purpose {purpose} in this region "
            f"and network: {other['name']}.'",
            reason="invalidResourceUsage",
        )


def _check_secondary(project: Project, document: Json) -> None:
    names = [one.get("rangeName") or "" for one in document.get("secondaryIpRanges", [])]
    for number, name in enumerate(names):
        field = f"secondaryIpRanges[{number}].rangeName"
        check_name(name, field)
        if name in names[:number]:
            raise wrong(field, name, "Secondary IP range names must be unique within a subnetwork.")
    used = _used_ranges(project, document)
    lost = next((name for name in used if name not in names), None)
    if lost is not None:
        resource = f"{reference(document['selfLink'])}/secondaryIpRanges/{lost}"
        raise invalid(
            f"The subnetwork resource '{resource}' is already being used by '{used[lost]}'",
            reason="resourceInUseByAnotherResource",
        )


def _used_ranges(project: Project, document: Json) -> dict[str, str]:
    """Secondary range -> the cluster that has its Pods or Services in it."""
    here = reference(document["selfLink"])
    return {
        name: f"projects/{project.id}/locations/{key.location}/clusters/{key.name}"
        for key, cluster in project.clusters.items()
        if cluster["networkConfig"].get("subnetwork") == here
        for field in ("clusterSecondaryRangeName", "servicesSecondaryRangeName")
        if (name := cluster.get("ipAllocationPolicy", {}).get(field))
        and any(one["rangeName"] == name for one in _live(project, document).get("secondaryIpRanges", []))
    }


def _live(project: Project, document: Json) -> Json:
    return project.compute.get(path_of(document), {})


def subnetwork_users(project: Project, document: Json) -> list[str]:
    path, link = reference(document["selfLink"]), document["selfLink"]
    users = [
        f"projects/{project.id}/{name}"
        for name, other in [*project.compute.items(), *project.balancing.items()]
        if other.get("subnetwork") == link
        and ("/addresses/" in name or "/forwardingRules/" in name)
        or any(entry["name"] == link for nat in other.get("nats", []) for entry in nat.get("subnetworks", []))
    ]
    users += [
        f"projects/{project.id}/{machine.path}" for machine in instances.machines(project) if machine.subnetwork == path
    ]
    for key, cluster in project.clusters.items():
        if cluster["networkConfig"].get("subnetwork") == path:
            users.append(f"projects/{project.id}/locations/{key.location}/clusters/{key.name}")
    return users


def check_delete_subnetwork(project: Project, document: Json) -> None:
    parent = project.compute.get(reference(document["network"]).split("/", 2)[2], {})
    if parent.get("autoCreateSubnetworks") and ranges.is_auto(ipaddress.IPv4Network(document["ipCidrRange"])):
        raise invalid(
            "Invalid resource usage: 'Cannot delete auto subnetwork from an auto subnet mode network.'.",
            reason="invalidResourceUsage",
        )


def set_private_access(_project: Project, document: Json, body: Json) -> Json:
    document["privateIpGoogleAccess"] = bool(body.get("privateIpGoogleAccess"))
    return document


def expand(project: Project, document: Json, body: Json) -> Json:
    """Only a subnetwork for machines grows: https://cloud.google.com/vpc/docs/create-modify-vpc-networks#expand-subnet"""
    wanted = body.get("ipCidrRange", "")
    if document["purpose"] in PROXY_PURPOSES:
        raise wrong("ipCidrRange", wanted, f"Subnetworks with purpose {document['purpose']} cannot be expanded.")
    parent = lookup(project, document["network"], "network")
    auto = parent["autoCreateSubnetworks"] and ranges.is_auto(ipaddress.IPv4Network(document["ipCidrRange"]))
    document["ipCidrRange"] = ranges.expanded(document, wanted, auto=auto)
    ranges.check(document, subnetworks(project, document["network"]), auto=parent["autoCreateSubnetworks"])
    return document
