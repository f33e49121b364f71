# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Machines with TPUs and what a node pool of them may look like (facts of Google's "Plan TPUs in GKE")."""

from __future__ import annotations

import dataclasses
import math
import re

# Machine families whose NICs managed DRANET hands out.
DRANET_FAMILIES = ("a3-", "a4-", "a4x-", "ct6e-", "tpu7x-")


@dataclasses.dataclass(frozen=True)
class TpuMachine:
    """``chips`` per VM; ``larger``: slices of several hosts (None: there are none; empty: the list is not public)."""

    chips: int
    single_host: str
    larger: tuple[str, ...] | None = None


TPU_MACHINES = {
    "ct6e-standard-1t": TpuMachine(1, "1x1"),
    "ct6e-standard-4t": TpuMachine(4, "2x2", ("2x4", "4x4", "4x8", "8x8", "8x16", "16x16")),
    "ct6e-standard-8t": TpuMachine(8, "2x4"),
    "ct5lp-hightpu-1t": TpuMachine(1, "1x1"),
    "ct5lp-hightpu-4t": TpuMachine(4, "2x2", ("2x4", "4x4", "4x8", "8x8", "8x16", "16x16")),
    "ct5lp-hightpu-8t": TpuMachine(8, "2x4"),
    "ct5p-hightpu-4t": TpuMachine(4, "2x2x1", ()),
    "tpu7x-standard-4t": TpuMachine(4, "2x2x1", ()),
}


def is_tpu(machine_type: str | None) -> bool:
    """By family, so that machines newer than the table count too."""
    return bool(re.match(r"(ct|tpu)\d", machine_type or ""))


def topology_problem(machine_type: str, topology: str) -> str | None:
    """What is wrong with asking for this topology on this machine; None when nothing is."""
    machine = TPU_MACHINES.get(machine_type)
    if machine is None:
        return None if is_tpu(machine_type) else f"leave it out: {machine_type or 'the machine type'} has no TPU"
    if topology == machine.single_host:
        return (
            f"leave it out: {topology} is a single {machine_type} host, "
            "and a node pool of single hosts takes no topology; Pods select it by cloud.google.com/gke-tpu-topology"
        )
    if machine.larger is None:
        return f"leave it out: {machine_type} comes as single hosts ({machine.single_host}) only"
    if machine.larger and topology not in machine.larger:
        return f"give one of {', '.join(machine.larger)} for {machine_type}"
    size = chips(topology)
    if size is None or size % machine.chips or size <= machine.chips:
        return f"give a slice of whole hosts of {machine.chips} chips, larger than {machine.single_host}"
    return None


def chips(topology: str) -> int | None:
    """Chips of a slice: 2x4 is 8; None for what is no topology."""
    sides = topology.split("x")
    if len(sides) not in (2, 3) or not all(side.isdigit() and int(side) for side in sides):
        return None
    return math.prod(map(int, sides))


def hosts(machine_type: str, topology: str) -> int | None:
    """How many nodes one slice takes; None when the machine is unknown."""
    machine, size = TPU_MACHINES.get(machine_type), chips(topology)
    return size // machine.chips if machine and size else None
