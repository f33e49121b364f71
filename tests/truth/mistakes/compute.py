# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in networks, subnetworks and firewall rules.

Where no public text quotes Google's reason, the expression stops after the field, which all of compute's have.
"""

from __future__ import annotations

import re
import typing as t

from tests.truth.mistakes import Mistake, Step

ROOT = "compute/v1/projects/{project}"
REGION = f"{ROOT}/regions/us-east5"
SUBNETS = "https://cloud.google.com/vpc/docs/subnets"
PROXIES = "https://cloud.google.com/load-balancing/docs/proxy-only-subnets"
FIREWALL = "https://cloud.google.com/firewall/docs/firewalls"
REFERENCE = "https://cloud.google.com/compute/docs/reference/rest/v1"
LABELS = "https://cloud.google.com/compute/docs/labeling-resources#requirements"
ISSUES = "https://github.com"
NAME = re.escape("Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")


def network(name: str, **body: t.Any) -> Step:
    return ("POST", f"{ROOT}/global/networks", {"name": name, "autoCreateSubnetworks": False, **body})


def subnetwork(name: str, cidr: str, vpc: str = "default", region: str = "us-east5", **body: t.Any) -> Step:
    document = {"name": name, "network": f"global/networks/{vpc}", "ipCidrRange": cidr, **body}
    return ("POST", f"{ROOT}/regions/{region}/subnetworks", document)


def proxies(name: str, cidr: str, vpc: str = "default", **body: t.Any) -> Step:
    return subnetwork(name, cidr, vpc, **{"purpose": "GLOBAL_MANAGED_PROXY", "role": "ACTIVE", **body})


def rule(name: str, **body: t.Any) -> Step:
    return ("POST", f"{ROOT}/global/firewalls", {"name": name, "allowed": [{"IPProtocol": "tcp"}], **body})


def address(name: str, **body: t.Any) -> Step:
    return ("POST", f"{REGION}/addresses", {"name": name, **body})


def of(field: str, value: str, why: str = "") -> str:
    """The message of a field's refusal; ``why`` is a regular expression."""
    return f"Invalid value for field 'resource\\.{re.escape(field)}': '{re.escape(value)}'\\.{' ' + why if why else ''}"


def refused(
    name: str,
    kind: str,
    source: str,
    message: str,
    *steps: Step,
    code: int = 400,
    status: str = "",
    reason: str = "",
) -> Mistake:
    return Mistake(name, kind, source, steps, code, status, reason, message)


def invalid(name: str, kind: str, source: str, message: str, *steps: Step, reason: str = "invalid") -> Mistake:
    return refused(name, kind, source, message, *steps, reason=reason)


