# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines, disks, slices and network profiles that GKE refuses a node pool."""

from __future__ import annotations

from tests.truth.mistakes import Mistake
from tests.truth.mistakes.container_pools import (
    DISCOVERY,
    DOCS,
    GITHUB,
    PLAN_TPUS,
    TERRAFORM,
    TPU,
    later,
    pool,
    seen,
)

DRANET = "https://docs.cloud.google.com/kubernetes-engine/docs/how-to/config-auto-net-for-accelerators"

MACHINES = (
    pool(
        "a machine type that there is not",
        "machine",
        f"{GITHUB}/keras-team/kinetic/issues/305",
        r'^Invalid machine type "e2-standard-3" in zone "us-east5-a": GCE_NOT_FOUND$',
        config={"machineType": "e2-standard-3"},
    ),
    pool(
        "a machine type that its zone has not",
        "machine",
        f"{GITHUB}/keras-team/kinetic/issues/305",
        r'^Invalid machine type "e2-standard-4" in zone "us-central2-b": GCE_NOT_FOUND$',
        location="us-central2-b",
        cluster={"network": "default", "subnetwork": "other"},
        prepared=(
            (
                "POST",
                "compute/v1/projects/{project}/regions/us-central2/subnetworks",
                {"name": "other", "network": "global/networks/default", "ipCidrRange": "10.99.0.0/20"},
            ),
        ),
        config={"machineType": "e2-standard-4"},
    ),
    pool(
        "a TPU v6e where there is none",
        "machine",
        "https://docs.cloud.google.com/tpu/docs/regions-zones.md.txt",
        r'"ct6e-standard-4t" in zone "us-west4-a": GCE_NOT_FOUND$',
        location="us-west4-a",
        config=TPU,
    ),
    pool(
        "a TPU7x in the zone of another generation",
        "machine",
        "https://docs.cloud.google.com/tpu/docs/regions-zones.md.txt",
        r'"tpu7x-standard-4t" in zone "us-east5-a": GCE_NOT_FOUND$',
        config={"machineType": "tpu7x-standard-4t"},
    ),
    pool(
        "a custom machine of a family without",
        "machine",
        "https://cloud.google.com/compute/docs/instances/creating-instance-with-custom-machine-type",
        r"GCE_NOT_FOUND$",
        config={"machineType": "c3-custom-4-8192"},
    ),
    pool(
        "a machine that is too small",
        "machine",
        seen("machines are not supported due to insufficient memory"),
        r"^Node pools of f1-micro machines are not supported due to insufficient memory\.$",
        config={"machineType": "f1-micro"},
    ),
    pool(
        "a confidential node of a machine that cannot be",
        "machine",
        f"{DOCS}/how-to/confidential-gke-nodes",
        r"^Confidential nodes feature is not supported on machine type e2-standard-4\.$",
        config={"machineType": "e2-standard-4", "confidentialNodes": {"enabled": True}},
    ),
)
GPUS = (
    pool(
        "a GPU that the zone has not",
        "GPU",
        f"{GITHUB}/GoogleCloudPlatform/k8s-config-connector/pull/1902",
        r'^Accelerator type "nvidia-tesla-t4" does not exist in zone us-east1-b\.$',
        location="us-east1-b",
        config={
            "machineType": "n1-standard-4",
            "accelerators": [{"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": "1"}],
        },
    ),
    pool(
        "a GPU without a machine",
        "GPU",
        f"{TERRAFORM}/8387",
        r"^Cannot use default machine type \(e2-medium\) with GPUs; choose a different machine type\.$",
        location="us-central1-a",
        config={"accelerators": [{"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": "1"}]},
    ),
    pool(
        "a GPU on a machine that takes none",
        "GPU",
        "https://cloud.google.com/compute/docs/gpus#n1-gpus",
        r"^\[n2-standard-32, nvidia-tesla-t4\] features are not compatible for creating instance\.$",
        location="us-central1-a",
        config={
            "machineType": "n2-standard-32",
            "accelerators": [{"acceleratorType": "nvidia-tesla-t4", "acceleratorCount": "1"}],
        },
    ),
    pool(
        "a built-in GPU in another number",
        "GPU",
        "https://cloud.google.com/compute/docs/accelerator-optimized-machines",
        r"^\[g2-standard-24, nvidia-l4\] features are not compatible",
        location="us-central1-a",
        config={
            "machineType": "g2-standard-24",
            "accelerators": [{"acceleratorType": "nvidia-l4", "acceleratorCount": "1"}],
        },
    ),
    pool(
        "more vCPUs than a GPU serves",
        "GPU",
        "https://cloud.google.com/compute/docs/gpus#n1-gpus",
        r"^\[n1-standard-32, nvidia-tesla-v100\] features are not compatible",
        location="us-central1-a",
        config={
            "machineType": "n1-standard-32",
            "accelerators": [{"acceleratorType": "nvidia-tesla-v100", "acceleratorCount": "1"}],
        },
    ),
)
BOOT = (
    pool(
        "Hyperdisk on a machine without",
        "boot",
        "https://cloud.google.com/compute/docs/disks/hyperdisks#machine-type-support",
        r"^hyperdisk-balanced disk type cannot be used by n2-standard-4 machine type\.?$",
        config={"machineType": "n2-standard-4", "diskType": "hyperdisk-balanced"},
    ),
    pool(
        "Persistent Disk on a machine without",
        "boot",
        "https://cloud.google.com/compute/docs/general-purpose-machines",
        r"^pd-balanced disk type cannot be used by c4-standard-8 machine type\.?$",
        config={"machineType": "c4-standard-8", "diskType": "pd-balanced"},
    ),
    pool("a disk type that there is not", "boot", DISCOVERY, r"[Dd]isk type \"?floppy", config={"diskType": "floppy"}),
    pool("a disk of 5 GB", "boot", DISCOVERY, r"10 GB", config={"diskSizeGb": 5}),
    pool(
        "an image type that there is not",
        "boot",
        f"{DOCS}/concepts/node-images",
        r"[Ii]mage type \"COS\"",
        config={"imageType": "COS"},
    ),
    pool(
        "Ubuntu on a TPU",
        "boot",
        f"{DOCS}/concepts/tpus#considerations",
        r"[Ii]mage type \"UBUNTU_CONTAINERD\"",
        config={**TPU, "imageType": "UBUNTU_CONTAINERD"},
    ),
)
SLICES = (
    pool(
        "the topology of a single host",
        "topology",
        f"{GITHUB}/AI-Hypercomputer/xpk/pull/825",
        r"^TPU topology can't be specified with single-host TPU slice pool; please remove the tpu_topology",
        config=TPU,
        placementPolicy={"type": "COMPACT", "tpuTopology": "2x2"},
    ),
    pool(
        "a topology that the generation has not",
        "topology",
        PLAN_TPUS,
        r'topology "3x3"',
        config=TPU,
        initialNodeCount=2,
        placementPolicy={"type": "COMPACT", "tpuTopology": "3x3"},
    ),
    pool(
        "a three-sided topology of a flat generation",
        "topology",
        PLAN_TPUS,
        r'topology "2x2x2"',
        config=TPU,
        initialNodeCount=2,
        placementPolicy={"type": "COMPACT", "tpuTopology": "2x2x2"},
    ),
    pool(
        "a topology for a machine of single hosts",
        "topology",
        PLAN_TPUS,
        r'topology "4x4"',
        config={"machineType": "ct6e-standard-8t"},
        placementPolicy={"type": "COMPACT", "tpuTopology": "4x4"},
    ),
    pool(
        "a topology without TPUs",
        "topology",
        PLAN_TPUS,
        r'topology "2x4"',
        config={"machineType": "e2-standard-4"},
        placementPolicy={"type": "COMPACT", "tpuTopology": "2x4"},
    ),
    pool(
        "fewer nodes than the slice has hosts",
        "topology",
        f"{GITHUB}/GoogleCloudPlatform/cluster-toolkit/pull/3817",
        r'node count 3 is not a valid size of TPU pod slice with topology "4x4"',
        config=TPU,
        initialNodeCount=3,
        placementPolicy={"type": "COMPACT", "tpuTopology": "4x4"},
    ),
    pool(
        "a slice that scales by total limits",
        "topology",
        f"{GITHUB}/vllm-project/ci-infra/pull/545",
        r'^Maximum node count 0 is not a valid size of TPU pod slice with topology "2x4"',
        config=TPU,
        initialNodeCount=None,
        autoscaling={"enabled": True, "totalMaxNodeCount": 2},
        placementPolicy={"type": "COMPACT", "tpuTopology": "2x4"},
    ),
    later(
        "a slice of another size",
        "topology",
        f"{GITHUB}/AI-Hypercomputer/xpk/issues/751",
        r"^Google Compute Engine: Invalid value for field 'resource.resizeBy': '3'\. Requested invalid target size '3' "
        r"for a Managed Instance Group in the gang mode of size '2'\. Should be equal to the gang size\.$",
        (
            "POST",
            "/nodePools",
            {
                "nodePool": {
                    "name": "slice",
                    "initialNodeCount": 2,
                    "config": TPU,
                    "placementPolicy": {"type": "COMPACT", "tpuTopology": "2x4"},
                }
            },
        ),
        ("POST", "/nodePools/slice:setSize", {"nodeCount": 3}),
        answer=(0, "INVALID_ARGUMENT", ""),
    ),
)
PROFILES = (
    pool(
        "a profile without Dataplane V2",
        "DRANET",
        DRANET,
        r"Dataplane V2",
        cluster={"networkConfig": {}},
        config=TPU,
        networkConfig={"acceleratorNetworkProfile": "auto"},
    ),
    pool(
        "a profile on an ordinary machine",
        "DRANET",
        DRANET,
        r"e2-standard-4",
        config={"machineType": "e2-standard-4"},
        networkConfig={"acceleratorNetworkProfile": "auto"},
    ),
    pool(
        "a profile of another name",
        "DRANET",
        DISCOVERY,
        r'"fast"',
        config=TPU,
        networkConfig={"acceleratorNetworkProfile": "fast"},
    ),
    pool(
        "a profile in two zones",
        "DRANET",
        DRANET,
        r"single zone",
        location="us-east5",
        config=TPU,
        locations=["us-east5-a", "us-east5-b"],
        networkConfig={"acceleratorNetworkProfile": "auto"},
    ),
    pool(
        "a profile on nodes that are too old",
        "DRANET",
        "https://docs.cloud.google.com/kubernetes-engine/docs/how-to/allocate-network-resources-dra",
        r"1\.34\.1-gke\.1829001",
        cluster={"initialClusterVersion": "1.33"},
        config=TPU,
        networkConfig={"acceleratorNetworkProfile": "auto"},
    ),
    pool(
        "a profile and networks besides",
        "DRANET",
        f"{GITHUB}/GoogleCloudPlatform/cluster-toolkit/tree/main/modules/compute/gke-node-pool",
        r"additional node network",
        config=TPU,
        networkConfig={
            "acceleratorNetworkProfile": "auto",
            "additionalNodeNetworkConfigs": [{"network": "a", "subnetwork": "b"}],
        },
    ),
)

MISTAKES: tuple[Mistake, ...] = (*MACHINES, *GPUS, *BOOT, *SLICES, *PROFILES)
