# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generations of TPUs: where they are, and of which machines slices of which topology are made."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Generation:
    """One generation, by the family of its machines.

    ``slices``: topologies of several hosts, of machines with four chips; None: all that follow the rule of three sides;
    ``quota``: the dimension tpu_family of the quota TPUS_PER_TPU_FAMILY, or the name of a quota of its own.
    """

    name: str
    label: str
    zones: tuple[str, ...]
    slices: tuple[str, ...] | None
    quota: str
    source: str
    flex_start_zones: tuple[str, ...] = ()


_ZONES = "https://docs.cloud.google.com/tpu/docs/regions-zones.md.txt, https://cloud.google.com/tpu/docs/types-zones"
_PLAN = "https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus"
_SQUARE = ("2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_V5E = ("europe-west4-b", "us-central1-a", "us-south1-a", "us-west1-c", "us-west4-a")
# Chips of a host that belongs to a larger slice.
CHIPS_PER_HOST = 4
LARGEST_SLICE = 9216  # chips
GENERATIONS = {
    "ct6e": Generation(
        "v6e",
        "tpu-v6e-slice",
        (
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
        _SQUARE,
        "TPUS_PER_TPU_FAMILY:CT6E",
        f"{_PLAN}; {_ZONES}; flex-start: https://docs.cloud.google.com/kubernetes-engine/docs/concepts/dws",
        ("asia-northeast1-b", "us-east5-a", "us-east5-b"),
    ),
    "ct5lp": Generation("v5e", "tpu-v5-lite-podslice", _V5E, _SQUARE, "TPU_LITE_PODSLICE_V5", f"{_PLAN}; {_ZONES}"),
    "ct5p": Generation(
        "v5p",
        "tpu-v5p-slice",
        ("europe-west4-b", "us-central1-a", "us-east5-a"),
        None,
        "TPUS_PER_TPU_FAMILY:CT5P",
        f"{_PLAN}; {_ZONES}",
    ),
    "ct4p": Generation("v4", "tpu-v4-podslice", ("us-central2-b",), None, "TPU_PODSLICE_V4", f"{_PLAN}; {_ZONES}"),
    "tpu7x": Generation(
        "tpu7x",
        "tpu7x",
        ("us-central1-c", "us-central1-ai1a"),
        None,
        "TPUS_PER_TPU_FAMILY:TPU7X",
        f"{_PLAN}; {_ZONES}",
    ),
}
SOURCES = {"CHIPS_PER_HOST": _PLAN, "LARGEST_SLICE": "https://docs.cloud.google.com/tpu/docs/tpu7x"}


def sides(topology: str) -> tuple[int, ...]:
    """ "2x4" -> (2, 4); () for what is no topology."""
    parts = topology.split("x")
    good = len(parts) in (2, 3) and all(part.isdigit() and 0 < int(part) <= LARGEST_SLICE for part in parts)
    return tuple(int(part) for part in parts) if good else ()


def chips(topology: str) -> int:
    """Chips of a slice, 0 for what is no topology."""
    return math.prod(sides(topology)) if sides(topology) else 0


def is_slice(generation: Generation, topology: str) -> bool:
    """Whether there are slices of several hosts with this topology."""
    if generation.slices is not None:
        return topology in generation.slices
    found = sides(topology)
    # A <= B <= C, each 1, 2, 4 or a multiple of 4 (plan-tpus).
    regular = len(found) == 3 and tuple(sorted(found)) == found
    regular = regular and all(side in (1, 2) or side % 4 == 0 for side in found)
    return regular and CHIPS_PER_HOST < chips(topology) <= LARGEST_SLICE


def hosts(topology: str) -> int:
    """Nodes of a slice of several hosts."""
    return chips(topology) // CHIPS_PER_HOST
