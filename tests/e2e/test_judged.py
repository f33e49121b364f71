# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A wrong inventory costs nothing: real runs of the playbooks end at the judge, and the cloud was not even asked.

What the judge finds is tests/unit/plugins/module_utils/test_inventory_*.py's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.estate import BIN, ROOT, Estate, Run, run, started
from tests.inventories import EAST, WEST, Change

# One of each kind at once, and the options that must be told.
MANY = Change(
    everywhere={
        "gcp_auth_kind": "aplication",
        "model_replicas": -1,
        "model_bucket": "Gemma",
        "gateway_health_check_timeout": 5,
        "failover_rate": 0,
        "gateway_endpoint_picker": {"failuremode": "FailOpen"},
    },
    regions={
        EAST: {"zone": "us-east5-z", "network_proxy_only_cidr": "{{ sandbox.prefix }}.1.0/26"},
        WEST: {
            "cluster_name": "GKE",
            "cluster_node_pools": [{"name": "tpu", "dranett": True, "config": {"machine_type": "ct6e-standard-4t"}}],
            "network_node_cidr": "{{ nowhere }}",
        },
    },
    config_region=[EAST, WEST],
)
TOLD = (
    "group config_region",
    "gcp_auth_kind",
    "model_replicas",
    "model_bucket",
    "gateway_health_check_timeout",
    "failover_rate",
    "gateway_endpoint_picker.failuremode",
    "us-east5: zone",
    "us-east5: network_proxy_only_cidr",
    "europe-west4: cluster_name",
    "europe-west4: cluster_node_pools[0].dranett",
    "europe-west4: network_node_cidr",
)
SINGLE: dict[str, tuple[Change, tuple[str, ...], str]] = {
    "a zone": (Change(regions={EAST: {"zone": "us-east5-z"}}), (), "us-east5: zone: 'us-east5-z'"),
    "a string on the command line": (Change(), ("-e", "model_replicas=-1"), "model_replicas: -1 is out of bounds"),
    "forks": (Change(), ("--forks", "1"), "forks: 1 is less than the 2 regions"),
    "a pool of nobody": (
        Change(regions={WEST: {"model_node_selector": {"tier": "gold"}}}),
        (),
        "europe-west4: model_node_selector",
    ),
    "a template": (Change(everywhere={"model_name": "{{ nowhere }}"}), (), "model_name"),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """A sandbox in which nothing is ever made."""
    with started(tmp_path_factory.mktemp("judged")) as made:
        yield made


def asked(cloud: Estate) -> int:
    """Requests that the collection has sent to any API, reads included."""
    return sum(agents.get("aiserving.gke", 0) for agents in cloud.status()["requests"].values())


def on(cloud: Estate, change: Change, folder: Path) -> Estate:
    return dataclasses.replace(cloud, inventory=change.write(folder / "inventory", "sandbox"))


@pytest.mark.parametrize("playbook", ["site.yml", "failover_drill.yml"])
@pytest.mark.parametrize("mode", [(), ("--check",)], ids=["run", "check"])
def test_all_faults_are_one_list_and_nothing_was_asked_of_the_cloud(
    cloud: Estate, playbook: str, mode: tuple[str, ...], tmp_path: Path
) -> None:
    ended = on(cloud, MANY, tmp_path).play(playbook, *mode)
    assert ended.code != 0
    assert "The inventory has" in ended.output and ended.output.count("- us-east5: zone") >= 1
    for option in TOLD:
        assert f"- {option}" in ended.output, ended.output
    assert "'nowhere' is undefined" in ended.output
    assert re.search(r"inventory/hosts\.yml\b", ended.output)
    assert asked(cloud) == 0
    assert sum(counts["failed"] for counts in ended.recap().values()) == 1
    assert ended.changed() == 0


@pytest.mark.parametrize("mode", [(), ("--check",)], ids=["run", "check"])
@pytest.mark.parametrize("case", SINGLE)
def test_a_single_fault_ends_the_run_as_well(cloud: Estate, case: str, mode: tuple[str, ...], tmp_path: Path) -> None:
    change, arguments, told = SINGLE[case]
    ended = on(cloud, change, tmp_path).play("site.yml", *mode, *arguments)
    assert ended.code != 0 and "The inventory has 1 problem" in ended.output, ended.output
    assert told in ended.output
    assert asked(cloud) == 0


def test_a_right_inventory_goes_on(cloud: Estate) -> None:
    """In check mode, so that nothing is made; it shows that requests would have been counted."""
    ended = cloud.play("site.yml", "--check")
    assert ended.code == 0, ended.output
    assert asked(cloud) > 0


def test_a_truth_value_of_the_command_line_is_accepted_and_meant(cloud: Estate) -> None:
    """-e key=value is text, and text is true to a template."""
    jobs = {}
    for said in ("true", "false"):
        ended = cloud.play("site.yml", "--check", "--diff", "--limit", EAST, "-e", f"model_download={said}")
        assert ended.code == 0, ended.output
        jobs[said] = "model-download-" in ended.output
    assert jobs == {"true": True, "false": False}


def ansible(folder: Path, plays: list[dict[str, t.Any]] | str, inventory: str, *arguments: str) -> Run:
    """ansible-playbook in an estate of somebody else: no configuration of ours."""
    (folder / "ansible.cfg").touch()
    if not isinstance(plays, str):
        (folder / "play.yml").write_text(yaml.safe_dump(plays))
        plays = str(folder / "play.yml")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(BIN / "ansible-playbook"), "-i", inventory, plays, *arguments]
    return run(command, cwd=folder, env=environment)


