# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module service."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cloud.apis import APIS
from tests.clouds import PROJECT, SERVICES, Running, running_cloud
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Running]:
    """A project in which only one API is enabled."""
    with running_cloud(tmp_path, services=["storage.googleapis.com"]) as server:
        yield server


def state(server: Running, name: str) -> str:
    return str(server.request("GET", "serviceusage", f"v1/projects/{PROJECT}/services/{name}")["state"])


def test_life(fresh: Running) -> None:
    names = ["storage.googleapis.com", "compute.googleapis.com", "gkehub.googleapis.com"]
    new = names[1:]
    args = {**fresh.args, "name": names}
    with pytest.raises(ModuleFailed, match="missing required arguments: name"):
        run_module("service", fresh.args)

    planned = run_module("service", args, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"]) == (True, "update")
    assert planned["diff"] == {"before": dict.fromkeys(new, "DISABLED"), "after": dict.fromkeys(new, "ENABLED")}
    assert [service["state"] for service in planned["services"]] == ["ENABLED"] * 3
    assert state(fresh, "compute.googleapis.com") == "DISABLED"

    done = run_module("service", args)
    assert done["changed"] is True
    assert [change["field"] for change in done["plan"]["changes"]] == new
    assert {state(fresh, name) for name in names} == {"ENABLED"}
    again = run_module("service", args, diff=True)
    assert (again["changed"], again["diff"]) == (False, {"before": {}, "after": {}})

    absent = {**fresh.args, "name": ["gkehub.googleapis.com"], "state": "absent"}
    assert run_module("service", absent, check=True)["changed"] is True
    assert state(fresh, "gkehub.googleapis.com") == "ENABLED"
    assert run_module("service", absent)["services"] == [{"name": "gkehub.googleapis.com", "state": "DISABLED"}]
    assert run_module("service", absent)["changed"] is False
    assert state(fresh, "compute.googleapis.com") == "ENABLED"


def test_more_than_one_batch(fresh: Running) -> None:
    names = sorted({*SERVICES, *(f"{name}.googleapis.com" for name in sorted(APIS)[:30])})
    done = run_module("service", {**fresh.args, "name": names})
    assert done["changed"] is True
    assert {service["state"] for service in done["services"]} == {"ENABLED"}
    assert run_module("service", {**fresh.args, "name": names})["changed"] is False


def test_service_agents(fresh: Running) -> None:
    names = ["container.googleapis.com", "multiclusteringress.googleapis.com"]
    args = {**fresh.args, "name": names, "service_identity": True}
    predicted = run_module("service", args, check=True)["identities"]
    made = run_module("service", args)["identities"]
    number = "123456789012"
    assert made == {
        names[0]: f"service-{number}@container-engine-robot.iam.gserviceaccount.com",
        names[1]: f"service-{number}@gcp-sa-multiclusteringress.iam.gserviceaccount.com",
    }
    assert predicted == made
    assert run_module("service", {**args, "service_identity": False})["identities"] == {}


def test_dependent_services_go_only_on_the_users_word(fresh: Running) -> None:
    run_module("service", {**fresh.args, "name": ["container.googleapis.com"]})
    absent = {**fresh.args, "name": ["compute.googleapis.com"], "state": "absent"}
    with pytest.raises(ModuleFailed, match="depended on by"):
        run_module("service", absent)
    assert state(fresh, "compute.googleapis.com") == "ENABLED"
    assert run_module("service", {**absent, "disable_dependent_services": True})["changed"] is True
    assert state(fresh, "container.googleapis.com") == "DISABLED"


def test_without_wait_the_operations_come_back(tmp_path: Path) -> None:
    with running_cloud(tmp_path, scale=0.03, services=["storage.googleapis.com"]) as server:
        result = run_module("service", {**server.args, "name": ["dns.googleapis.com"], "wait": False})
        assert result["changed"] is True
        assert result["operations"][0]["name"].startswith("operations/")


@pytest.mark.parametrize("name", ["container", "projects/p/services/container.googleapis.com"])
def test_bad_names(fresh: Running, name: str) -> None:
    with pytest.raises(ModuleFailed, match="name: .* is not valid: give the API's full name"):
        run_module("service", {**fresh.args, "name": [name]})
