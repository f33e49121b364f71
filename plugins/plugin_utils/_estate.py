# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection: it may change in any release.

"""From Ansible's variables to an Estate: what every region would see in its tasks, without running one.

A variable of a role is worth what its precedence says: role defaults, inventory, play, command line. Ansible's own
variable manager is asked, with the play and the task at hand, so that what a playbook derives for the roles counts too.
"""

from __future__ import annotations

import functools
import os
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 trusts everything

    def trust_as_template(value: str) -> str:
        return value


try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core 2.18 does not tell where a value stands, and a later one may tell otherwise
    Origin = None

from ..module_utils._gcp.spec import GCP_SPEC
from ..module_utils._gke.spec import NODE_POOL_SPEC
from ..module_utils._inventory import credentials
from ..module_utils._inventory import estate as plain_estate
from ..module_utils._inventory.estate import Estate, Option, Region
from ..modules.inference_pool import PICKER_SPEC
from ._twin import plain

Json = dict[str, t.Any]

COLLECTION = Path(__file__).resolve().parents[2]
ROLES = ("network", "cluster", "fleet", "model", "gateway", "failover")

# Options of roles that are handed to modules: the module's options, and those that the role says by itself.
PARTS: dict[str, tuple[Json, tuple[str, ...]]] = {
    "cluster_node_pools": (NODE_POOL_SPEC, ("cluster", "location", "state")),
    "gateway_endpoint_picker": (PICKER_SPEC, ()),
}
# Variables of the playbooks and the inventories, which no role has.
OTHERS: dict[str, Option] = {
    **{f"gcp_{name}": Option("", spec) for name, spec in GCP_SPEC.items()},
    "region": Option("", {"type": "str"}),
    "zone": Option("", {"type": "str"}),
}
# The hosts of the play, as --limit leaves them.
PLAY = ("ansible_play_hosts_all", "ansible_play_hosts", "ansible_play_batch")


class Reader:
    """Reads the variables of hosts as tasks of this play would see them; ``task_vars``: those of the task at hand."""

    def __init__(self, task: t.Any, task_vars: Json, loader: DataLoader, roles: t.Sequence[str]) -> None:
        self._hostvars = task_vars["hostvars"]
        self._task = task
        self._loader = loader
        self._roles = frozenset(roles)
        # Asked for anew they would be those of all hosts, since this play's own are a template.
        self._play = {name: task_vars[name] for name in PLAY if name in task_vars}
        self._defaults: Json = {}
        self.options: dict[str, Option] = dict(OTHERS)
        for role in ROLES:
            defaults = self._role_defaults(role)
            self._defaults |= defaults
            for name, spec in _specs(role).items():
                self.options[name] = Option(role, spec, name in defaults, defaults.get(name))

    def region(self, host: str) -> Region:
        """Everything that is known of one host."""
        variables = {**self._defaults, **self._variables(host)}
        templar = Templar(loader=self._loader, variables=variables)
        # What a play says otherwise does not count any more.
        said = self._hostvars.raw_get(host)
        stated = [name for name in said if (name in self.options or _ours(name)) and variables[name] is said[name]]
        composed = [name for name in self.options if templar.is_template(variables.get(name))]
        values: Json = {}
        broken: dict[str, str] = {}
        places: dict[plain_estate.Path, str] = {}
        for name, option in self.options.items():
            if name not in variables:
                continue
            places.update(_places((name,), variables[name]))
            try:
                # In place, so that what refers to it need not evaluate it again.
                variables[name] = templar.template(variables[name])
                values[name] = plain(variables[name])
            except AnsibleError as error:
                # What a role that nobody uses would derive is nobody's fault.
                if name not in said and option.role not in self._roles:
                    continue
                broken[name] = "its template fails" if option.spec.get("no_log") else _told(error)
        return Region(
            host=host,
            values=values,
            stated=frozenset(stated),
            composed=frozenset(composed),
            broken=broken,
            places=places,
            secret=frozenset(name for name, option in self.options.items() if option.spec.get("no_log")),
        )

    def _variables(self, host: str) -> Json:
        # Private names of ansible-core, the same since 2.0: hostvars alone does not know the play.
        manager, inventory = self._hostvars._variable_manager, self._hostvars._inventory
        found = manager.get_vars(play=_play(self._task), host=inventory.get_host(host), task=self._task)
        return {**found, **self._play}

    def _role_defaults(self, role: str) -> Json:
        path = COLLECTION / "roles" / role / "defaults/main.yml"
        text = trust_as_template(path.read_text(encoding="utf-8"))
        return t.cast(Json, self._loader.load(text, file_name=str(path)) or {})


