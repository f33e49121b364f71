# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in addresses, routers and NATs, and with what is in use, cannot be changed or is not there."""

from __future__ import annotations

import typing as t

from tests.truth.mistakes import Json, Mistake, Step
from tests.truth.mistakes.compute import (
    ISSUES,
    PROXIES,
    REFERENCE,
    REGION,
    ROOT,
    SUBNETS,
    address,
    invalid,
    network,
    of,
    proxies,
    refused,
    rule,
    subnetwork,
)

HERE = "regions/us-east5/subnetworks/default"
NAT = "https://cloud.google.com/nat/docs/overview"


def internal(name: str, **body: t.Any) -> Step:
    return address(name, **{"addressType": "INTERNAL", "subnetwork": HERE, **body})


def router(name: str, vpc: str = "default", **body: t.Any) -> Step:
    return ("POST", f"{REGION}/routers", {"name": name, "network": f"global/networks/{vpc}", **body})


def nat(name: str, **body: t.Any) -> Json:
    everything = {"natIpAllocateOption": "AUTO_ONLY", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
    return {"name": name, **everything, **body}


def ends(name: str, source: str, message: str, *steps: Step) -> Mistake:
    """The deletion of something in use that is begun and fails."""
    return refused(name, "in use", source, message, *steps, code=0, reason="RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")


MISTAKES = (
    # Addresses
    invalid(
        *("a network address", "address", f"{SUBNETS}#unusable-ip-addresses-in-every-subnet"),
        of("address", "10.9.0.0"),
        *(network("first"), subnetwork("first", "10.9.0.0/24", "first")),
        internal("first", subnetwork="regions/us-east5/subnetworks/first", address="10.9.0.0"),
    ),
    invalid(
        *("the last address but one", "address", f"{SUBNETS}#unusable-ip-addresses-in-every-subnet"),
        of("address", "10.9.0.254"),
        *(network("last"), subnetwork("last", "10.9.0.0/24", "last")),
        internal("last", subnetwork="regions/us-east5/subnetworks/last", address="10.9.0.254"),
    ),
    invalid(
        *("an address outside of the subnetwork", "address", f"{REFERENCE}/addresses", of("address", "192.168.1.1")),
        internal("outside", address="192.168.1.1"),
    ),
    invalid(
        *("an address that is reserved already", "address"),
        f"{ISSUES}/GoogleCloudPlatform/k8s-multicluster-ingress/pull/132",
        of("address", "10.9.0.9", "Specified IP address is in-use and would result in a conflict\\."),
        *(network("claimed"), subnetwork("claimed", "10.9.0.0/24", "claimed")),
        internal("claim-1", subnetwork="regions/us-east5/subnetworks/claimed", address="10.9.0.9"),
        internal("claim-2", subnetwork="regions/us-east5/subnetworks/claimed", address="10.9.0.9"),
    ),
    invalid(
        *("a subnetwork of another region", "address", f"{REFERENCE}/addresses"),
        "Invalid value for field 'resource\\.subnetwork'",
        internal("abroad", subnetwork="regions/us-east1/subnetworks/default"),
    ),
    invalid(
        *("an address of a proxy-only subnetwork", "address", PROXIES),
        "Invalid value for field 'resource\\.subnetwork'",
        *(network("envoys"), proxies("envoys", "10.9.0.0/24", "envoys")),
        internal("envoy", subnetwork="regions/us-east5/subnetworks/envoys"),
    ),
    invalid(
        *("an external address of one's own choice", "address"),
        f"{ISSUES}/hashicorp/terraform-provider-google/issues/435",
        of(
            "address",
            "8.8.8.8",
            "The specified external IP address '8\\.8\\.8\\.8' was not found in region 'us-east5'\\.",
        ),
        address("chosen", address="8.8.8.8"),
    ),
    invalid(
        *("a subnetwork for an external address", "address", f"{REFERENCE}/addresses"),
        "Invalid value for field 'resource\\.subnetwork'",
        address("outer", subnetwork=HERE),
    ),
    invalid(
        *("a regional address for peering", "address", f"{REFERENCE}/addresses", of("purpose", "VPC_PEERING")),
        internal("peered", purpose="VPC_PEERING"),
    ),
    invalid(
        *("a purpose for an external address", "address", f"{REFERENCE}/addresses", of("purpose", "GCE_ENDPOINT")),
        address("meant", purpose="GCE_ENDPOINT"),
    ),
    # Routers and NAT
    invalid(
        *(
            "a public ASN",
            "router",
            "https://cloud.google.com/network-connectivity/docs/router/how-to/create-router-vpc-on-premises-network",
        ),
        of("bgp.asn", "15169"),
        router("asn", bgp={"asn": 15169}),
    ),
    invalid(
        *("two NATs of one name", "router", f"{REFERENCE}/routers"),
        of("nats[1].name", "one"),
        *(network("named-nats"), router("names", "named-nats", nats=[nat("one"), nat("one")])),
    ),
    invalid(
        "a NAT beside one for all subnetworks",
        *("router", f"{ISSUES}/google/osv.dev/pull/5629"),
        of(
            *("nats[0].sourceSubnetworkIpRangesToNat", "ALL_SUBNETWORKS_ALL_IP_RANGES"),
            "Can not create new Nats since a Nat with option ALL_SUBNETWORKS_ALL_IP_RANGES exists\\.",
        ),
        *(network("all-nats"), router("all-1", "all-nats", nats=[nat("one")])),
        router("all-2", "all-nats", nats=[nat("two")]),
    ),
    invalid(
        "a subnetwork with two NATs",
        *("router", f"{ISSUES}/forseti-security/terraform-google-forseti/issues/203"),
        of(
            *("nats[0].subnetworks[0].sourceIpRangesToNat", ""),
            "The subnetwork is already configured with ALL_IP_RANGES for Nat which conflicts with the specified "
            "IpRangeToNatOption options in this Nat\\.",
        ),
        *(network("part-nats"), subnetwork("natted", "10.9.0.0/24", "part-nats")),
        *(
            router(
                *(f"part-{number}", "part-nats"),
                nats=[
                    nat(
                        "nat",
                        sourceSubnetworkIpRangesToNat="LIST_OF_SUBNETWORKS",
                        subnetworks=[
                            {
                                "name": "regions/us-east5/subnetworks/natted",
                                "sourceIpRangesToNat": ["ALL_IP_RANGES"],
                            }
                        ],
                    )
                ],
            )
            for number in (1, 2)
        ),
    ),
    invalid(
        *("a NAT with the subnetwork of another network", "router", NAT, "Invalid value for field"),
        *(network("own-nat"),),
        router(
            *("own", "own-nat"),
            nats=[
                nat(
                    "nat",
                    sourceSubnetworkIpRangesToNat="LIST_OF_SUBNETWORKS",
                    subnetworks=[{"name": HERE, "sourceIpRangesToNat": ["ALL_IP_RANGES"]}],
                )
            ],
        ),
    ),
    invalid(
        *("a NAT with an internal address", "router", NAT, "Invalid value for field"),
        *(network("inner-nat"), internal("inner-nat")),
        router(
            *("inner", "inner-nat"),
            nats=[nat("nat", natIpAllocateOption="MANUAL_ONLY", natIps=["regions/us-east5/addresses/inner-nat"])],
        ),
    ),
    # What is in use
    invalid(
        "a subnetwork with an address",
        *("in use", f"{ISSUES}/genevieve/leftovers/issues/6"),
        "The subnetwork resource 'projects/[^/]+/regions/us-east5/subnetworks/held' is already being used by "
        "'projects/[^/]+/regions/us-east5/addresses/holder'",
        *(network("held"), subnetwork("held", "10.9.0.0/24", "held")),
        internal("holder", subnetwork="regions/us-east5/subnetworks/held"),
        ("DELETE", f"{REGION}/subnetworks/held", None),
        reason="resourceInUseByAnotherResource",
    ),
    ends(
        "a network with a firewall rule",
        "compute/router-nat-private (recorded)",
        "The network resource 'projects/[^/]+/global/networks/ruled' is already being used by "
        "'projects/[^/]+/global/firewalls/ruling'",
        *(network("ruled"), rule("ruling", network="global/networks/ruled")),
        ("DELETE", f"{ROOT}/global/networks/ruled", None),
    ),
    ends(
        "a network with a subnetwork",
        f"{ISSUES}/genevieve/leftovers/issues/6",
        "The network resource 'projects/[^/]+/global/networks/filled' is already being used by "
        "'projects/[^/]+/regions/us-east5/subnetworks/filling'",
        *(network("filled"), subnetwork("filling", "10.9.0.0/24", "filled")),
        ("DELETE", f"{ROOT}/global/networks/filled", None),
    ),
    invalid(
        "an address of a NAT",
        *("in use", NAT),
        "The address resource 'projects/[^/]+/regions/us-east5/addresses/nat-ip' is already being used by "
        "'projects/[^/]+/regions/us-east5/routers/nat-ip'",
        *(network("nat-ip"), address("nat-ip")),
        router(
            *("nat-ip", "nat-ip"),
            nats=[nat("nat", natIpAllocateOption="MANUAL_ONLY", natIps=["regions/us-east5/addresses/nat-ip"])],
        ),
        ("DELETE", f"{REGION}/addresses/nat-ip", None),
        reason="resourceInUseByAnotherResource",
    ),
    invalid(
        *(
            "one subnetwork of an auto mode network",
            "in use",
            "https://cloud.google.com/vpc/docs/create-modify-vpc-networks",
        ),
        "Cannot delete auto subnetwork from an auto subnet mode network",
        ("DELETE", f"{ROOT}/regions/us-west1/subnetworks/default", None),
        reason="invalidResourceUsage",
    ),
    # What cannot be changed
    invalid(
        *("another network for a rule", "unchangeable", f"{REFERENCE}/firewalls"),
        "Invalid value for field 'resource\\.network'",
        *(network("elsewhere"), rule("staying")),
        ("PATCH", f"{ROOT}/global/firewalls/staying", {"network": "global/networks/elsewhere"}),
    ),
    invalid(
        *("another network for a router", "unchangeable", f"{REFERENCE}/routers"),
        "Invalid value for field 'resource\\.network'",
        *(network("elsewhere-2"), router("staying")),
        ("PATCH", f"{REGION}/routers/staying", {"network": "global/networks/elsewhere-2"}),
    ),
    refused(
        "a subnetwork's change without its fingerprint",
        "unchangeable",
        f"{REFERENCE}/subnetworks/patch",
        "(?i)fingerprint",
        ("PATCH", f"{ROOT}/regions/us-east5/subnetworks/default", {"privateIpGoogleAccess": True}),
        code=412,
        reason="conditionNotMet",
    ),
    # What is not there
    refused(
        "a rule of a network that is not there",
        "absent",
        "compute/subnetwork (recorded)",
        "The resource 'projects/[^/]+/global/networks/absent' was not found",
        rule("nowhere", network="global/networks/absent"),
        code=404,
        reason="notFound",
    ),
    refused(
        "an instance that is not there",
        "absent",
        f"{REFERENCE}/instances/get",
        "The resource 'projects/[^/]+/zones/us-east5-a/instances/absent' was not found",
        ("GET", f"{ROOT}/zones/us-east5-a/instances/absent", None),
        code=404,
        reason="notFound",
    ),
    invalid(
        *("a region that is none", "absent", f"{REFERENCE}/addresses/insert"),
        "Invalid value for field 'region': 'us-east99'. Unknown region",
        ("POST", f"{ROOT}/regions/us-east99/addresses", {"name": "far"}),
    ),
)
