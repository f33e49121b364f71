# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge of requests and answers finds what is not as Google describes it."""

from __future__ import annotations

import typing as t

import pytest

from tests.official import api


@pytest.mark.parametrize(
    ("name", "version", "verb", "path", "method", "answer"),
    [
        ("compute", "v1", "GET", "projects/p/global/networks/n", "compute.networks.get", "Network"),
        (
            "container",
            "v1",
            "POST",
            "v1/projects/p/locations/l/clusters",
            "container.projects.locations.clusters.create",
            "Operation",
        ),
        (
            "cloudresourcemanager",
            "v1",
            "POST",
            "v1/projects/p:getIamPolicy",
            "cloudresourcemanager.projects.getIamPolicy",
            "Policy",
        ),
        ("storage", "v1", "GET", "b/x/iam", "storage.buckets.getIamPolicy", "Policy"),
        ("storage", "v1", "GET", "b/x/o/a%2Fb", "storage.objects.get", "Object"),
    ],
)
def test_paths_have_methods(name: str, version: str, verb: str, path: str, method: str, answer: str) -> None:
    found = api(name, version).method(verb, path)
    assert found is not None and (found.id, found.answer) == (method, answer)


def test_an_unknown_path_has_none() -> None:
    assert api("storage", "v1").method("GET", "b/x/y/z") is None
    assert api("storage", "v1").method("POST", "b/x") is None


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"name": "n", "mtu": 8896, "autoCreateSubnetworks": False, "subnetworks": ["a"]}, ""),
        ({"name": 1}, "Network.name: 1 is no string"),
        ({"id": 1}, "Network.id: 1 is no string"),  # 64 bits do not fit into JSON's numbers
        ({"mtu": "8896"}, "Network.mtu: '8896' is no integer"),
        ({"mtu": True}, "Network.mtu: True is no integer"),
        ({"autoCreateSubnetworks": 0}, "Network.autoCreateSubnetworks: 0 is no boolean"),
        ({"subnetworks": [1]}, "Network.subnetworks[]: 1 is no string"),
        ({"routingConfig": {"routingMode": "LOCAL"}}, "Network.routingConfig.routingMode: 'LOCAL' is none of GLOBAL"),
        ({"routingConfig": {"mode": "GLOBAL"}}, "Network.routingConfig.mode: there is no such field"),
        ([], "Network: [] is no object"),
    ],
)
def test_values_are_judged(network: t.Any, says: str) -> None:
    found = api("compute", "v1").violations("Network", network)
    assert len(found) == bool(says) and all(text.startswith(says) for text in found), found