@pytest.mark.parametrize("inventory", ["web1,web2,", "localhost,", "/dev/null"])
@pytest.mark.parametrize("playbook", ["site", "failover_drill"])
def test_a_foreign_inventory_is_told_what_it_needs(playbook: str, inventory: str, tmp_path: Path) -> None:
    ended = ansible(tmp_path, f"aiserving.gke.{playbook}", inventory)
    assert ended.code != 0
    assert "The inventory has no host in group regions" in ended.output
    assert "config_region" in ended.output and "gcp_project" in ended.output


def test_single_roles_in_an_estate_of_its_own(tmp_path: Path) -> None:
    """A group of another name, none for a Gateway that there is not, two of the roles, variables from the play."""
    hosts = {
        "serving": {
            "hosts": {
                region: {
                    "zone": zone,
                    "network_node_cidr": f"10.0.{number}.0/24",
                    "network_proxy_only_cidr": f"10.1.{number}.0/24",
                }
                for number, (region, zone) in enumerate({EAST: "us-east5-b", WEST: "europe-west4-a"}.items())
            }
        },
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    task = {"group": "serving", "roles": ["network", "cluster"]}
    play: dict[str, t.Any] = {
        "hosts": "serving",
        "gather_facts": False,
        "vars": {"gcp_project": "my-project"},
        "tasks": [
            {"aiserving.gke.inventory_judge": task, "run_once": True, "register": "verdict"},
            {
                "ansible.builtin.copy": {
                    "content": "{{ verdict | to_json }}",
                    "dest": str(tmp_path / "verdict.json"),
                },
                "delegate_to": "localhost",
                "run_once": True,
                "check_mode": False,
            },
        ],
    }
    inventory = str(tmp_path / "hosts.yml")
    ended = ansible(tmp_path, [play], inventory, "--check", "-c", "local")
    assert ended.code == 0, ended.output
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict["problems"], verdict["regions"], verdict["changed"]) == ([], [WEST, EAST], False)
    play["vars"]["network_mtu"] = 9000
    ended = ansible(tmp_path, [play], inventory, "-c", "local")
    assert ended.code != 0 and "network_mtu: 9000 is out of bounds; give 1300 to 8896" in ended.output


def test_no_secret_is_told(cloud: Estate, tmp_path: Path) -> None:
    change = Change(everywhere={"model_hugging_face_token": "hf_very_secret\r", "model_replicas": -1})
    ended = on(cloud, change, tmp_path).play("site.yml", "-vvv")
    assert ended.code != 0 and "model_hugging_face_token" in ended.output
    assert "hf_very_secret" not in ended.output and cloud.status()["token"] not in ended.output
