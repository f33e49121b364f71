# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that GKE refuses, and changes of clusters."""

from __future__ import annotations

import typing as t
from zlib import crc32

from tests.truth.mistakes import Json, Mistake, Step
from tests.truth.mistakes.container_pools import BAD, DISCOVERY, DOCS, GITHUB, TERRAFORM, later, seen, where

GONE = (404, "NOT_FOUND", "notFound")
BUSY = (400, "FAILED_PRECONDITION", "failedPrecondition")
WINDOWS = f"{DOCS}/concepts/maintenance-windows-and-exclusions"
AUTOPILOT: Json = {"initialNodeCount": None, "autopilot": {"enabled": True}}
TOO_LITTLE = r"^maintenance policy would go longer than 32d without 48h maintenance availability$"


def cluster(
    title: str,
    kind: str,
    source: str,
    message: str,
    *,
    answer: tuple[int, str, str] = BAD,
    location: str = "us-east5-a",
    prepared: tuple[Step, ...] = (),
    **stated: t.Any,
) -> Mistake:
    """A cluster that is refused."""
    body = {"name": f"c-{crc32(title.encode()):x}", "initialNodeCount": 1, **stated}
    content = {"cluster": {key: value for key, value in body.items() if value is not None}}
    return Mistake(title, kind, source, (*prepared, ("POST", where(location), content)), *answer, message)


def exclusions(number: int, **options: t.Any) -> Json:
    """A policy with so many exclusions of a week."""
    one = {"startTime": "2027-01-01T00:00:00Z", "endTime": "2027-01-08T00:00:00Z", **options}
    return {"window": {"maintenanceExclusions": {f"e{index}": one for index in range(number)}}}


def subnetwork(name: str, network: str, **more: t.Any) -> Step:
    path = "compute/v1/projects/{project}/regions/us-east5/subnetworks"
    return ("POST", path, {"name": name, "network": f"global/networks/{network}", **more})


def network(name: str) -> Step:
    path = "compute/v1/projects/{project}/global/networks"
    return ("POST", path, {"name": name, "autoCreateSubnetworks": False})


def update(title: str, kind: str, source: str, message: str, change: Json, **more: t.Any) -> Mistake:
    """A change of a cluster that is refused."""
    return later(title, kind, source, message, ("PUT", "", {"update": change}), **more)


