# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Numbers and their bounds, and how they must stand to each other.

Sources: MTU https://cloud.google.com/vpc/docs/mtu; health checks, time-outs and percentages the schemas of
HealthCheckPolicy and GCPBackendPolicy (networking.gke.io/v1); priorities are int32 of Kubernetes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .estate import Estate, Problem, Region

Bounds = tuple[float, float]

MOST = math.inf
INT32 = 2**31 - 1
POSITIVE: Bounds = (1, INT32)
COUNT: Bounds = (0, INT32)
PORT: Bounds = (1, 65535)
PERCENT: Bounds = (0, 100)
# Seconds that a drill waits or promises may be parts of one, but not nothing.
SECONDS: Bounds = (0.001, MOST)

LIMITS: dict[str, Bounds] = {
    "network_mtu": (1300, 8896),
    "model_accelerator_count": POSITIVE,
    "model_max_model_len": POSITIVE,
    "gateway_priority": (-INT32 - 1, INT32),
    "gateway_health_check_interval": (1, 300),
    "gateway_health_check_timeout": (1, 300),
    "gateway_healthy_threshold": (1, 10),
    "gateway_unhealthy_threshold": (1, 10),
    "failover_rate": SECONDS,
    "failover_max_tokens": POSITIVE,
    "failover_stable": SECONDS,
    "failover_hold": (0, MOST),
    "failover_request_timeout": SECONDS,
    "failover_recovery_timeout": SECONDS,
}
# What an option counts, by how it ends.
ENDINGS: dict[str, Bounds] = {
    "_port": PORT,
    "_percent": PERCENT,
    "_timeout": POSITIVE,
    "_seconds": SECONDS,
    "_interval": POSITIVE,
    "_replicas": COUNT,
    "_count": COUNT,
}
# (option, other): the first may not be more than the second.
AT_MOST = (
    ("gateway_health_check_timeout", "gateway_health_check_interval", "a check must have ended before the next begins"),
    ("failover_stable", "failover_recovery_timeout", "a steady state is waited for that long"),
    ("failover_objective_recovery_seconds", "failover_recovery_timeout", "the drill gives up before"),
)
# (option, other, what goes wrong): the same in a region, where both roles are used.
EQUAL = (
    (
        ("network", "gateway"),
        "network_serving_port",
        "gateway_model_port",
        "health checks and proxies are let in there",
    ),
    (("model", "gateway"), "model_port", "gateway_model_port", "the gateway sends requests there"),
    (("model", "gateway"), "model_namespace", "gateway_namespace", "a pool selects Pods of its own namespace"),
    (("fleet", "gateway"), "fleet_gateway_class", "gateway_class", "the one is waited for, the other used"),
)


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    for option in estate.options:
        value, bounds = region.get(option), bounds_of(option)
        if bounds is None or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not bounds[0] <= value <= bounds[1]:
            yield region.problem(option, "is out of bounds", f"give {_within(bounds)}")
    for option, other, why in AT_MOST:
        value, most = region.get(option), region.get(other)
        if isinstance(value, (int, float)) and isinstance(most, (int, float)) and value > most:
            wrong, wanted = f"is more than {other} {most}", f"give at most {most}, since {why}"
            yield _blamed(region, option, other, wrong, wanted, f"give at least {value}, since {why}")
    unequal: set[str] = set()
    for roles, option, other, why in EQUAL:
        value, same = region.get(option), region.get(other)
        if estate.uses(*roles) and None not in (value, same) and value != same and other not in unequal:
            unequal.add(other)
            yield _blamed(region, other, option, f"is not {option} {value}", f"make them the same, since {why}")


def bounds_of(option: str) -> Bounds | None:
    return LIMITS.get(option) or next((bounds for end, bounds in ENDINGS.items() if option.endswith(end)), None)


def _within(bounds: Bounds) -> str:
    low, high = (int(bound) if math.isfinite(bound) and bound == int(bound) else bound for bound in bounds)
    if bounds == SECONDS:
        return "more than 0"
    return f"{low} or more" if high in (MOST, INT32) else f"{low} to {high}"


def _blamed(region: Region, option: str, other: str, wrong: str, wanted: str, instead: str = "") -> Problem:
    """Of two that do not fit, the one that somebody wrote down; ``instead``: what is wanted of the other."""
    told = region.problem(option, wrong, wanted)
    if told.distance == 2 and other in region.stated:
        return region.problem(other, f"does not fit {option} {region.get(option)}", instead or wanted)
    return told
