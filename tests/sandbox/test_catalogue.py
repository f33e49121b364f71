# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox's catalogue: sourced, whole, and equal to what the collection's judge of inventories knows."""

from __future__ import annotations

import importlib
import json
import pkgutil
import typing as t
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gke import machines as of_collection
from ansible_collections.aiserving.gke.plugins.module_utils._inventory import catalogue as judge

from sandbox import catalogue
from sandbox.catalogue import accelerators, machines, places, quotas, tpus, versions

TABLES = (dict, tuple, frozenset)


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(catalogue.__path__):
        yield importlib.import_module(f"{catalogue.__name__}.{found.name}")


def sourced(value: t.Any) -> bool:
    """Whether every entry of a table has a source of its own."""
    entries = list(value.values()) if isinstance(value, dict) else list(value)
    return bool(entries) and all(getattr(entry, "source", "") for entry in entries)


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_every_table_and_every_entry_has_its_source(module: ModuleType) -> None:
    known = {**getattr(module, "SOURCES", {})}
    tables = {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and name != "SOURCES" and isinstance(value, TABLES)
    }
    # All machines are made of the families and the two lists of machines, which have theirs.
    tables.pop("MACHINES", None)
    assert [name for name, value in tables.items() if name not in known and not sourced(value)] == []
    assert [name for name in known if not hasattr(module, name)] == []


def test_the_judge_of_inventories_knows_the_same_places() -> None:
    assert judge.REGIONS == places.REGIONS
    assert judge.AI_ZONES == places.AI_ZONES
    assert judge.SOLD_IN.items() <= {f"{name}-": one.zones for name, one in tpus.GENERATIONS.items()}.items()


def test_the_judge_of_inventories_knows_the_same_machines() -> None:
    ours = {machine.name: (machine.chips, machine.topology) for machine in machines.MACHINES.values() if machine.tpu}
    theirs = {name: (machine.chips, machine.single_host) for name, machine in of_collection.TPU_MACHINES.items()}
    assert theirs.items() <= ours.items()
    for name, machine in of_collection.TPU_MACHINES.items():
        generation = tpus.GENERATIONS[name.partition("-")[0]]
        if machine.larger:
            assert machine.larger == generation.slices
        elif machine.larger is None:
            assert machine.chips != tpus.CHIPS_PER_HOST
    assert {machine.name: (machine.gpu, machine.gpus) for machine in machines.MACHINES.values() if machine.gpu} == (
        judge.GPUS
    )
    labels = {f"{name}-": generation.label for name, generation in tpus.GENERATIONS.items()}
    assert labels.items() <= judge.TPU_LABELS.items()
    assert set(of_collection.DRANET_FAMILIES) == {f"{family}-" for family in machines.PROFILE_FAMILIES}
    assert all(judge.is_machine(name, {}) for name in machines.MACHINES)


def test_the_tables_go_together() -> None:
    for generation in tpus.GENERATIONS.values():
        assert all(places.is_zone(zone) for zone in (*generation.zones, *generation.flex_start_zones))
        assert set(generation.flex_start_zones) <= set(generation.zones)
    for gpu in accelerators.GPUS.values():
        assert [zone for zone in gpu.zones if not places.is_zone(zone)] == []
    for machine in machines.MACHINES.values():
        assert set(machines.disk_types(machine)) <= set(machines.DISK_TYPES)
        assert set(quotas.needs(machine, {})) <= set(quotas.metrics())
        assert machine.tpu == (tpus.GENERATIONS[machine.family].label if machine.chips else "")
    for offered in versions.VERSIONS.values():
        assert versions.find("", offered[0]) == offered[0]


@pytest.mark.parametrize(
    ("family", "topology", "hosts"),
    [
        ("ct6e", "2x4", 2),
        ("ct6e", "16x16", 64),
        ("ct5lp", "4x4", 4),
        ("ct5p", "2x2x2", 2),
        ("ct5p", "4x4x8", 32),
        ("tpu7x", "2x2x4", 4),
    ],
)
def test_a_slice_has_so_many_hosts(family: str, topology: str, hosts: int) -> None:
    assert tpus.is_slice(tpus.GENERATIONS[family], topology)
    assert tpus.hosts(topology) == hosts


@pytest.mark.parametrize(
    ("family", "topology"),
    [("ct6e", "2x2"), ("ct6e", "2x2x2"), ("ct5p", "2x2x1"), ("ct5p", "4x2x2"), ("ct5p", "2x2x6"), ("tpu7x", "x2x2")],
)
def test_what_is_no_slice(family: str, topology: str) -> None:
    assert not tpus.is_slice(tpus.GENERATIONS[family], topology)


def test_quotas_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "quotas.json"
    file.write_text(json.dumps({"us-east5": {"TPUS_PER_TPU_FAMILY:CT6E": 4}, "*": {"CPUS": 64}}))
    found = quotas.Quotas.read(file)
    assert found.limit("us-east5", "TPUS_PER_TPU_FAMILY:CT6E") == 4
    assert found.limit("europe-west4", "TPUS_PER_TPU_FAMILY:CT6E") == quotas.DEFAULT_ACCELERATORS
    assert found.limit("europe-west4", "CPUS") == 64


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "no JSON"),
        ("[]", "no object of regions"),
        ('{"us-east9": {}}', "us-east9"),
        ('{"*": {"CPU": 1}}', "'CPU'"),
        ('{"*": {"CPUS": "many"}}', "'many'"),
        ('{"*": {"CPUS": -1}}', "-1"),
    ],
)
def test_what_is_no_file_of_quotas(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "quotas.json"
    file.write_text(content)
    with pytest.raises(quotas.BadQuotas, match=says):
        quotas.Quotas.read(file)
