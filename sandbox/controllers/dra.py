# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Managed DRANET: what the driver publishes of a Node's network interfaces, and which of them a claim gets."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from sandbox.catalogue.machines import named
from sandbox.client import DEVICE_CLASSES, RESOURCE_SLICES, Resource
from sandbox.instances import live_pools
from sandbox.interfaces import CloudView, ClusterKey, Json

from .cache import Cache, terminating
from .nodes import desired_nodes, has_driver, has_profile

DRIVER = "dra.net"

# (driver, pool, device): a device's name in the cluster.
Device = tuple[str, str, str]

_CLASSES = {
    "netdev.google.com": 'device.driver == "dra.net" && !device.attributes["dra.net"].rdma',
    "mrdma.google.com": 'device.driver == "dra.net" && device.attributes["dra.net"].rdma',
}

# The part of CEL that device classes and claims in use need: a conjunction of plain comparisons.
_DRIVER_TERM = re.compile(r'device\.driver\s*==\s*"([^"]*)"')
_ATTRIBUTE_TERM = re.compile(
    r'(!?)\s*device\.attributes\["([^"]+)"\](?:\.(\w+)|\["([^"]+)"\])(?:\s*(==|!=)\s*("[^"]*"|\d+|true|false))?'
)


def managed(pool: Json) -> bool:
    """Whether the pool has managed DRANET: the additional interfaces and the driver that publishes them."""
    return has_profile(pool) and has_driver(pool)


def device_classes(cluster: Json) -> list[Json]:
    """The DeviceClasses of the cluster: all when a running pool has managed DRANET, else none."""
    if not any(managed(pool) for pool in live_pools(cluster)):
        return []
    return [
        {"metadata": {"name": name}, "spec": {"selectors": [{"cel": {"expression": expression}}]}}
        for name, expression in _CLASSES.items()
    ]


def resource_slices(cluster: Json, key: ClusterKey) -> list[Json]:
    """One ResourceSlice per Node of the pools with managed DRANET; the default interface is not allocatable."""
    slices = []
    for pool in live_pools(cluster):
        kind = named((pool.get("config") or {}).get("machineType") or "")
        if not managed(pool) or not kind.nics:
            continue
        for node in desired_nodes({**cluster, "nodePools": [pool]}, key):
            name = node["metadata"]["name"]
            slices.append(
                {
                    "metadata": {"name": f"{name}-{DRIVER}"},
                    "spec": {
                        "driver": DRIVER,
                        "nodeName": name,
                        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
                        "devices": [_interface(number, kind.rdma) for number in range(1, kind.nics + 1)],
                    },
                }
            )
    return slices


def _interface(number: int, rdma: bool) -> Json:
    return {
        "name": f"eth{number}",
        "attributes": {
            "dra.net/ifName": {"string": f"eth{number}"},
            "dra.net/mtu": {"int": 8896},
            "dra.net/rdma": {"bool": rdma},
            "dra.net/type": {"string": "device"},
            "dra.net/virtual": {"bool": False},
        },
    }


def matches(expression: str, driver: str, device: Json) -> bool:
    """Evaluate a selector; one that goes beyond a conjunction of comparisons matches nothing."""
    return all(_term(term.strip().strip("()"), driver, device) for term in expression.split("&&"))


def _term(term: str, driver: str, device: Json) -> bool:
    if match := _DRIVER_TERM.fullmatch(term):
        return match.group(1) == driver
    match = _ATTRIBUTE_TERM.fullmatch(term)
    if match is None:
        return False
    negated, domain, dotted, quoted, operator, literal = match.groups()
    values = (device.get("attributes") or {}).get(f"{domain}/{dotted or quoted}")
    if values is None:
        return False
    value = next(iter(values.values()))
    if operator is None:
        return value is not bool(negated)
    wanted: t.Any = literal.strip('"') if literal.startswith('"') else {"true": True, "false": False}.get(literal)
    if wanted is None:
        wanted = int(literal)
    return not negated and (value == wanted) == (operator == "==")


def in_use(claims: Iterable[Json]) -> set[Device]:
    """The devices that allocated claims hold; a device belongs to one claim."""
    return {
        (result["driver"], result["pool"], result["device"])
        for claim in claims
        for result in _results(claim)
        if not result.get("adminAccess")
    }


def _results(claim: Json) -> list[Json]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    results: list[Json] = (allocation.get("devices") or {}).get("results") or []
    return results


