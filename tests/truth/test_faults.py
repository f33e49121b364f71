# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures on request, from the command line, as gcloud and kubectl see them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import waiting
from tests.truth.gcloud import Gcloud

Json = dict[str, t.Any]
ROOT = Path(__file__).resolve().parents[2]
KUBECTL = str(Path(sys.executable).parent / "kubectl")
ZONE, NAME = "us-west1-b", "breakable"
CLUSTER = f"{ZONE}/{NAME}"


class Faults:
    """`python -m sandbox fault` of the running sandbox."""

    def __init__(self, sandbox: Json) -> None:
        self._command = [sys.executable, "-m", "sandbox", "--state-dir", sandbox["state_dir"]]

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._command, "fault", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()

    def refused(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, "fault", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 2, done
        return done.stderr

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        status = subprocess.run([*self._command, "status", "--json"], cwd=ROOT, check=True, capture_output=True).stdout
        kubeconfig = json.loads(status)["clusters"][CLUSTER]["kubeconfig"]
        return subprocess.run(
            [KUBECTL, "--kubeconfig", kubeconfig, *arguments], check=False, capture_output=True, text=True, timeout=60
        )


until = functools.partial(waiting.until, seconds=60.0)


@pytest.fixture
def faults(enabled: Json) -> Iterator[Faults]:
    made = Faults(enabled)
    yield made
    made("clear")


@pytest.fixture(scope="module")
def cluster(gcloud: Gcloud) -> Iterator[str]:
    """A small cluster with one node and a Pod that serves."""
    where = ("--zone", ZONE)
    # Nodes of a cluster in a release channel are always repaired.
    kept_dead = ("--release-channel=None", "--no-enable-autorepair")
    gcloud.succeed("container", "clusters", "create", NAME, *where, "--num-nodes=1", *kept_dead)
    yield NAME
    gcloud.succeed("container", "clusters", "delete", NAME, *where)


def test_the_command_line_tells_what_hits_and_refuses_what_cannot(faults: Faults) -> None:
    name = faults("add", "error", "code=503", "--service", "container", "--times", "2")
    assert name in faults("list") and "hit 0" in faults("list")
    assert json.loads(faults("list", "--json"))[0]["settings"] == {"code": 503, "retry_after": 0}
    assert "it takes: resource, location" in faults.refused("add", "pod-oom", "--service", "compute")
    assert faults("clear", name) == "1 cleared" and faults("list") == "no fault is in force"


def test_gcloud_gives_up_on_an_api_that_does_not_answer(gcloud: Gcloud, faults: Faults) -> None:
    faults("add", "error", "code=403", "--service", "compute", "--resource", "*/networks")
    assert "The caller does not have permission" in gcloud.refused("compute", "networks", "list")
    faults("clear")
    gcloud("compute", "networks", "list")


def test_gcloud_names_the_zones_of_a_lost_region(gcloud: Gcloud, cluster: str, faults: Faults) -> None:
    faults("add", "region-down", "--location", ZONE.rpartition("-")[0])
    listed = gcloud.run("container", "clusters", "list", "--format=json")
    assert listed.returncode == 0 and ZONE in listed.stderr, listed.stderr
    assert cluster not in listed.stdout
    faults("clear")
    assert cluster in gcloud.succeed("container", "clusters", "list", "--format=json")


def test_gcloud_shows_a_lost_connection(gcloud: Gcloud, cluster: str, faults: Faults) -> None:
    gcloud.succeed(
        "container",
        "fleet",
        "memberships",
        "register",
        cluster,
        f"--gke-cluster={CLUSTER}",
        "--enable-workload-identity",
    )
    feature = ("container", "fleet", "multi-cluster-services")
    gcloud.succeed(*feature, "enable")
    try:
        until(lambda: gcloud(*feature, "describe").get("membershipStates"), "the feature knows its member")
        faults("add", "fleet-lost", "--resource", f"*/memberships/{cluster}")
        (state,) = gcloud(*feature, "describe")["membershipStates"].values()
        assert (state["state"]["code"], state["state"]["description"]) == ("ERROR", "Lost connection")
        faults("clear")
        (state,) = gcloud(*feature, "describe")["membershipStates"].values()
        assert state["state"]["code"] == "OK"
    finally:
        gcloud.succeed(*feature, "disable")
        gcloud.succeed("container", "fleet", "memberships", "delete", cluster)


@pytest.mark.parametrize(("how", "says"), [("refused", "was refused"), ("silent", "Unable to connect to the server")])
def test_kubectl_without_its_api(cluster: str, faults: Faults, how: str, says: str) -> None:
    faults("add", "api-away", f"how={how}", "--resource", cluster, "--location", ZONE)
    done = until(lambda: failing(faults), "kubectl fails")
    assert says in done.stderr, done.stderr
    faults("clear")
    until(lambda: faults.kubectl("get", "nodes").returncode == 0, "it is back")


def failing(faults: Faults) -> subprocess.CompletedProcess[str] | None:
    done = faults.kubectl("get", "nodes", "--request-timeout=2s")
    return done if done.returncode else None


def test_kubectl_sees_a_busy_api(cluster: str, faults: Faults) -> None:
    faults("add", "error", "code=503", "--service", "kubernetes", "--resource", f"{cluster}/api/*", "--method", "GET")
    done = faults.kubectl("get", "nodes")
    assert done.returncode and "currently unable to handle the request" in done.stderr, done.stderr


def test_kubectl_watches_a_container_that_runs_out_of_memory(cluster: str, faults: Faults) -> None:
    faults("add", "pod-oom", "after=0.2", "--resource", "default/greedy", "--location", ZONE)
    command = ("--image=python:3.12", "--command", "--", "python3", "-m", "http.server", "8000")
    assert faults.kubectl("run", "greedy", *command).returncode == 0
    until(lambda: "CrashLoopBackOff" in faults.kubectl("get", "pod", "greedy").stdout, "back-off")
    described = faults.kubectl("describe", "pod", "greedy").stdout
    assert "OOMKilled" in described and "137" in described
    faults("clear")
    ready = ("wait", "--for=condition=Ready", "pod/greedy", "--timeout=30s")
    assert faults.kubectl(*ready).returncode == 0
    faults.kubectl("delete", "pod", "greedy", "--grace-period=1")


def test_kubectl_sees_a_dead_node_and_it_back(cluster: str, faults: Faults) -> None:
    faults("add", "node-dead", "--location", ZONE, "--times", "1")
    until(lambda: "NotReady" in faults.kubectl("get", "nodes").stdout, "NotReady")
    described = faults.kubectl("describe", "nodes").stdout
    assert (
        "Kubelet stopped posting node status." in described and "node.kubernetes.io/unreachable:NoExecute" in described
    )
    faults("clear")
    assert faults.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=30s").returncode == 0
