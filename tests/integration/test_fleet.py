# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet modules against the sandbox's cloud."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

import pytest

from sandbox.cloud.gkehub import Features
from tests.integration.conftest import CloudServer
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]
ZONES = {"east": "us-east5-a", "west": "europe-west4-a"}
WHERE = "v1/projects/test-project/locations/global"


def registration(name: str) -> Json:
    return {"name": name, "cluster": name, "cluster_location": ZONES[name]}


@pytest.fixture(scope="module", autouse=True)
def clusters(cloud_server: CloudServer) -> None:
    for name, zone in ZONES.items():
        run_module("cluster", {**cloud_server.args, "name": name, "location": zone})


@pytest.fixture
def fleet(cloud: Json) -> Iterator[None]:
    """Both clusters registered; everything is gone afterwards."""
    for name in ZONES:
        run_module("fleet_membership", {**cloud, **registration(name)})
    yield
    for feature in ("multiclusteringress", "multiclusterservicediscovery"):
        run_module("fleet_feature", {**cloud, "name": feature, "state": "absent"})
    for name in ZONES:
        run_module("fleet_membership", {**cloud, "name": name, "state": "absent"})


def ingress(config: str, *memberships: str) -> Json:
    spec = {"multiclusteringress": {"config_membership": config}}
    return {"name": "multiclusteringress", "spec": spec, "memberships": list(memberships)}


def test_the_life_of_a_membership(cloud: Json, cloud_server: CloudServer) -> None:
    wanted = {**cloud, **registration("east"), "labels": {"role": "serving"}}
    planned = run_module("fleet_membership", wanted, check=True, diff=True)
    assert planned["plan"]["action"] == "create" and planned["diff"]["after"]["labels"] == {"role": "serving"}
    assert cloud_server.find("gkehub", f"{WHERE}/memberships/east") is None

    made = run_module("fleet_membership", wanted)["membership"]
    assert planned["membership"]["name"] == made["name"]
    assert made["state"] == {"code": "READY"}
    assert made["endpoint"]["gke_cluster"]["resource_link"].endswith("/locations/us-east5-a/clusters/east")
    assert made["authority"]["issuer"].endswith("/projects/test-project/locations/us-east5-a/clusters/east")
    again = run_module("fleet_membership", wanted, diff=True)
    assert not again["changed"] and again["diff"] == {"before": {}, "after": {}}

    other = {**wanted, "labels": {"stage": "test"}, "description": "first"}
    planned = run_module("fleet_membership", other, check=True, diff=True)
    assert planned["diff"]["after"] == {"description": "first", "labels": {"role": "serving", "stage": "test"}}
    assert planned["membership"]["labels"] == {"role": "serving", "stage": "test"}
    assert not run_module("fleet_membership", wanted)["changed"]
    changed = run_module("fleet_membership", other)["membership"]
    assert changed["labels"] == {"role": "serving", "stage": "test"} and changed["description"] == "first"
    assert not run_module("fleet_membership", other)["changed"]

    moved = {**wanted, "cluster": "west", "cluster_location": ZONES["west"]}
    with pytest.raises(ModuleFailed) as caught:
        run_module("fleet_membership", moved)
    assert caught.value.result["fields"] == ["endpoint.gke_cluster.resource_link"]
    anew = run_module("fleet_membership", {**moved, "recreate": True})
    assert anew["plan"]["action"] == "recreate"
    assert anew["membership"]["endpoint"]["gke_cluster"]["resource_link"].endswith("/clusters/west")

    absent = {**cloud, "name": "east", "state": "absent"}
    assert run_module("fleet_membership", absent, check=True)["plan"]["action"] == "delete"
    assert run_module("fleet_membership", absent)["membership"] == {}
    assert not run_module("fleet_membership", absent)["changed"]


def test_a_registration_that_was_not_waited_for_is_picked_up(cloud: Json) -> None:
    wanted = {**cloud, **registration("east")}
    started = run_module("fleet_membership", {**wanted, "wait": False})
    assert started["changed"] and started["membership"]["state"] == {"code": "CREATING"}
    joined = run_module("fleet_membership", wanted)
    assert not joined["changed"] and joined["membership"]["state"] == {"code": "READY"}
    run_module("fleet_membership", {**cloud, "name": "east", "state": "absent"})


def test_a_membership_whose_cluster_is_gone_is_stale(cloud: Json) -> None:
    cluster = {**cloud, "name": "brief", "location": "us-east5-a"}
    wanted = {**cloud, "name": "brief", "cluster": "brief", "cluster_location": "us-east5-a"}
    run_module("cluster", cluster)
    run_module("fleet_membership", wanted)
    run_module("cluster", {**cluster, "state": "absent"})
    run_module("cluster", cluster)
    with pytest.raises(ModuleFailed, match=r"stale.*recreate: true"):
        run_module("fleet_membership", wanted)
    assert run_module("fleet_membership", {**wanted, "recreate": True})["plan"]["action"] == "recreate"
    assert not run_module("fleet_membership", {**wanted, "recreate": True})["changed"]
    run_module("fleet_membership", {**wanted, "state": "absent"})
    run_module("cluster", {**cluster, "state": "absent"})


