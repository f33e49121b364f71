# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machine types: what an instance of each has, where it is sold, which quota it takes and which disks it boots from."""

from __future__ import annotations

import dataclasses
import functools
import re

from . import accelerators, places, tpus

# Disk types of a family: Persistent Disk, Hyperdisk, or both.
PERSISTENT = ("pd-standard", "pd-balanced", "pd-ssd")
HYPERDISK = ("hyperdisk-balanced",)
DISK_TYPES = (*PERSISTENT, *HYPERDISK, "pd-extreme", "hyperdisk-extreme", "hyperdisk-ml", "hyperdisk-throughput")
SMALLEST_DISK = 10  # GB
IMAGE_TYPES = ("COS_CONTAINERD", "UBUNTU_CONTAINERD", "WINDOWS_LTSC_CONTAINERD", "WINDOWS_SAC_CONTAINERD")
DEFAULT = "e2-medium"  # GKE's
# Zones without ordinary machines, and what they have of them.
SPARSE_ZONES = {"us-central2-b": ("f1", "g1", "n1", "n2", "n2d", "n4", "t2d"), **dict.fromkeys(places.AI_ZONES, ())}
SOURCES = {
    "DISK_TYPES": "https://cloud.google.com/compute/docs/disks",
    "HYPERDISK": "https://cloud.google.com/compute/docs/disks/hyperdisks#machine-type-support",
    "PERSISTENT": "https://cloud.google.com/compute/docs/disks/persistent-disks",
    "SMALLEST_DISK": "container v1 discovery document, NodeConfig.diskSizeGb",
    "IMAGE_TYPES": "https://cloud.google.com/kubernetes-engine/docs/concepts/node-images",
    "SPARSE_ZONES": "https://github.com/keras-team/kinetic/issues/305",
    "TOO_SMALL": "https://cloud.google.com/kubernetes-engine/docs/how-to/creating-a-zonal-cluster; GKE's own words: "
    "Node pools of f1-micro machines are not supported due to insufficient memory.",
    "PROFILE_FAMILIES": "https://docs.cloud.google.com/kubernetes-engine/docs/how-to/allocate-network-resources-dra, "
    "https://github.com/GoogleCloudPlatform/cluster-toolkit modules/compute/gke-node-pool",
    "CONFIDENTIAL": "https://cloud.google.com/kubernetes-engine/docs/how-to/confidential-gke-nodes",
}
# Machines that GKE refuses for their memory.
TOO_SMALL = ("f1-micro", "g1-small")
# Families whose pools an accelerator network profile is for.
PROFILE_FAMILIES = ("a3", "a4", "a4x", "ct6e", "tpu7x")
# Families that can be confidential nodes.
CONFIDENTIAL = ("a3", "c2d", "c3", "c3d", "c4d", "n2d")


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine type. ``memory`` in GiB; ``tpu``: its node label; ``topology``: of a single host;
    ``nics``: additional interfaces that an accelerator network profile attaches."""

    name: str
    cpus: float
    memory: float
    tpu: str = ""
    chips: int = 0
    topology: str = ""
    gpu: str = ""
    gpus: int = 0
    nics: int = 0
    rdma: bool = False

    @property
    def family(self) -> str:
        """ "ct6e" of ct6e-standard-4t; the oldest custom machines are N1."""
        first = self.name.partition("-")[0]
        return "n1" if first == "custom" else first

    def is_in(self, zone: str) -> bool:
        """Whether the zone has this machine type."""
        if self.tpu:
            return zone in tpus.GENERATIONS[self.family].zones
        if self.gpu:
            return zone in accelerators.GPUS[self.gpu].zones
        return places.is_zone(zone) and self.family in SPARSE_ZONES.get(zone, (self.family,))


@dataclasses.dataclass(frozen=True)
class Family:
    """A series of predefined machines: shape -> (GiB per vCPU, numbers of vCPUs); ``custom``: any shape besides."""

    shapes: dict[str, tuple[float, tuple[int, ...]]]
    source: str
    quota: str = "CPUS"
    disks: tuple[str, ...] = PERSISTENT
    custom: bool = False


_MACHINES = "https://cloud.google.com/compute/docs/"
_GENERAL, _COMPUTE = f"{_MACHINES}general-purpose-machines", f"{_MACHINES}compute-optimized-machines"
_MEMORY, _STORAGE = f"{_MACHINES}memory-optimized-machines", f"{_MACHINES}storage-optimized-machines"
_N1 = (1, 2, 4, 8, 16, 32, 64, 96)
_N2 = (2, 4, 8, 16, 32, 48, 64, 80)
_N4 = (2, 4, 8, 16, 32, 48, 64, 80)
_C2D = (2, 4, 8, 16, 32, 56, 112)
_C3 = (4, 8, 22, 44, 88, 176)
_C3D = (4, 8, 16, 30, 60, 90, 180, 360)
_C4 = (2, 4, 8, 16, 24, 32, 48, 96, 144, 192, 288)
_C4A = (1, 2, 4, 8, 16, 32, 48, 64, 72)
_C4D = (2, 4, 8, 16, 32, 48, 64, 96, 192, 384)
_BOTH = (*PERSISTENT, *HYPERDISK)
FAMILIES = {
    "c2": Family({"standard": (4, (4, 8, 16, 30, 60))}, _COMPUTE, "C2_CPUS"),
    "c2d": Family({"standard": (4, _C2D), "highmem": (8, _C2D), "highcpu": (2, _C2D)}, _COMPUTE, "C2D_CPUS"),
    "c3": Family({"standard": (4, _C3), "highmem": (8, _C3), "highcpu": (2, _C3)}, _GENERAL, "C3_CPUS", _BOTH),
    "c3d": Family({"standard": (4, _C3D), "highmem": (8, _C3D), "highcpu": (2, _C3D)}, _GENERAL, disks=_BOTH),
    "c4": Family({"standard": (3.75, _C4), "highmem": (7.75, _C4), "highcpu": (2, _C4)}, _GENERAL, disks=HYPERDISK),
    "c4a": Family({"standard": (4, _C4A), "highmem": (8, _C4A), "highcpu": (2, _C4A)}, _GENERAL, disks=HYPERDISK),
    "c4d": Family(
        {"standard": (3.875, _C4D), "highmem": (7.875, _C4D), "highcpu": (1.875, _C4D)}, _GENERAL, disks=HYPERDISK
    ),
    "e2": Family(
        {"standard": (4, (2, 4, 8, 16, 32)), "highmem": (8, (2, 4, 8, 16)), "highcpu": (1, (2, 4, 8, 16, 32))},
        _GENERAL,
        custom=True,
    ),
    "h3": Family({"standard": (4, (88,))}, _COMPUTE, disks=("pd-balanced", *HYPERDISK)),
    "m1": Family({"ultramem": (24.025, (40, 80, 160)), "megamem": (14.93, (96,))}, _MEMORY, "M1_CPUS"),
    "m3": Family({"ultramem": (30.5, (32, 64, 128)), "megamem": (15.25, (64, 128))}, _MEMORY, "M3_CPUS", _BOTH),
    "n1": Family(
        {"standard": (3.75, _N1), "highmem": (6.5, _N1[1:]), "highcpu": (0.9, _N1[1:])}, _GENERAL, custom=True
    ),
    "n2": Family(
        {"standard": (4, (*_N2, 96, 128)), "highmem": (8, (*_N2, 96)), "highcpu": (1, (*_N2, 96))},
        _GENERAL,
        "N2_CPUS",
        custom=True,
    ),
    "n2d": Family(
        {"standard": (4, (*_N2, 96, 128, 224)), "highmem": (8, (*_N2, 96)), "highcpu": (1, (*_N2, 96, 128, 224))},
        _GENERAL,
        "N2D_CPUS",
        custom=True,
    ),
    "n4": Family(
        {"standard": (4, _N4), "highmem": (8, _N4), "highcpu": (2, _N4)}, _GENERAL, disks=HYPERDISK, custom=True
    ),
    "t2a": Family({"standard": (4, (1, 2, 4, 8, 16, 32, 48))}, _GENERAL, "T2A_CPUS"),
    "t2d": Family({"standard": (4, (1, 2, 4, 8, 16, 32, 48, 60))}, _GENERAL, "T2D_CPUS"),
    "z3": Family({"highmem": (8, (88, 176))}, _STORAGE, disks=_BOTH),
}
_SHARED_CORE = (
    Machine("e2-micro", 2, 1),
    Machine("e2-small", 2, 2),
    Machine("e2-medium", 2, 4),
    Machine("f1-micro", 1, 0.6),
    Machine("g1-small", 1, 1.7),
)
_ACCELERATED = (
    Machine("ct6e-standard-1t", 44, 176, "tpu-v6e-slice", 1, "1x1", nics=1),
    Machine("ct6e-standard-4t", 180, 720, "tpu-v6e-slice", 4, "2x2", nics=2),
    Machine("ct6e-standard-8t", 180, 1440, "tpu-v6e-slice", 8, "2x4", nics=2),
    Machine("ct5lp-hightpu-1t", 24, 48, "tpu-v5-lite-podslice", 1, "1x1"),
    Machine("ct5lp-hightpu-4t", 112, 192, "tpu-v5-lite-podslice", 4, "2x2"),
    Machine("ct5lp-hightpu-8t", 224, 384, "tpu-v5-lite-podslice", 8, "2x4"),
    Machine("ct5p-hightpu-4t", 208, 448, "tpu-v5p-slice", 4, "2x2x1"),
    Machine("ct4p-hightpu-4t", 240, 407, "tpu-v4-podslice", 4, "2x2x1"),
    Machine("tpu7x-standard-4t", 224, 960, "tpu7x", 4, "2x2x1", nics=2),
    Machine("g2-standard-4", 4, 16, gpu="nvidia-l4", gpus=1),
    Machine("g2-standard-8", 8, 32, gpu="nvidia-l4", gpus=1),
    Machine("g2-standard-12", 12, 48, gpu="nvidia-l4", gpus=1),
    Machine("g2-standard-16", 16, 64, gpu="nvidia-l4", gpus=1),
    Machine("g2-standard-24", 24, 96, gpu="nvidia-l4", gpus=2),
    Machine("g2-standard-32", 32, 128, gpu="nvidia-l4", gpus=1),
    Machine("g2-standard-48", 48, 192, gpu="nvidia-l4", gpus=4),
    Machine("g2-standard-96", 96, 384, gpu="nvidia-l4", gpus=8),
    Machine("a2-highgpu-1g", 12, 85, gpu="nvidia-tesla-a100", gpus=1),
    Machine("a2-highgpu-2g", 24, 170, gpu="nvidia-tesla-a100", gpus=2),
    Machine("a2-highgpu-4g", 48, 340, gpu="nvidia-tesla-a100", gpus=4),
    Machine("a2-highgpu-8g", 96, 680, gpu="nvidia-tesla-a100", gpus=8),
    Machine("a2-megagpu-16g", 96, 1360, gpu="nvidia-tesla-a100", gpus=16),
    Machine("a2-ultragpu-1g", 12, 170, gpu="nvidia-a100-80gb", gpus=1),
    Machine("a2-ultragpu-2g", 24, 340, gpu="nvidia-a100-80gb", gpus=2),
    Machine("a2-ultragpu-4g", 48, 680, gpu="nvidia-a100-80gb", gpus=4),
    Machine("a2-ultragpu-8g", 96, 1360, gpu="nvidia-a100-80gb", gpus=8),
    Machine("a3-highgpu-1g", 26, 234, gpu="nvidia-h100-80gb", gpus=1),
    Machine("a3-highgpu-2g", 52, 468, gpu="nvidia-h100-80gb", gpus=2),
    Machine("a3-highgpu-4g", 104, 936, gpu="nvidia-h100-80gb", gpus=4),
    Machine("a3-highgpu-8g", 208, 1872, gpu="nvidia-h100-80gb", gpus=8, nics=4),
    Machine("a3-edgegpu-8g", 208, 1872, gpu="nvidia-h100-80gb", gpus=8, nics=4),
    Machine("a3-megagpu-8g", 208, 1872, gpu="nvidia-h100-mega-80gb", gpus=8, nics=8),
    Machine("a3-ultragpu-8g", 224, 2952, gpu="nvidia-h200-141gb", gpus=8, nics=8, rdma=True),
    Machine("a4-highgpu-8g", 224, 3968, gpu="nvidia-b200", gpus=8, nics=8, rdma=True),
    Machine("a4x-highgpu-4g", 140, 884, gpu="nvidia-gb200", gpus=4, nics=4, rdma=True),
    Machine("a4x-maxgpu-4g-metal", 144, 960, gpu="nvidia-gb300", gpus=4, nics=8, rdma=True),
)
SOURCES |= {
    "_SHARED_CORE": _GENERAL,
    "_ACCELERATED": "https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus, "
    "https://cloud.google.com/compute/docs/accelerator-optimized-machines; NICs of TPU machines: not published",
}
# Disk types of the machines with accelerators; those that are not here take Persistent Disk.
_ACCELERATED_DISKS = {
    "ct6e": HYPERDISK,
    "tpu7x": HYPERDISK,
    "a3": _BOTH,
    "a4": HYPERDISK,
    "a4x": HYPERDISK,
    "g2": ("pd-balanced", "pd-ssd"),
}
_CUSTOM = re.compile(r"(?:([a-z]\d[a-z]?)-)?custom-(\d+)-(\d+)(?:-ext)?")


def _predefined() -> list[Machine]:
    return [
        Machine(f"{family}-{shape}-{cpus}", cpus, cpus * memory)
        for family, series in FAMILIES.items()
        for shape, (memory, sizes) in series.shapes.items()
        for cpus in sizes
    ]


# All that have a name of their own.
MACHINES = {machine.name: machine for machine in (*_SHARED_CORE, *_ACCELERATED, *_predefined())}


@functools.cache
def find(name: str) -> Machine | None:
    """The machine type with this name, also a custom one; None when there is none."""
    custom = _CUSTOM.fullmatch(name)
    if custom is None:
        return MACHINES.get(name)
    family, cpus, memory = custom[1] or "n1", int(custom[2]), int(custom[3])
    even = cpus == 1 or cpus % 2 == 0
    if family not in FAMILIES or not FAMILIES[family].custom or not cpus or not even or memory % 256:
        return None
    return Machine(name, cpus, memory / 1024)


def named(name: str) -> Machine:
    """The machine type that a pool names, GKE's default for "". Raises LookupError."""
    found = find(name or DEFAULT)
    if found is None:
        raise LookupError(f"there is no machine type {name}")
    return found


def disk_types(machine: Machine) -> tuple[str, ...]:
    """What its nodes can boot from, the default first."""
    disks = FAMILIES[machine.family].disks if machine.family in FAMILIES else None
    disks = disks or _ACCELERATED_DISKS.get(machine.family, PERSISTENT)
    return tuple(sorted(disks, key=lambda disk: disk != "pd-balanced"))


def in_zone(zone: str) -> list[Machine]:
    """The machine types that a zone has, by name."""
    return sorted((machine for machine in MACHINES.values() if machine.is_in(zone)), key=lambda machine: machine.name)
