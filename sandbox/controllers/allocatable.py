# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What GKE leaves of a Node to its Pods.

Source: https://cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes
"""

from __future__ import annotations


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
