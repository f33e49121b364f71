# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas of a project and the words in which GKE says that one is exceeded."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from ...catalogue.places import region_of
from ...catalogue.quotas import DIMENSIONS, Quotas
from ...interfaces import Json
from ..errors import Refusal, no_permission
from ..store import Project
from ..usage import of_pool, used


def check_quota(quotas: Quotas, project: Project, pools: Sequence[Json]) -> None:
    """Raises Refusal 403 when these pools, of one cluster, take more than there is.

    Words: github.com/GoogleCloudPlatform/cloud-ops-sandbox issue 44, googlecodelabs/feedback issue 950.
    """
    if not pools:
        return
    region = region_of(pools[0]["locations"][0])
    wanted: dict[str, float] = collections.defaultdict(float)
    for pool in pools:
        for metric, amount in of_pool(pool, int(pool["initialNodeCount"])).items():
            if _before(metric):
                wanted[metric] += amount
    before = used(project, region, without=[pool["selfLink"] for pool in pools])
    short = []
    for metric, amount in sorted(wanted.items()):
        limit = quotas.limit(region, metric)
        free = max(limit - before.get(metric, 0.0), 0.0)
        if amount > free:
            short.append(
                f'nsufficient regional quota to satisfy request: resource "{metric.partition(":")[0]}": request '
                f"requires '{amount:.1f}' and is short '{amount - free:.1f}'. project has a quota of '{limit:.1f}' "
                f"with '{free:.1f}' available. View and manage quotas at "
                f"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={project.id}."
            )
    if len(short) == 1:
        raise no_permission(f"I{short[0]}")
    if short:
        raise no_permission("".join(f"\n\t({number}) i{text}" for number, text in enumerate(short, 1)))


def _before(metric: str) -> bool:
    """Whether GKE looks before it starts: quotas with a dimension are Compute Engine's to find exceeded."""
    return metric.partition(":")[0] not in DIMENSIONS


def check_tpus(quotas: Quotas, project: Project, pool: Json) -> None:
    """What the work of getting machines ends in. Raises Refusal.

    Words: Compute Engine's, https://cloud.google.com/compute/resource-usage; public reports for TPUS_PER_TPU_FAMILY.
    """
    region = region_of(pool["locations"][0])
    before = used(project, region, without=[pool["selfLink"]])
    for metric, amount in of_pool(pool, int(pool["initialNodeCount"])).items():
        limit, (name, _unused, family) = quotas.limit(region, metric), metric.partition(":")
        if _before(metric) or before.get(metric, 0.0) + amount <= limit:
            continue
        raise Refusal(
            "RESOURCE_EXHAUSTED",
            f"Google Compute Engine: Quota '{name}' exceeded.  Limit: {limit:.1f} in region {region}.\n"
            f"\tmetric name = compute.googleapis.com/{name.lower()}\n"
            f"\tlimit name = {name.replace('_', '-')}-per-project-region\n\tlimit = {limit:.1f}\n"
            f"\tdimensions = region: {region}, {DIMENSIONS[name]}: {family}\n",
            reason="GCE_QUOTA_EXCEEDED",
        )
