# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes, machines and quantities: what a node pool is worth to the scheduler."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sandbox.catalogue.machines import find, named
from sandbox.controllers.allocatable import allocatable_cpu, allocatable_memory
from sandbox.controllers.dra import device_classes, matches, resource_slices
from sandbox.controllers.nodes import desired_nodes
from sandbox.controllers.quantities import quantity, requests
from sandbox.interfaces import ClusterKey, Json
from tests.sandbox.controllers.harness import default_pool, document, tpu_pool

KEY = ClusterKey("us-east5-a", "east")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("8Gi", 8 * 2**30),
        (4, 4),
        ("1.5", Fraction(3, 2)),
        ("2k", 2000),
        ("1e3", 1000),
        ("3E", 3 * 10**18),
    ],
)
def test_quantity(text: object, value: object) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "4GB", "12Q", "many", "1mm"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError):
        quantity(text)


def test_requests_of_a_pod() -> None:
    pod = {
        "spec": {
            "containers": [
                {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "google.com/tpu": "4"}}},
                {"resources": {"requests": {"cpu": "500m"}}},
            ],
            "initContainers": [
                {"resources": {"requests": {"cpu": "3", "memory": "1Gi"}}},
                {"restartPolicy": "Always", "resources": {"requests": {"memory": "2Gi"}}},
            ],
        }
    }
    assert requests(pod) == {"cpu": 3, "google.com/tpu": 4, "memory": 3 * 2**30, "pods": 1}


@pytest.mark.parametrize(
    ("name", "cpus", "memory"),
    [
        ("e2-standard-16", 16, 64),
        ("n2-highmem-8", 8, 64),
        ("c3-highcpu-22", 22, 44),
        ("n2d-custom-4-8192", 4, 8),
        ("custom-2-4096", 2, 4),
        ("ct6e-standard-4t", 180, 720),
        ("", 2, 4),
    ],
)
def test_machine(name: str, cpus: float, memory: float) -> None:
    assert (named(name).cpus, named(name).memory) == (cpus, memory)


@pytest.mark.parametrize(
    "name", ["unheard-of", "e2-standard-3", "c3-custom-4-8192", "n2-custom-3-8192", "ct6e-standard-2t"]
)
def test_what_is_no_machine(name: str) -> None:
    assert find(name) is None


def test_allocatable_follows_gke() -> None:
    # Google's published figures: 15.89 of 16 cores; of 64 GiB, 25 % + 20 % + 10 % + 6 % by step, and 100 MiB go.
    assert round(allocatable_cpu(16), 2) == 15.89
    assert round(allocatable_memory(64), 2) == round(64 - (1 + 0.8 + 0.8 + 48 * 0.06 + 100 / 1024), 2)


def test_nodes_of_a_tpu_pool() -> None:
    default, tpu = desired_nodes(document(KEY, default_pool(), tpu_pool()), KEY)
    labels = tpu["metadata"]["labels"]
    assert labels["cloud.google.com/gke-tpu-accelerator"] == "tpu-v6e-slice"
    assert labels["cloud.google.com/gke-tpu-topology"] == "2x2"
    assert labels["gke.networks.io/accelerator-network-profile"] == "auto"
    assert labels["cloud.google.com/gke-networking-dra-driver"] == "true"
    assert (labels["topology.kubernetes.io/region"], labels["topology.kubernetes.io/zone"]) == (
        "us-east5",
        "us-east5-a",
    )
    assert tpu["spec"]["taints"] == [{"key": "google.com/tpu", "value": "present", "effect": "NoSchedule"}]
    assert tpu["status"]["allocatable"]["google.com/tpu"] == "4"
    assert "taints" not in default["spec"] and "google.com/tpu" not in default["status"]["allocatable"]


def test_nodes_of_a_gpu_pool() -> None:
    pool: Json = {
        "name": "gpu",
        "initialNodeCount": 1,
        "config": {
            "machineType": "a3-ultragpu-8g",
            "spot": True,
            "taints": [{"key": "team", "value": "a", "effect": "NO_EXECUTE"}],
        },
        "networkConfig": {"acceleratorNetworkProfile": "auto"},
    }
    pool["config"]["labels"] = {"cloud.google.com/gke-networking-dra-driver": "true"}
    cluster = document(KEY, pool)
    (node,) = desired_nodes(cluster, KEY)
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert node["metadata"]["labels"]["cloud.google.com/gke-accelerator"] == "nvidia-h200-141gb"
    assert node["metadata"]["labels"]["cloud.google.com/gke-spot"] == "true"
    assert {(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]} == {
        ("team", "NoExecute"),
        ("nvidia.com/gpu", "NoSchedule"),
    }
    (part,) = resource_slices(cluster, KEY)
    assert len(part["spec"]["devices"]) == 8


@pytest.mark.parametrize(
    ("status", "count"),
    [("RUNNING", 2), ("RECONCILING", 2), ("RUNNING_WITH_ERROR", 2), ("PROVISIONING", 0), ("STOPPING", 0), ("ERROR", 0)],
)
def test_nodes_come_and_go_with_the_pool(status: str, count: int) -> None:
    pool = {**default_pool(), "status": status, "locations": ["us-east5-a", "us-east5-b"]}
    nodes = desired_nodes(document(KEY, pool), KEY)
    assert len({node["metadata"]["name"] for node in nodes}) == count


def test_node_addresses_come_from_the_top_of_the_node_subnet() -> None:
    subnet = {"name": "nodes-us-east5", "region": "https://x/regions/us-east5", "ipCidrRange": "127.20.1.0/24"}
    nodes = desired_nodes(document(KEY, default_pool(2)), KEY, [subnet])
    assert [node["status"]["addresses"][0]["address"] for node in nodes] == ["127.20.1.253", "127.20.1.252"]


@pytest.mark.parametrize(
    ("profile", "driver", "managed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_dranet_needs_profile_and_label(profile: bool, driver: bool, managed: bool) -> None:
    cluster = document(KEY, default_pool(), tpu_pool(profile=profile, driver=driver))
    assert bool(device_classes(cluster)) == bool(resource_slices(cluster, KEY)) == managed


@pytest.mark.parametrize(
    ("expression", "matched"),
    [
        ('device.driver == "dra.net"', True),
        ('device.driver == "other"', False),
        ('device.driver == "dra.net" && device.attributes["dra.net"].rdma', False),
        ('device.driver == "dra.net" && !device.attributes["dra.net"].rdma', True),
        ('device.attributes["dra.net"].ifName == "eth1"', True),
        ('device.attributes["dra.net"]["ifName"] != "eth1"', False),
        ('device.attributes["dra.net"].mtu == 8896', True),
        ('device.attributes["dra.net"].absent == 1', False),
        ('device.attributes["dra.net"].ifName.startsWith("eth")', False),
    ],
)
def test_selectors(expression: str, matched: bool) -> None:
    attributes = {"dra.net/ifName": {"string": "eth1"}, "dra.net/rdma": {"bool": False}, "dra.net/mtu": {"int": 8896}}
    assert matches(expression, "dra.net", {"attributes": attributes}) == matched
