# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What is wrong with a node pool before anything is changed, and what would be right."""

from __future__ import annotations

from .._errors import InvalidOption
from .._reconcile import Json
from . import machines
from .names import MANAGED_DRANET, at_least, is_zone

PROFILE_LABEL = "cloud.google.com/gke-networking-dra-driver"
JUMBO_MTU = 8896
MAX_RUN_SECONDS = 7 * 24 * 3600
RESERVATION_KEY = "compute.googleapis.com/reservation-name"


def complete(desired: Json, *, dranet: bool) -> Json:
    """The pool with what the stated options imply; ``desired`` is API JSON.

    Raises InvalidOption where stated options contradict each other.
    """
    pool, found = _completed(desired, dranet)
    if found:
        raise found[0]
    return {key: value for key, value in pool.items() if value != {} or key in desired}


def contradictions(desired: Json, *, dranet: bool) -> list[InvalidOption]:
    """Everything that complete() would refuse, instead of the first."""
    return _completed(desired, dranet)[1]


def _completed(desired: Json, dranet: bool) -> tuple[Json, list[InvalidOption]]:
    pool = {**desired, "config": {**(desired.get("config") or {})}}
    steps = [
        *([_complete_dranet] if dranet else []),
        *([_complete_flex_start] if pool["config"].get("flexStart") else []),
        _complete_affinity,
        _check_capacity,
        _check_sizes,
        _check_topology,
    ]
    found = []
    for step in steps:
        try:
            step(pool)
        except InvalidOption as error:
            found.append(error)
    return pool, found


def _complete_dranet(pool: Json) -> None:
    config = pool["config"]
    network = {**(pool.get("networkConfig") or {})}
    labels = {**(config.get("labels") or {})}
    if network.setdefault("acceleratorNetworkProfile", "auto") != "auto":
        raise InvalidOption(
            "network_config.accelerator_network_profile",
            network["acceleratorNetworkProfile"],
            "leave it out or give auto, which dranet: true sets",
        )
    if labels.setdefault(PROFILE_LABEL, "true") != "true":
        raise InvalidOption(
            f"config.labels[{PROFILE_LABEL}]",
            labels[PROFILE_LABEL],
            'leave it out or give "true", since dranet is true',
        )
    if network.get("additionalNodeNetworkConfigs"):
        raise InvalidOption(
            "network_config.additional_node_network_configs",
            network["additionalNodeNetworkConfigs"],
            "leave it out with dranet: true, because GKE makes the additional networks itself",
        )
    machine = config.get("machineType") or ""
    if not machine.startswith(machines.DRANET_FAMILIES):
        raise InvalidOption(
            "config.machine_type",
            machine,
            "take a machine whose network interfaces managed DRANET hands out: "
            f"{', '.join(family + '*' for family in machines.DRANET_FAMILIES)}",
        )
    if len(pool.get("locations") or []) > 1:
        raise InvalidOption(
            "locations", pool["locations"], "name exactly one zone with dranet: true, and make a pool per zone"
        )
    pool["networkConfig"], config["labels"] = network, labels


def _complete_flex_start(pool: Json) -> None:
    config = pool["config"]
    scaling = pool.get("autoscaling") or {}
    if pool.setdefault("initialNodeCount", 0) != 0:
        raise InvalidOption(
            "initial_node_count", pool["initialNodeCount"], "give 0 with config.flex_start: nodes come late"
        )
    if not scaling.get("enabled") or not (scaling.get("maxNodeCount") or scaling.get("totalMaxNodeCount")):
        raise InvalidOption(
            "autoscaling", scaling, "enable it, with max_node_count or total_max_node_count, for config.flex_start"
        )
    config.setdefault("reservationAffinity", {"consumeReservationType": "NO_RESERVATION"})


def _complete_affinity(pool: Json) -> None:
    affinity = pool["config"].get("reservationAffinity") or {}
    kind = affinity.get("consumeReservationType")
    values = affinity.get("values") or []
    if kind == "SPECIFIC_RESERVATION" and not values:
        raise InvalidOption(
            "config.reservation_affinity.values", values, "give the reservation's name with SPECIFIC_RESERVATION"
        )
    if kind != "SPECIFIC_RESERVATION" and (values or affinity.get("key")):
        raise InvalidOption("config.reservation_affinity.values", values, f"leave it out with {kind}")
    if values:
        pool["config"]["reservationAffinity"] = {**affinity, "key": affinity.get("key") or RESERVATION_KEY}


