# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual machines that the node pools of a cluster make: Nodes to Kubernetes, instances to compute.

Both sides name and number them by this file, so that they agree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
from collections.abc import Iterator, Sequence

from .catalogue.machines import find
from .interfaces import ClusterKey, Json

# The label of nodes whose pool has an accelerator network profile.
PROFILE_LABEL = "gke.networks.io/accelerator-network-profile"
LIVE = ("RUNNING", "RUNNING_WITH_ERROR", "RECONCILING")  # states of a node pool in which its instances are there


@dataclasses.dataclass(frozen=True)
class Instance:
    """One machine of a pool; ``address``: "" when the subnetwork has none left."""

    name: str
    pool: Json
    zone: str
    address: str


def base_name(cluster: str, pool: Json, zone: str) -> str:
    """What the names of a pool's instances in a zone begin with; within 58 characters."""
    machine = find((pool.get("config") or {}).get("machineType") or "")
    return f"gke-tpu-{_group(cluster, pool, zone)}" if machine and machine.tpu else _stem(cluster, pool, zone)


def group_name(cluster: str, pool: Json, zone: str) -> str:
    """The name of a pool's instance group in a zone, and of the manager of that."""
    return f"{_stem(cluster, pool, zone)}-grp"


def _stem(cluster: str, pool: Json, zone: str) -> str:
    stem = f"{cluster}-{pool['name']}"[:45].rstrip("-")
    return f"gke-{stem}-{_group(cluster, pool, zone)}"


def _group(cluster: str, pool: Json, zone: str) -> str:
    return _digest(cluster, pool["name"], zone)[:8]


def live_pools(cluster: Json) -> list[Json]:
    """The node pools whose instances run."""
    return [pool for pool in cluster.get("nodePools") or [] if pool.get("status", "RUNNING") in LIVE]


def instances(cluster: Json, key: ClusterKey, subnetworks: Sequence[Json] = ()) -> list[Instance]:
    """All machines of the cluster's running pools; ``subnetworks``: those of its network."""
    hosts = _hosts(cluster, key, subnetworks)
    made = []
    for pool in live_pools(cluster):
        for zone in zones(pool, cluster, key):
            for index in range(int(pool.get("initialNodeCount") or 0)):
                suffix = _digest(cluster["name"], pool["name"], zone, str(index))[8:12]
                name = f"{base_name(cluster['name'], pool, zone)}-{suffix}"
                made.append(Instance(name, pool, zone, next(hosts, "")))
    return made


def zones(pool: Json, cluster: Json, key: ClusterKey) -> list[str]:
    """The zones that a pool has instances in."""
    found: list[str] = pool.get("locations") or cluster.get("locations") or []
    return found or [key.location if key.location.count("-") == 2 else f"{key.location}-a"]


def _hosts(cluster: Json, key: ClusterKey, subnetworks: Sequence[Json]) -> Iterator[str]:
    """Addresses from the top of the node subnet: the compute API gives out reserved ones from its bottom."""
    name = (cluster.get("subnetwork") or "").rpartition("/")[2]
    for subnet in subnetworks:
        if subnet["name"] == name and (subnet.get("region") or key.region).rpartition("/")[2] == key.region:
            network = ipaddress.ip_network(subnet["ipCidrRange"])
            top = int(network.broadcast_address) - 2  # the last two are Google's own
            return (str(ipaddress.ip_address(top - n)) for n in range(network.num_addresses // 2))
    return iter(())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
