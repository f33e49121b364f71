# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Node pools of a region: their names, machines, zones and sizes, and what the nodes will look like to a Pod."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Iterator, Mapping

from .._gke import machines, preflight
from .._naming import to_api
from . import catalogue, names, ranges
from .arguments import near
from .estate import Estate, Json, Path, Problem, Region, listed
from .regions import REMEDY, zone_problems

OPTION = "cluster_node_pools"
COUNTS = ("initial_node_count", "node_count")
SCALING = ("min_node_count", "max_node_count", "total_min_node_count", "total_max_node_count")
POSITIVE = ("disk_size_gb",)
DRANET_LABEL = preflight.PROFILE_LABEL

# Labels that GKE gives nodes and that follow from the pool; others of Google's prefixes are not judged.
GOOGLE_PREFIXES = ("cloud.google.com/", "kubernetes.io/", "node.kubernetes.io/", "topology.kubernetes.io/", "gke.io/")


@dataclasses.dataclass(frozen=True)
class Nodes:
    """What a pool gives to Pods. ``devices``: extended resource -> how many a node has; ``most``: nodes at most.

    ``labels``: label -> values of which a node has one. ``hosts``: nodes of one slice.
    """

    path: Path
    name: str
    machine: str
    most: int
    devices: Mapping[str, int]
    labels: Mapping[str, frozenset[str]]
    taints: tuple[Json, ...]
    dranet: bool
    hosts: int


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    pools = region.get(OPTION)
    if not isinstance(pools, list):
        return
    seen: dict[str, int] = {}
    for index, pool in enumerate(pools):
        if not isinstance(pool, dict) or pool.get("state") == "absent":
            continue
        name = pool.get("name")
        if name and seen.setdefault(name, index) != index:
            yield region.problem(
                (OPTION, index, "name"), f"is also that of {OPTION}[{seen[name]}]", "give it a name of its own"
            )
        yield from _pool(region, (OPTION, index), pool, estate)
    yield from _system(region, estate)
    yield from _room(region, pools)


def _pool(region: Region, path: Path, pool: Json, estate: Estate) -> Iterator[Problem]:
    name, config = pool.get("name"), pool.get("config") or {}
    if name and not names.CLUSTER.holds(name):
        yield region.problem((*path, "name"), "is no name of a node pool", f"give {names.CLUSTER.wanted}")
    yield from names.pool_labels(region, (*path, "config"), config)
    yield from _bounds(region, path, pool)
    yield from _machine(region, path, pool, estate)
    yield from _contradictions(region, path, pool)


def _bounds(region: Region, path: Path, pool: Json) -> Iterator[Problem]:
    scaling, config = pool.get("autoscaling") or {}, pool.get("config") or {}
    counts = [((*path, key), pool.get(key), 0) for key in COUNTS]
    counts += [((*path, "autoscaling", key), scaling.get(key), 0) for key in SCALING]
    counts += [((*path, "config", key), config.get(key), 1) for key in POSITIVE]
    accelerators = config.get("accelerators") or []
    counts += [
        ((*path, "config", "accelerators", index, "accelerator_count"), item.get("accelerator_count"), 1)
        for index, item in enumerate(accelerators)
        if isinstance(item, dict)
    ]
    for way, value, least in counts:
        if isinstance(value, int) and value < least:
            yield region.problem(way, "is out of bounds", f"give {least} or more")


def _machine(region: Region, path: Path, pool: Json, estate: Estate) -> Iterator[Problem]:
    """Whether there is such a machine, and in the pool's zones."""
    way, machine = (*path, "config", "machine_type"), str((pool.get("config") or {}).get("machine_type") or "")
    if machine and not catalogue.is_machine(machine, estate.zones):
        yield region.problem(way, "is no machine type that is known", _meant(machine, estate))
        return
    place = region.text("network_region") or region.text("cluster_region")
    if place not in catalogue.regions(estate.zones):
        return
    bad = False
    for index, zone in enumerate(pool.get("locations") or []):
        if found := list(zone_problems(region, (*path, "locations", index), zone, place, estate)):
            bad = True
            yield from found
    known = catalogue.zones(place, estate.zones)
    location = region.text("cluster_location")
    zones = pool.get("locations") or ([location] if catalogue.is_zone(location) else [])
    bad = bad or bool(location and catalogue.region_of(location) != place)
    if not machine or bad or any(zone not in known for zone in zones):
        return
    sold = [zone for zone in known if catalogue.sells(zone, machine, estate.zones)]
    where = f"take {listed(sold or catalogue.sellers(machine), 'or')}"
    for zone in zones:
        if zone not in sold:
            yield region.problem(way, f"is not sold in {zone}, as far as is known", f"{where}; {REMEDY}")
    if not zones and len(sold) < len(known) and catalogue.sellers(machine):
        yield region.problem(
            (*path, "locations"),
            "is missing",
            f"give the zones that have {machine}: {', '.join(sold) or f'none in {place}'}",
        )
    elif not zones and pool.get("dranet") and location:
        yield region.problem(
            (*path, "locations"), "is missing", f"give exactly one zone of {location} with dranet: true"
        )


def _meant(machine: str, estate: Estate) -> str:
    dashed = machine.lower().replace("_", "-")
    right = dashed if catalogue.is_machine(dashed, estate.zones) else None
    meant = right or near(machine, catalogue.machines(estate.zones))
    return (
        f"did you mean {meant}? {REMEDY}" if meant else f"give one such as ct6e-standard-4t or e2-standard-16; {REMEDY}"
    )


