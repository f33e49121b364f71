# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HealthCheckPolicy and GCPBackendPolicy: what they change about a backend. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sandbox.client import POOL_IMPORTS
from sandbox.interfaces import ClusterKey, Endpoint, HealthCheck, Json

from .gateway import Fault, Key

DEFAULT_TIMEOUT = 30.0
_HTTP = {"HTTP": "httpHealthCheck", "HTTPS": "httpsHealthCheck", "HTTP2": "http2HealthCheck"}


def target(policy: Json) -> Key | None:
    """The import that the policy is about, or None when it is about something else."""
    reference = policy["spec"].get("targetRef") or {}
    if (reference.get("group"), reference.get("kind")) != (POOL_IMPORTS.group, POOL_IMPORTS.kind):
        return None
    return reference.get("namespace", policy["metadata"]["namespace"]), reference["name"]


def effective(policies: Sequence[Json]) -> dict[Key, Json]:
    """Import -> the policy that counts: of several, the oldest."""
    chosen: dict[Key, Json] = {}
    for policy in sorted(policies, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"])):
        key = target(policy)
        if key is not None and key[0] == policy["metadata"]["namespace"]:
            chosen.setdefault(key, policy)
    return chosen


def fault(policy: Json, chosen: dict[Key, Json], imports: Collection[Key]) -> Fault | None:
    """Why the policy is not attached."""
    key = target(policy)
    if key is None:
        return None
    if key not in imports:
        return Fault("Attached", "TargetNotFound", f'{POOL_IMPORTS.kind} "{key[0]}/{key[1]}" not found')
    counts = chosen.get(key)
    if counts is None or counts["metadata"]["uid"] != policy["metadata"]["uid"]:
        other = counts["metadata"]["name"] if counts else ""
        return Fault("Attached", "Conflicted", f'conflicts with policy "{other}" of the same target, which is older')
    return None


def health_check(policy: Json | None) -> HealthCheck:
    """The health check that the policy asks for; Google's defaults where it is silent (5 s, 5 s, 2, 2, path /)."""
    default = ((policy or {}).get("spec") or {}).get("default") or {}
    config = default.get("config") or {}
    detail = config.get(_HTTP.get(config.get("type", "HTTP"), "httpHealthCheck")) or {}
    fixed = detail.get("portSpecification", "USE_FIXED_PORT") == "USE_FIXED_PORT"
    return HealthCheck(
        path=detail.get("requestPath") or "/",
        port=detail.get("port") if fixed else None,
        interval=float(default.get("checkIntervalSec", 5)),
        timeout=float(default.get("timeoutSec", 5)),
        healthy_threshold=int(default.get("healthyThreshold", 2)),
        unhealthy_threshold=int(default.get("unhealthyThreshold", 2)),
    )


def timeout(policy: Json | None) -> float:
    """Seconds until the load balancer gives a request up."""
    default = ((policy or {}).get("spec") or {}).get("default") or {}
    return float(default.get("timeoutSec", DEFAULT_TIMEOUT))


def drained(policy: Json | None, endpoint: Endpoint, cluster: ClusterKey) -> bool:
    """Whether the policy takes all capacity from the endpoint (capacityScalerPercent 0), by default or by scope."""
    default = ((policy or {}).get("spec") or {}).get("default") or {}
    labels = {
        "gke.io/zone": endpoint.zone,
        "gke.io/region": endpoint.region,
        "gke.io/cluster-name": cluster.name,
    }
    for scope in default.get("scopes") or []:
        if (scope.get("selector") or {}).items() <= labels.items():
            return scope.get("capacityScalerPercent", default.get("capacityScalerPercent", 100)) == 0
    return bool(default.get("capacityScalerPercent", 100) == 0)
