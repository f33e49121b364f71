# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway's runs and checks say of an estate that is not as it should be, and what they leave alone."""

from __future__ import annotations

import json
import shutil
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.estate import ROOT, Estate, Run
from tests.e2e.load import Load
from tests.waiting import until

Json = dict[str, t.Any]

CONFIG, OTHER = "us-east5-b/gke-us-east5", "europe-west4-a/gke-europe-west4"
MODEL = "gemma-3-27b-it"
LABELS = {"app.kubernetes.io/name": MODEL, "app.kubernetes.io/component": "model-server"}


def gateway(estate: Estate, *arguments: str, **variables: t.Any) -> Run:
    """The part of the site that is the gateway's; nothing in it may wait for long here."""
    extra = json.dumps({"gateway_wait_timeout": 8, **variables})
    return estate.play("site.yml", "--tags", "gateway", "-e", extra, *arguments)


def said(run: Run) -> str:
    """What was printed, as one line: the callback folds it."""
    return " ".join(run.output.split())


def kubectl(estate: Estate, cluster: str, *arguments: str) -> str:
    done = estate.kubectl(cluster, *arguments)
    assert done.code == 0, done.output
    return done.output


def routed(estate: Estate) -> str:
    path = "jsonpath={.spec.rules[*].backendRefs[*].name}"
    return kubectl(estate, CONFIG, "get", "httproute", "inference", "-o", path)


@pytest.fixture
def clients(built: Estate) -> Iterator[Load]:
    with Load(built.addresses()) as asking:
        until(lambda: asking.at_home(0), "every region serves its own clients")
        yield asking


def test_a_region_whose_clients_are_served_by_another_is_not_well(built: Estate, clients: Load) -> None:
    kubectl(built, OTHER, "scale", f"deployment/{MODEL}", "--replicas=0")
    until(lambda: clients.last("europe-west4") == "us-east5", "the other region takes over")
    check = gateway(built, "--check")
    assert check.code != 0
    for words in ("europe-west4 is degraded", "is answered by us-east5", "cause 0 endpoints", "command kubectl"):
        assert words in said(check)
    assert "us-east5 is " not in said(check)
    run = gateway(built)
    assert run.code != 0
    assert "waited 8 s for europe-west4" in said(run) and "0 endpoints" in said(run)
    kubectl(built, OTHER, "scale", f"deployment/{MODEL}", "--replicas=1")
    until(lambda: clients.last("europe-west4") == "europe-west4", "the region is back")


def test_a_pool_of_other_pods_is_left_alone(built: Estate) -> None:
    pool = {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": "theirs", "namespace": "inference"},
        "spec": {
            "selector": {"matchLabels": {"app": "theirs"}},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "theirs", "port": {"number": 9002}},
        },
    }
    file = built.directory / "pool.json"
    file.write_text(json.dumps(pool))
    kubectl(built, CONFIG, "apply", "--server-side", "-f", str(file))
    look = ("get", "inferencepool", "theirs", "-o", "jsonpath={.spec}")
    before = kubectl(built, CONFIG, *look)
    try:
        run = gateway(built, gateway_model="theirs")
        assert run.code != 0 and "State the pool's own labels as gateway_match_labels" in said(run)
        # Taken over, its own label stays beside ours: said, with what removes it.
        forced = gateway(built, gateway_model="theirs", gateway_match_labels=LABELS, gateway_force_conflicts=True)
        assert forced.code != 0 and "kubectl patch inferencepool theirs" in said(forced)
        assert routed(built) == MODEL
        assert before != kubectl(built, CONFIG, *look)
    finally:
        for cluster in (CONFIG, OTHER):
            kubectl(built, cluster, "delete", "inferencepool/theirs", "deployment/theirs-epp", "--ignore-not-found")


def test_fields_that_were_set_by_hand_are_taken_back_when_told(built: Estate) -> None:
    ref = {"group": "networking.gke.io", "kind": "GCPInferencePoolImport", "name": "nowhere", "port": 8000}
    patch = json.dumps({"spec": {"rules": [{"backendRefs": [ref]}]}})
    kubectl(built, CONFIG, "patch", "httproute", "inference", "--type=merge", "-p", patch, "--field-manager=by-hand")
    refused = gateway(built)
    assert refused.code != 0 and "by-hand" in said(refused)
    taken = gateway(built, gateway_force_conflicts=True)
    assert (taken.code, taken.changed()) == (0, 1), taken.output
    assert routed(built) == MODEL


def test_the_route_moves_only_to_a_pool_that_has_servers(built: Estate, clients: Load) -> None:
    began = time.monotonic()
    empty = gateway(built, gateway_model="gemma-new")
    assert empty.code != 0 and "to have a model server that is ready" in said(empty)
    assert routed(built) == MODEL
    # The same servers behind another pool: it has endpoints, so the route moves, and nobody notices.
    moved = gateway(built, gateway_model="gemma-new", gateway_match_labels=LABELS, gateway_force_conflicts=True)
    assert routed(built) == "gemma-new"
    assert moved.code != 0 and "does not know model gemma-new" in said(moved)
    back = gateway(built)
    assert back.code == 0, back.output
    assert routed(built) == MODEL
    assert not any(clients.lost(region, began).requests for region in clients.addresses)
    # What the move has left is named with what removes it.
    left = "kubectl delete inferencepool/gemma-new deployment/gemma-new deployment/gemma-new-epp -n inference"
    assert said(back).count(left) == 2
    for cluster in (CONFIG, OTHER):
        kubectl(built, cluster, *left.split()[1:], "--ignore-not-found")


def test_what_no_region_names_any_more_is_told(built: Estate, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / "sandbox", inventory)
    (inventory / "europe-west4.yml").unlink()
    variables = inventory / "group_vars" / "regions" / "region.yml"
    region = yaml.safe_load(variables.read_text())
    region["cluster_node_pools"][0]["name"] = "renamed"
    variables.write_text(yaml.safe_dump(region))
    run = Estate(built.directory, inventory).play("site.yml", "--check", "--tags", "fleet")
    assert run.code == 0, run.output
    assert "gcloud container clusters delete gke-europe-west4 --location europe-west4-a" in said(run)
    removes = "gcloud container node-pools delete tpu-v6e --cluster gke-us-east5 --location us-east5-b"
    assert removes in said(run) and "tpu-v6e of ct6e-standard-4t" in said(run)


def test_a_class_that_does_not_come_is_told_with_who_brings_it(built: Estate) -> None:
    extra = json.dumps({"fleet_gateway_class": "no-such-class", "fleet_wait_timeout": 2})
    run = built.play("site.yml", "--tags", "fleet", "--skip-tags", "judge", "-e", extra)
    assert run.code != 0 and "needs roles/container.admin" in said(run)