def _check_capacity(pool: Json) -> None:
    """Spot, flex-start and a reservation are three ways to get a machine; a pool takes one."""
    config = pool["config"]
    kind = (config.get("reservationAffinity") or {}).get("consumeReservationType", "NO_RESERVATION")
    reserved = kind != "NO_RESERVATION"
    queued = bool((pool.get("queuedProvisioning") or {}).get("enabled"))
    if config.get("spot") and config.get("flexStart"):
        raise InvalidOption("config.flex_start", True, "leave it out with config.spot: a node is the one or the other")
    if config.get("spot") and kind in ("SPECIFIC_RESERVATION", "ANY_RESERVATION_THEN_FAIL"):
        raise InvalidOption("config.spot", True, "leave it out with a reservation: spot machines come from none")
    if reserved and (config.get("flexStart") or queued):
        option = "config.flex_start" if config.get("flexStart") else "queued_provisioning.enabled"
        raise InvalidOption(
            "config.reservation_affinity.consume_reservation_type",
            kind,
            f"leave it out or give NO_RESERVATION with {option}",
        )
    if queued and not (pool.get("autoscaling") or {}).get("enabled"):
        raise InvalidOption("autoscaling", pool.get("autoscaling"), "enable it for queued_provisioning.enabled")
    if duration := config.get("maxRunDuration"):
        seconds = duration[:-1] if duration.endswith("s") else ""
        if not seconds.isdigit() or not 0 < int(seconds) <= MAX_RUN_SECONDS:
            raise InvalidOption(
                "config.max_run_duration", duration, f"give seconds from 1s to {MAX_RUN_SECONDS}s (7 days)"
            )


def _check_sizes(pool: Json) -> None:
    scaling = pool.get("autoscaling") or {}
    if pool.get("nodeCount") is not None and scaling.get("enabled"):
        raise InvalidOption(
            "node_count", pool["nodeCount"], "leave it out with autoscaling, which sets the size itself"
        )
    per_zone = [key for key in ("minNodeCount", "maxNodeCount") if scaling.get(key)]
    total = [key for key in ("totalMinNodeCount", "totalMaxNodeCount") if scaling.get(key)]
    if per_zone and total:
        raise InvalidOption("autoscaling", scaling, "give limits per zone or in total, not both")
    for low, high in (("minNodeCount", "maxNodeCount"), ("totalMinNodeCount", "totalMaxNodeCount")):
        if scaling.get(low) and scaling.get(high) is not None and scaling[low] > scaling[high]:
            raise InvalidOption("autoscaling", scaling, "give a minimum that is not above the maximum")


def _check_topology(pool: Json) -> None:
    policy = pool.get("placementPolicy") or {}
    topology, machine = policy.get("tpuTopology"), pool["config"].get("machineType") or ""
    if not topology:
        return
    if problem := machines.topology_problem(machine, topology):
        raise InvalidOption("placement_policy.tpu_topology", topology, problem)
    if policy.get("type") != "COMPACT":
        raise InvalidOption("placement_policy.type", policy.get("type"), "give COMPACT with tpu_topology")
    nodes = machines.hosts(machine, topology)
    for key, option in (("initialNodeCount", "initial_node_count"), ("nodeCount", "node_count")):
        if nodes and pool.get(key) not in (None, 0, nodes):
            raise InvalidOption(
                option, pool[key], f"give {nodes} (or 0): a {topology} slice is {nodes} {machine} nodes"
            )


def check_dranet(cluster: Json, pool: Json) -> None:
    """Whether the live cluster carries managed DRANET. Raises InvalidOption that names the remedy."""
    where = f"cluster {cluster.get('name')}"
    if (cluster.get("autopilot") or {}).get("enabled"):
        raise InvalidOption("dranet", True, f"{where} is Autopilot: use a ComputeClass there, or a Standard cluster")
    for version, whose in ((cluster.get("currentMasterVersion"), f"{where} runs"), (pool.get("version"), "version is")):
        if version and not at_least(version, MANAGED_DRANET):
            raise InvalidOption(
                "dranet",
                True,
                f"it needs GKE {MANAGED_DRANET} or later, but {whose} {version}: upgrade with master_version of "
                "aiserving.gke.cluster (release channel RAPID has it first) and leave the pool's version to GKE",
            )
    if (cluster.get("networkConfig") or {}).get("datapathProvider") != "ADVANCED_DATAPATH":
        raise InvalidOption(
            "dranet",
            True,
            f"it needs Dataplane V2, which {where} has not and which is set at creation only: create the cluster "
            "anew with network_config.datapath_provider: ADVANCED_DATAPATH",
        )
    zones = pool.get("locations") or cluster.get("locations") or []
    if len(zones) > 1 or not (zones or is_zone(str(cluster.get("location")))):
        raise InvalidOption(
            "locations",
            pool.get("locations"),
            f"name one zone with dranet: true, since {where} spans {', '.join(zones)}",
        )


def mtu_warning(network: Json) -> str | None:
    """Managed DRANET works with a smaller MTU, only slower: a warning, no error."""
    mtu = network.get("mtu") or 1460
    if mtu == JUMBO_MTU:
        return None
    return (
        f"network {network.get('name')} has MTU {mtu}; accelerator networks want {JUMBO_MTU} "
        "(mtu of aiserving.gke.network, set before its machines are made)"
    )


def check_floor(cluster: str, version: str, floor: str) -> None:
    """Raises InvalidOption when the control plane is older than ``min_version``."""
    if not at_least(version, floor):
        raise InvalidOption(
            "min_version",
            floor,
            f"cluster {cluster} runs {version}, which is below: upgrade it with master_version, or take a release "
            "channel that has the version (RAPID has it first)",
        )
