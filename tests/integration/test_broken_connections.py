# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that break before or after a write has landed: every module still tells the truth."""

from __future__ import annotations

import functools
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gcp import transport
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff

from tests.clouds import PROJECT, Running
from tests.integration.life import prepare
from tests.module_runner import run_module

Json = dict[str, t.Any]

NODES = {"region": "us-east5", "network": "vpc", "ip_cidr_range": "10.0.1.0/24"}
VIP = {"region": "us-east5", "subnetwork": "nodes", "address_type": "INTERNAL"}
NAT = {"region": "us-east5", "network": "vpc", "router": "router"}

# Module, options at creation, options that change.
LIVES: dict[str, tuple[Json, Json]] = {
    "network": ({"name": "vpc-2", "mtu": 1460}, {"mtu": 8896}),
    "subnetwork": ({"name": "sub", **NODES, "ip_cidr_range": "10.3.0.0/24"}, {"private_ip_google_access": True}),
    "firewall_rule": ({"name": "fw", "network": "vpc", "allowed": [{"ip_protocol": "tcp"}]}, {"priority": 7}),
    "address": ({"name": "vip", **VIP}, {"labels": {"a": "b"}}),
    "router_nat": ({"name": "nat", **NAT}, {"min_ports_per_vm": 128}),
    "bucket": ({"name": "bucket", "location": "US"}, {"versioning": True}),
    "service_account": ({"name": "robot-1"}, {"display_name": "Robot"}),
    "iam_member": ({"role": "roles/viewer", "member": "group:ops@example.com"}, {}),
}


# The first write of a module breaks; a policy is read with POST, too.
WRITES = {"method": "[!G]*", "resource": "*[!y]", "times": 1}
POLICIES = {**WRITES, "resource": "*:setIamPolicy"}


@pytest.fixture(autouse=True)
def _parents(cloud: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = functools.partial(transport.Persistence, backoff=Backoff(first=0.02))
    monkeypatch.setattr(transport, "Persistence", quick)
    prepare(cloud, ("network", {"name": "vpc"}), ("subnetwork", {"name": "nodes", **NODES}))


@pytest.mark.parametrize("when", ["after", "before"], ids=["landed", "lost"])
@pytest.mark.parametrize("module", sorted(LIVES))
def test_life(module: str, when: str, cloud: Json, cloud_server: Running) -> None:
    create, change = LIVES[module]
    where = POLICIES if module == "iam_member" else WRITES
    steps: list[Json] = [create, {**create, **change}, {**create, "state": "absent"}]
    if not change:
        del steps[1]
    for step in steps:
        with cloud_server.fault("reset", settings={"when": when}, **where):
            assert run_module(module, {**cloud, **step})["changed"] is True
            assert not cloud_server.faults(), "no write was broken"
        assert run_module(module, {**cloud, **step})["changed"] is False


def test_an_api_is_enabled_once(cloud: Json, cloud_server: Running) -> None:
    with cloud_server.fault("reset", settings={"when": "after"}, **WRITES):
        assert run_module("service", {**cloud, "name": ["run.googleapis.com"]})["changed"] is True
        assert not cloud_server.faults(), "no write was broken"
    state = cloud_server.request("GET", "serviceusage", f"v1/projects/{PROJECT}/services/run.googleapis.com")["state"]
    assert state == "ENABLED"
