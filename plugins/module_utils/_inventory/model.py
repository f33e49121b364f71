# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Model servers and the nodes that are to carry them: selector, chips, replicas, network interfaces."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Sequence

from .estate import Estate, Problem, Region
from .pools import OPTION, Nodes, nodes, replicas, selects

# Arguments of vLLM that the role sets itself -> the variable that they follow.
OWN_ARGUMENTS = {
    "--model": "model_repository",
    "--served-model-name": "model_name",
    "--tensor-parallel-size": "model_accelerator_count",
    "-tp": "model_accelerator_count",
    "--max-model-len": "model_max_model_len",
    "--port": "model_port",
}
OWN_VARIABLES = ("SERVING_REGION", "PYTHONPATH")


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    yield from _arguments(region)
    if not estate.uses("cluster", "model") or OPTION in region.broken or not region.get("model_replicas"):
        return
    pools = nodes(region)
    selector, resource = region.get("model_node_selector"), region.get("model_accelerator_resource")
    count = region.get("model_accelerator_count")
    if not isinstance(region.get(OPTION), list) or not isinstance(selector, dict) or not isinstance(resource, str):
        return
    matching = [pool for pool in pools if not selects(selector, pool)]
    if not matching:
        yield _no_pool(region, selector, pools)
        return
    able = [pool for pool in matching if pool.devices.get(resource)]
    if not able:
        has = "; ".join(f"{pool.name} has {', '.join(pool.devices) or 'no accelerator'}" for pool in matching)
        yield region.problem(
            "model_accelerator_resource", f"is on no pool that the selector matches ({has})", "give what its nodes have"
        )
        return
    yield from _network(region, able)
    if isinstance(count, int) and count > 0:
        yield from _size(region, able, resource, count)
    yield from _taints(region, able, resource)


def _no_pool(region: Region, selector: dict[str, t.Any], pools: Sequence[Nodes]) -> Problem:
    if not pools:
        return region.problem("model_node_selector", "matches no pool", f"give a pool in {OPTION}, which is empty")
    missing = "; ".join(f"{pool.name} lacks {', '.join(selects(selector, pool))}" for pool in pools)
    return region.problem(
        "model_node_selector", f"matches no pool ({missing})", "select labels that one pool's nodes have"
    )


def _network(region: Region, able: Sequence[Nodes]) -> Iterator[Problem]:
    wanted = region.get("model_network_device_class")
    if not wanted:
        return
    if not any(pool.dranet for pool in able):
        named = ", ".join(pool.name for pool in able)
        yield region.problem(
            "model_network_device_class",
            f"is claimed, but no pool for it has managed DRANET ({named})",
            'set dranet: true on the pool, or "" to claim none',
        )
    elif wanted == "mrdma.google.com" and all("google.com/tpu" in pool.devices for pool in able):
        yield region.problem(
            "model_network_device_class", "is of RDMA interfaces, which TPU machines have not", "give netdev.google.com"
        )


def _size(region: Region, able: Sequence[Nodes], resource: str, count: int) -> Iterator[Problem]:
    single = [pool for pool in able if pool.hosts == 1]
    if not single:
        sliced = ", ".join(f"{pool.name} of {pool.hosts} nodes" for pool in able)
        yield region.problem(
            "model_accelerator_count",
            f"is for slices of several nodes ({sliced}), but a model server is one Pod on one node",
            "give a pool without placement_policy.tpu_topology, of a machine with enough chips",
        )
        return
    largest = max(pool.devices[resource] for pool in single)
    if count > largest:
        [machine, *_others] = [pool.machine for pool in single if pool.devices[resource] == largest]
        yield region.problem(
            "model_accelerator_count", f"is more than a node has: {machine} has {largest}", f"give at most {largest}"
        )
        return
    room, wanted = sum(replicas(pool, resource, count) for pool in single), region.get("model_replicas")
    if isinstance(wanted, int) and wanted > room:
        told = ", ".join(f"{pool.name} has {pool.most} nodes of {pool.devices[resource]}" for pool in single)
        yield region.problem(
            "model_replicas",
            f"do not fit: {told}, which carries {room} of {count} {resource} each",
            "take fewer, or give more nodes (initial_node_count, node_count or autoscaling)",
        )


def _taints(region: Region, able: Sequence[Nodes], resource: str) -> Iterator[Problem]:
    """Kubernetes adds the toleration of an extended resource by itself, and the role adds none."""
    kept_out = {
        pool.name: [
            taint.get("key")
            for taint in pool.taints
            if isinstance(taint, dict) and taint.get("key") != resource and taint.get("effect") != "PREFER_NO_SCHEDULE"
        ]
        for pool in able
    }
    if all(kept_out.values()) and not region.get("model_tolerations"):
        pool = able[0]
        yield region.problem(
            (*pool.path, "config", "taints"),
            f"keeps model servers out ({', '.join(map(str, kept_out[pool.name]))})",
            f"give only taints that they tolerate: {resource}",
            given=None,
        )


def _arguments(region: Region) -> Iterator[Problem]:
    for index, argument in enumerate(region.get("model_extra_args") or []):
        name = str(argument).partition("=")[0].partition(" ")[0]
        if name in OWN_ARGUMENTS:
            yield region.problem(
                ("model_extra_args", index), "is set by the role", f"leave it out and set {OWN_ARGUMENTS[name]}"
            )
    for name in OWN_VARIABLES:
        if name in (region.get("model_env") or {}):
            yield region.problem(("model_env", name), "is set by the role", "leave it out")
