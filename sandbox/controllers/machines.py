# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's machine types: what a Node of each has. Numbers from the public machine family pages."""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Machine:
    """``memory`` in GiB; ``nics``: additional interfaces that an accelerator network profile attaches."""

    cpus: float
    memory: float
    tpu: str = ""  # cloud.google.com/gke-tpu-accelerator
    chips: int = 0
    topology: str = ""  # of a single-host slice
    gpu: str = ""  # cloud.google.com/gke-accelerator
    gpus: int = 0
    nics: int = 0
    rdma: bool = False


_SPECIAL = {
    "ct6e-standard-1t": Machine(44, 176, "tpu-v6e-slice", 1, "1x1", nics=1),
    "ct6e-standard-4t": Machine(180, 720, "tpu-v6e-slice", 4, "2x2", nics=2),
    "ct6e-standard-8t": Machine(180, 1440, "tpu-v6e-slice", 8, "2x4", nics=2),
    "ct5lp-hightpu-1t": Machine(24, 48, "tpu-v5-lite-podslice", 1, "1x1"),
    "ct5lp-hightpu-4t": Machine(112, 192, "tpu-v5-lite-podslice", 4, "2x2"),
    "ct5lp-hightpu-8t": Machine(224, 384, "tpu-v5-lite-podslice", 8, "2x4"),
    "ct5p-hightpu-4t": Machine(208, 448, "tpu-v5p-slice", 4, "2x2x1"),
    "tpu7x-standard-4t": Machine(224, 960, "tpu7x", 4, "2x2x1", nics=2),
    "g2-standard-4": Machine(4, 16, gpu="nvidia-l4", gpus=1),
    "g2-standard-8": Machine(8, 32, gpu="nvidia-l4", gpus=1),
    "g2-standard-12": Machine(12, 48, gpu="nvidia-l4", gpus=1),
    "g2-standard-16": Machine(16, 64, gpu="nvidia-l4", gpus=1),
    "g2-standard-24": Machine(24, 96, gpu="nvidia-l4", gpus=2),
    "g2-standard-32": Machine(32, 128, gpu="nvidia-l4", gpus=1),
    "g2-standard-48": Machine(48, 192, gpu="nvidia-l4", gpus=4),
    "g2-standard-96": Machine(96, 384, gpu="nvidia-l4", gpus=8),
    "a2-highgpu-1g": Machine(12, 85, gpu="nvidia-tesla-a100", gpus=1),
    "a2-highgpu-2g": Machine(24, 170, gpu="nvidia-tesla-a100", gpus=2),
    "a2-highgpu-4g": Machine(48, 340, gpu="nvidia-tesla-a100", gpus=4),
    "a2-highgpu-8g": Machine(96, 680, gpu="nvidia-tesla-a100", gpus=8),
    "a2-megagpu-16g": Machine(96, 1360, gpu="nvidia-tesla-a100", gpus=16),
    "a2-ultragpu-1g": Machine(12, 170, gpu="nvidia-a100-80gb", gpus=1),
    "a2-ultragpu-2g": Machine(24, 340, gpu="nvidia-a100-80gb", gpus=2),
    "a2-ultragpu-4g": Machine(48, 680, gpu="nvidia-a100-80gb", gpus=4),
    "a2-ultragpu-8g": Machine(96, 1360, gpu="nvidia-a100-80gb", gpus=8),
    "a3-highgpu-1g": Machine(26, 234, gpu="nvidia-h100-80gb", gpus=1),
    "a3-highgpu-2g": Machine(52, 468, gpu="nvidia-h100-80gb", gpus=2),
    "a3-highgpu-4g": Machine(104, 936, gpu="nvidia-h100-80gb", gpus=4),
    "a3-highgpu-8g": Machine(208, 1872, gpu="nvidia-h100-80gb", gpus=8, nics=4),
    "a3-megagpu-8g": Machine(208, 1872, gpu="nvidia-h100-mega-80gb", gpus=8, nics=8),
    "a3-ultragpu-8g": Machine(224, 2952, gpu="nvidia-h200-141gb", gpus=8, nics=8, rdma=True),
    "a4-highgpu-8g": Machine(224, 3968, gpu="nvidia-b200", gpus=8, nics=8, rdma=True),
    "a4x-highgpu-4g": Machine(140, 884, gpu="nvidia-gb200", gpus=4, nics=4, rdma=True),
    "a4x-maxgpu-4g-metal": Machine(144, 960, gpu="nvidia-gb300", gpus=4, nics=8, rdma=True),
    "e2-micro": Machine(2, 1),
    "e2-small": Machine(2, 2),
    "e2-medium": Machine(2, 4),
    "f1-micro": Machine(1, 0.6),
    "g1-small": Machine(1, 1.7),
}

# GiB per vCPU of the predefined shapes.
_MEMORY_PER_CPU = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0, "ultramem": 24.0, "megamem": 15.0}
_EXCEPTIONS = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n1", "highcpu"): 0.9,
    ("c2", "standard"): 4.0,
    ("c3", "highcpu"): 2.0,
    ("c4", "standard"): 3.75,
    ("c4", "highmem"): 7.75,
    ("c4", "highcpu"): 2.0,
    ("n4", "highcpu"): 2.0,
}

_PREDEFINED = re.compile(r"([a-z]\d[a-z]?)-(standard|highmem|highcpu|ultramem|megamem)-(\d+)")
_CUSTOM = re.compile(r"(?:([a-z]\d[a-z]?)-)?custom-(\d+)-(\d+)(?:-ext)?")


def machine(name: str) -> Machine:
    """The machine of this type; a name of no known form counts as e2-medium, GKE's default."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    if match := _PREDEFINED.fullmatch(name):
        family, shape, cpus = match.group(1), match.group(2), int(match.group(3))
        return Machine(cpus, cpus * _EXCEPTIONS.get((family, shape), _MEMORY_PER_CPU[shape]))
    if match := _CUSTOM.fullmatch(name):
        return Machine(int(match.group(2)), int(match.group(3)) / 1024)
    return _SPECIAL["e2-medium"]


def allocatable_cpu(cpus: float) -> float:
    """What GKE leaves to Pods: it reserves 6 % of the first core, 1 % of the second, 0.5 % of two more, 0.25 %."""
    reserved, rest = 0.0, cpus
    for cores, share in ((1, 0.06), (1, 0.01), (2, 0.005), (float("inf"), 0.0025)):
        part = min(rest, cores)
        reserved += part * share
        rest -= part
    return cpus - reserved


def allocatable_memory(memory: float) -> float:
    """GiB left to Pods: 25 % of the first 4 GiB, 20 % of 4 more, 10 % of 8, 6 % of 112, 2 % beyond, 100 MiB go."""
    reserved, rest = 100 / 1024, memory
    for size, share in ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (float("inf"), 0.02)):
        part = min(rest, size)
        reserved += part * share
        rest -= part
    return max(memory - reserved, 0.0)
