# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every difference from the recorded traffic that was looked at and stays, each with its reason.

An entry: (regular expression for the recorded file, regular expression for the difference, reason).
"""

from __future__ import annotations

SKIPPED = "backendServices|targetTcpProxies|forwardingRules"  # load balancers are GKE's own here, not the API's

MOCK = "the recorder's mock is simpler than Google here: "
LATER = "GKE works it out some time after the object is there: "
TODAY = "recorded with an older GKE; the 1.35 cases say otherwise: "

REVIEWED: tuple[tuple[str, str, str], ...] = (
    # compute
    (
        "compute/|container/",
        r"extra GET networks/(default|net-abc123): \.: (routingConfig|subnetworks)$",
        MOCK + "Google's default network has a routing configuration and lists its subnetworks",
    ),
    (
        "compute/firewall",
        r"extra GET firewalls/.*: (logConfig|sourceRanges)$",
        MOCK + "Google fills in logConfig and the source 0.0.0.0/0 of an ingress rule without any source",
    ),
    (
        "compute/(forwarding-rule|router-nat-private)",
        r"GET operations/\S+: (\.: (error|httpErrorMessage|httpErrorStatusCode)$|error\.errors\[\]\.message: )",
        "the deletion of the other subnetworks is not in the log, so it is they that use the network",
    ),
    (
        "compute/router-nat",
        r"(extra|value) POST address-abc123/setLabels",
        MOCK + "setLabels answers a finished global operation; Google's is regional and runs",
    ),
    (
        "compute/router-nat-private",
        r"(value|missing|extra|status) (GET|POST) \S+ ?\S*: .*(allowSubnetCidrRoutesOverlap|enableFlowLogs|state)$",
        MOCK + "its subnetworks carry two flags at rest and no state",
    ),
    # container
    (
        "container/|gkehub/",
        r"missing GET (clusters|nodePools)/.*: (kubeletCertInfo|(default)?[pP]odIpv4RangeUtilization)$",
        LATER + "the use of Pod ranges, the certificates of nodes",
    ),
    (
        "container/.*1\\.35",
        r"missing GET instanceGroupManagers/.*: (serviceAccount|isStateful|minReadySec)$",
        "fields of compute's beta API that v1 does not have",
    ),
    (
        "container/(?!.*1\\.35)|gkehub/",
        r"missing GET clusters/.*: controlPlaneEndpointsConfig\.ipEndpointsConfig: globalAccess$"
        r"|value GET clusters/.*: anonymousAuthenticationConfig\.mode: "
        r"|value GET instanceGroupManagers/.*: instanceTemplate: ",
        TODAY + "no globalAccess at rest, anonymous requests limited, templates of a region",
    ),
    (
        "container/|gkehub/",
        r"missing GET clusters/.*: \.: (clusterTelemetry|master|protectConfig|privateCluster)$",
        "fields of v1beta1 that v1 does not have",
    ),
    (
        "container/cluster-maintenance-policy",
        r"value GET (clusters|instanceGroupManagers)/.*us-east1-a",
        MOCK + "it calls the first zone of every region -a; us-east1 has b, c and d",
    ),
    (
        "container/cluster.json",
        r"GET clusters/.*: autoscaling\.autoprovisioningNodePoolDefaults",
        "node auto-provisioning is kept as stated but not modelled",
    ),
    (
        "container/node-pool",
        r"value GET nodePools/.*: (error\.(errors\[\]\.)?message|selfLink): recorded",
        "GKE 1.35 says 'node pool \"x\" not found' and zones/ in the links of a zonal cluster's pools",
    ),
    (
        "container/node-pool",
        r"value (POST|PUT|DELETE) .*: status: recorded 'RUNNING', got 'PENDING'",
        "GKE 1.35 answers operations on node pools as PENDING",
    ),
    (
        "gkehub/membership",
        r"extra GET clusters/.*: workloadMetadataConfig$",
        MOCK + "Google gives the pools of a cluster with Workload Identity GKE_METADATA",
    ),
    # gkehub
    (
        "gkehub/feature",
        r"extra GET mci-abc123/services: \.: services$",
        MOCK + "a new project of Google's has some APIs enabled",
    ),
    (
        "gkehub/feature",
        r"extra GET (features/multiclusteringress|operations/\S+): (\.|response): "
        r"(updateTime|createTime|membershipStates|resourceState|state)$",
        MOCK + "it forgets the states and times of a feature, which Google answers",
    ),
    (
        "gkehub/",
        r"missing DELETE (memberships|features)/.*: (done|response)$",
        MOCK + "it deletes at once; Google's operation runs",
    ),
    # iam and cloudresourcemanager
    (
        "iam/policy-project",
        r"(missing|extra|type) GET operations/.*: "
        r"response(: (displayName|etag|state|lifecycleState|projectNumber)$|\.parent)",
        "the operation of v1 answers a v3 project here and a v1 project in gkehub/feature: we answer v1",
    ),
    # serviceusage
    (
        "serviceusage/|gkehub/feature",
        r"extra GET (operations|services)/.*: (config|parent)$",
        MOCK + "Google answers name, config, state and parent of every service",
    ),
    # storage
    (
        "storage/bucket-autoclass",
        r"missing PATCH b/.*: (acl|defaultObjectAcl|owner)$",
        MOCK + "Google answers no access control lists for a bucket with uniform access",
    ),
    (
        "storage/",
        r"missing GET \S+/o: \.: prefixes$",
        MOCK + "it lists prefixes without a delimiter, and of a bucket that is empty",
    ),
)
