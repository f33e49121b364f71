# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Right inventories, however unlike the example: the judge finds nothing in them."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.estate import Option
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.judge import judge, needed, ours, verdict
from ansible_collections.aiserving.gke.plugins.plugin_utils._estate import COLLECTION, ROLES, _specs

from tests.inventories import EAST, WEST, Change, estate

Json = dict[str, t.Any]


def gpu(machine: str, count: int, device_class: str, **options: t.Any) -> Json:
    """Variables of a region on GPUs."""
    return {
        "cluster_node_pools": [
            {"name": "gpu", "initial_node_count": 1, "config": {"machine_type": machine}, **options},
        ],
        "model_image": "vllm/vllm-openai:v0.11.1",
        "model_accelerator_resource": "nvidia.com/gpu",
        "model_accelerator_count": count,
        "model_node_selector": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
        "model_network_device_class": device_class,
    }


THIRD = {"zone": "asia-northeast1-b", "network_node_cidr": "10.0.3.0/24", "network_proxy_only_cidr": "10.1.3.0/23"}
THIRD["network_proxy_only_cidr"] = "10.1.4.0/23"
TPU: Json = {"machine_type": "ct6e-standard-4t"}
ACCELERATOR: Json = {"accelerator_type": "nvidia-tesla-t4", "accelerator_count": 2}

RIGHT: dict[str, Change] = {
    "the example": Change(),
    "one region": Change(regions={WEST: None}, forks=1),
    "three regions": Change(regions={"asia-northeast1": THIRD}, forks=3),
    "the other region is the config region": Change(config_region=[WEST]),
    "strings of the command line": Change(
        extra={"model_replicas": "1", "gateway_port": "8080", "failover_hold": "20", "cluster_wait_timeout": "600"}
    ),
    "GPUs with DRANET": Change(everywhere=gpu("a3-highgpu-8g", 8, "mrdma.google.com", dranet=True)),
    "GPUs without DRANET, several servers on a node": Change(
        everywhere={**gpu("a3-highgpu-8g", 2, ""), "model_replicas": 4}
    ),
    "GPUs of an n1 machine": Change(
        everywhere={
            **gpu("n1-standard-16", 2, ""),
            "cluster_node_pools": [
                {
                    "name": "t4",
                    "node_count": 1,
                    "config": {"machine_type": "n1-standard-16", "accelerators": [ACCELERATOR]},
                }
            ],
            "model_node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"},
        }
    ),
    "GPUs in one region and TPUs in the other": Change(regions={WEST: gpu("a3-highgpu-8g", 8, "")}),
    "no DRANET": Change(
        everywhere={
            "cluster_node_pools": [{"name": "tpu", "initial_node_count": 1, "config": TPU}],
            "model_network_device_class": "",
        }
    ),
    "flex-start": Change(
        everywhere={
            "cluster_node_pools": [
                {
                    "name": "tpu",
                    "dranet": True,
                    "autoscaling": {"enabled": True, "max_node_count": 2},
                    "config": {**TPU, "flex_start": True, "max_run_duration": "604800s"},
                }
            ]
        }
    ),
    "autoscaling, more servers, labels and a taint that TPU Pods tolerate": Change(
        everywhere={
            "cluster_labels": {"team": "serving", "cost-centre": "4711"},
            "cluster_node_pools": [
                {
                    "name": "tpu",
                    "dranet": True,
                    "autoscaling": {"enabled": True, "min_node_count": 0, "max_node_count": 3},
                    "config": {
                        **TPU,
                        "labels": {"example.com/tier": "gold"},
                        "taints": [{"key": "google.com/tpu", "value": "present", "effect": "NO_SCHEDULE"}],
                    },
                }
            ],
            "model_node_selector": {"example.com/tier": "gold", "cloud.google.com/gke-tpu-topology": "2x2"},
            "model_replicas": 3,
        }
    ),
    "a regional cluster": Change(
        everywhere={
            "cluster_location": "{{ region }}",
            "cluster_node_pools": [
                {"name": "tpu", "dranet": True, "locations": ["{{ zone }}"], "initial_node_count": 1, "config": TPU}
            ],
        }
    ),
    "a reservation, eight chips on one host": Change(
        regions={
            EAST: {
                "cluster_node_pools": [
                    {
                        "name": "tpu",
                        "dranet": True,
                        "initial_node_count": 1,
                        "config": {
                            "machine_type": "ct6e-standard-8t",
                            "reservation_affinity": {
                                "consume_reservation_type": "SPECIFIC_RESERVATION",
                                "values": ["v6e"],
                            },
                        },
                    }
                ],
                "model_accelerator_count": 8,
                "model_node_selector": {"cloud.google.com/gke-tpu-topology": "2x4"},
            }
        }
    ),
    "a second pool, of plain machines": Change(
        regions={
            EAST: {
                "cluster_node_pools": [
                    {"name": "tpu", "dranet": True, "initial_node_count": 1, "config": TPU},
                    {"name": "plain", "node_count": 2, "config": {"machine_type": "e2-custom-8-32768"}},
                ]
            }
        }
    ),
    "a zone and a machine that are newer than the catalogue": Change(
        everywhere={"catalogue_zones": {"us-east5-d": ["ct6e-", "ct7x-standard-4t"]}},
        regions={EAST: {"zone": "us-east5-d"}},
    ),
    "a region that is newer than the catalogue": Change(
        everywhere={"catalogue_zones": {"us-north1-a": ["ct6e-"]}},
        regions={"us-north1": {**THIRD, "zone": "us-north1-a"}},
    ),
    "a region that serves nothing now": Change(regions={WEST: {"model_replicas": 0}}),
    "no channel's floor, no labels": Change(everywhere={"cluster_min_version": None, "cluster_labels": None}),
    "names of their own": Change(
        regions={EAST: {"cluster_name": "serving-a", "network_subnet_name": "a", "network_vip_name": "vip-a"}},
        everywhere={
            "model_namespace": "llm",
            "gateway_name": "front.door",
            "model_env": {"VLLM_LOGGING_LEVEL": "INFO"},
        },
    ),
    "variables of somebody else": Change(everywhere={"network_team": "n", "model_owner": "m", "cluster_": 1}),
    "the drill": Change(playbook="failover_drill.yml"),
    "a drill of the other region": Change(playbook="failover_drill.yml", extra={"failover_primary": WEST}),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_nothing_is_found_in_a_right_inventory(change: Change, tmp_path: Path) -> None:
    found = judge(estate(change.write(tmp_path / "inventory"), change))
    assert not found, verdict(found)


