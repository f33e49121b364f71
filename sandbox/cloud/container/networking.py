# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks, ranges and endpoints of a cluster."""

from __future__ import annotations

import copy
import ipaddress
import secrets

from ...catalogue.places import is_region, ordinary_zones, region_of, zones
from ...interfaces import ClusterKey, Json
from ..compute import full_link, lookup, reference, subnetworks
from ..errors import Refusal, invalid
from ..store import Project, Store
from . import defaults
from .documents import merged

SERVICES_RANGE = "34.118.224.0/20"
POD_BLOCKS = range(128, 256, 16)  # third octets of the /20s that clusters get within the sandbox's block
MASTER_PREFIX = 28
# What a user may choose for Pods and services: https://cloud.google.com/vpc/docs/subnets#valid-ranges; the last is the
# sandbox's own block.
ALLOWED = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24"),
        *("192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "34.118.224.0/20"),
        "127.0.0.0/8",
    )
)
IP_ENDPOINTS: Json = {
    "enabled": True,
    "enablePublicEndpoint": True,
    "authorizedNetworksConfig": {"gcpPublicCidrsAccessEnabled": True},
}


def connect(project: Project, key: ClusterKey, document: Json, body: Json, pod_cidr: str) -> None:
    """Fill in the networks, ranges and endpoints of a new cluster. Raises Refusal."""
    network, subnetwork = _networks(project, key, body)
    document["network"] = network["name"]
    document["subnetwork"] = subnetwork["name"]
    document["networkConfig"] = {
        "defaultSnatStatus": {},
        "serviceExternalIpsConfig": {},
        **body.get("networkConfig", {}),
        **(copy.deepcopy(defaults.AUTOPILOT_NETWORK) if document["autopilot"].get("enabled") else {}),
        "network": reference(network["selfLink"]),
        "subnetwork": reference(subnetwork["selfLink"]),
    }
    check_gateway(document)
    given = dict(body.get("ipAllocationPolicy", {}))
    if body.get("clusterIpv4Cidr"):
        given.setdefault("clusterIpv4CidrBlock", body["clusterIpv4Cidr"])
    document["ipAllocationPolicy"] = {
        "clusterSecondaryRangeName": f"gke-{document['name']}-pods-{document['id'][:8]}",
        "networkTierConfig": {"networkTier": "NETWORK_TIER_DEFAULT"},
        **ranges(given, subnetwork, pod_cidr),
    }
    document["clusterIpv4Cidr"] = document["ipAllocationPolicy"]["clusterIpv4Cidr"]
    document["servicesIpv4Cidr"] = document["ipAllocationPolicy"]["servicesIpv4Cidr"]
    private = copy.deepcopy(body.get("privateClusterConfig", {}))
    _check_private(private, document)
    document["privateClusterConfig"] = private
    document["controlPlaneEndpointsConfig"] = _first_endpoints(body, project, key)
    show_authorized(document)


def check_gateway(document: Json) -> None:
    """Raises Refusal 400: the Gateway API needs the add-on that makes load balancers.

    Source: https://cloud.google.com/kubernetes-engine/docs/how-to/deploying-gateways#requirements
    """
    channel = document["networkConfig"].get("gatewayApiConfig", {}).get("channel")
    off = document["addonsConfig"].get("httpLoadBalancing", {}).get("disabled")
    if off and channel not in (None, "CHANNEL_UNSPECIFIED", "CHANNEL_DISABLED"):
        raise invalid("Gateway API requires the HttpLoadBalancing addon to be enabled.")


def check_zones(location: str, places: list[str]) -> None:
    """Raises Refusal 400 for a zone that a cluster at this location cannot have nodes in."""
    region = region_of(location)
    for zone in places:
        if zone not in zones(region):
            raise invalid(f'Zone "{zone}" is not in region "{region}".')


def check_locations(location: str, places: list[str]) -> None:
    """Raises Refusal 400 for what cannot be the zones of a cluster."""
    check_zones(location, places)
    if not is_region(location) and location not in places:
        raise invalid(f'Cluster locations must include the cluster\'s own zone "{location}".')


def first_locations(location: str) -> list[str]:
    return ordinary_zones(location)[:3] if is_region(location) else [location]


def _networks(project: Project, key: ClusterKey, body: Json) -> tuple[Json, Json]:
    config = body.get("networkConfig", {})
    network = _existing(project, "global/networks", body.get("network") or config.get("network") or "default")
    folder = f"regions/{key.region}/subnetworks"
    given = body.get("subnetwork") or config.get("subnetwork") or network["name"]
    if "/" in given and f"/{folder}/" not in given:
        raise invalid(f'Subnetwork "{reference(full_link(project, given))}" is not in region "{key.region}".')
    subnetwork = _existing(project, folder, given)
    if subnetwork["network"] != network["selfLink"]:
        # Source: github.com/hashicorp/terraform-provider-google issue 7895.
        link = reference(subnetwork["selfLink"])
        raise invalid(f'Subnetwork "{link}" is not valid for Network "{network["name"]}".')
    if subnetwork["purpose"] != "PRIVATE":
        raise invalid(f'Subnetwork "{subnetwork["name"]}" cannot be used: its purpose is {subnetwork["purpose"]}.')
    return network, subnetwork


