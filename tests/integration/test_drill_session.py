# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""drill_session and drill_fault: a cloud with two clusters, a Kubernetes API, an address per region that answers."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
import typing as t
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import lock, preflight

from sandbox.interfaces import ClusterAccess
from tests.clouds import TOKEN, running_cloud
from tests.integration.kube_fixtures import Cluster, cluster, controller
from tests.integration.test_scale import report
from tests.module_runner import ModuleFailed, run_module

__all__ = ["cluster"]

Json = dict[str, t.Any]

REGIONS = {"us-east5": "127.99.101", "europe-west4": "127.99.102"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/inference/deployments"


class Address(ThreadingHTTPServer):
    """Serves model m as ``region``, streamed."""

    daemon_threads = True
    region: str | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["model"] != "m":
            self._answer(404, json.dumps({"error": {"message": f"The model {body['model']} does not exist."}}).encode())
            return
        chunk = {"choices": [{"delta": {"content": "here"}}]}
        self._answer(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if region := t.cast(Address, self.server).region:
            self.send_header("x-serving-region", region)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: t.Any) -> None:
        pass


@dataclasses.dataclass
class Site:
    """Two regions. Their clusters are one API server, so one Deployment stands for both regions'."""

    cloud: Json
    cluster: Cluster
    addresses: dict[str, Address]
    path: str = f"{DEPLOYMENTS}/m"

    def options(self, directory: Path, **more: t.Any) -> Json:
        regions = [
            {"region": name, "cluster": f"gke-{name}", "location": f"{name}-a", "address_name": "gateway"}
            for name in REGIONS
        ]
        port = self.addresses["us-east5"].port
        return {
            **self.cloud,
            "report_directory": str(directory),
            "owner_pid": os.getpid(),
            "hosts": ["us-east5"],
            "regions": regions,
            "primary": "us-east5",
            "model": "m",
            "namespace": "inference",
            "deployment": "m",
            "gateway_port": port,
            **more,
        }

    def fault(self, directory: Path, **more: t.Any) -> Json:
        at = {"cluster": "gke-us-east5", "location": "us-east5-a", "namespace": "inference", "name": "m"}
        journal = {"journal": str(directory / "undo.json"), "owner_pid": os.getpid()}
        return {**self.cloud, **journal, **at, **more}

    def replicas(self) -> int:
        return int((self.cluster.get(self.path) or {})["spec"]["replicas"])

    def scale(self, replicas: int, ready: int | None = None) -> None:
        self.cluster.merge(self.path, {"spec": {"replicas": replicas}})
        report(self.cluster, self.path, replicas if ready is None else ready)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Site]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as server:
        server.runtime.access = ClusterAccess(endpoint=cluster.endpoint, ca_pem=cluster.ca_pem, token=TOKEN)
        cloud, found, port = dict(server.args), {}, 0
        run_module("network", {**cloud, "name": "vpc"})
        for region, prefix in REGIONS.items():
            at = {"name": "nodes", "region": region, "network": "vpc", "ip_cidr_range": f"{prefix}.0/24"}
            run_module("subnetwork", {**cloud, **at})
            vip = {"name": "gateway", "region": region, "subnetwork": "nodes", "address_type": "INTERNAL"}
            run_module("address", {**cloud, **vip, "address": f"{prefix}.2"})
            run_module("cluster", {**cloud, "name": f"gke-{region}", "location": f"{region}-a"})
            found[region] = Address((f"{prefix}.2", port), Handler)
            port = found[region].port
        threads = [threading.Thread(target=address.serve_forever) for address in found.values()]
        for thread in threads:
            thread.start()
        cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": "inference"}})
        container = {"name": "vllm", "image": "vllm"}
        template = {"metadata": {"labels": {"app": "m"}}, "spec": {"containers": [container]}}
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "m"}}, "template": template}
        cluster.request(
            "POST",
            DEPLOYMENTS,
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m"}, "spec": spec},
        )
        yield Site(cloud, cluster, found)
        for address, thread in zip(found.values(), threads, strict=True):
            address.shutdown()
            thread.join()
            address.server_close()


