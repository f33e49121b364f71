# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that break before or after a write has landed: every module still tells the truth."""

from __future__ import annotations

import functools
import typing as t

import pytest
import requests
from ansible_collections.aiserving.gke.plugins.module_utils._gcp import transport
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff
from google.auth.transport.requests import AuthorizedSession

from tests.clouds import PROJECT, Running
from tests.integration.life import prepare
from tests.module_runner import run_module

Json = dict[str, t.Any]

WRITES = ("POST", "PUT", "PATCH", "DELETE")
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


class Breaker:
    """Breaks the connection of the first write; ``lands``: after it has been carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self.lands = False
        self.broken = 0
        real = AuthorizedSession.request

        def request(session: t.Any, method: str, url: str, **given: t.Any) -> t.Any:
            is_write = method in WRITES and not url.endswith(":getIamPolicy")
            if not (self.armed and is_write):
                return real(session, method, url, **given)
            self.armed = False
            self.broken += 1
            if self.lands:
                real(session, method, url, **given)
            raise requests.exceptions.ConnectionError("Connection reset by peer")

        monkeypatch.setattr(AuthorizedSession, "request", request)


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> Breaker:
    quick = functools.partial(transport.Persistence, backoff=Backoff(first=0.02))
    monkeypatch.setattr(transport, "Persistence", quick)
    return Breaker(monkeypatch)


@pytest.fixture(autouse=True)
def _parents(cloud: Json) -> None:
    prepare(cloud, ("network", {"name": "vpc"}), ("subnetwork", {"name": "nodes", **NODES}))


@pytest.mark.parametrize("lands", [True, False], ids=["landed", "lost"])
@pytest.mark.parametrize("module", sorted(LIVES))
def test_life(module: str, lands: bool, cloud: Json, cloud_server: Running, breaker: Breaker) -> None:
    create, change = LIVES[module]
    breaker.lands = lands
    steps: list[Json] = [create, {**create, **change}, {**create, "state": "absent"}]
    if not change:
        del steps[1]
    for number, step in enumerate(steps, 1):
        breaker.armed = True
        assert run_module(module, {**cloud, **step})["changed"] is True
        assert breaker.broken == number
        assert run_module(module, {**cloud, **step})["changed"] is False
        breaker.armed = False


def test_an_api_is_enabled_once(cloud: Json, cloud_server: Running, breaker: Breaker) -> None:
    breaker.armed = breaker.lands = True
    assert run_module("service", {**cloud, "name": ["run.googleapis.com"]})["changed"] is True
    state = cloud_server.request("GET", "serviceusage", f"v1/projects/{PROJECT}/services/run.googleapis.com")["state"]
    assert (breaker.broken, state) == (1, "ENABLED")