def _existing(project: Project, folder: str, given: str) -> Json:
    """A compute resource named by its short name or by any form of its link."""
    link = given if "/" in given else f"{folder}/{given}"
    try:
        return lookup(project, link, "network")
    except Refusal as error:
        path = reference(full_link(project, link))
        if error.reason == "resourceNotReady":
            raise
        raise invalid(f'Network resource "{path}" does not exist.') from error


def pod_range(store: Store, prefix: str) -> str:
    """A free /20 of the sandbox's loopback block; beyond eight clusters, ranges that carry no traffic here."""
    used = {cluster["clusterIpv4Cidr"] for project in store.projects.values() for cluster in project.clusters.values()}
    inside = [f"{prefix}.{octet}.0/20" for octet in POD_BLOCKS]
    outside = [str(block) for block in ipaddress.ip_network("10.0.0.0/9").subnets(new_prefix=14)]
    return next(block for block in [*inside, *outside] if block not in used)


def secondary(subnetwork: Json, name: str, what: str) -> str:
    """The range with this name. Raises Refusal 400; source: github.com/fabianlee/gcp-gke-clusters-ingress issue 2."""
    for entry in subnetwork.get("secondaryIpRanges", []):
        if entry["rangeName"] == name:
            return str(entry["ipCidrRange"])
    raise invalid(
        f'{what} secondary range "{name}" not found in network "{subnetwork["network"]}", subnetwork '
        f'"{subnetwork["name"]}".'
    )


def ranges(given: Json, subnetwork: Json, pod_cidr: str) -> Json:
    """ipAllocationPolicy with the ranges that the cluster really gets."""
    names = [given.get("clusterSecondaryRangeName"), given.get("servicesSecondaryRangeName")]
    if names[0] and names[0] == names[1]:
        # Source: github.com/gruntwork-io/terraform-google-gke issue 118.
        raise invalid(f"Pod secondary range name ({names[0]}) should not be the same as service secondary range name.")

    def chosen(block: str, name: str | None, default: str, what: str) -> str:
        if name:
            return secondary(subnetwork, name, what)
        wanted = given.get(block) or given.get(block.removesuffix("Block")) or ""
        if not wanted or wanted.startswith("/"):  # a bare size: Google chooses the block
            return default
        return str(_allowed(wanted, block))

    pods = chosen("clusterIpv4CidrBlock", names[0], pod_cidr, "Pod")
    services = chosen("servicesIpv4CidrBlock", names[1], SERVICES_RANGE, "Service")
    for one, other, what in (
        (pods, services, "Services CIDR range"),
        (pods, subnetwork["ipCidrRange"], f'The range of subnetwork "{subnetwork["name"]}"'),
        (services, subnetwork["ipCidrRange"], f'The range of subnetwork "{subnetwork["name"]}"'),
    ):
        if ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)):
            raise invalid(f"{what} {other} overlaps with {one}.")
    return {
        "podCidrOverprovisionConfig": {},
        "stackType": "IPV4",
        **given,
        "useIpAliases": True,
        "clusterIpv4Cidr": pods,
        "clusterIpv4CidrBlock": pods,
        "servicesIpv4Cidr": services,
        "servicesIpv4CidrBlock": services,
    }


def _allowed(text: str, field: str) -> ipaddress.IPv4Network:
    """Source of the words: github.com/GoogleCloudPlatform/cloud-foundation-fabric issue 1424."""
    try:
        wanted = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise invalid(f'Invalid CIDR "{text}" in ipAllocationPolicy.{field}.') from error
    if not any(wanted.subnet_of(block) for block in ALLOWED if isinstance(block, ipaddress.IPv4Network)):
        what = "Services" if field.startswith("services") else "Cluster"
        raise invalid(f"{what} CIDR range {wanted} is not within allowed ranges.")
    return wanted


def _check_private(private: Json, document: Json) -> None:
    """Source: https://cloud.google.com/kubernetes-engine/docs/concepts/network-isolation and the discovery document."""
    block = private.get("masterIpv4CidrBlock")
    nodes = private.get("enablePrivateNodes") or document["networkConfig"].get("defaultEnablePrivateNodes")
    if private.get("enablePrivateEndpoint") and not nodes:
        raise invalid("Private endpoint requires private nodes: enable_private_nodes must be true.")
    if not block:
        return
    try:
        wanted = ipaddress.IPv4Network(block)
    except ValueError as error:
        raise invalid(f'Invalid master_ipv4_cidr_block "{block}".') from error
    if wanted.prefixlen != MASTER_PREFIX:
        raise invalid(f'Invalid master_ipv4_cidr_block "{block}": it must be a /{MASTER_PREFIX}.')
    for name in ("clusterIpv4Cidr", "servicesIpv4Cidr"):
        if wanted.overlaps(ipaddress.ip_network(document[name])):
            raise invalid(f"Master CIDR block {wanted} overlaps with {document[name]}.")