@pytest.fixture
def site(built: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Whole, as every test finds it."""
    monkeypatch.setattr(preflight, "PATIENCE", 0.0)
    built.scale(2)
    for region, address in built.addresses.items():
        address.region = region
    return built


def test_a_whole_estate_is_set_out_and_nobody_else_gets_in(site: Site, tmp_path: Path) -> None:
    checked = run_module("drill_session", site.options(tmp_path / "new"), check=True)
    assert not (tmp_path / "new").exists()
    found = run_module("drill_session", site.options(tmp_path / "new"))
    assert {k: v for k, v in found.items() if k != "warnings"} == {k: v for k, v in checked.items() if k != "warnings"}
    port = site.addresses["us-east5"].port
    assert found["urls"] == {"us-east5": f"http://127.99.101.2:{port}", "europe-west4": f"http://127.99.102.2:{port}"}
    assert found["answers"]["europe-west4"] == {"text": "here", "served_by": "europe-west4"}
    assert (found["replicas"], found["undo"], found["undo_phase"]) == ({"us-east5": 2, "europe-west4": 2}, [], "")
    for check in (True, False):
        with pytest.raises(ModuleFailed, match="another drill is at work"):
            run_module("drill_session", site.options(tmp_path / "new", owner_pid=1), check=check)
        with pytest.raises(ModuleFailed, match="another drill is at work"):
            (tmp_path / "new" / "undo.json").touch()
            run_module("drill_fault", site.fault(tmp_path / "new", state="absent", owner_pid=1), check=check)
    (tmp_path / "new" / "undo.json").unlink()
    closing = {"report_directory": str(tmp_path / "new"), "state": "closed", "owner_pid": os.getpid()}
    assert run_module("drill_session", closing)["changed"]
    assert not run_module("drill_session", closing)["changed"]
    assert list((tmp_path / "new").iterdir()) == []


def test_every_wrong_option_is_told_before_anything_is_looked_at(site: Site, tmp_path: Path) -> None:
    wrong = {"rate": "-3", "stable": 0, "hold": "-1", "gateway_port": 0, "objective_lost_percent": "-5"}
    options = site.options(tmp_path / "new", **wrong, hosts=["a", "b"], variable_prefix="failover_")
    for check in (True, False):
        with pytest.raises(ModuleFailed) as failed:
            run_module("drill_session", {**options, "access_token": "wrong"}, check=check)
        for name in (*wrong, "hosts"):
            assert f"failover_{name}: " in failed.value.result["msg"]
        assert len(failed.value.result["problems"]) == 6
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "gemma"}, "failover_model: 'gemma' is not valid: name one of m"),
        ({"gateway_port": 9}, "failover_gateway_port: 9 is not valid: nothing answers at http://127.99.101.2:9"),
        ({"deployment": "other"}, "us-east5: there is no Deployment inference/other in gke-us-east5"),
        ({"namespace": "other"}, "us-east5: there is no Deployment other/m in gke-us-east5"),
    ],
)
def test_what_names_nothing_of_the_estate_is_refused(site: Site, tmp_path: Path, options: Json, told: str) -> None:
    for check in (True, False):
        with pytest.raises(ModuleFailed) as failed:
            run_module("drill_session", site.options(tmp_path, **options, variable_prefix="failover_"), check=check)
        assert told in failed.value.result["msg"]
    assert list(tmp_path.iterdir()) == [], "a session that was refused has no lock"


def test_an_estate_that_is_not_whole_is_refused_and_keeps_its_last_report(site: Site, tmp_path: Path) -> None:
    (tmp_path / "failover.txt").write_text("PASSED")
    site.scale(2, ready=1)
    site.addresses["europe-west4"].region = "us-east5"
    site.addresses["us-east5"].region = None
    for check in (True, False):
        with pytest.raises(ModuleFailed) as failed:
            run_module("drill_session", site.options(tmp_path), check=check)
        problems = failed.value.result["problems"]
        for told in (
            "us-east5: Deployment inference/m in gke-us-east5 is not ready: 1 of 2 replicas updated",
            "europe-west4: Deployment inference/m in gke-europe-west4 is not ready",
            "answers without the header x-serving-region, from which the drill knows who serves",
            "is answered by us-east5, not by its own region",
        ):
            assert any(told in problem for problem in problems), problems
    assert (tmp_path / "failover.txt").read_text() == "PASSED"


def test_an_old_report_is_put_away_and_a_dead_lock_is_taken_over(site: Site, tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        run_module("drill_session", site.options(tmp_path, owner_pid=other.pid))
    finally:
        other.kill()
        other.wait()
    for name in ("failover.txt", "failover.json", "records.jsonl", "stop", "mine.txt"):
        (tmp_path / name).write_text("PASSED")
    told = run_module("drill_session", site.options(tmp_path), check=True)
    assert "was cut short" in told["warnings"][0] and (tmp_path / "failover.txt").exists()
    found = run_module("drill_session", site.options(tmp_path))
    assert f"process {other.pid} of" in found["warnings"][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [lock.NAME, "earlier", "mine.txt"]
    kept = sorted(path.name for path in Path(found["earlier"]).iterdir())
    assert kept == ["failover.json", "failover.txt", "records.jsonl"]
    assert Path(found["earlier"]).parent == tmp_path / "earlier"


def test_a_fault_and_its_undo(site: Site, tmp_path: Path) -> None:
    planned = run_module("drill_fault", site.fault(tmp_path / "new"), check=True)
    assert planned["changed"] and site.replicas() == 2 and not (tmp_path / "new").exists()
    made = run_module("drill_fault", site.fault(tmp_path / "new"))
    assert made["applied_at"] and site.replicas() == 0
    for check in (True, False):
        with pytest.raises(ModuleFailed, match="still open: restore that one first"):
            run_module("drill_fault", site.fault(tmp_path / "new"), check=check)
        with pytest.raises(ModuleFailed, match="inference/m in gke-us-east5 has 0 replicas already"):
            run_module("drill_fault", site.fault(tmp_path / "other"), check=check)

    undo = site.fault(tmp_path / "new", state="absent", wait_timeout=30)
    told = "Deployment inference/m in gke-us-east5: 0 -> 2 replicas, as before the fault"
    assert run_module("drill_fault", undo, check=True)["told"] == [told]
    assert site.replicas() == 0
    with pytest.raises(ModuleFailed, match=r"the fault is not undone, and .*/undo.json stays open: waited ") as failed:
        run_module("drill_fault", {**undo, "wait_timeout": 0})
    assert failed.value.result["applied_at"] and site.replicas() == 2

    def obey() -> bool:
        report(site.cluster, site.path, site.replicas())
        return site.replicas() == 2

    with controller(obey):
        found = run_module("drill_fault", undo)
    assert found["told"] == ["Deployment inference/m in gke-us-east5: 2 replicas already, which have to get ready"]
    assert list((tmp_path / "new").iterdir()) == []
    nothing = run_module("drill_fault", undo)
    assert (nothing["changed"], nothing["told"]) == (False, [])


def test_a_drill_that_was_killed_before_its_fault_makes_no_later_one_scale_anything(site: Site, tmp_path: Path) -> None:
    run_module("drill_fault", site.fault(tmp_path))
    journal = json.loads((tmp_path / "undo.json").read_text())
    (tmp_path / "undo.json").write_text(json.dumps({**journal, "phase": "planned", "made_at": None}))
    site.scale(3)
    found = run_module("drill_fault", site.fault(tmp_path, state="absent"))
    told = "Deployment inference/m in gke-us-east5: 3 replicas, not the 0 of the fault, so it is left as it is"
    assert (found["told"], site.replicas()) == ([told], 3)
    assert not (tmp_path / "undo.json").exists()


def test_an_open_journal_is_told_and_what_it_brings_back_is_not_missed(site: Site, tmp_path: Path) -> None:
    run_module("drill_fault", site.fault(tmp_path))
    site.addresses["us-east5"].region = "europe-west4"
    report(site.cluster, site.path, 0)
    # Both clusters are one API server, so the survivor's servers are away too, and only those are missed.
    for check in (True, False):
        with pytest.raises(ModuleFailed) as failed:
            run_module("drill_session", site.options(tmp_path), check=check)
        [problem] = failed.value.result["problems"]
        assert problem == "europe-west4: no model server is wanted: it can neither fail nor take over"
    site.cluster.merge(site.path, {"spec": {"replicas": 2}})
    text = (tmp_path / "undo.json").read_text()
    (tmp_path / "undo.json").write_text(text.replace('"fault": 0', '"fault": 2').replace('"before": 2', '"before": 3'))
    report(site.cluster, site.path, 2)
    told = run_module("drill_session", site.options(tmp_path), check=True)
    assert told["undo"] == ["Deployment inference/m in gke-us-east5: 2 -> 3 replicas, as before the fault"]
    assert told["undo_phase"] == "made" and told["undo_began"] > 0
    (tmp_path / "undo.json").unlink()


def test_a_journal_of_another_project_restores_nothing(site: Site, tmp_path: Path) -> None:
    run_module("drill_fault", site.fault(tmp_path))
    text = (tmp_path / "undo.json").read_text()
    (tmp_path / "undo.json").write_text(text.replace("sandbox-project", "production"))
    for check in (True, False):
        with pytest.raises(ModuleFailed, match="journal is of project production, and this is sandbox-project"):
            run_module("drill_fault", site.fault(tmp_path, state="absent"), check=check)
    with pytest.raises(ModuleFailed, match="the undo journal is of project production"):
        run_module("drill_session", site.options(tmp_path))
    assert site.replicas() == 0


def test_a_file_that_is_no_journal_stops_every_step(site: Site, tmp_path: Path) -> None:
    (tmp_path / "undo.json").write_text("{half")
    steps: list[tuple[str, Json]] = [
        ("drill_session", site.options(tmp_path)),
        ("drill_fault", site.fault(tmp_path)),
        ("drill_fault", site.fault(tmp_path, state="absent")),
    ]
    for name, arguments in steps:
        with pytest.raises(ModuleFailed, match="is no undo journal of a drill: .*; restore by hand"):
            run_module(name, arguments)
    assert site.replicas() == 2 and [path.name for path in tmp_path.iterdir()] == ["undo.json"]