def allocated_node(claim: Json) -> str | None:
    """The Node that an allocated claim is tied to; None for a claim that is not allocated."""
    allocation = (claim.get("status") or {}).get("allocation")
    if not allocation:
        return None
    for term in (allocation.get("nodeSelector") or {}).get("nodeSelectorTerms") or []:
        for field in term.get("matchFields") or []:
            name: str = field["values"][0]
            return name
    return ""


def missing_class(claim: Json, classes: Mapping[str, Json]) -> str | None:
    """kube-scheduler's words when a request names a DeviceClass that is not there."""
    for request in _requests(claim):
        for name, exact in _alternatives(request):
            if exact.get("deviceClassName", "") not in classes:
                return f"request {name}: device class {exact.get('deviceClassName', '')} does not exist"
    return None


def _requests(claim: Json) -> list[Json]:
    requests: list[Json] = (claim["spec"].get("devices") or {}).get("requests") or []
    return requests


def _alternatives(request: Json) -> list[tuple[str, Json]]:
    """(request name, exact request): one, or several in order of preference."""
    listed = request.get("firstAvailable")
    if listed:
        return [(f"{request['name']}/{sub['name']}", sub) for sub in listed]
    return [(request["name"], request.get("exactly") or request)]


def allocate(
    claims: Sequence[Json], slices: Sequence[Json], used: set[Device], classes: Mapping[str, Json]
) -> dict[str, list[Json]] | None:
    """Devices for all these claims from one Node's slices: claim name -> results, or None if one goes away empty.

    ``used`` is what is taken already. allocationMode All takes every matching device and needs all of them free.
    """
    taken = set(used)
    allocations: dict[str, list[Json]] = {}
    for claim in claims:
        results: list[Json] = []
        for request in _requests(claim):
            found = _satisfy(request, slices, taken, classes)
            if found is None:
                return None
            results += found
            taken |= {(item["driver"], item["pool"], item["device"]) for item in found if not item.get("adminAccess")}
        allocations[claim["metadata"]["name"]] = results
    return allocations


def _satisfy(
    request: Json, slices: Sequence[Json], taken: set[Device], classes: Mapping[str, Json]
) -> list[Json] | None:
    for name, exact in _alternatives(request):
        device_class = classes.get(exact.get("deviceClassName", ""))
        if device_class is None:
            continue
        selectors = [*(device_class["spec"].get("selectors") or []), *(exact.get("selectors") or [])]
        expressions = [selector["cel"]["expression"] for selector in selectors]
        matching = [
            (part["spec"]["driver"], part["spec"]["pool"]["name"], device["name"])
            for part in slices
            for device in part["spec"].get("devices") or []
            if all(matches(expression, part["spec"]["driver"], device) for expression in expressions)
        ]
        admin = bool(exact.get("adminAccess"))
        free = [device for device in matching if admin or device not in taken]
        count = len(matching) if exact.get("allocationMode") == "All" else int(exact.get("count") or 1)
        if count and len(free) >= count:
            extra = {"adminAccess": True} if admin else {}
            return [
                {"request": name, "driver": driver, "pool": pool, "device": device, **extra}
                for driver, pool, device in free[:count]
            ]
    return None


class DriverController:
    """Publishes DeviceClasses and ResourceSlices when and only when a pool has managed DRANET."""

    watches: tuple[Resource, ...] = (DEVICE_CLASSES, RESOURCE_SLICES)
    cloud_events = True

    def __init__(self, key: ClusterKey, cache: Cache, cloud: CloudView) -> None:
        self._key = key
        self._cache = cache
        self._cloud = cloud

    async def reconcile(self) -> float | None:
        cluster = self._cloud.cluster(self._key)
        if cluster is None:
            return None
        await self._converge(DEVICE_CLASSES, device_classes(cluster), lambda obj: obj["metadata"]["name"] in _CLASSES)
        slices = resource_slices(cluster, self._key)
        await self._converge(RESOURCE_SLICES, slices, lambda obj: obj["spec"].get("driver") == DRIVER)
        return None

    async def _converge(self, resource: Resource, desired: list[Json], ours: t.Callable[[Json], bool]) -> None:
        wanted = {obj["metadata"]["name"]: obj for obj in desired}
        for live in self._cache.list(resource):
            if ours(live) and live["metadata"]["name"] not in wanted and not terminating(live):
                await self._cache.delete(resource, live)
        for name, obj in wanted.items():
            if self._cache.get(resource, "", name) is None:
                await self._cache.create(resource, obj)
