# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas: how much of what a project may have in a region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from . import accelerators, machines, places, tpus
from .machines import Machine

DEFAULT_CPUS = 4800.0
DEFAULT_ACCELERATORS = 256.0
# Where a quota is asked of each of a machine's accelerators: "METRIC" or "METRIC:the value of its only dimension".
DIMENSIONS = {"TPUS_PER_TPU_FAMILY": "tpu_family", "GPUS_PER_GPU_FAMILY": "gpu_family"}
SOURCES = {
    "DEFAULT_CPUS": "generous enough for everything that is shown here; Google's depend on the project",
    "DEFAULT_ACCELERATORS": "as above; a new project of Google's has 0, https://cloud.google.com/tpu/docs/v6e-intro",
    "DIMENSIONS": "https://cloud.google.com/compute/resource-usage#gpu_quota, "
    "https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus#ensure-quota",
}


class BadQuotas(ValueError):
    """A file of quotas that says something that there is not; the message names it."""


def metrics() -> tuple[str, ...]:
    """All that a project has quotas of."""
    cpus = {family.quota for family in machines.FAMILIES.values()}
    chips = {generation.quota for generation in tpus.GENERATIONS.values()}
    return tuple(sorted(cpus | chips | {gpu.quota for gpu in accelerators.GPUS.values()}))


def needs(machine: Machine, attached: Mapping[str, int]) -> dict[str, float]:
    """Metric -> how much of it one instance takes; ``attached``: GPUs that the machine is not built with."""
    if machine.tpu:
        return {tpus.GENERATIONS[machine.family].quota: machine.chips}
    wanted: dict[str, float] = {}
    if machine.gpu:
        wanted[accelerators.GPUS[machine.gpu].quota] = machine.gpus
    else:
        family = machines.FAMILIES.get(machine.family, machines.FAMILIES["n1"])
        wanted[family.quota] = machine.cpus
        wanted |= {accelerators.GPUS[name].quota: count for name, count in attached.items()}
    return wanted


class Quotas:
    """The limits in force: ``overrides`` is region (or "*") -> metric -> limit. Raises BadQuotas."""

    def __init__(self, overrides: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self._overrides = overrides or {}
        for region, limits in self._overrides.items():
            if region != "*" and region not in places.REGIONS:
                raise BadQuotas(f"there is no region {region!r}")
            for metric, limit in limits.items():
                if metric not in metrics():
                    raise BadQuotas(f"there is no quota {metric!r}; there are: {', '.join(metrics())}")
                if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0:
                    raise BadQuotas(f"{metric}: {limit!r} is no limit")

    @classmethod
    def read(cls, path: Path) -> Quotas:
        """From a JSON file: {"us-east5": {"TPUS_PER_TPU_FAMILY:CT6E": 4}, "*": {"CPUS": 64}}.

        Raises BadQuotas, OSError.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadQuotas(f"{path} is no JSON: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(limits, dict) for limits in found.values()):
            raise BadQuotas(f"{path} is no object of regions")
        return cls(found)

    def limit(self, region: str, metric: str) -> float:
        for place in (region, "*"):
            if metric in self._overrides.get(place, {}):
                return float(self._overrides[place][metric])
        return DEFAULT_CPUS if metric.endswith("CPUS") else DEFAULT_ACCELERATORS
