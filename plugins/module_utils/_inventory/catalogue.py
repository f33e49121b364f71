# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What Google sells where, as far as this release knows; an estate adds what is newer (Estate.zones).

A place that is not in here is refused, since most such places are misspelt and nobody notices before the subnets are
made. So that nobody has to wait for a release of ours, the message names the variable that adds a place.

Sources, read in November 2026: regions and zones https://cloud.google.com/compute/docs/regions-zones; zones of TPUs
https://docs.cloud.google.com/tpu/docs/regions-zones and https://cloud.google.com/tpu/docs/types-zones (with its
single-tenant zones, which need Google's account team); TPU machines and topologies "Plan TPUs in GKE"; GPU machines
https://cloud.google.com/compute/docs/accelerator-optimized-machines. Zones of GPUs change by the month and are not
judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .._gke.machines import TPU_MACHINES, is_tpu

# Region -> letters of its zones.
REGIONS = {
    **dict.fromkeys(
        (
            "africa-south1",
            *(f"asia-east{number}" for number in (1, 2)),
            *(f"asia-northeast{number}" for number in (1, 2, 3)),
            *(f"asia-south{number}" for number in (1, 2)),
            *(f"asia-southeast{number}" for number in (1, 2)),
            *(f"australia-southeast{number}" for number in (1, 2)),
            "europe-central2",
            *(f"europe-north{number}" for number in (1, 2)),
            "europe-southwest1",
            *(f"europe-west{number}" for number in (2, 3, 4, 6, 8, 9, 10, 12)),
            *(f"me-central{number}" for number in (1, 2)),
            "me-west1",
            *(f"northamerica-northeast{number}" for number in (1, 2)),
            "northamerica-south1",
            "southamerica-east1",
            "southamerica-west1",
            *(f"us-east{number}" for number in (4, 5)),
            "us-south1",
            *(f"us-west{number}" for number in (1, 2, 3, 4)),
        ),
        "abc",
    ),
    "europe-west1": "bcd",
    "us-central1": "abcf",
    "us-central2": "b",
    "us-east1": "bcd",
}
# Zones beside the ordinary ones that have accelerators and little else; regional clusters do not spread over them.
AI_ZONES = ("us-central1-ai1a", "us-central1-ai1b", "us-south1-ai1b")

# Family -> zones that sell it. Families that are not here are sold in many zones, or nobody publishes where.
SOLD_IN = {
    "ct6e-": (
        "asia-northeast1-b",
        "europe-west4-a",
        "us-central1-b",
        "us-central1-ai1a",
        "us-east1-d",
        "us-east5-a",
        "us-east5-b",
        "us-south1-ai1b",
        # Single tenant.
        "us-east4-a",
        "us-east4-b",
        "us-east5-c",
        "us-west1-c",
        # Reported by users, not in Google's list when it was read.
        "asia-south1-b",
        "asia-southeast1-b",
        "southamerica-west1-a",
    ),
    "tpu7x-": ("us-central1-c", "us-central1-ai1a"),
    "ct4p-": ("us-central2-b",),
}

# GPUs that a machine is built with; n1 machines take theirs from the pool's option accelerators.
GPUS = {
    **{f"a2-highgpu-{count}g": ("nvidia-tesla-a100", count) for count in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("nvidia-tesla-a100", 16),
    **{f"a2-ultragpu-{count}g": ("nvidia-a100-80gb", count) for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": ("nvidia-h100-80gb", count) for count in (1, 2, 4, 8)},
    "a3-edgegpu-8g": ("nvidia-h100-80gb", 8),
    "a3-megagpu-8g": ("nvidia-h100-mega-80gb", 8),
    "a3-ultragpu-8g": ("nvidia-h200-141gb", 8),
    "a4-highgpu-8g": ("nvidia-b200", 8),
    "a4x-highgpu-4g": ("nvidia-gb200", 4),
    "a4x-maxgpu-4g-metal": ("nvidia-gb300", 4),
    **{f"g2-standard-{cpus}": ("nvidia-l4", count) for cpus, count in ((4, 1), (8, 1), (12, 1), (16, 1), (32, 1))},
    **{f"g2-standard-{cpus}": ("nvidia-l4", count) for cpus, count in ((24, 2), (48, 4), (96, 8))},
}
GPU_FAMILIES = ("a2-", "a3-", "a4-", "a4x-", "g2-")

# The node label cloud.google.com/gke-tpu-accelerator of a family.
TPU_LABELS = {
    "ct6e-": "tpu-v6e-slice",
    "ct5lp-": "tpu-v5-lite-podslice",
    "ct5l-": "tpu-v5-lite-device",
    "ct5p-": "tpu-v5p-slice",
    "ct4p-": "tpu-v4-podslice",
    "tpu7x-": "tpu7x",
}

# A bucket may also lie in a multi-region or a pair (https://cloud.google.com/storage/docs/locations).
BUCKET_LOCATIONS = ("US", "EU", "ASIA", "NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1")

_MACHINE = re.compile(r"[a-z][a-z0-9]*-[a-z0-9]+(-[a-z0-9]+)*")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")

Extra = Mapping[str, Sequence[str]]


def region_of(location: str) -> str:
    """us-east5-b -> us-east5; a region is its own."""
    return location if _REGION.fullmatch(location) else location.rpartition("-")[0]


def is_zone(location: str) -> bool:
    return not _REGION.fullmatch(location)


def regions(extra: Extra) -> set[str]:
    return {*REGIONS, *map(region_of, extra)}


def zones(region: str, extra: Extra) -> list[str]:
    """Zones of a region, also those that a cluster does not spread over by itself."""
    known = [f"{region}-{letter}" for letter in REGIONS.get(region, "")]
    return [*known, *(zone for zone in (*AI_ZONES, *extra) if region_of(zone) == region and zone not in known)]


def sells(zone: str, machine: str, extra: Extra) -> bool:
    """Whether the zone has that machine, as far as anybody knows."""
    if machine.startswith(tuple(extra.get(zone, ())) or ("\0",)):
        return True
    family = next((family for family in SOLD_IN if machine.startswith(family)), None)
    return family is None or zone in SOLD_IN[family]


def sellers(machine: str) -> tuple[str, ...]:
    """The zones that have it; empty when it is not known where it is sold."""
    return next((where for family, where in SOLD_IN.items() if machine.startswith(family)), ())


def machines(extra: Extra) -> set[str]:
    """Accelerator machines by name."""
    return {*TPU_MACHINES, *GPUS, *(machine for named in extra.values() for machine in named)}


def is_machine(machine: str, extra: Extra) -> bool:
    """Whether there may be such a machine type: accelerators by name, the others by their form."""
    if machine in machines(extra) or any(machine.startswith(tuple(named) or ("\0",)) for named in extra.values()):
        return True
    if machine.startswith(("ct5l-", "ct4p-")):
        return True
    return not is_tpu(machine) and not machine.startswith(GPU_FAMILIES) and bool(_MACHINE.fullmatch(machine))