def test_the_sandboxs_inventory_is_right(tmp_path: Path) -> None:
    """On ranges of loopback, which no Google network may have: its compute API is on loopback, too."""
    for prefix in ("127.20", "127.199"):
        endpoints = {"compute": f"http://{prefix}.0.1:8/compute/v1/", "container": f"http://{prefix}.0.1:8/container/"}
        status = {"prefix": prefix, "token": "t", "endpoints": endpoints}
        change = Change(extra={"sandbox": status})
        folder = change.write(tmp_path / prefix, "sandbox")
        assert not (found := judge(estate(folder, change))), verdict(found)
        change.playbook = "failover_drill.yml"
        assert not (found := judge(estate(folder, change))), verdict(found)


def test_a_region_left_out_by_limit_stops_nobody_with_its_own_faults(tmp_path: Path) -> None:
    change = Change(regions={WEST: {"model_replicas": -1, "network_node_cidr": "10.0.1.0/25"}}, limit=[EAST])
    read = estate(change.write(tmp_path / "inventory"), change)
    mine, left_out = ours(judge(read), read)
    assert [problem.option for problem in mine] == ["network_node_cidr"]  # they would share a network
    assert [problem.option for problem in left_out] == ["model_replicas"]


def test_several_faults_are_one_list_and_each_says_where_it_stands(tmp_path: Path) -> None:
    change = Change(
        everywhere={"model_replicas": -1},
        regions={EAST: {"zone": "us-east5-z"}, WEST: {"network_node_cidr": "10.0.2.1/24"}},
        config_region=[EAST, WEST],
    )
    folder = change.write(tmp_path / "inventory")
    serving = folder / "group_vars" / "all" / "serving.yml"
    said = serving.read_text().splitlines()
    serving.write_text("\n".join([*said, "gateway_port: 0"]))
    found = judge(estate(folder, change))
    assert [(problem.region, problem.option) for problem in found] == [
        ("", "group config_region"),
        ("", "model_replicas"),
        ("", "gateway_port"),
        (EAST, "zone"),
        (WEST, "network_node_cidr"),
    ]
    places = {problem.option: problem.where for problem in found}
    assert places["gateway_port"].endswith(f"serving.yml:{len(said) + 1}")
    assert "hosts.yml" in places["zone"]
    assert verdict(found).startswith("The inventory has 5 problems, and nothing was changed:\n- ")
    assert "10.0.2.0/24 without host bits" in verdict(found)


def test_an_empty_inventory_is_told_what_it_needs(tmp_path: Path) -> None:
    read = estate(Change().write(tmp_path / "inventory"))
    told = needed(dataclasses.replace(read, regions=()))
    for word in ("group regions", "group config_region", "gcp_project", "network_node_cidr", "model_bucket", "zone"):
        assert word in told
    # What the playbook says itself, and what roles have a default for, is not asked of anybody.
    for word in ("fleet_config_membership", "gateway_addresses", "cluster_name", "failover"):
        assert word not in told


def test_new_options_of_roles_are_known_without_another_list(tmp_path: Path) -> None:
    """The specs say it: an option that a role gains is judged by its type, and by how its name ends."""
    for role in ROLES:
        document = yaml.safe_load((COLLECTION / "roles" / role / "meta/argument_specs.yml").read_text())
        assert _specs(role).keys() == document["argument_specs"]["main"]["options"].keys()
    read = estate(Change().write(tmp_path / "inventory"))
    options = {**read.options, "model_warm_up_timeout": Option("model", {"type": "int"}, has_default=True, default=60)}
    for value, wrong in ((30, []), (-30, ["is out of bounds"]), ("soon", ["is text"])):
        regions = [
            dataclasses.replace(region, values={**region.values, "model_warm_up_timeout": value})
            for region in read.regions
        ]
        found = judge(dataclasses.replace(read, options=options, regions=tuple(regions)))
        assert [problem.wrong for problem in found] == wrong
