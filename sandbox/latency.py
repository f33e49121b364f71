# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long Google takes, per kind of work, and how much faster the sandbox is.

Only the control plane is scaled. The data plane (health checks, connection
timeouts, the removal of an endpoint from a load balancer) runs in real time:
a recovery time measured here must not be flattered by the scale.
"""

from __future__ import annotations

import dataclasses

# Seconds on Google, rounded from public statements and experience.
GOOGLE: dict[str, float] = {
    "service_enable": 30,
    "network_insert": 20,
    "subnetwork_insert": 20,
    "firewall_insert": 10,
    "address_insert": 5,
    "router_insert": 10,
    "compute_patch": 10,
    "compute_delete": 15,
    "cluster_create": 480,
    "cluster_update": 120,
    "cluster_delete": 240,
    "node_pool_create": 120,
    "tpu_node_pool_create": 300,
    "node_pool_update": 120,
    "node_pool_delete": 120,
    "node_monitor_grace": 50,  # Kubernetes 1.32 and later: --node-monitor-grace-period
    "node_repair": 600,  # GKE, Auto-repair nodes: a node that has not been ready for about ten minutes
    "node_boot": 120,
    "workload_identity_pool": 60,
    "membership_create": 30,
    "membership_delete": 20,
    "feature_create": 60,
    "feature_membership_ok": 60,
    "feature_delete": 30,
    "gateway_classes": 180,
    "pool_import": 60,
    "gateway_program": 420,
    "endpoint_attach": 60,
    "image_pull": 60,
    "model_download": 300,
    "model_load": 600,
}

# Seconds in the data plane, never scaled.
ENDPOINT_DETACH = 10.0

DEFAULT_SCALE = 0.01


@dataclasses.dataclass(frozen=True)
class Latency:
    """Scaled latencies: 1.0 is what Google takes."""

    scale: float = DEFAULT_SCALE

    def of(self, kind: str) -> float:
        """Seconds that work of this kind takes here. Raises KeyError for a kind that the table lacks."""
        return GOOGLE[kind] * self.scale