def _contradictions(region: Region, path: Path, pool: Json) -> Iterator[Problem]:
    """What the module itself refuses before it asks anybody."""
    for found in preflight.contradictions(to_api(described(pool)), dranet=bool(pool.get("dranet"))):
        way = (*path, *found.option.split("."))
        yield region.problem(way, "is not valid with the rest of the pool", found.advice, given=found.given)


def described(pool: Json) -> Json:
    """The pool without what says how, not what."""
    return {key: value for key, value in pool.items() if key not in ("name", "dranet", "recreate", "state")}


def _system(region: Region, estate: Estate) -> Iterator[Problem]:
    machine = region.text("cluster_system_machine_type")
    if machine and not catalogue.is_machine(machine, estate.zones):
        yield region.problem("cluster_system_machine_type", "is no machine type that is known", _meant(machine, estate))


def _room(region: Region, pools: list[t.Any]) -> Iterator[Problem]:
    room, system = ranges.room(region), region.get("cluster_system_node_count")
    if room is None or not isinstance(system, int):
        return
    nodes = system + sum(most(region, pool) for pool in pools if isinstance(pool, dict))
    if nodes > room:
        yield region.problem("network_node_cidr", f"has room for {room} nodes, not for {nodes}", "give a larger range")


def most(region: Region, pool: Json) -> int:
    """Nodes that the pool may have, in all its zones."""
    if pool.get("state") == "absent":
        return 0
    location = region.text("cluster_location")
    spread = len(pool.get("locations") or []) or (1 if catalogue.is_zone(location) else 3)
    scaling = pool.get("autoscaling") or {}
    if scaling.get("enabled"):
        return int(scaling.get("total_max_node_count") or spread * (scaling.get("max_node_count") or 0))
    return spread * int(next((pool[key] for key in reversed(COUNTS) if pool.get(key) is not None), 0))


def nodes(region: Region) -> list[Nodes]:
    """All pools as Pods see them, those that are readable."""
    pools = region.get(OPTION)
    found = enumerate(pools if isinstance(pools, list) else [])
    return [_nodes(region, (OPTION, index), pool) for index, pool in found if isinstance(pool, dict)]


def _nodes(region: Region, path: Path, pool: Json) -> Nodes:
    config = pool.get("config") or {}
    machine, labels = str(config.get("machine_type") or "e2-medium"), dict(config.get("labels") or {})
    topology = (pool.get("placement_policy") or {}).get("tpu_topology")
    tpu = machines.TPU_MACHINES.get(machine)
    gpu, gpus = _gpus(machine, config)
    devices = {"google.com/tpu": tpu.chips} if tpu else {"nvidia.com/gpu": gpus} if gpus else {}
    profile = (pool.get("network_config") or {}).get("accelerator_network_profile")
    dranet = bool(pool.get("dranet")) or (profile == "auto" and labels.get(DRANET_LABEL) == "true")
    given: dict[str, t.Any] = {
        "cloud.google.com/gke-nodepool": pool.get("name"),
        "node.kubernetes.io/instance-type": machine,
        "topology.kubernetes.io/region": region.get("network_region"),
        "kubernetes.io/os": "linux",
        "cloud.google.com/gke-spot": "true" if config.get("spot") else "false",
        "cloud.google.com/gke-accelerator": gpu,
        "cloud.google.com/gke-tpu-accelerator": tpu_label(machine),
        "cloud.google.com/gke-tpu-topology": (topology or tpu.single_host) if tpu else None,
        DRANET_LABEL: "true" if dranet else None,
        **labels,
    }
    values = {key: frozenset([str(value)] if value is not None else []) for key, value in given.items()}
    location = region.text("cluster_location")
    if zones := pool.get("locations") or ([location] if location and catalogue.is_zone(location) else []):
        values["topology.kubernetes.io/zone"] = frozenset(zones)
    return Nodes(
        path=path,
        name=str(pool.get("name")),
        machine=machine,
        most=most(region, pool),
        devices=devices,
        labels=values,
        taints=tuple(config.get("taints") or ()),
        dranet=dranet,
        hosts=(machines.hosts(machine, topology) or 1) if topology else 1,
    )


def tpu_label(machine: str) -> str | None:
    return next((label for family, label in catalogue.TPU_LABELS.items() if machine.startswith(family)), None)


def _gpus(machine: str, config: Json) -> tuple[str | None, int]:
    """Kind and number of a node's GPUs."""
    for item in config.get("accelerators") or []:
        if isinstance(item, dict) and item.get("accelerator_type"):
            return str(item["accelerator_type"]), int(item.get("accelerator_count") or 0)
    return catalogue.GPUS.get(machine, (None, 0))


def selects(selector: Mapping[str, t.Any], pool: Nodes) -> list[str]:
    """The labels of a node selector that this pool's nodes cannot have."""
    return [
        f"{key}={value}"
        for key, value in selector.items()
        if (str(value) not in pool.labels[key] if key in pool.labels else not key.startswith(GOOGLE_PREFIXES))
    ]


def replicas(pool: Nodes, resource: str, count: int) -> int:
    """How many model servers the pool can carry at most."""
    return pool.most * math.floor(pool.devices.get(resource, 0) / count) if count > 0 else 0