MISTAKES = (
    # Names, descriptions, labels
    invalid("an upper-case name", "name", f"{REFERENCE}/networks", of("name", "Upper", NAME), network("Upper")),
    invalid(
        *("a name of 64 characters", "name", f"{REFERENCE}/networks", of("name", "a" * 64, NAME)),
        network("a" * 64),
    ),
    invalid(
        *("a name that ends in a dash", "name", f"{REFERENCE}/addresses", of("name", "a-", NAME)),
        address("a-"),
    ),
    invalid(
        *("a description of 2049 characters", "name", f"{REFERENCE}/networks", of("description", "d" * 2049)),
        network("described", description="d" * 2049),
    ),
    invalid(
        *("an upper-case label key", "label", LABELS),
        of(
            "labels",
            "",
            "Label key 'Team' violates format constraints\\. The key must start with a lowercase character",
        ),
        address("labelled", labels={"Team": "x"}),
    ),
    invalid(
        *("a label value with a blank", "label", LABELS),
        of("labels", "", "Label value 'a b' violates format constraints\\. The value can only contain lowercase"),
        address("labelled", labels={"team": "a b"}),
    ),
    refused(
        "labels without the fingerprint",
        "label",
        "compute/address-regional (recorded)",
        "Labels fingerprint either invalid or resource labels have changed",
        address("relabelled"),
        ("POST", f"{REGION}/addresses/relabelled/setLabels", {"labels": {"a": "b"}}),
        code=412,
        reason="conditionNotMet",
    ),
    # Networks
    invalid(
        *("an MTU above 8896", "network", f"{REFERENCE}/networks"),
        of("mtu", "9000", "Must be less than or equal to 8896"),
        network("jumbo", mtu=9000),
    ),
    invalid(
        *("an MTU below 1300", "network", f"{REFERENCE}/networks"),
        of("mtu", "1200", "Must be greater than or equal to 1300"),
        network("small", mtu=1200),
    ),
    invalid(
        *("an unknown routing mode", "network", f"{REFERENCE}/networks", of("routingConfig.routingMode", "WORLD")),
        network("routed", routingConfig={"routingMode": "WORLD"}),
    ),
    refused(
        "a network that exists",
        "network",
        f"{ISSUES}/hashicorp/terraform-provider-google/issues/9812",
        "The resource 'projects/[^/]+/global/networks/twice' already exists",
        network("twice"),
        network("twice"),
        code=409,
        reason="alreadyExists",
    ),
    # Ranges of subnetworks
    invalid(
        *("a subnetwork without a range", "subnetwork range", f"{REFERENCE}/subnetworks"),
        "Required field 'resource.ipCidrRange' not specified",
        ("POST", f"{REGION}/subnetworks", {"name": "rangeless", "network": "global/networks/default"}),
        reason="required",
    ),
    invalid(
        *("a range with host bits", "subnetwork range", f"{SUBNETS}#ip-ranges", of("ipCidrRange", "10.0.0.1/24")),
        subnetwork("hosts", "10.0.0.1/24"),
    ),
    invalid(
        *("a range of /30", "subnetwork range", f"{SUBNETS}#ip-ranges", of("ipCidrRange", "10.0.0.0/30")),
        subnetwork("tiny", "10.0.0.0/30"),
    ),
    invalid(
        *("a link-local range", "subnetwork range", f"{SUBNETS}#restricted-ranges"),
        of("ipCidrRange", "169.254.1.0/24"),
        subnetwork("local", "169.254.1.0/24"),
    ),
    invalid(
        *("a multicast range", "subnetwork range", f"{SUBNETS}#restricted-ranges", of("ipCidrRange", "224.1.0.0/24")),
        subnetwork("many", "224.1.0.0/24"),
    ),
    invalid(
        *("the addresses of restricted.googleapis.com", "subnetwork range", f"{SUBNETS}#restricted-ranges"),
        of("ipCidrRange", "199.36.153.0/24"),
        subnetwork("google", "199.36.153.0/24"),
    ),
    invalid(
        *("a range of another subnetwork", "subnetwork range", f"{ISSUES}/tranquilitybase-io/tb-gcp/issues/160"),
        of(
            *("ipCidrRange", "10.1.0.128/25"),
            "Invalid IPCidrRange: 10\\.1\\.0\\.128/25 conflicts with existing subnetwork 'one' in region 'us-east5'\\.",
        ),
        *(network("overlap"), subnetwork("one", "10.1.0.0/24", "overlap")),
        subnetwork("two", "10.1.0.128/25", "overlap", region="us-east1"),
    ),
    invalid(
        "a range of the auto mode subnetworks",
        *("subnetwork range", f"{ISSUES}/cloudfoundry/bosh-google-cpi-release/issues/238"),
        of(
            *("ipCidrRange", "10.200.0.0/16"),
            "Extended subnetworks in auto subnet mode networks cannot overlap with 10\\.128\\.0\\.0/9\\.",
        ),
        subnetwork("extended", "10.200.0.0/16"),
    ),
    invalid(
        "a secondary range within the primary one",
        *("subnetwork range", f"{ISSUES}/terraform-google-modules/terraform-google-network/issues/20"),
        of(
            *("secondaryIpRanges[0].ipCidrRange", "10.1.0.0/25"),
            "Invalid IPCidrRange: 10\\.1\\.0\\.0/25 conflicts with existing subnetwork 'self' in region 'us-east5'\\.",
        ),
        subnetwork("self", "10.1.0.0/24", secondaryIpRanges=[{"rangeName": "pods", "ipCidrRange": "10.1.0.0/25"}]),
    ),
    # Secondary ranges
    invalid(
        *("secondary ranges that overlap each other", "secondary range", f"{REFERENCE}/subnetworks"),
        of("secondaryIpRanges[1].ipCidrRange", "10.3.1.0/24"),
        subnetwork(
            *("crossed", "10.2.0.0/24"),
            secondaryIpRanges=[
                {"rangeName": "pods", "ipCidrRange": "10.3.0.0/16"},
                {"rangeName": "services", "ipCidrRange": "10.3.1.0/24"},
            ],
        ),
    ),
    invalid(
        *("two secondary ranges of one name", "secondary range", f"{REFERENCE}/subnetworks"),
        of("secondaryIpRanges[1].rangeName", "pods"),
        subnetwork(
            *("doubled", "10.2.0.0/24"),
            secondaryIpRanges=[
                {"rangeName": "pods", "ipCidrRange": "10.3.0.0/24"},
                {"rangeName": "pods", "ipCidrRange": "10.4.0.0/24"},
            ],
        ),
    ),
    invalid(
        *("an upper-case range name", "secondary range", f"{REFERENCE}/subnetworks"),
        of("secondaryIpRanges[0].rangeName", "Pods", NAME),
        subnetwork("named", "10.2.0.0/24", secondaryIpRanges=[{"rangeName": "Pods", "ipCidrRange": "10.3.0.0/24"}]),
    ),
    # Proxy-only subnetworks
    invalid(
        *("proxies in a /27", "proxy-only subnetwork", PROXIES, of("ipCidrRange", "10.5.0.0/27")),
        proxies("narrow", "10.5.0.0/27"),
    ),
    invalid(
        *("proxies without a role", "proxy-only subnetwork"),
        f"{ISSUES}/hashicorp/terraform-provider-google/issues/13438",
        of(
            *("role", "UNSPECIFIED_ROLE"),
            "Subnetwork role must be specified when purpose set to REGIONAL_MANAGED_PROXY\\.",
        ),
        subnetwork("roleless", "10.5.0.0/24", purpose="REGIONAL_MANAGED_PROXY"),
    ),
    invalid(
        "proxies with flow logs",
        *("proxy-only subnetwork", f"{ISSUES}/GoogleCloudPlatform/k8s-config-connector/issues/678"),
        "Invalid value for field 'resource\\.logConfig': .*"
        "Invalid field set in subnetwork with purpose REGIONAL_MANAGED_PROXY\\.",
        proxies("logged", "10.5.0.0/24", purpose="REGIONAL_MANAGED_PROXY", logConfig={"enable": False}),
    ),
    invalid(
        *("a role for a subnetwork of machines", "proxy-only subnetwork", PROXIES, of("role", "ACTIVE")),
        subnetwork("acting", "10.5.0.0/24", role="ACTIVE"),
    ),
    invalid(
        *(
            "a second active proxy-only subnetwork",
            "proxy-only subnetwork",
            PROXIES,
            "(?i)active.*(proxies-1|subnetwork)",
        ),
        *(
            network("proxied"),
            proxies("proxies-1", "10.5.0.0/24", "proxied"),
            proxies("proxies-2", "10.6.0.0/24", "proxied"),
        ),
        reason="invalidResourceUsage",
    ),
    # Expansion
    invalid(
        *("a range that shrinks", "expansion", f"{ISSUES}/ansible-collections/google.cloud/pull/562"),
        "Invalid value for field '(resource\\.)?ipCidrRange': '10\\.7\\.0\\.0/25'",
        *(network("shrinking"), subnetwork("shrinks", "10.7.0.0/24", "shrinking")),
        ("POST", f"{REGION}/subnetworks/shrinks/expandIpCidrRange", {"ipCidrRange": "10.7.0.0/25"}),
    ),
    invalid(
        *("a range that moves", "expansion", f"{ISSUES}/ansible-collections/google.cloud/pull/562"),
        "Invalid value for field '(resource\\.)?ipCidrRange': '10\\.8\\.0\\.0/16'",
        *(network("moving"), subnetwork("moves", "10.7.0.0/24", "moving")),
        ("POST", f"{REGION}/subnetworks/moves/expandIpCidrRange", {"ipCidrRange": "10.8.0.0/16"}),
    ),
    invalid(
        *("a range that grows into a neighbour", "expansion", f"{SUBNETS}#ip-ranges"),
        of("ipCidrRange", "10.7.0.0/23", "Invalid IPCidrRange: 10\\.7\\.0\\.0/23 conflicts with existing subnetwork"),
        *(network("growing"), subnetwork("grows", "10.7.0.0/24", "growing")),
        subnetwork("neighbour", "10.7.1.0/24", "growing"),
        ("POST", f"{REGION}/subnetworks/grows/expandIpCidrRange", {"ipCidrRange": "10.7.0.0/23"}),
    ),
    invalid(
        "proxies that grow",
        *("expansion", "https://cloud.google.com/sdk/gcloud/reference/compute/networks/subnets/expand-ip-range"),
        "Invalid value for field '(resource\\.)?ipCidrRange'",
        *(network("wider"), proxies("widened", "10.7.0.0/24", "wider")),
        ("POST", f"{REGION}/subnetworks/widened/expandIpCidrRange", {"ipCidrRange": "10.7.0.0/23"}),
    ),
    # Firewall rules
    invalid(
        *("a protocol that is none", "firewall rule", f"{ISSUES}/hashicorp/terraform/issues/25678"),
        of("allowed[0].IPProtocol", "tpc", "Invalid IP protocol specification\\."),
        rule("protocol", allowed=[{"IPProtocol": "tpc"}]),
    ),
    invalid(
        "a port that is a word",
        *("firewall rule", f"{ISSUES}/GoogleCloudPlatform/google-cloud-powershell/issues/537"),
        of("allowed[0].ports[0]", "0..65535", "Invalid port range specification\\."),
        rule("dots", allowed=[{"IPProtocol": "tcp", "ports": ["0..65535"]}]),
    ),
    invalid(
        *("a port above 65535", "firewall rule", f"{FIREWALL}#protocols_and_ports"),
        of("allowed[0].ports[1]", "70000", "Invalid port range specification\\."),
        rule("high", allowed=[{"IPProtocol": "tcp", "ports": ["80", "70000"]}]),
    ),
    invalid(
        *("a port range backwards", "firewall rule", f"{FIREWALL}#protocols_and_ports"),
        of("allowed[0].ports[0]", "90-80", "Invalid port range specification\\."),
        rule("backwards", allowed=[{"IPProtocol": "tcp", "ports": ["90-80"]}]),
    ),
    invalid(
        *("ports of ICMP", "firewall rule", f"{ISSUES}/mondoohq/cnspec/issues/3784", of("allowed[0].ports[0]", "80")),
        rule("pings", allowed=[{"IPProtocol": "icmp", "ports": ["80"]}]),
    ),
    invalid(
        *("a priority above 65535", "firewall rule", f"{REFERENCE}/firewalls"),
        of("priority", "65536", "Must be less than or equal to 65535"),
        rule("late", priority=65536),
    ),
    invalid(
        *("source tags of an egress rule", "firewall rule", f"{FIREWALL}#firewall_rule_components"),
        "Invalid value for field 'resource\\.sourceTags'",
        rule("outwards", direction="EGRESS", sourceTags=["web"]),
    ),
    invalid(
        "target tags beside target accounts",
        *("firewall rule", f"{FIREWALL}#filter_by_service_account_versus_tag"),
        "Invalid value for field 'resource\\.targetTags'",
        rule("both", targetTags=["web"], targetServiceAccounts=["a@b.iam.gserviceaccount.com"]),
    ),
    invalid(
        *("a tag that is no name", "firewall rule", f"{REFERENCE}/firewalls", of("targetTags[0]", "Web Server", NAME)),
        rule("tagged", targetTags=["Web Server"]),
    ),
    invalid(
        *("a direction that is none", "firewall rule", f"{REFERENCE}/firewalls", of("direction", "IN")),
        rule("inwards", direction="IN"),
    ),
)
