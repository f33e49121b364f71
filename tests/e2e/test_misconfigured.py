# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An estate that GKE would not make work does not work here either, and the roles say why.

The judge of inventories would have said it first, so it is left out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from tests.e2e.estate import ROOT, Estate


def test_a_region_that_fails_by_itself_stops_the_others_before_the_gateway(estate: Estate, tmp_path: Path) -> None:
    """Regions go on at their own pace, but a gateway of half the regions is not what the inventory says."""
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / "sandbox", inventory)
    region = inventory / "europe-west4.yml"
    region.write_text(region.read_text() + "      cluster_node_pools: [{name: No_Such_Name}]\n")
    run = Estate(estate.directory, inventory).play("site.yml", "--check", "--skip-tags", "judge")
    assert run.code != 0
    assert "europe-west4 failed above" in run.output
    assert "No_Such_Name" in run.output and "Start | Apply what serves the model" in run.output
    assert "Ready | " not in run.output


def test_without_dranet_the_pods_stay_pending_and_the_role_says_why(one_region: Estate) -> None:
    variables = one_region.inventory / "group_vars" / "regions" / "region.yml"
    region = yaml.safe_load(variables.read_text())
    region["cluster_node_pools"][0]["dranet"] = False
    variables.write_text(yaml.safe_dump(region))
    run = one_region.play(
        "site.yml", "--skip-tags", "judge", "-e", '{"model_wait_timeout": 30, "cluster_wait_timeout": 300}'
    )
    assert run.code != 0
    assert "Wait until the model is served" in run.output
    assert "device class netdev.google.com does not exist" in run.output
    pods = one_region.kubectl(
        "us-east5-b/gke-us-east5", "get", "pods", "-l", "app.kubernetes.io/component=model-server"
    )
    assert "Pending" in pods.output and "Running" not in pods.output


def test_one_region_alone_is_built_and_changed_and_cannot_be_drilled(one_region: Estate) -> None:
    run = one_region.play("site.yml")
    assert run.code == 0, run.output
    change = one_region.play("site.yml", "-e", "model_image=vllm/vllm-tpu:v9.9.9")
    assert change.code == 0, change.output
    assert change.changed() == 1 and "Meanwhile nobody serves" in change.output
    drill = one_region.play("failover_drill.yml", "--skip-tags", "judge")
    assert drill.code != 0 and "name one of at least two" in drill.output