def check_master_range(project: Project, document: Json) -> None:
    """What the work of creating a cluster ends in. Raises Refusal; source: a public issue's words of GKE."""
    block = document["privateClusterConfig"].get("masterIpv4CidrBlock")
    if not block:
        return
    network = lookup(project, document["networkConfig"]["network"], "network")
    taken = [
        (one["name"], one["region"].rpartition("/")[2], one["ipCidrRange"])
        for one in subnetworks(project, network["selfLink"])
    ]
    for other in project.clusters.values():
        theirs = other["privateClusterConfig"].get("masterIpv4CidrBlock")
        if other is not document and theirs and other["network"] == document["network"]:
            taken.append((f"gke-{other['name']}-{other['id'][:8]}-pe-subnet", region_of(other["location"]), theirs))
    for name, region, theirs in taken:
        if ipaddress.ip_network(block).overlaps(ipaddress.ip_network(theirs)):
            raise invalid(
                f"Conflicting IP cidr range: Invalid IPCidrRange: {block} conflicts with existing subnetwork '{name}' "
                f"in region '{region}'."
            )


# Endpoints of the control plane


def _first_endpoints(body: Json, project: Project, key: ClusterKey) -> Json:
    first: Json = {
        "dnsEndpointConfig": {
            "allowExternalTraffic": False,
            "enableK8sCertsViaDns": False,
            "enableK8sTokensViaDns": False,
            "endpoint": f"gke-{secrets.token_hex(6)}-{project.number}.{key.location}.gke.goog",
        },
        "ipEndpointsConfig": copy.deepcopy(IP_ENDPOINTS),
    }
    stated = merged(of_private(body.get("privateClusterConfig", {})), body.get("controlPlaneEndpointsConfig", {}))
    if "masterAuthorizedNetworksConfig" in body:
        old = {"ipEndpointsConfig": {"authorizedNetworksConfig": body["masterAuthorizedNetworksConfig"]}}
        stated = merged(old, stated)
    return endpoints(first, stated)


def of_private(private: Json) -> Json:
    """What the deprecated privateClusterConfig states, as controlPlaneEndpointsConfig."""
    stated: Json = {}
    if private.get("enablePrivateEndpoint"):
        stated["enablePublicEndpoint"] = False
    if private.get("masterGlobalAccessConfig", {}).get("enabled"):
        stated["globalAccess"] = True
    if private.get("privateEndpointSubnetwork"):
        stated["privateEndpointSubnetwork"] = private["privateEndpointSubnetwork"]
    return {"ipEndpointsConfig": stated} if stated else {}


def endpoints(before: Json, given: Json) -> Json:
    """controlPlaneEndpointsConfig after this statement."""
    stated = copy.deepcopy(given)
    addresses = stated.get("ipEndpointsConfig", {})
    for key in ("privateEndpointSubnetwork", "globalAccess"):
        if not addresses.get(key, True):  # GKE leaves them out of its answers
            del addresses[key]
    if addresses.get("enabled") and not before["ipEndpointsConfig"].get("enabled"):
        before = {**before, "ipEndpointsConfig": copy.deepcopy(IP_ENDPOINTS)}
    result = merged(before, stated)
    if result["ipEndpointsConfig"].get("enabled") is False:
        result["ipEndpointsConfig"] = {"enabled": False}
    return result


def show_authorized(document: Json) -> None:
    """Tell the authorized networks in their old place, too."""
    addresses = document["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    document["masterAuthorizedNetworksConfig"] = dict(addresses.get("authorizedNetworksConfig", {}))


def show_endpoint(document: Json, address: str) -> None:
    """Write the address of the control plane to all the places that tell it; by its DNS name alone if so stated."""
    config, private = document["controlPlaneEndpointsConfig"], document["privateClusterConfig"]
    addresses = config["ipEndpointsConfig"]
    for place in (addresses, private):
        for name in ("privateEndpoint", "publicEndpoint"):
            place.pop(name, None)
    private.pop("enablePrivateEndpoint", None)
    if document["networkConfig"].get("defaultEnablePrivateNodes"):
        private["enablePrivateNodes"] = True
    elif "defaultEnablePrivateNodes" in document["networkConfig"]:
        private.pop("enablePrivateNodes", None)
    if not addresses.get("enabled"):
        document["endpoint"] = config["dnsEndpointConfig"]["endpoint"]
        return
    document["endpoint"] = address
    private |= {"privateEndpoint": address, "publicEndpoint": address}
    addresses["privateEndpoint"] = address
    if addresses.get("enablePublicEndpoint"):
        addresses["publicEndpoint"] = address
    else:
        private["enablePrivateEndpoint"] = True