def test_a_lost_connection_is_mended_by_what_the_message_advises(
    cloud: Json, fleet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {**cloud, **registration("east"), "recreate": True}
    run_module("fleet_feature", {**cloud, "name": "multiclusterservicediscovery", "memberships": ["east"]})
    assert not run_module("fleet_membership", wanted)["changed"], "nothing is lost"
    rendered = Features._rendered

    def lost(self: Features, project: t.Any, document: Json, version: str) -> Json:
        """A feature keeps saying so of the registration of that moment, as Google's controllers do."""
        shown = copy.deepcopy(rendered(self, project, document, version))
        for name, entry in shown.get("membershipStates", {}).items():
            if name.endswith("/east"):
                entry["state"] = {"code": "ERROR", "description": "Lost connection", "updateTime": at}
        return shown

    at = run_module("fleet_membership", wanted)["membership"]["create_time"]
    monkeypatch.setattr(Features, "_rendered", lost)
    with pytest.raises(ModuleFailed, match=r"Lost connection.*fleet_membership with recreate: true"):
        feature = {"name": "multiclusterservicediscovery", "memberships": ["east"], "wait_timeout": 0}
        run_module("fleet_feature", {**cloud, **feature})
    assert not run_module("fleet_membership", {**wanted, "recreate": False})["changed"]
    assert run_module("fleet_membership", wanted, check=True)["plan"]["action"] == "recreate"
    assert run_module("fleet_membership", wanted)["plan"]["action"] == "recreate"
    assert not run_module("fleet_membership", wanted)["changed"], "what was said of the old registration is over"


def test_a_feature_that_was_turned_on_and_does_not_get_ready_is_a_change(cloud: Json, fleet: None) -> None:
    feature = {"name": "multiclusterservicediscovery", "memberships": ["nobody"], "wait_timeout": 1}
    with pytest.raises(ModuleFailed, match="nobody has no state yet") as caught:
        run_module("fleet_feature", {**cloud, **feature})
    assert caught.value.result["changed"] is True
    with pytest.raises(ModuleFailed) as caught:
        run_module("fleet_feature", {**cloud, **feature})
    assert not caught.value.result.get("changed")


def test_the_life_of_the_ingress_feature(cloud: Json, cloud_server: CloudServer, fleet: None) -> None:
    wanted = {**cloud, **ingress("projects/test-project/locations/global/memberships/east", "east", "west")}
    planned = run_module("fleet_feature", wanted, check=True, diff=True)
    assert planned["plan"]["action"] == "create"
    assert cloud_server.find("gkehub", f"{WHERE}/features/multiclusteringress") is None

    made = run_module("fleet_feature", wanted)["feature"]
    assert made["resource_state"] == {"state": "ACTIVE"}
    assert len(made["membership_states"]) == 2
    assert {state["state"]["code"] for state in made["membership_states"].values()} == {"OK"}
    # The name alone, and the project's number, mean the same membership.
    for config in (
        "east",
        "locations/global/memberships/east",
        "projects/123456789012/locations/global/memberships/east",
    ):
        assert not run_module("fleet_feature", {**cloud, **ingress(config, "east")})["changed"]

    other = {**cloud, **ingress("west", "east", "west")}
    planned = run_module("fleet_feature", other, check=True, diff=True)
    field = "spec.multiclusteringress.config_membership"
    assert planned["diff"]["before"][field].endswith("/east") and planned["diff"]["after"][field].endswith("/west")
    assert run_module("fleet_feature", other)["changed"]
    assert not run_module("fleet_feature", other)["changed"]

    info = run_module("fleet_info", cloud)
    assert {one["name"].rpartition("/")[2] for one in info["memberships"]} == {"east", "west"}
    assert [one["name"].rpartition("/")[2] for one in info["features"]] == ["multiclusteringress"]
    assert run_module("fleet_info", {**cloud, "location": "us-east5"})["memberships"] == []

    absent = {**cloud, "name": "multiclusteringress", "state": "absent"}
    assert run_module("fleet_feature", absent, check=True)["plan"]["action"] == "delete"
    assert run_module("fleet_feature", absent)["feature"] == {}
    assert not run_module("fleet_feature", absent)["changed"]


def test_a_lost_connection_is_shown_with_its_remedy(cloud: Json, fleet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run_module("fleet_feature", {**cloud, **ingress("east", "east", "west")})
    original = Features._rendered

    def lost(self: Features, project: t.Any, document: Json, version: str) -> Json:
        answer = original(self, project, document, version)
        states = {
            name: {"state": {"code": "ERROR", "description": "Lost connection"}} if name.endswith("/west") else state
            for name, state in answer.get("membershipStates", {}).items()
        }
        return {**answer, "membershipStates": states}

    with monkeypatch.context() as patched:
        patched.setattr(Features, "_rendered", lost)
        with pytest.raises(ModuleFailed) as caught:
            run_module("fleet_feature", {**cloud, **ingress("east", "east", "west"), "wait_timeout": 1})
        # Who does not count holds nothing up.
        assert not run_module("fleet_feature", {**cloud, **ingress("east", "east")})["changed"]
    told = caught.value.result["msg"]
    assert "membership west is ERROR: Lost connection" in told and "recreate: true" in told
    assert "membership east" not in told


def test_a_feature_without_settings(cloud: Json, fleet: None) -> None:
    wanted = {**cloud, "name": "multiclusterservicediscovery", "memberships": ["east", "west"]}
    made = run_module("fleet_feature", wanted)
    descriptions = {state["state"]["description"] for state in made["feature"]["membership_states"].values()}
    assert descriptions == {"Firewall successfully updated"}
    assert not run_module("fleet_feature", wanted)["changed"]


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        ("fleet_membership", {**registration("east"), "name": "East"}, "name:"),
        ("fleet_membership", {**registration("east"), "location": "somewhere"}, "location:"),
        ("fleet_membership", {**registration("east"), "cluster_location": "x"}, "cluster_location:"),
        ("fleet_membership", {"name": "east"}, "cluster"),
        ("fleet_feature", {**ingress("east"), "name": "multiclusterservicediscovery"}, "spec:"),
    ],
)
def test_bad_options_are_refused(cloud: Json, module: str, options: Json, says: str) -> None:
    with pytest.raises(ModuleFailed, match=says):
        run_module(module, {**cloud, **options})
