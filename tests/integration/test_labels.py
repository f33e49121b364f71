# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels of every module that has them: those that are not stated stay, or go with purge_labels."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import at
from tests.module_runner import run_module

Json = dict[str, t.Any]

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
ZONE = "us-east5-a"
CONTAINER = f"v1/projects/{PROJECT}/locations/{ZONE}/clusters"
HUB = f"v1/projects/{PROJECT}/locations/global"


class Case(t.NamedTuple):
    """A map of labels: whose, the option's path, the object for the cloud, and where that has the map."""

    module: str
    option: str
    args: Json
    look: tuple[str, str]
    place: str

    def stating(self, labels: Json) -> Json:
        outer, _unused, inner = self.option.rpartition(".")
        return {**self.args, **({outer: {inner: labels}} if outer else {inner: labels})}


POOL: Json = {"cluster": "serving", "location": ZONE, "name": "pool", "initial_node_count": 1}
POOL_PATH = ("container", f"{CONTAINER}/serving/nodePools/pool")
CASES = [
    Case(
        "address",
        "labels",
        {"name": "vip", "region": "us-east5", "subnetwork": "default", "address_type": "INTERNAL"},
        ("compute", f"projects/{PROJECT}/regions/us-east5/addresses/vip"),
        "labels",
    ),
    Case("bucket", "labels", {"name": "weights", "location": "US"}, ("storage", "b/weights"), "labels"),
    Case(
        "cluster",
        "resource_labels",
        {"name": "serving", "location": ZONE},
        ("container", f"{CONTAINER}/serving"),
        "resourceLabels",
    ),
    Case("node_pool", "config.labels", POOL, POOL_PATH, "config.labels"),
    Case("node_pool", "config.resource_labels", POOL, POOL_PATH, "config.resourceLabels"),
    Case(
        "fleet_membership",
        "labels",
        {"name": "east", "cluster": "serving", "cluster_location": ZONE},
        ("gkehub", f"{HUB}/memberships/east"),
        "labels",
    ),
    Case(
        "fleet_feature",
        "labels",
        {"name": "multiclusterservicediscovery"},
        ("gkehub", f"{HUB}/features/multiclusterservicediscovery"),
        "labels",
    ),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster(cloud_server: Running) -> None:
    run_module("cluster", {**cloud_server.args, "name": "serving", "location": ZONE})


def test_every_module_with_labels_can_purge_them() -> None:
    """No table of ours decides which those are: their argument specifications do."""
    for path in MODULES.glob("*.py"):
        module = importlib.import_module(f"ansible_collections.aiserving.gke.plugins.modules.{path.stem}")
        if not hasattr(module, "MODULE"):  # an action plugin alone
            continue
        options = module.MODULE.argument_spec
        has_labels = "labels" in options or "resource_labels" in options or "labels" in config_of(options)
        # A selector is no label of the object.
        assert ("purge_labels" in options) == has_labels, path.stem
        assert has_labels == any(case.module == path.stem for case in CASES), path.stem


def config_of(options: Json) -> Json:
    return t.cast(Json, options.get("config", {}).get("options") or {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.module}-{case.option}")
def test_labels_stay_or_go(case: Case, cloud: Json, cloud_server: Running) -> None:
    def labels() -> Json:
        found = cloud_server.find(*case.look) or {}
        own = t.cast(Json, at(found, case.place) or {})
        # GKE puts labels of its own on nodes.
        return {key: value for key, value in own.items() if key in ("a", "b", "c", "goog-own")}

    def run(stated: Json, **how: t.Any) -> Json:
        """The result; the diff is held against the labels themselves, and check mode against both."""
        check = how.pop("check", False)
        planned = run_module(case.module, {**cloud, **case.stating(stated), **how}, check=True, diff=True)
        if check:
            return planned
        before = labels()
        done = run_module(case.module, {**cloud, **case.stating(stated), **how}, diff=True)
        assert (done["changed"], done["diff"], done["plan"]) == (planned["changed"], planned["diff"], planned["plan"])
        if done["plan"]["action"] == "update":
            shown = {side: done["diff"][side].get(case.option) or {} for side in ("before", "after")}
            assert before.items() <= shown["before"].items() and labels().items() <= shown["after"].items()
            assert not (shown["before"].keys() - shown["after"].keys()) & labels().keys()
        return done

    run({"a": "1", "b": "1", "goog-own": "x"})
    assert not run({})["changed"] and labels() == {"a": "1", "b": "1", "goog-own": "x"}
    assert run({"a": "2"})["changed"] and labels() == {"a": "2", "b": "1", "goog-own": "x"}
    assert run({"a": "2", "c": "3"}, purge_labels=True)["changed"] and labels() == {"a": "2", "c": "3", "goog-own": "x"}
    assert not run({"c": "3", "a": "2"}, purge_labels=True)["changed"]
    assert run({}, purge_labels=True, check=True)["changed"] and labels() == {"a": "2", "c": "3", "goog-own": "x"}
    assert not run_module(case.module, {**cloud, **case.args, "purge_labels": True})["changed"], "no map was stated"
    assert run({}, purge_labels=True)["changed"] and labels() == {"goog-own": "x"}
