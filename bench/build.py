# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How near the first build comes to the longest chain of things that must happen one after the other."""

from __future__ import annotations

import argparse
import functools
import sys
import typing as t

from sandbox.latency import Latency

from .estates import play, running
from .report import spread

SCALE = 0.1

# Step -> (what of sandbox.latency it takes, the steps that must have ended before).
# Only dependencies of Google's: what a playbook waits for besides is what is measured.
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "APIs": ("service_enable", ()),
    "VPC": ("network_insert", ("APIs",)),
    "node subnet": ("subnetwork_insert", ("VPC",)),
    "cluster": ("cluster_create", ("node subnet",)),
    "identity pool": ("workload_identity_pool", ("cluster",)),
    "download image": ("image_pull", ("identity pool",)),
    "weights": ("model_download", ("download image",)),
    "TPU pool": ("tpu_node_pool_create", ("cluster",)),
    "vLLM image": ("image_pull", ("TPU pool",)),
    "model": ("model_load", ("weights", "vLLM image")),
    "endpoints": ("endpoint_attach", ("model", "import")),
    "membership": ("membership_create", ("cluster",)),
    "feature": ("feature_create", ("membership",)),
    "gateway classes": ("gateway_classes", ("feature",)),
    "import": ("pool_import", ("feature",)),
    "gateway": ("gateway_program", ("gateway classes", "import")),
}


def critical_path(latency: Latency) -> tuple[float, list[str]]:
    """Seconds, and the steps that make them."""

    @functools.cache
    def ended(step: str) -> tuple[float, tuple[str, ...]]:
        kind, needs = STEPS[step]
        before, way = max((ended(need) for need in needs), default=(0.0, ()))
        return before + latency.of(kind), (*way, step)

    seconds, way = max(ended(step) for step in STEPS)
    return seconds, list(way)


def measure(options: argparse.Namespace) -> dict[str, t.Any]:
    longest, way = critical_path(Latency(SCALE))
    rows = {}
    for regions in options.regions:
        seconds = []
        for _unused in range(options.builds):
            with running(regions, SCALE) as found:
                seconds.append(play(found, "site.yml").seconds)
                print(f"bench: {regions} regions in {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
        rows[str(regions)] = {
            "seconds": spread(seconds),
            "by_critical_path": spread([one / longest for one in seconds]),
        }
    return {"scale": SCALE, "critical_path_seconds": longest, "critical_path": way, "regions": rows}
