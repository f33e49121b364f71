# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spelling of options and of Google's JSON."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._naming import camel, from_api, snake, to_api


@pytest.mark.parametrize(
    ("option", "api"),
    [
        ("name", "name"),
        ("ip_cidr_range", "ipCidrRange"),
        ("ip_protocol", "IPProtocol"),
        ("disk_size_gb", "diskSizeGb"),
        ("min_ports_per_vm", "minPortsPerVm"),
        ("auto_create_subnetworks", "autoCreateSubnetworks"),
    ],
)
def test_both_ways(option: str, api: str) -> None:
    assert camel(option) == api
    assert snake(api) == option


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"routing_mode": None}, {}),
        ({"log_config": {"enable": False, "filter": None}}, {"logConfig": {"enable": False}}),
        ({"source_ranges": []}, {"sourceRanges": []}),
        ({"allowed": [{"ip_protocol": "tcp", "ports": None}]}, {"allowed": [{"IPProtocol": "tcp"}]}),
        ({"labels": {"my_team": "a", "other_key": "b"}}, {"labels": {"my_team": "a", "other_key": "b"}}),
        ({"resource_labels": {"a_b": "c"}}, {"resourceLabels": {"a_b": "c"}}),
    ],
)
def test_options_become_json(given: t.Any, expected: t.Any) -> None:
    assert to_api(given) == expected


def test_a_users_own_keys_come_back_as_they_are() -> None:
    live = {"matchLabels": {"appName": "x"}, "nodePools": [{"initialNodeCount": 1}]}
    assert from_api(live) == {"match_labels": {"appName": "x"}, "node_pools": [{"initial_node_count": 1}]}
