# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GKE's names, versions and machines."""

from __future__ import annotations

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption
from ansible_collections.aiserving.gke.plugins.module_utils._gke import machines, names


@pytest.mark.parametrize(
    ("have", "floor", "enough"),
    [
        ("1.34.1-gke.1829001", "1.34.1-gke.1829001", True),
        ("1.34.1-gke.1829000", "1.34.1-gke.1829001", False),
        ("1.34.1-gke.9", "1.34.1-gke.10", False),
        ("1.34.10-gke.1", "1.34.9-gke.2", True),
        ("1.35.0-gke.1", "1.34.1-gke.1829001", True),
        ("1.9.0-gke.1", "1.10.0-gke.1", False),
        ("2.0.0-gke.1", "1.99.0-gke.1", True),
        ("1.34.0-gke.1", "1.34", True),
        ("1.33.5-gke.1", "1.34", False),
    ],
)
def test_versions_are_ordered_by_number(have: str, floor: str, enough: bool) -> None:
    assert names.at_least(have, floor) is enough


@pytest.mark.parametrize("text", ["latest", "-", "1", "1.34.1-gke", "v1.34", "1.34.1-gke.x", ""])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="master_version"):
        names.Version.parse(text, "master_version")


def test_a_version_beyond_the_wanted_has_been_reached() -> None:
    assert names.reached("1.34", "1.35.0-gke.1")
    assert not names.reached("1.35", "1.34.9-gke.1")
    assert not names.reached("1.35", None)


@pytest.mark.parametrize(
    ("location", "zone"),
    [("us-east5-a", True), ("us-east5", False), ("us-central1-ai1a", True), ("northamerica-northeast1", False)],
)
def test_locations(location: str, zone: bool) -> None:
    assert names.check_location("location", location) == location
    assert names.is_zone(location) is zone


@pytest.mark.parametrize("location", ["", "-", "us", "US-EAST5", "us-east5-a/clusters", "useast5"])
def test_bad_locations(location: str) -> None:
    with pytest.raises(InvalidOption, match="location"):
        names.check_location("location", location)


@pytest.mark.parametrize("name", ["a", "tpu-v6e", "a" * 40])
def test_names(name: str) -> None:
    assert names.check_name("name", name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "a-", "a_b", "a" * 41, "a/b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidOption):
        names.check_name("name", name)


@pytest.mark.parametrize(
    ("machine", "topology", "problem"),
    [
        ("ct6e-standard-4t", "2x4", None),
        ("ct6e-standard-4t", "16x16", None),
        ("ct6e-standard-4t", "2x2", "single ct6e-standard-4t host"),
        ("ct6e-standard-4t", "3x4", "one of 2x4, 4x4"),
        ("ct6e-standard-8t", "2x4", "single ct6e-standard-8t host"),
        ("ct6e-standard-8t", "4x4", "single hosts"),
        ("ct6e-standard-1t", "1x1", "single ct6e-standard-1t host"),
        ("ct5p-hightpu-4t", "2x2x2", None),
        ("ct5p-hightpu-4t", "2x2x1", "single ct5p-hightpu-4t host"),
        ("ct5p-hightpu-4t", "huge", "whole hosts"),
        ("tpu7x-standard-4t", "1x1x1", "whole hosts"),
        ("e2-standard-16", "2x2", "has no TPU"),
        ("tpu9-standard-4t", "2x2", None),
        ("ct6e-standard-16t", "2x2", None),  # newer than the table: left to GKE
    ],
)
def test_topologies(machine: str, topology: str, problem: str | None) -> None:
    found = machines.topology_problem(machine, topology)
    assert found is None if problem is None else problem in (found or "")


@pytest.mark.parametrize(
    ("machine", "topology", "nodes"),
    [("ct6e-standard-4t", "2x4", 2), ("ct6e-standard-4t", "16x16", 64), ("ct5p-hightpu-4t", "2x2x2", 2)],
)
def test_hosts_of_a_slice(machine: str, topology: str, nodes: int) -> None:
    assert machines.hosts(machine, topology) == nodes
