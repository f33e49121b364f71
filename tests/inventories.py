# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories for tests of the judge: the example's, changed at one place or another, read by Ansible itself."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import typing as t
from pathlib import Path

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.estate import Estate
from ansible_collections.aiserving.gke.plugins.plugin_utils._estate import read

Json = dict[str, t.Any]

ROOT = Path(__file__).resolve().parent.parent
EAST, WEST = "us-east5", "europe-west4"

# A value that takes the variable away.
GONE = "<gone>"


@dataclasses.dataclass
class Change:
    """What another inventory says otherwise: variables of all regions, of one, of the command line; groups; forks."""

    everywhere: Json = dataclasses.field(default_factory=dict)
    regions: dict[str, Json | None] = dataclasses.field(default_factory=dict)
    extra: Json = dataclasses.field(default_factory=dict)
    config_region: list[str] = dataclasses.field(default_factory=lambda: [EAST])
    forks: int = 16
    playbook: str = "site.yml"
    limit: list[str] = dataclasses.field(default_factory=list)

    def write(self, folder: Path, base: str = "example") -> Path:
        """The inventory as files; the base's variables of its groups stay, and are overridden below them."""
        source = ROOT / "inventories" / base
        shutil.copytree(source / "group_vars", folder / "group_vars")
        for path in source.glob("sandbox.yml"):
            shutil.copy(path, folder)
        hosts: dict[str, t.Any] = {}
        for region in (EAST, WEST):
            hosts |= yaml.safe_load((source / f"{region}.yml").read_text())["regions"]["hosts"]
        for region, variables in self.regions.items():  # None: there is no such region
            hosts[region] = _without({**hosts.get(region, {}), **variables}) if variables is not None else None
        # Hosts come before groups, so what is for all of them is written at each.
        every = _without(self.everywhere)
        gone = [key for key, value in self.everywhere.items() if value == GONE]
        for path in (folder / "group_vars").rglob("*.yml"):
            said = yaml.safe_load(path.read_text())
            path.write_text(yaml.safe_dump({key: value for key, value in said.items() if key not in gone}))
        document = {
            "regions": {"hosts": {region: {**hosts[region], **every} for region in hosts if hosts[region] is not None}},
            "config_region": {"hosts": dict.fromkeys(self.config_region)},
        }
        (folder / "hosts.yml").write_text(json.dumps(document))  # JSON is YAML
        return folder


def _without(variables: Json) -> Json:
    return {key: value for key, value in variables.items() if value != GONE}


@functools.cache
def _plugins() -> None:
    init_plugin_loader([])


def estate(folder: Path, change: Change | None = None) -> Estate:
    """What the judge is given in the first play of a playbook on this inventory."""
    change = change or Change()
    _plugins()
    loader = DataLoader()
    loader.set_basedir(str(ROOT))
    inventory = InventoryManager(loader, sources=[f"{folder}/"])
    variables = VariableManager(loader, inventory)
    variables._extra_vars = change.extra
    HostVars(inventory, variables, loader)
    playbook = loader.load_from_file(str(ROOT / "playbooks" / change.playbook), trusted_as_template=True)
    [first] = [
        play for play in playbook if any("aiserving.gke.inventory_judge" in task for task in play.get("tasks", ()))
    ]
    [told] = [task for task in first["tasks"] if "aiserving.gke.inventory_judge" in task]
    # The task itself stays out: what it would look up is only its name.
    made = {"hosts": "regions", "gather_facts": False, "vars": first["vars"], "tasks": [{"ansible.builtin.debug": {}}]}
    play = Play.load(made, variable_manager=variables, loader=loader)
    task = next(task for block in play.compile() for task in block.get_tasks() if task.action.endswith("debug"))
    found = variables.get_vars(play=play, host=inventory.get_host(EAST), task=task)
    options = {
        "group": "regions",
        "config_group": "config_region",
        "roles": told["aiserving.gke.inventory_judge"]["roles"],
        "zones": (found.get("catalogue_zones") or {}),
    }
    task_vars = {**found, "ansible_forks": change.forks, "ansible_play_hosts_all": change.limit}
    return read(task, task_vars, loader, options)
