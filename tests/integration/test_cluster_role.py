# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role cluster hands every option of a pool to the module, refuses every other by name, and grants what pools need."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.aiserving.gke.plugins.module_utils._gke.spec import NODE_POOL_SPEC

from tests.clouds import PROJECT, Running, running_cloud
from tests.integration.test_twins import Playbook
from tests.module_runner import run_module

Json = dict[str, t.Any]

ROLE = Path(__file__).resolve().parents[2] / "roles" / "cluster"
ZONE = "us-east5-a"
POOLS = f"v1/projects/{PROJECT}/locations/{ZONE}/clusters/gke/nodePools"
# What the role knows by itself.
OF_THE_ROLE = {"cluster", "location", "project", "wait", "wait_timeout"}


def pool_options() -> Json:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return t.cast(Json, specs["main"]["options"]["cluster_node_pools"]["options"])


def test_every_option_of_a_pool_is_reachable() -> None:
    of_module = {name: spec["type"] for name, spec in NODE_POOL_SPEC.items() if name not in OF_THE_ROLE}
    assert {name: spec["type"] for name, spec in pool_options().items()} == of_module
    (task,) = yaml.safe_load((ROLE / "tasks" / "pools.yml").read_text())
    handed = task["aiserving.gke.node_pool"]
    assert set(handed) - OF_THE_ROLE == set(of_module)
    for name in of_module.keys() - {"name"}:
        assert handed[name] == f"{{{{ cluster_pool.{name} | default(omit) }}}}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Running]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def play(folder: Path, cloud: Running, pools: list[Json], *, code: int = 0) -> str:
    """What the role printed."""
    variables = {
        "cluster_project": PROJECT,
        "cluster_region": "us-east5",
        "cluster_location": ZONE,
        "cluster_name": "gke",
        "cluster_network": "default",
        "cluster_subnetwork": "default",
        "cluster_node_pools": pools,
    }
    role = {"name": "aiserving.gke.cluster"}
    playbook = Playbook(folder / "play", cloud, [{"ansible.builtin.include_role": role, "vars": variables}])
    playbook.run(code=code)
    return playbook.output


def test_a_misspelt_option_is_named_before_anything_is_made(tmp_path: Path, server: Running) -> None:
    printed = play(tmp_path, server, [{"name": "pool", "machine_tpe": "ct6e-standard-4t"}], code=2)
    assert "machine_tpe" in printed and "Supported parameters include" in printed
    assert run_module("cluster_info", server.args)["clusters"] == []


def test_options_arrive_and_the_service_agent_is_granted_its_role(tmp_path: Path, server: Running) -> None:
    pools: list[Json] = [
        {
            "name": "pool",
            "dranet": True,
            "initial_node_count": 1,
            "version": "1.34.1-gke.1829001",
            "max_pods_constraint": {"max_pods_per_node": 32},
            "config": {"machine_type": "ct6e-standard-4t"},
        },
        {"name": "old", "state": "absent"},
    ]
    printed = play(tmp_path, server, pools)
    assert "roles/compute.networkAdmin" not in "".join(line for line in printed.splitlines() if "WARNING" in line)
    pool = server.request("GET", "container", f"{POOLS}/pool")
    assert (pool["version"], pool["maxPodsConstraint"]) == ("1.34.1-gke.1829001", {"maxPodsPerNode": "32"})
    policy = server.request("POST", "cloudresourcemanager", f"v1/projects/{PROJECT}:getIamPolicy")
    (members,) = (b["members"] for b in policy["bindings"] if b["role"] == "roles/compute.networkAdmin")
    assert [member.endswith("@container-engine-robot.iam.gserviceaccount.com") for member in members] == [True]