NAMES = (
    cluster("a cluster in capitals", "name", DISCOVERY, r'"cluster\.name": "Upper"', name="Upper"),
    cluster("a cluster of 41 characters", "name", DISCOVERY, r"cluster\.name", name="c" * 41),
    cluster("a place that there is not", "place", DISCOVERY, r'"us-east9-a"', location="us-east9-a"),
    cluster("zones of another region", "place", DISCOVERY, r'"us-east1-b".*"us-east5"', locations=["us-east1-b"]),
    cluster("no nodes at all", "name", DISCOVERY, r"initial_node_count", initialNodeCount=None),
    cluster(
        "two pools of one name",
        "name",
        DISCOVERY,
        r'"twin"',
        initialNodeCount=None,
        nodePools=[{"name": "twin", "initialNodeCount": 1}, {"name": "twin", "initialNodeCount": 1}],
    ),
    cluster(
        "pools in two ways",
        "name",
        DISCOVERY,
        r"nodePools and initialNodeCount",
        nodePools=[{"name": "one", "initialNodeCount": 1}],
    ),
    later(
        "a cluster twice",
        "name",
        "https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/create",
        r"^Already exists: projects/sandbox-project/zones/us-east5-a/clusters/l-",
        ("GET", "", None),
    ),
)
CHANNELS = (
    cluster(
        "a version that its channel has not",
        "channel",
        seen("channel supported versions ["),
        r'^Master version must be one of "STABLE" channel supported versions \[1\.32\.9-gke\.1108000, .*\]\.$',
        releaseChannel={"channel": "STABLE"},
        initialClusterVersion="1.20.8-gke.2100",
    ),
    cluster(
        "a version that there is not",
        "channel",
        f"{GITHUB}/GoogleCloudPlatform/gke-networking-demos/issues/37",
        r'^Master version "1\.14\.7-gke\.10" is unsupported\.$',
        initialClusterVersion="1.14.7-gke.10",
    ),
    cluster(
        "a channel that there is not",
        "channel",
        DISCOVERY,
        r"^Invalid value at 'cluster\.release_channel",
        answer=(400, "INVALID_ARGUMENT", ""),
        releaseChannel={"channel": "FAST"},
    ),
    update(
        "two minor versions at a time",
        "channel",
        f"{DOCS}/concepts/cluster-upgrades",
        r"^Master cannot be upgraded to \"1\.35\.[^\"]+\": cannot upgrade the master more than a minor version",
        {"desiredMasterVersion": "1.35"},
        cluster={"initialClusterVersion": "1.33", "releaseChannel": {"channel": "RAPID"}},
    ),
    update(
        "a control plane that goes back",
        "channel",
        f"{DOCS}/how-to/upgrading-a-cluster#downgrading-clusters",
        r"downgraded",
        {"desiredMasterVersion": "1.34"},
    ),
)
NETWORKS = (
    cluster(
        "a network that there is not",
        "network",
        f"{GITHUB}/gitpod-io/gitpod-gke-guide/issues/21",
        r"does not exist",
        network="none",
    ),
    cluster(
        "a subnetwork of another network",
        "network",
        f"{TERRAFORM}/7895",
        r'^Subnetwork "projects/sandbox-project/regions/us-east5/subnetworks/theirs" is not valid for Network '
        r'"default"\.$',
        subnetwork="theirs",
        prepared=(network("theirs"), subnetwork("theirs", "theirs", ipCidrRange="10.77.0.0/20")),
    ),
    cluster(
        "a subnetwork of another region",
        "network",
        DISCOVERY,
        r'"us-east5"',
        subnetwork="projects/{project}/regions/us-central1/subnetworks/default",
    ),
    cluster(
        "a proxy-only subnetwork",
        "network",
        "https://cloud.google.com/load-balancing/docs/proxy-only-subnets",
        r"GLOBAL_MANAGED_PROXY",
        network="proxies",
        subnetwork="proxies",
        prepared=(
            network("proxies"),
            subnetwork("proxies", "proxies", ipCidrRange="10.78.0.0/23", purpose="GLOBAL_MANAGED_PROXY", role="ACTIVE"),
        ),
    ),
)
RANGES = (
    cluster(
        "Pods in a range that there is not",
        "range",
        f"{GITHUB}/fabianlee/gcp-gke-clusters-ingress/issues/2",
        r'^Pod secondary range "pods" not found in network "https://www\.googleapis\.com/compute/v1/projects/'
        r'sandbox-project/global/networks/default", subnetwork "default"\.$',
        ipAllocationPolicy={"clusterSecondaryRangeName": "pods"},
    ),
    cluster(
        "one range for Pods and services",
        "range",
        f"{GITHUB}/gruntwork-io/terraform-google-gke/issues/118",
        r"^Pod secondary range name \(both\) should not be the same as service secondary range name\.$",
        ipAllocationPolicy={"clusterSecondaryRangeName": "both", "servicesSecondaryRangeName": "both"},
    ),
    cluster(
        "Pods outside of the allowed ranges",
        "range",
        f"{GITHUB}/GoogleCloudPlatform/cloud-foundation-fabric/issues/1424",
        r"^Cluster CIDR range 8\.8\.0\.0/16 is not within allowed ranges\.$",
        ipAllocationPolicy={"clusterIpv4CidrBlock": "8.8.0.0/16"},
    ),
    cluster(
        "Pods in no range",
        "range",
        DISCOVERY,
        r'"10\.4\.0\.1/14"',
        ipAllocationPolicy={"clusterIpv4CidrBlock": "10.4.0.1/14"},
    ),
    cluster(
        "services among the Pods",
        "range",
        f"{DOCS}/concepts/alias-ips#cluster_sizing",
        r"overlaps",
        ipAllocationPolicy={"clusterIpv4CidrBlock": "10.4.0.0/14", "servicesIpv4CidrBlock": "10.5.0.0/20"},
    ),
    cluster(
        "a control plane in a /24",
        "range",
        DISCOVERY,
        r"/28",
        privateClusterConfig={"enablePrivateNodes": True, "masterIpv4CidrBlock": "172.16.0.0/24"},
    ),
    cluster(
        "a control plane among the Pods",
        "range",
        f"{DOCS}/concepts/network-isolation",
        r"overlaps",
        ipAllocationPolicy={"clusterIpv4CidrBlock": "10.4.0.0/14"},
        privateClusterConfig={"enablePrivateNodes": True, "masterIpv4CidrBlock": "10.4.0.0/28"},
    ),
    cluster(
        "a control plane in a range that is used",
        "range",
        seen("Conflicting IP cidr range: Invalid IPCidrRange"),
        r"^Conflicting IP cidr range: Invalid IPCidrRange: 10\.79\.0\.0/28 conflicts with existing subnetwork 'used' "
        r"in region 'us-east5'\.$",
        answer=(0, "INVALID_ARGUMENT", ""),
        network="used",
        subnetwork="used",
        privateClusterConfig={"enablePrivateNodes": True, "masterIpv4CidrBlock": "10.79.0.0/28"},
        prepared=(network("used"), subnetwork("used", "used", ipCidrRange="10.79.0.0/20")),
    ),
    cluster(
        "a private endpoint of public nodes",
        "range",
        f"{DOCS}/concepts/network-isolation",
        r"[Pp]rivate nodes",
        privateClusterConfig={"enablePrivateEndpoint": True},
    ),
)
MAINTENANCE = (
    cluster(
        "a window of a night a week",
        "maintenance",
        WINDOWS,
        TOO_LITTLE,
        maintenancePolicy={
            "window": {
                "recurringWindow": {
                    "window": {"startTime": "2027-01-02T01:00:00Z", "endTime": "2027-01-02T07:00:00Z"},
                    "recurrence": "FREQ=WEEKLY;BYDAY=SA",
                }
            }
        },
    ),
    cluster(
        "a window of three hours a day",
        "maintenance",
        WINDOWS,
        TOO_LITTLE,
        maintenancePolicy={
            "window": {
                "recurringWindow": {
                    "window": {"startTime": "2027-01-02T01:00:00Z", "endTime": "2027-01-02T04:00:00Z"},
                    "recurrence": "FREQ=DAILY",
                }
            }
        },
    ),
    cluster(
        "no upgrades for six weeks",
        "maintenance",
        WINDOWS,
        TOO_LITTLE,
        maintenancePolicy=exclusions(1, endTime="2027-02-12T00:00:00Z"),
    ),
    cluster(
        "four times no upgrades",
        "maintenance",
        seen("Number of active maintenance exclusions exceeds limit"),
        r"^Number of active maintenance exclusions exceeds limit \(3\)\.$",
        maintenancePolicy=exclusions(4),
    ),
    cluster(
        "twenty-one exclusions",
        "maintenance",
        f"{TERRAFORM}/15279",
        r"^Number of total maintenance exclusions exceeds limit \(20\)\.$",
        maintenancePolicy=exclusions(21, maintenanceExclusionOptions={"scope": "NO_MINOR_UPGRADES"}),
    ),
    cluster(
        "a window at half past twenty-five",
        "maintenance",
        DISCOVERY,
        r"25:30",
        maintenancePolicy={"window": {"dailyMaintenanceWindow": {"startTime": "25:30"}}},
    ),
    cluster(
        "a window that ends before it starts",
        "maintenance",
        DISCOVERY,
        r"end after it starts",
        maintenancePolicy={
            "window": {
                "recurringWindow": {
                    "window": {"startTime": "2027-01-02T07:00:00Z", "endTime": "2027-01-02T01:00:00Z"},
                    "recurrence": "FREQ=DAILY",
                }
            }
        },
    ),
    later(
        "a maintenance policy of yesterday",
        "maintenance",
        "https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/MaintenancePolicy",
        r"resource version",
        ("POST", ":setMaintenancePolicy", {"maintenancePolicy": {"window": {}, "resourceVersion": "00000000"}}),
        answer=BUSY,
    ),
)
IDENTITIES = (
    cluster(
        "the workload pool of elsewhere",
        "identity",
        f"{DOCS}/how-to/workload-identity",
        r'"other\.svc\.id\.goog"',
        workloadIdentityConfig={"workloadPool": "other.svc.id.goog"},
    ),
    cluster(
        "the fleet of elsewhere",
        "identity",
        "https://cloud.google.com/kubernetes-engine/fleet-management/docs/before-you-begin/gke",
        r'"other"',
        answer=(403, "PERMISSION_DENIED", "forbidden"),
        fleet={"project": "other"},
    ),
    cluster(
        "a password",
        "identity",
        seen("Basic authentication was removed for GKE cluster versions"),
        r"^Basic authentication was removed for GKE cluster versions >= 1\.19\.",
        masterAuth={"username": "admin", "password": "0123456789abcdef"},
    ),
    cluster(
        "encryption without a key",
        "identity",
        DISCOVERY,
        r"key",
        databaseEncryption={"state": "ENCRYPTED"},
    ),
    update(
        "the workload pool of elsewhere, later",
        "identity",
        f"{DOCS}/how-to/workload-identity",
        r'"other\.svc\.id\.goog"',
        {"desiredWorkloadIdentityConfig": {"workloadPool": "other.svc.id.goog"}},
    ),
)
GATEWAYS = (
    cluster(
        "the Gateway API without load balancers",
        "gateway",
        f"{DOCS}/how-to/deploying-gateways#requirements",
        r"HttpLoadBalancing",
        addonsConfig={"httpLoadBalancing": {"disabled": True}},
        networkConfig={"gatewayApiConfig": {"channel": "CHANNEL_STANDARD"}},
    ),
    update(
        "the Gateway API without load balancers, later",
        "gateway",
        f"{DOCS}/how-to/deploying-gateways#requirements",
        r"HttpLoadBalancing",
        {"desiredGatewayApiConfig": {"channel": "CHANNEL_STANDARD"}},
        cluster={"addonsConfig": {"httpLoadBalancing": {"disabled": True}}},
    ),
    update(
        "no load balancers under the Gateway API",
        "gateway",
        f"{DOCS}/how-to/deploying-gateways#requirements",
        r"HttpLoadBalancing",
        {"desiredAddonsConfig": {"httpLoadBalancing": {"disabled": True}}},
        cluster={"networkConfig": {"gatewayApiConfig": {"channel": "CHANNEL_STANDARD"}}},
    ),
    update(
        "another data plane, later",
        "gateway",
        f"{DOCS}/how-to/dataplane-v2",
        r"[Dd]atapath",
        {"desiredDatapathProvider": "ADVANCED_DATAPATH"},
    ),
)
MANAGED = (
    cluster(
        "Autopilot in a zone",
        "autopilot",
        "https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/container/resource_container_cluster_test.go",
        r"^Autopilot clusters must be regional clusters\.$",
        **AUTOPILOT,
    ),
    cluster(
        "Autopilot without monitoring",
        "autopilot",
        seen("Autopilot clusters must have monitoring enabled"),
        r"^Autopilot clusters must have monitoring enabled",
        location="us-east5",
        monitoringConfig={"componentConfig": {"enableComponents": []}},
        **AUTOPILOT,
    ),
    cluster(
        "Autopilot with pools of one's own",
        "autopilot",
        f"{DOCS}/concepts/autopilot-overview",
        r"node pools",
        location="us-east5",
        nodePools=[{"name": "mine", "initialNodeCount": 1}],
        **AUTOPILOT,
    ),
    later(
        "a pool for Autopilot",
        "autopilot",
        seen("Autopilot node pools cannot be accessed or modified"),
        r"^Autopilot node pools cannot be accessed or modified\.$",
        ("POST", "/nodePools", {"nodePool": {"name": "mine", "initialNodeCount": 1}}),
        location="us-east5",
        cluster={"autopilot": {"enabled": True}},
    ),
    later(
        "Autopilot's pools",
        "autopilot",
        seen("Autopilot node pools cannot be accessed or modified"),
        r"^Autopilot node pools cannot be accessed or modified\.$",
        ("GET", "/nodePools", None),
        location="us-east5",
        cluster={"autopilot": {"enabled": True}},
    ),
)
CHANGES = (
    update(
        "two changes at a time",
        "change",
        "https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/ClusterUpdate",
        r"[Ee]xactly one update can be applied per request",
        {"desiredGatewayApiConfig": {"channel": "CHANNEL_STANDARD"}, "desiredEnableMultiNetworking": True},
    ),
    update("no change", "change", DISCOVERY, r"^Must specify a field to update", {}),
    update(
        "a change of what was changed in between",
        "change",
        DISCOVERY,
        r"etag",
        {"desiredReleaseChannel": {"channel": "REGULAR"}, "etag": "AAAA"},
        answer=(409, "ABORTED", "aborted"),
    ),
    later(
        "labels of yesterday",
        "change",
        "https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/SetLabelsRequest",
        r"fingerprint",
        ("POST", ":setResourceLabels", {"resourceLabels": {"a": "b"}, "labelFingerprint": "AAAA"}),
        answer=BUSY,
    ),
    update(
        "a pool that there is not",
        "change",
        "container/node-pool-1.35-containerd-config (recorded)",
        r'^Not found: node pool "none" not found\.$',
        {"desiredNodePoolId": "none", "desiredNodePoolAutoscaling": {"enabled": True, "maxNodeCount": 3}},
        answer=GONE,
    ),
    Mistake(
        "a cluster that there is not",
        "change",
        "container/cluster-minimal (recorded)",
        (("DELETE", where("us-east5-a") + "/none", None),),
        *GONE,
        r"^Not found: projects/sandbox-project/zones/us-east5-a/clusters/none\.$",
    ),
    update(
        "an unknown field",
        "change",
        "https://cloud.google.com/apis/design/errors",
        r'^Invalid JSON payload received\. Unknown name "desiredSpeed" at \'update\': Cannot find field\.$',
        {"desiredSpeed": 11},
        answer=(400, "INVALID_ARGUMENT", ""),
    ),
)


def _twice() -> Mistake:
    """The same creation again."""
    made = NAMES[-1].steps[0]
    return Mistake(
        "a cluster twice",
        "name",
        NAMES[-1].source,
        (made, made),
        409,
        "ALREADY_EXISTS",
        "alreadyExists",
        NAMES[-1].message,
    )


MISTAKES: tuple[Mistake, ...] = (
    *NAMES[:-1],
    _twice(),
    *CHANNELS,
    *NETWORKS,
    *RANGES,
    *MAINTENANCE,
    *IDENTITIES,
    *GATEWAYS,
    *MANAGED,
    *CHANGES,
)
