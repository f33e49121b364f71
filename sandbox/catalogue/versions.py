# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions of GKE that the release channels offer."""

from __future__ import annotations

import re

# Channel -> versions that it offers, the default first.
VERSIONS = {
    "RAPID": (
        "1.35.6-gke.1127000",
        "1.35.5-gke.1241004",
        "1.35.2-gke.1842000",
        "1.34.1-gke.2037000",
        "1.34.1-gke.1829001",
        "1.33.5-gke.1162000",
    ),
    "REGULAR": ("1.35.6-gke.1127000", "1.35.5-gke.1241004", "1.33.5-gke.1162000"),
    "STABLE": ("1.34.8-gke.1278000", "1.33.5-gke.1162000", "1.32.9-gke.1108000"),
    "EXTENDED": (
        "1.34.8-gke.1278000",
        "1.35.5-gke.1241004",
        "1.33.5-gke.1162000",
        "1.32.9-gke.1108000",
        "1.30.5-gke.1014001",
    ),
}
# Feature -> the first version that has it.
FIRST = {
    "managed DRANET": "1.34.1-gke.1829001",
    "tpu7x": "1.34.0-gke.2201000",
    "flex-start on TPU v6e": "1.33.0-gke.1712000",
}
# Nodes may be this many minor versions older than their control plane; one with automatic upgrades.
OLDEST_NODES = 2
OLDEST_UPGRADED_NODES = 1
SOURCES = {
    "VERSIONS": "recorded container/cluster-1.35-* and node-pool-1.35-*; the shape of "
    "https://cloud.google.com/kubernetes-engine/docs/release-notes, a choice of versions of our own",
    "FIRST": "https://docs.cloud.google.com/kubernetes-engine/docs/how-to/allocate-network-resources-dra, "
    "https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus, "
    "https://docs.cloud.google.com/kubernetes-engine/docs/concepts/dws",
    "OLDEST_NODES": "https://cloud.google.com/kubernetes-engine/versioning#version_skew",
    "OLDEST_UPGRADED_NODES": "https://github.com/hashicorp/terraform-provider-google/issues/21116",
}


def key(version: str) -> tuple[int, ...]:
    """ "1.34.1-gke.1829001" -> (1, 34, 1, 1829001)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def minor(version: str) -> int:
    """ "1.34.1-gke.1829001" -> 34."""
    return key(version)[1]


def offered(channel: str) -> tuple[str, ...]:
    """What a channel offers, its default first; without a channel, all that any offers, REGULAR's default first."""
    if channel in VERSIONS:
        return VERSIONS[channel]
    every = {version for many in VERSIONS.values() for version in many}
    default = VERSIONS["REGULAR"][0]
    return (default, *sorted(every - {default}, key=key, reverse=True))


def find(channel: str, wanted: str) -> str | None:
    """The version that "", "-", "latest", a prefix ("1.34") or a full version names; None when it names none."""
    known = offered(channel)
    if wanted in ("", "-"):
        return known[0]
    order = sorted(known, key=key, reverse=True)
    if wanted == "latest":
        return order[0]
    if wanted in order:
        return wanted
    return next((version for version in order if version.startswith((f"{wanted}.", f"{wanted}-"))), None)