@functools.cache
def _specs(role: str) -> dict[str, Json]:
    """The options of a role, each with the parts that are a module's."""
    text = (COLLECTION / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    document = yaml_load(text)
    options: dict[str, Json] = document["argument_specs"]["main"]["options"]
    return {name: _deepened(name, spec) for name, spec in options.items()}


def _deepened(name: str, spec: Json) -> Json:
    """The spec with the module's own for what is in it; where the role's spec lists the keys, these it takes."""
    whole, own = PARTS.get(name, ({}, ()))
    keys = spec.get("options") or [key for key in whole if key not in own]
    return {**spec, "options": {key: whole.get(key) or spec["options"][key] for key in keys}} if whole else spec


def read(task: t.Any, task_vars: Json, loader: DataLoader, options: Json) -> Estate:
    """The estate of the inventory at hand; ``options``: those of the module."""
    reader = Reader(task, task_vars, loader, options["roles"])
    groups: Mapping[str, list[str]] = task_vars["groups"]
    hosts = groups.get(options["group"]) or []
    regions = tuple(reader.region(host) for host in hosts)
    playing = set(task_vars.get("ansible_play_hosts_all") or [])
    # Without --limit, and in a play on other hosts, all of them are meant.
    working = frozenset(host for host in hosts if host in playing) or frozenset(hosts)
    return Estate(
        regions=regions,
        config_regions=tuple(groups.get(options["config_group"]) or []),
        options=reader.options,
        roles=frozenset(options["roles"]),
        working=working,
        forks=int(task_vars.get("ansible_forks") or len(hosts)),
        zones={zone: tuple(machines) for zone, machines in (options["zones"] or {}).items()},
        loopback=any(credentials.is_loopback(region.get("gcp_api_endpoints")) for region in regions),
        told=frozenset(_play(task).get_vars()),
        group=options["group"],
        config_group=options["config_group"],
    )


def _play(task: t.Any) -> t.Any:
    parent = task._parent
    while not isinstance(parent, Block):
        parent = parent._parent
    return parent._play


def _ours(name: str) -> bool:
    """Whether a variable may be a misspelt one of a role."""
    return name.startswith(tuple(f"{role}_" for role in ROLES))


def _told(error: AnsibleError) -> str:
    """Why a template failed, in one line, without Ansible's preface."""
    text = " ".join(str(getattr(error, "message", error)).split())
    return text.removeprefix("Error while resolving value: ").rstrip(".") or type(error).__name__


def _places(path: plain_estate.Path, value: t.Any) -> Iterator[tuple[plain_estate.Path, str]]:
    """Where a value and what is in it stand, as far as ansible-core knows."""
    if Origin is None:
        return
    if origin := Origin.get_tag(value):
        yield path, _place(origin)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places((*path, key if isinstance(key, int) else str(key)), item)


def _place(origin: t.Any) -> str:
    if not origin.path:
        return str(origin.description or "").strip("<>")
    path = Path(origin.path)
    if COLLECTION / "roles" in path.parents:
        return f"default of role {path.relative_to(COLLECTION / 'roles').parts[0]}"
    here = os.getcwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}:{origin.line_num}" if origin.line_num else str(shown)
