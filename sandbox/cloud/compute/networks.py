# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks, subnetworks and firewall rules: Google's defaults and refusals."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ...catalogue.places import CLOSED_REGIONS, REGIONS
from ...interfaces import Json
from ..errors import invalid
from ..store import Project
from .links import LINK, lookup, reference

AUTO_RANGE = "10.128.0.0/9"  # an auto mode network takes a /20 of it per region
PROXY_PURPOSES = ("GLOBAL_MANAGED_PROXY", "REGIONAL_MANAGED_PROXY")
PURPOSES = ("PRIVATE", "PRIVATE_NAT", "PRIVATE_SERVICE_CONNECT", "PRIVATE_RFC_1918", *PROXY_PURPOSES)
PORTS = re.compile(r"\d{1,5}(-\d{1,5})?")


def parse_range(field: str, text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError as error:
        raise invalid(
            f"Invalid value for field 'resource.{field}': '{text}'. Must be a CIDR range without host bits.",
            reason="invalid",
        ) from error


def network(_project: Project, document: Json, body: Json) -> None:
    mtu = document.get("mtu")
    if mtu is not None and not 1300 <= int(mtu) <= 8896:
        raise invalid(
            f"Invalid value for field 'resource.mtu': '{mtu}'. Must be between 1300 and 8896.", reason="invalid"
        )
    document.setdefault("autoCreateSubnetworks", True)
    mode = document.get("routingConfig", {}).get("routingMode", "REGIONAL")
    if mode not in ("REGIONAL", "GLOBAL"):
        raise invalid(f"Invalid value for field 'resource.routingConfig.routingMode': '{mode}'.", reason="invalid")
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
    link = document["selfLink"]
    return [
        f"projects/{project.id}/{path}"
        for path, other in project.compute.items()
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
        raise invalid("Required field 'resource.network' not specified", reason="required")
    document["network"] = lookup(project, document["network"], "network")["selfLink"]
    given = parse_range("ipCidrRange", document.get("ipCidrRange"))
    if given.prefixlen > 29:
        raise invalid(
            f"Invalid value for field 'resource.ipCidrRange': '{given}'. IP address range must be at most /29.",
            reason="invalid",
        )
    _check_purpose(project, document)
    _check_overlap(project, document)
    proxy = document["purpose"] in PROXY_PURPOSES
    if proxy and document.get("secondaryIpRanges"):
        raise invalid("Secondary ranges are not allowed in a subnetwork with this purpose.", reason="invalid")
    document.setdefault("gatewayAddress", str(given[1]))
    document.setdefault("privateIpGoogleAccess", False)
    document.setdefault("privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS")
    if document["purpose"] != "PRIVATE_NAT":
        document.setdefault("stackType", "IPV4_ONLY")
    document["state"] = "READY"
    if document.get("logConfig", {}).get("enable"):
        defaults = {
            "aggregationInterval": "INTERVAL_5_SEC",
            "flowSampling": 0.5,
            "metadata": "INCLUDE_ALL_METADATA",
        }
        document["logConfig"] = {**defaults, **document["logConfig"]}


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
    purpose = document.setdefault("purpose", "PRIVATE")
    role = document.get("role")
    if purpose not in PURPOSES:
        raise invalid(f"Invalid value for field 'resource.purpose': '{purpose}'.", reason="invalid")
    if purpose not in PROXY_PURPOSES:
        if role:
            raise invalid(
                "Invalid value for field 'resource.role': only proxy-only subnetworks have a role.", reason="invalid"
            )
        return
    if role not in ("ACTIVE", "BACKUP"):
        raise invalid("Invalid value for field 'resource.role': Subnetwork role is required.", reason="invalid")
    for other in subnetworks(project, document["network"]):
        twin = other["region"] == document["region"] and other["purpose"] == purpose and other["id"] != document["id"]
        if twin and role == "ACTIVE" and other.get("role") == "ACTIVE":
            raise invalid(
                f"Invalid resource usage: 'There is already an active subnetwork of purpose {purpose} in this region "
                f"and network: {other['name']}.'",
                reason="invalidResourceUsage",
            )


def ranges(document: Json) -> Iterator[str]:
    yield document["ipCidrRange"]
    for secondary in document.get("secondaryIpRanges", []):
        yield secondary["ipCidrRange"]


def _check_overlap(project: Project, document: Json) -> None:
    for text in ranges(document):
        mine = parse_range("ipCidrRange", text)
        for other in subnetworks(project, document["network"]):
            if other["id"] == document["id"]:
                continue
            if any(mine.overlaps(ipaddress.ip_network(theirs)) for theirs in ranges(other)):
                region = other["region"].rpartition("/")[2]
                raise invalid(
                    f"Invalid IPCidrRange: {text} conflicts with existing subnetwork '{other['name']}' in region "
                    f"'{region}'.",
                    reason="invalidResourceUsage",
                )


def subnetwork_users(project: Project, document: Json) -> list[str]:
    path = reference(document["selfLink"])
    users = [
        f"projects/{project.id}/{name}"
        for name, other in project.compute.items()
        if "/addresses/" in name and other.get("subnetwork") == document["selfLink"]
    ]
    for key, cluster in project.clusters.items():
        used = cluster["networkConfig"].get("subnetwork")
        if used == path:
            users.append(f"projects/{project.id}/zones/{key.location}/instances/gke-{key.name}")
    return users


def set_private_access(_project: Project, document: Json, body: Json) -> Json:
    document["privateIpGoogleAccess"] = bool(body.get("privateIpGoogleAccess"))
    return document


def expand(project: Project, document: Json, body: Json) -> Json:
    wanted = parse_range("ipCidrRange", body.get("ipCidrRange"))
    old = ipaddress.ip_network(document["ipCidrRange"])
    if not old.subnet_of(wanted):  # type: ignore[arg-type]
        raise invalid(f"Invalid value for field 'ipCidrRange': '{wanted}'. It must contain {old}.", reason="invalid")
    document["ipCidrRange"] = str(wanted)
    _check_overlap(project, document)
    return document


def firewall(project: Project, document: Json, body: Json) -> None:
    document["network"] = lookup(project, document.get("network", "global/networks/default"), "network")["selfLink"]
    direction = document.setdefault("direction", "INGRESS")
    document.setdefault("priority", 1000)
    document.setdefault("disabled", False)
    document.setdefault("logConfig", {"enable": False})
    if direction not in ("INGRESS", "EGRESS"):
        raise invalid(f"Invalid value for field 'resource.direction': '{direction}'.", reason="invalid")
    if bool(document.get("allowed")) == bool(document.get("denied")):
        raise invalid("Exactly one of the fields 'allowed' and 'denied' must be specified.", reason="invalid")
    if not 0 <= int(document["priority"]) <= 65535:
        raise invalid("Invalid value for field 'resource.priority'. Must be between 0 and 65535.", reason="invalid")
    for field in ("sourceRanges", "destinationRanges"):
        for text in document.get(field, []):
            parse_range(field, text)
    sources = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    if direction == "INGRESS" and not any(document.get(field) for field in sources):
        document["sourceRanges"] = ["0.0.0.0/0"]
    if direction == "EGRESS" and not document.get("destinationRanges"):
        document["destinationRanges"] = ["0.0.0.0/0"]
    for rule in document.get("allowed") or document["denied"]:
        if not rule.get("IPProtocol"):
            raise invalid("Required field 'IPProtocol' not specified", reason="required")
        for port in rule.get("ports", []):
            if not PORTS.fullmatch(str(port)):
                raise invalid(f"Invalid value for field 'ports': '{port}'.", reason="invalid")


def auto_ranges() -> list[tuple[str, str]]:
    """Region -> the range that an auto mode network has there."""
    blocks = ipaddress.ip_network(AUTO_RANGE).subnets(new_prefix=20)
    regions = (region for region in REGIONS if region not in CLOSED_REGIONS)
    return [(region, str(block)) for region, block in zip(regions, blocks, strict=False)]
