# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Node pools that GKE refuses. A pool that comes with its cluster is judged as one that comes later."""

from __future__ import annotations

import typing as t
import urllib.parse
from zlib import crc32

from tests.truth.mistakes import Json, Mistake, Step

GITHUB = "https://github.com"
TERRAFORM = f"{GITHUB}/hashicorp/terraform-provider-google/issues"
DOCS = "https://cloud.google.com/kubernetes-engine/docs"
PLAN_TPUS = f"{DOCS}/concepts/plan-tpus"
FLEX_START = "https://docs.cloud.google.com/kubernetes-engine/docs/concepts/dws"
DISCOVERY = "https://container.googleapis.com/$discovery/rest?version=v1"
BAD = (400, "INVALID_ARGUMENT", "badRequest")


def seen(words: str) -> str:
    """Where to find public logs that have these words of GKE's."""
    return f"{GITHUB}/search?type=code&q={urllib.parse.quote(words)}"


TPU: Json = {"machineType": "ct6e-standard-4t"}
SPECIFIC: Json = {
    "consumeReservationType": "SPECIFIC_RESERVATION",
    "key": "compute.googleapis.com/reservation-name",
    "values": ["mine"],
}
NONE: Json = {"consumeReservationType": "NO_RESERVATION"}
UP_TO_4: Json = {"enabled": True, "maxNodeCount": 4}


def where(location: str) -> str:
    return f"container/v1/projects/{{project}}/locations/{location}/clusters"


def pool(
    title: str,
    kind: str,
    source: str,
    message: str,
    *,
    answer: tuple[int, str, str] = BAD,
    location: str = "us-east5-a",
    cluster: Json | None = None,
    prepared: tuple[Step, ...] = (),
    **stated: t.Any,
) -> Mistake:
    """A cluster whose only pool is the mistake; ``cluster``: what the cluster says besides."""
    one = {"name": "pool", "initialNodeCount": 1, **stated}
    body: Json = {
        "name": f"c-{crc32(title.encode()):x}",
        "releaseChannel": {"channel": "RAPID"},
        "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"},
        "nodePools": [{key: value for key, value in one.items() if value is not None}],
    }
    last: Step = ("POST", where(location), {"cluster": {**body, **(cluster or {})}})
    return Mistake(title, kind, source, (*prepared, last), *answer, message)


def later(
    title: str,
    kind: str,
    source: str,
    message: str,
    *steps: tuple[str, str, Json | None],
    answer: tuple[int, str, str] = BAD,
    cluster: Json | None = None,
    location: str = "us-east5-a",
) -> Mistake:
    """Steps below a cluster that is made first; "" in a path is the cluster itself."""
    own = f"l-{crc32(title.encode()):x}"
    body = {"name": own, "initialNodeCount": 1, "releaseChannel": {"channel": "RAPID"}, **(cluster or {})}
    first: Step = ("POST", where(location), {"cluster": body})
    below: tuple[Step, ...] = tuple(
        (method, f"{where(location)}/{own}{path}", content) for method, path, content in steps
    )
    return Mistake(title, kind, source, (first, *below), *answer, message)


