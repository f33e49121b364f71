# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of compute v1 that users send; names and types as in Google's reference of the API."""

from __future__ import annotations

from ..bodies import ANY, BOOL, BYTES, DOUBLE, INT32, INT64, OBJECT, STRING, STRING_MAP, STRINGS, UINT32, Shape, of

Message = dict[str, Shape]

COMMON: Message = {**of(STRING, "name description"), "params": {"resourceManagerTags": STRING_MAP}}
# What every resource answers and a request may carry back: it is left alone.
SERVER: Message = of(ANY, "id kind selfLink selfLinkWithId creationTimestamp region zone status state")

NETWORK: Message = {
    **of(STRING, "internalIpv6Range networkProfile networkFirewallPolicyEnforcementOrder"),
    **of(BOOL, "autoCreateSubnetworks enableUlaInternalIpv6"),
    "mtu": INT32,
    "routingConfig": {
        **of(STRING, "routingMode bgpBestPathSelectionMode bgpInterRegionCost"),
        **of(STRING, "effectiveBgpInterRegionCost"),
        **of(BOOL, "bgpAlwaysCompareMed effectiveBgpAlwaysCompareMed"),
    },
}
NETWORK_SERVER: Message = of(ANY, "subnetworks peerings gatewayIPv4 firewallPolicy")

SUBNETWORK: Message = {
    **of(STRING, "network ipCidrRange purpose role stackType ipv6AccessType privateIpv6GoogleAccess"),
    **of(STRING, "reservedInternalRange"),
    **of(BOOL, "privateIpGoogleAccess enableFlowLogs"),
    "secondaryIpRanges": [of(STRING, "rangeName ipCidrRange reservedInternalRange")],
    "logConfig": {
        **of(STRING, "aggregationInterval metadata filterExpr"),
        "enable": BOOL,
        "flowSampling": DOUBLE,
        "metadataFields": STRINGS,
    },
}
SUBNETWORK_SERVER: Message = {
    **of(ANY, "gatewayAddress ipv6CidrRange internalIpv6Prefix externalIpv6Prefix ipv6GceEndpoint"),
    "fingerprint": BYTES,
}

_RULE: Message = {"IPProtocol": STRING, "ports": STRINGS}
FIREWALL: Message = {
    **of(STRING, "network direction"),
    **of(STRINGS, "sourceRanges destinationRanges sourceTags targetTags sourceServiceAccounts targetServiceAccounts"),
    "priority": INT32,
    "disabled": BOOL,
    "allowed": [_RULE],
    "denied": [_RULE],
    "logConfig": {"enable": BOOL, "metadata": STRING},
}

ADDRESS: Message = {
    **of(STRING, "address addressType purpose subnetwork network networkTier ipVersion ipv6EndpointType ipCollection"),
    "prefixLength": INT32,
    "labels": STRING_MAP,
    "labelFingerprint": BYTES,
}
ADDRESS_SERVER: Message = of(ANY, "users")

_NAT: Message = {
    **of(STRING, "name type natIpAllocateOption sourceSubnetworkIpRangesToNat sourceSubnetworkIpRangesToNat64"),
    **of(STRING, "autoNetworkTier"),
    **of(STRINGS, "natIps drainNatIps endpointTypes"),
    **of(BOOL, "enableDynamicPortAllocation enableEndpointIndependentMapping"),
    **of(INT32, "minPortsPerVm maxPortsPerVm udpIdleTimeoutSec icmpIdleTimeoutSec tcpEstablishedIdleTimeoutSec"),
    **of(INT32, "tcpTransitoryIdleTimeoutSec tcpTimeWaitTimeoutSec effectiveTcpTimeWaitTimeoutSec"),
    "subnetworks": [{"name": STRING, **of(STRINGS, "sourceIpRangesToNat secondaryIpRangeNames")}],
    "nat64Subnetworks": [{"name": STRING}],
    "logConfig": {"enable": BOOL, "filter": STRING},
    "rules": [
        {
            **of(STRING, "description match"),
            "ruleNumber": INT32,
            "action": of(STRINGS, "sourceNatActiveIps sourceNatDrainIps sourceNatActiveRanges sourceNatDrainRanges"),
        }
    ],
}
ROUTER: Message = {
    **of(STRING, "network"),
    "encryptedInterconnectRouter": BOOL,
    "bgp": {
        **of(STRING, "advertiseMode identifierRange"),
        "asn": UINT32,
        "advertisedGroups": STRINGS,
        "advertisedIpRanges": [of(STRING, "range description")],
        "keepaliveInterval": INT32,
    },
    "bgpPeers": [OBJECT],
    "interfaces": [OBJECT],
    "nats": [_NAT],
    "ncc": OBJECT,
}
ROUTER_SERVER: Message = of(ANY, "nccGateway md5AuthenticationKeys")

RESERVATION: Message = {
    "specificReservationRequired": BOOL,
    "specificReservation": {
        **of(INT64, "count inUseCount assuredCount"),
        "sourceInstanceTemplate": STRING,
        "instanceProperties": {
            **of(STRING, "machineType minCpuPlatform locationHint"),
            "guestAccelerators": [{"acceleratorType": STRING, "acceleratorCount": INT32}],
            "localSsds": [{"diskSizeGb": INT64, "interface": STRING}],
        },
    },
    "shareSettings": OBJECT,
    "reservationSharingPolicy": OBJECT,
    **of(STRING, "deleteAtTime deploymentType schedulingType"),
}
RESERVATION_SERVER: Message = of(ANY, "commitment linkedCommitments resourceStatus satisfiesPzs resourcePolicies")

# Bodies of the custom verbs.
SET_LABELS: Message = {"labels": STRING_MAP, "labelFingerprint": BYTES}
SET_PRIVATE_ACCESS: Message = {"privateIpGoogleAccess": BOOL}
EXPAND_RANGE: Message = {"ipCidrRange": STRING}
