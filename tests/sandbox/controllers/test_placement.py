# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a Pod goes, which devices its claims get, and what is said when it goes nowhere."""

from __future__ import annotations

import typing as t

import pytest

from sandbox.controllers import dra
from sandbox.controllers.placement import Fleet, decide
from sandbox.interfaces import Json

CLASSES = {
    "netdev.google.com": {"spec": {"selectors": [{"cel": {"expression": 'device.driver == "dra.net"'}}]}},
}
HOPELESS = "Preemption is not helpful for scheduling"
HOPE = "No preemption victims found for incoming pod"
TPU_TAINT = {"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"}


def node(name: str, *, labels: Json | None = None, taints: list[Json] | None = None, **allocatable: str) -> Json:
    have = {
        "cpu": "8",
        "memory": "32Gi",
        "pods": "110",
        **{key.replace("_", "/"): value for key, value in allocatable.items()},
    }
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": have},
    }


def pod(name: str = "p", *, on: str = "", requests: Json | None = None, **spec: t.Any) -> Json:
    container = {"name": "c", "resources": {"requests": requests or {}}}
    return {
        "metadata": {"namespace": "default", "name": name, "uid": name},
        "spec": {"containers": [container], **({"nodeName": on} if on else {}), **spec},
    }


def claim(name: str = "c", *, exact: Json | None = None, node: str = "", devices: tuple[str, ...] = ()) -> Json:
    request = {"name": "req", "exactly": exact or {"deviceClassName": "netdev.google.com", "allocationMode": "All"}}
    found: Json = {"metadata": {"name": name}, "spec": {"devices": {"requests": [request]}}}
    if node:
        results = [{"request": "req", "driver": "dra.net", "pool": node, "device": device} for device in devices]
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
        allocation = {"devices": {"results": results}, "nodeSelector": {"nodeSelectorTerms": terms}}
        found["status"] = {"allocation": allocation}
    return found


def slices(node: str, *devices: str) -> Json:
    spec = {
        "driver": "dra.net",
        "nodeName": node,
        "pool": {"name": node},
        "devices": [{"name": name} for name in devices],
    }
    return {"metadata": {"name": node}, "spec": spec}


def affinity(operator: str, *values: str) -> Json:
    expression = {"key": "zone", "operator": operator, **({"values": list(values)} if values else {})}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ({"nodeSelector": {"zone": "a"}}, "a"),
        ({"affinity": affinity("In", "a", "x")}, "a"),
        ({"affinity": affinity("NotIn", "a")}, "b"),
        ({"affinity": affinity("DoesNotExist")}, ""),
        ({"affinity": affinity("Exists"), "nodeSelector": {"zone": "b"}}, "b"),
        ({"requests": {"cpu": "7"}}, "b"),  # a is half full
        ({"requests": {"cpu": "9"}}, ""),
    ],
)
def test_choice(spec: Json, chosen: str) -> None:
    nodes = [node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"})]
    busy = [pod("busy", on="a", requests={"cpu": "4"})]
    assert decide(pod(**spec), [], Fleet(nodes, busy)).node == chosen


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "google.com/tpu", "operator": "Exists"}, True),
        ({"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "google.com/tpu", "value": "present"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "google.com/tpu", "value": "absent"}, False),
        ({"key": "google.com/tpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_taints(toleration: Json, tolerated: bool) -> None:
    fleet = Fleet([node("a", taints=[TPU_TAINT])], [])
    assert bool(decide(pod(tolerations=[toleration]), [], fleet).node) == tolerated


def test_no_nodes() -> None:
    assert decide(pod(), [], Fleet([], [])).message == "no nodes available to schedule pods"


def test_message_counts_reasons_over_nodes() -> None:
    cordoned = node("d")
    cordoned["spec"]["unschedulable"] = True
    nodes = [node("a", taints=[TPU_TAINT]), node("b"), node("c"), cordoned]
    decision = decide(pod(requests={"cpu": "9", "google.com/tpu": "4"}), [], Fleet(nodes, []))
    assert decision.message == (
        "0/4 nodes are available: 1 node(s) had untolerated taint {google.com/tpu: present}, "
        "1 node(s) were unschedulable, 2 Insufficient cpu, 2 Insufficient google.com/tpu. "
        f"preemption: 0/4 nodes are available: 2 {HOPE}, 2 {HOPELESS}."
    )


def test_message_for_claims() -> None:
    nodes = [node("a", labels={"tpu": "yes"}), node("b")]
    fleet = Fleet(nodes, [], slices=[slices("b", "eth1")], classes=CLASSES)
    decision = decide(pod(nodeSelector={"tpu": "yes"}), [claim()], fleet)
    assert decision.message == (
        "0/2 nodes are available: 1 cannot allocate all claims, 1 node(s) didn't match Pod's node affinity/selector. "
        f"no new claims to deallocate, preemption: 0/2 nodes are available: 1 {HOPE}, 1 {HOPELESS}."
    )


def test_message_for_a_missing_device_class() -> None:
    decision = decide(pod(), [claim()], Fleet([node("a")], []))
    assert decision.message == (
        "0/1 nodes are available: request req: device class netdev.google.com does not exist. "
        f"preemption: 0/1 nodes are available: 1 {HOPELESS}."
    )


@pytest.mark.parametrize(
    ("exact", "taken", "devices"),
    [
        ({"allocationMode": "All"}, (), ["eth1", "eth2"]),
        ({"allocationMode": "All"}, ("eth2",), None),  # All means all, free or not
        ({"allocationMode": "ExactCount", "count": 1}, ("eth1",), ["eth2"]),
        ({"allocationMode": "ExactCount", "count": 2}, (), ["eth1", "eth2"]),
        ({"allocationMode": "ExactCount", "count": 3}, (), None),
        ({}, (), ["eth1"]),  # one, by default
    ],
)
def test_allocation(exact: Json, taken: tuple[str, ...], devices: list[str] | None) -> None:
    held = [claim("held", node="a", devices=taken)] if taken else []
    wanted = claim(exact={"deviceClassName": "netdev.google.com", **exact})
    fleet = Fleet([node("a")], [], claims=held, slices=[slices("a", "eth1", "eth2")], classes=CLASSES)
    decision = decide(pod(), [wanted], fleet)
    assert bool(decision.node) == (devices is not None)
    if devices is not None:
        assert [result["device"] for result in decision.allocations["c"]] == devices


def test_two_claims_of_one_pod_share_no_device() -> None:
    exact = {"deviceClassName": "netdev.google.com"}
    pair = [claim("one", exact=exact), claim("two", exact=exact)]
    found = dra.allocate(pair, [slices("a", "eth1", "eth2")], set(), CLASSES)
    assert found is not None
    assert (found["one"][0]["device"], found["two"][0]["device"]) == ("eth1", "eth2")
    assert dra.allocate(pair, [slices("a", "eth1")], set(), CLASSES) is None


def test_an_allocated_claim_binds_its_pod_to_its_node() -> None:
    allocated = claim(node="b", devices=("eth1",))
    nodes = [node("a"), node("b")]
    fleet = Fleet(nodes, [], claims=[allocated], slices=[slices("a", "eth1"), slices("b", "eth1")], classes=CLASSES)
    decision = decide(pod(), [allocated], fleet)
    assert (decision.node, decision.allocations) == ("b", {})


def test_all_of_nothing_is_no_allocation() -> None:
    assert dra.allocate([claim()], [], set(), CLASSES) is None
