# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody else works on the same objects at the same moment: another client, or another run of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import Rest
from ansible_collections.aiserving.gke.plugins.module_utils._gke.api import Gke
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import container_v1

from tests.clouds import PROJECT, TOKEN, Running
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

ROOT = Path(__file__).resolve().parents[2]
ZONE = "us-east5-a"
REGION: Json = {"region": "us-east5"}
CLUSTER: Json = {"name": "serving", "location": ZONE}
POOL: Json = {"cluster": "shared", "location": ZONE, "initial_node_count": 1}

# Per module: what is made, and what is added to it. The module's name is the noun of its result, but for these.
NOUNS = {"fleet_membership": "membership", "fleet_feature": "feature"}
OBJECTS: dict[str, tuple[Json, Json]] = {
    "network": ({"name": "twice"}, {"routing_config": {"routing_mode": "GLOBAL"}}),
    "subnetwork": (
        {"name": "twice", **REGION, "network": "vpc", "ip_cidr_range": "10.7.0.0/24"},
        {"private_ip_google_access": True},
    ),
    "address": ({"name": "twice", **REGION, "subnetwork": "nodes", "address_type": "INTERNAL"}, {"labels": {"b": "2"}}),
    "firewall_rule": (
        {"name": "twice", "network": "vpc", "source_ranges": ["10.0.0.0/8"], "allowed": [{"ip_protocol": "tcp"}]},
        {"priority": 900},
    ),
    "router_nat": ({"name": "twice", "router": "twice", **REGION, "network": "vpc"}, {"min_ports_per_vm": 128}),
    "bucket": ({"name": "twice", "location": "US"}, {"labels": {"b": "2"}}),
    "service_account": ({"name": "twice-reader"}, {"display_name": "Reader"}),
    "cluster": (CLUSTER, {"resource_labels": {"b": "2"}}),
    "node_pool": ({**POOL, "name": "twice"}, {"config": {"labels": {"b": "2"}}}),
    "fleet_membership": (
        {"name": "twice", "cluster": "shared", "cluster_location": ZONE},
        {"labels": {"b": "2"}},
    ),
    "fleet_feature": ({"name": "multiclusterservicediscovery"}, {"labels": {"b": "2"}}),
}


@pytest.fixture(scope="module", autouse=True)
def _ground(cloud_server: Running) -> None:
    """What the objects stand on."""
    args = cloud_server.args
    run_module("network", {**args, "name": "vpc"})
    run_module("subnetwork", {**args, "name": "nodes", **REGION, "network": "vpc", "ip_cidr_range": "10.0.1.0/24"})
    run_module("cluster", {**args, "name": "shared", "location": ZONE})


@pytest.fixture(autouse=True)
def _tidy(cloud: Json) -> Iterator[None]:
    yield
    for module, (made, _more) in reversed(OBJECTS.items()):
        absent = {**cloud, **made, "state": "absent"}
        run_module(module, absent)


def google(server: Running) -> t.Any:
    """Google's own client, which is somebody else."""

    class Bearer(AnonymousCredentials):
        def before_request(self, request: t.Any, method: str, url: str, headers: Json) -> None:
            headers["authorization"] = f"Bearer {TOKEN}"

    options = ClientOptions(api_endpoint=f"{server.base}/container")
    return container_v1.ClusterManagerClient(credentials=Bearer(), transport="rest", client_options=options)


class Rival:
    """Makes what we are about to make, right before us: the same, or as ``alter`` says."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.alter: t.Callable[[Json], Json] = lambda body: body


@pytest.fixture
def rival(monkeypatch: pytest.MonkeyPatch, cloud_server: Running) -> Rival:
    found = Rival()
    send, send_gke = Rest._send, Gke._send

    def rest(self: Rest, method: str, path: str, body: Json | None, params: Json | None) -> Json:
        creates = method == "POST" and ":" not in path.rpartition("/")[2] and not path.endswith(("setLabels", "Access"))
        if creates and path not in found.made:
            found.made.append(path)
            url = self.base + path + ("?" + urllib.parse.urlencode(params) if params else "")
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            request = urllib.request.Request(url, json.dumps(found.alter(body or {})).encode(), headers, method="POST")
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()
        return send(self, method, path, body, params)

    def gke(self: Gke, method: str, body: Json) -> Json:
        if method.startswith("create_") and method not in found.made:
            found.made.append(method)
            request = getattr(container_v1, "".join(map(str.title, method.split("_"))) + "Request")
            getattr(google(cloud_server), method)(request=request.from_json(json.dumps(found.alter(body))))
        return send_gke(self, method, body)

    monkeypatch.setattr(Rest, "_send", rest)
    monkeypatch.setattr(Gke, "_send", gke)
    return found


@pytest.mark.parametrize("module", list(OBJECTS))
def test_what_somebody_else_makes_between_look_and_creation_is_adopted(module: str, cloud: Json, rival: Rival) -> None:
    made, more = OBJECTS[module]
    noun = NOUNS.get(module, module)
    adopted = run_module(module, {**cloud, **made})
    assert len(rival.made) == 1
    assert (adopted["changed"], adopted["plan"]["action"]) == (False, "none")
    assert adopted[noun]["name"]
    again = run_module(module, {**cloud, **made})
    assert not again["changed"] and again[noun] == adopted[noun]
    assert run_module(module, {**cloud, **made, **more})["plan"]["action"] == "update"


def test_what_was_adopted_is_compared(cloud: Json, rival: Rival) -> None:
    """Somebody else's object is another one than ours: what can change is changed, what cannot is named."""
    rival.alter = lambda body: {**body, "labels": {"theirs": "1"}}
    changed = run_module("bucket", {**cloud, **OBJECTS["bucket"][0], "labels": {"ours": "1"}}, diff=True)
    assert (changed["plan"]["action"], changed["bucket"]["labels"]) == ("update", {"theirs": "1", "ours": "1"})
    assert changed["diff"]["before"] == {"labels": {"theirs": "1"}}

    rival.alter = lambda body: {**body, "nodePool": {**body["nodePool"], "config": {"spot": True}}}
    with pytest.raises(ModuleFailed) as caught:
        run_module("node_pool", {**cloud, **POOL, "name": "twice", "config": {"spot": False}})
    assert caught.value.result["fields"] == ["config.spot"] and not caught.value.result.get("changed")