SCALING = (
    pool(
        "a least above the most",
        "autoscaling",
        f"{TERRAFORM}/5441",
        r"\(2\).*\(1\)",
        autoscaling={"enabled": True, "minNodeCount": 2, "maxNodeCount": 1},
        initialNodeCount=None,
    ),
    pool("no most", "autoscaling", DISCOVERY, r"max_node_count", autoscaling={"enabled": True}, initialNodeCount=None),
    pool(
        "a first number above the most",
        "autoscaling",
        f"{TERRAFORM}/3485",
        r"^Initial node count \(5\)",
        autoscaling=UP_TO_4,
        initialNodeCount=5,
    ),
    pool(
        "a first number below the least",
        "autoscaling",
        f"{TERRAFORM}/3485",
        r"^Initial node count \(1\)",
        autoscaling={**UP_TO_4, "minNodeCount": 2},
    ),
    pool(
        "total and zonal limits",
        "autoscaling",
        DISCOVERY,
        r"mutually exclusive",
        autoscaling={**UP_TO_4, "totalMaxNodeCount": 9},
    ),
    later(
        "limits that cross, later",
        "autoscaling",
        f"{TERRAFORM}/5441",
        r"\(9\).*\(4\)",
        (
            "POST",
            "/nodePools/default-pool:setAutoscaling",
            {"autoscaling": {"enabled": True, "minNodeCount": 9, "maxNodeCount": 4}},
        ),
    ),
)
CAPACITY = (
    pool(
        "flex-start without autoscaling",
        "capacity",
        FLEX_START,
        r"^Flex start node pools require autoscaling enabled\.$",
        config={**TPU, "flexStart": True, "reservationAffinity": NONE},
        initialNodeCount=None,
    ),
    pool(
        "flex-start with nodes",
        "capacity",
        FLEX_START,
        r"^Flex start node pools require initial node count to be set to 0\.$",
        config={**TPU, "flexStart": True, "reservationAffinity": NONE},
        autoscaling=UP_TO_4,
    ),
    pool(
        "flex-start with a reservation",
        "capacity",
        FLEX_START,
        r"^[Ff]lex start node pools don't support reservations",
        config={**TPU, "flexStart": True, "reservationAffinity": SPECIFIC},
        autoscaling=UP_TO_4,
        initialNodeCount=None,
    ),
    pool(
        "flex-start and Spot",
        "capacity",
        FLEX_START,
        r"Spot",
        config={**TPU, "flexStart": True, "spot": True, "reservationAffinity": NONE},
        autoscaling=UP_TO_4,
        initialNodeCount=None,
    ),
    pool(
        "flex-start for more than a week",
        "capacity",
        FLEX_START,
        r"604800s",
        config={**TPU, "flexStart": True, "maxRunDuration": "604801s", "reservationAffinity": NONE},
        autoscaling=UP_TO_4,
        initialNodeCount=None,
    ),
    pool(
        "queued nodes that may take a reservation",
        "capacity",
        f"{TERRAFORM}/18341",
        r"^Queued_provisioning requires reservation affinity to be set to none\.?$",
        queuedProvisioning={"enabled": True},
        autoscaling=UP_TO_4,
        initialNodeCount=None,
    ),
    later(
        "queued nodes by hand",
        "capacity",
        "container/node-pool-queued-provisioning (recorded)",
        r"^Manual resizing of queued provisioning node pool \(queued\) to a value other than 0 is not allowed\.$",
        (
            "POST",
            "/nodePools",
            {
                "nodePool": {
                    "name": "queued",
                    "autoscaling": UP_TO_4,
                    "config": {"reservationAffinity": NONE},
                    "queuedProvisioning": {"enabled": True},
                }
            },
        ),
        ("POST", "/nodePools/queued:setSize", {"nodeCount": 2}),
    ),
    pool(
        "Spot with a reservation",
        "capacity",
        "https://cloud.google.com/compute/docs/instances/reservations-overview#restrictions",
        r"Spot",
        config={**TPU, "spot": True, "reservationAffinity": SPECIFIC},
    ),
)
RESERVED = (
    pool(
        "a reservation that there is not",
        "reservation",
        f"{GITHUB}/GoogleCloudPlatform/cluster-toolkit/pull/5043",
        r'^Google Compute\s+Engine: reservation "mine" not found for node pool "pool" at zone "us-east5-a"\.$',
        answer=(404, "NOT_FOUND", "notFound"),
        config={**TPU, "reservationAffinity": SPECIFIC},
    ),
    pool(
        "a reservation without a name",
        "reservation",
        f"{DOCS}/how-to/consuming-reservations",
        r"reservation",
        config={**TPU, "reservationAffinity": {"consumeReservationType": "SPECIFIC_RESERVATION"}},
    ),
    pool(
        "more than is reserved",
        "reservation",
        f"{GITHUB}/GoogleCloudPlatform/gsutil/issues/1000",
        r'^Reservation does not have enough resources for the request: specific reservation "two" is insufficient for '
        r'node pool "pool" at zone "us-east5-a": required 3 and short of 1 VM count of machine type '
        r"ct6e-standard-4t\.$",
        answer=(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"),
        prepared=(
            (
                "POST",
                "compute/v1/projects/{project}/zones/us-east5-a/reservations",
                {
                    "name": "two",
                    "specificReservation": {"count": "2", "instanceProperties": {"machineType": "ct6e-standard-4t"}},
                    "specificReservationRequired": True,
                },
            ),
        ),
        config={**TPU, "reservationAffinity": {**SPECIFIC, "values": ["two"]}},
        initialNodeCount=3,
    ),
)
LABELS = (
    pool(
        "a label of Kubernetes",
        "label",
        f"{GITHUB}/bitpoke/stack/issues/86",
        r"^Applying kubernetes label is not allowed: node-role\.kubernetes\.io/serving\.$",
        config={"labels": {"node-role.kubernetes.io/serving": "true"}},
    ),
    pool(
        "a label of GKE's own",
        "label",
        f"{GITHUB}/GoogleCloudPlatform/magic-modules/pull/11878",
        r'^Node labels with key "sandbox\.gke\.io/runtime" are managed by GKE and must not be manually specified\.$',
        config={"labels": {"sandbox.gke.io/runtime": "gvisor"}},
    ),
    pool(
        "the label of a TPU",
        "label",
        f"{GITHUB}/GoogleCloudPlatform/magic-modules/pull/11878",
        r"must not be manually specified\.$",
        config={**TPU, "labels": {"cloud.google.com/gke-tpu-topology": "2x2"}},
    ),
    pool(
        "a value that is no label's",
        "label",
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set",
        r"^Invalid field 'cluster\.node_config\.labels\.value': \"me@example\.com\"\. It must begin and end with an "
        r"alphanumeric character",
        config={"labels": {"owner": "me@example.com"}},
    ),
    pool(
        "a taint of GKE's own",
        "label",
        f"{DOCS}/how-to/sandbox-pods",
        r"^Node taints with key sandbox\.gke\.io/runtime are managed by GKE and must not be manually specified",
        config={"taints": [{"key": "sandbox.gke.io/runtime", "value": "gvisor", "effect": "NO_SCHEDULE"}]},
    ),
    pool(
        "a taint without an effect",
        "label",
        DISCOVERY,
        r"effect",
        config={"taints": [{"key": "dedicated", "value": "tpu"}]},
    ),
)
UPGRADES = (
    later(
        "nodes newer than the control plane",
        "version",
        f"{TERRAFORM}/14389",
        r'^Node version "1\.35\.6-gke\.1127000" must not have a greater minor version than master version '
        r'"1\.34\.1-gke\.1829001"\.$',
        ("POST", "/nodePools", {"nodePool": {"name": "new", "initialNodeCount": 1, "version": "1.35"}}),
        cluster={"initialClusterVersion": "1.34.1-gke.1829001"},
    ),
    later(
        "upgraded nodes too old",
        "version",
        f"{TERRAFORM}/21116",
        r'^Auto-upgrade is enabled, node version "1\.33\.5-gke\.1162000" must be within one minor version of master '
        r'version "1\.35\.6-gke\.1127000"\.$',
        ("POST", "/nodePools", {"nodePool": {"name": "old", "initialNodeCount": 1, "version": "1.33"}}),
    ),
    later(
        "a version of nodes that there is not",
        "version",
        f"{GITHUB}/jetstack/terraform-google-gke-cluster/issues/28",
        r'^Node version "1\.13\.6-gke\.5" is unsupported\.$',
        ("PUT", "/nodePools/default-pool", {"nodeVersion": "1.13.6-gke.5"}),
    ),
    pool(
        "no automatic upgrades on a channel",
        "version",
        f"{DOCS}/concepts/release-channels",
        r"^Auto_upgrade must be true when release_channel RAPID is set\.$",
        management={"autoRepair": True, "autoUpgrade": False},
    ),
    pool(
        "no automatic repair on a channel",
        "version",
        seen("Auto_repair cannot be false when release_channel"),
        r"^Auto_repair cannot be false when release_channel RAPID is set\.$",
        management={"autoRepair": False, "autoUpgrade": True},
    ),
    pool(
        "an upgrade without a step",
        "version",
        DISCOVERY,
        r"[Mm]ax_surge",
        upgradeSettings={"strategy": "SURGE", "maxSurge": 0, "maxUnavailable": 0},
    ),
)
IDENTITIES = (
    pool(
        "a service account that there is not",
        "service account",
        f"{GITHUB}/midl-dev/tezos-on-gke/issues/45",
        r'^Service account "none@sandbox-project\.iam\.gserviceaccount\.com" does not exist\.$',
        config={"serviceAccount": "none@{project}.iam.gserviceaccount.com"},
    ),
    pool(
        "a service account of elsewhere",
        "service account",
        f"{DOCS}/how-to/service-accounts",
        r'^The user does not have access to service account "nodes@other\.iam\.gserviceaccount\.com"\. Ask a project '
        r"owner to grant you the iam\.serviceAccountUser role on the service account\.$",
        config={"serviceAccount": "nodes@other.iam.gserviceaccount.com"},
    ),
    pool(
        "a service account that is disabled",
        "service account",
        f"{TERRAFORM}/12677",
        r'^Service account "offline@sandbox-project\.iam\.gserviceaccount\.com" is disabled\.$',
        prepared=(
            ("POST", "iam/v1/projects/{project}/serviceAccounts", {"accountId": "offline", "serviceAccount": {}}),
            (
                "POST",
                "iam/v1/projects/{project}/serviceAccounts/offline@{project}.iam.gserviceaccount.com:disable",
                {},
            ),
        ),
        config={"serviceAccount": "offline@{project}.iam.gserviceaccount.com"},
    ),
)
LIMITS = (
    pool(
        "more nodes than the quota has CPUs",
        "quota",
        f"{GITHUB}/GoogleCloudPlatform/cloud-ops-sandbox/issues/44",
        r"^Insufficient regional quota to satisfy request: resource \"N2_CPUS\": request requires '102400\.0' and is "
        r"short '[0-9.]+'\. project has a quota of '[0-9.]+' with '[0-9.]+' available\. View and manage quotas at "
        r"https://console\.cloud\.google\.com/iam-admin/quotas\?usage=USED&project=sandbox-project\.$",
        answer=(403, "PERMISSION_DENIED", "forbidden"),
        config={"machineType": "n2-standard-128"},
        initialNodeCount=800,
    ),
    pool(
        "more nodes than the quota has GPUs",
        "quota",
        f"{GITHUB}/googlecodelabs/feedback/issues/950",
        r'resource "NVIDIA_L4_GPUS": request requires',
        answer=(403, "PERMISSION_DENIED", "forbidden"),
        location="us-central1-a",
        config={"machineType": "g2-standard-96"},
        initialNodeCount=500,
    ),
    later(
        "more TPUs than the quota has",
        "quota",
        "https://cloud.google.com/tpu/docs/v6e-intro",
        r"^Google Compute Engine: Quota 'TPUS_PER_TPU_FAMILY' exceeded\.  Limit: [0-9.]+ in region us-east5\.",
        ("POST", "/nodePools", {"nodePool": {"name": "many", "initialNodeCount": 900, "config": TPU}}),
        answer=(0, "RESOURCE_EXHAUSTED", ""),
    ),
    pool(
        "a pool of more than a thousand nodes",
        "quota",
        "https://cloud.google.com/kubernetes-engine/quotas",
        r"1000",
        initialNodeCount=1001,
    ),
    pool(
        "more Pods than a node can have",
        "quota",
        f"{DOCS}/how-to/flexible-pod-cidr",
        r"256",
        maxPodsConstraint={"maxPodsPerNode": "300"},
    ),
)
NAMES = (
    pool(
        "a name of forty characters",
        "name",
        seen("Node_pool.name must be less than 40 characters"),
        r"^Node_pool\.name must be less than 40 characters\.$",
        name="p" * 40,
    ),
    pool("a name in capitals", "name", DISCOVERY, r"node_pool\.name", name="Pool"),
    pool(
        "a pool in a zone of elsewhere",
        "place",
        DISCOVERY,
        r'"europe-west4-a".*"us-east5"',
        locations=["europe-west4-a"],
    ),
    later(
        "a pool twice",
        "name",
        "container/node-pool (recorded)",
        r"^Already exists: ",
        ("POST", "/nodePools", {"nodePool": {"name": "default-pool", "initialNodeCount": 1}}),
        answer=(409, "ALREADY_EXISTS", "alreadyExists"),
    ),
    later(
        "a range of Pods that there is not",
        "name",
        f"{GITHUB}/fabianlee/gcp-gke-clusters-ingress/issues/2",
        r'^Pod secondary range "more" not found in network "https://www\.googleapis\.com/compute/v1/projects/'
        r'sandbox-project/global/networks/default", subnetwork "default"\.$',
        (
            "POST",
            "/nodePools",
            {"nodePool": {"name": "p", "initialNodeCount": 1, "networkConfig": {"podRange": "more"}}},
        ),
    ),
)

MISTAKES: tuple[Mistake, ...] = (
    *SCALING,
    *CAPACITY,
    *RESERVED,
    *LABELS,
    *UPGRADES,
    *IDENTITIES,
    *LIMITS,
    *NAMES,
)