class Runner:
    """A second process that runs modules when told to."""

    CODE = """
import json, sys
from tests.module_runner import ModuleFailed, run_module
for line in sys.stdin:
    module, args = json.loads(line)
    try:
        result = run_module(module, args)
    except ModuleFailed as error:
        result = error.result
    print(json.dumps(result), flush=True)
"""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / ".venv" / "collections")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            cwd=ROOT,
        )

    def start(self, module: str, args: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([module, args]) + "\n")
        self.process.stdin.flush()

    def result(self) -> Json:
        assert self.process.stdout is not None
        return t.cast(Json, json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def runners() -> Iterator[tuple[Runner, Runner]]:
    pair = (Runner(), Runner())
    yield pair
    for runner in pair:
        runner.process.communicate(timeout=30)


def both(runners: tuple[Runner, Runner], module: str, one: Json, other: Json) -> list[Json]:
    """The results of two processes that begin at the same moment."""
    for runner, args in zip(runners, (one, other), strict=True):
        runner.start(module, args)
    return [runner.result() for runner in runners]


@pytest.mark.parametrize("module", list(OBJECTS))
def test_two_runs_at_once_end_converged(module: str, cloud: Json, runners: tuple[Runner, Runner]) -> None:
    made, more = OBJECTS[module]
    noun = NOUNS.get(module, module)
    args = {**cloud, **made}
    results = both(runners, module, args, args)
    assert [result.get("msg") for result in results if result.get("failed")] == []
    assert sum(result["changed"] for result in results) == 1, "one makes it, the other finds it"
    one, other = (result[noun] for result in results)
    assert one["name"] == other["name"]
    both_more = both(runners, module, {**args, **more}, {**args, **more})
    assert [result.get("msg") for result in both_more if result.get("failed")] == []
    assert not run_module(module, {**args, **more})["changed"]
    gone = both(runners, module, {**args, "state": "absent"}, {**args, "state": "absent"})
    assert [(result.get("msg"), result.get(noun)) for result in gone] == [(None, {})] * 2


@pytest.mark.parametrize(
    ("module", "option"),
    [("bucket", "labels"), ("address", "labels"), ("cluster", "resource_labels"), ("fleet_membership", "labels")],
)
def test_labels_of_two_runs_at_once_are_all_there(
    module: str, option: str, cloud: Json, runners: tuple[Runner, Runner]
) -> None:
    args = {**cloud, **OBJECTS[module][0]}
    results = both(runners, module, {**args, option: {"one": "1"}}, {**args, option: {"two": "2"}})
    assert [result.get("msg") for result in results if result.get("failed")] == []
    after = run_module(module, args)[NOUNS.get(module, module)]
    assert after[option] == {"one": "1", "two": "2"}


def test_two_nats_of_one_router_at_once(cloud: Json, runners: tuple[Runner, Runner], cloud_server: Running) -> None:
    """The list is replaced as a whole, and nothing guards it: both entries are there all the same."""
    base = {"router": "twice", **REGION, "network": "vpc"}
    wishes = [
        {
            **base,
            "name": name,
            "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS",
            "subnetworks": [{"name": name, "source_ip_ranges_to_nat": ["PRIMARY_IP_RANGE"]}],
        }
        for name in ("left", "right")
    ]
    for position, wish in enumerate(wishes):
        subnet = {"name": wish["name"], **REGION, "network": "vpc", "ip_cidr_range": f"10.9.{position}.0/24"}
        run_module("subnetwork", {**cloud, **subnet})
    results = both(runners, "router_nat", {**cloud, **wishes[0]}, {**cloud, **wishes[1]})
    assert [result.get("msg") for result in results if result.get("failed")] == []
    router = cloud_server.request("GET", "compute", f"projects/{PROJECT}/regions/us-east5/routers/twice")
    assert {nat["name"] for nat in router["nats"]} == {"left", "right"}
    for wish in wishes:
        run_module("router_nat", {**cloud, **wish, "state": "absent"})


def test_members_of_two_runs_at_once_are_all_there(cloud: Json, runners: tuple[Runner, Runner]) -> None:
    grants = [{**cloud, "role": "roles/viewer", "member": f"group:{name}@example.com"} for name in ("one", "two")]
    results = both(runners, "iam_member", *grants)
    assert [(result.get("msg"), result["changed"]) for result in results] == [(None, True)] * 2
    assert not any(run_module("iam_member", grant)["changed"] for grant in grants)


def test_a_creation_that_another_run_is_deleting_says_so(cloud: Json) -> None:
    """Nothing to wait for with wait: false, so the second run tells what is going on."""
    run_module("node_pool", {**cloud, **POOL, "name": "twice"})
    run_module("node_pool", {**cloud, **POOL, "name": "twice", "state": "absent", "wait": False})
    with pytest.raises(ModuleFailed, match="node pool twice is being deleted"):
        run_module("node_pool", {**cloud, **POOL, "name": "twice", "wait": False})
