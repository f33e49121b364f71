# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module serving_info on a region's cluster, a config cluster, and a gateway that answers as the test says."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import typing as t
from collections.abc import Iterator

import pytest

from tests.integration.kube_fixtures import Cluster, cluster, config, controller, namespace
from tests.module_runner import ModuleFailed, run_module

__all__ = ["cluster", "config", "namespace"]

Json = dict[str, t.Any]

COMPLETION = json.dumps({"choices": [{"message": {"content": "hello"}}]}).encode()
OWN = (200, {"x-serving-region": "east"}, COMPLETION)


class Door:
    """The gateway's address: ``reply`` is what it answers, (status, headers, body) or bytes as they are."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], bytes] | bytes = OWN
        self.asked: list[Json] = []
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                door.asked.append(json.loads(body))
                if isinstance(door.reply, bytes):
                    self.wfile.write(door.reply)
                    return
                status, headers, content = door.reply
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_unused: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    door = Door()
    thread = threading.Thread(target=door.server.serve_forever)
    thread.start()
    yield door
    door.server.shutdown()
    thread.join(30)
    door.server.server_close()


def look(cluster: Cluster, namespace: str, *, check: bool = False, **options: t.Any) -> Json:
    args = {
        "kubeconfig": cluster.kubeconfig,
        "region": "east",
        "model": "gemma",
        "namespace": namespace,
        "gateway": "inference",
        "request_timeout": 5,
        **options,
    }
    result = run_module("serving_info", args, check=check)
    assert result["changed"] is False
    return t.cast(Json, result["serving"])


def add(cluster: Cluster, path: str, name: str, spec: Json, status: Json | None = None, **metadata: t.Any) -> None:
    cluster.request("POST", path, {"metadata": {"name": name, **metadata}, "spec": spec})
    if status:
        cluster.set_status(f"{path}/{name}", **status)


def pool(cluster: Cluster, namespace: str, name: str = "gemma") -> None:
    picker = {"name": "epp", "port": {"number": 9002}}
    spec = {"selector": {"matchLabels": {"app": name}}, "targetPorts": [{"number": 8000}], "endpointPickerRef": picker}
    path = f"/apis/inference.networking.k8s.io/v1/namespaces/{namespace}/inferencepools"
    add(cluster, path, name, spec, annotations={"networking.gke.io/export": "True"})


def pods(cluster: Cluster, namespace: str, *ready: bool) -> None:
    spec = {"containers": [{"name": "vllm", "image": "vllm"}]}
    for number, well in enumerate(ready):
        status = {"conditions": [{"type": "Ready", "status": "True" if well else "False"}]}
        path = f"/api/v1/namespaces/{namespace}/pods"
        add(cluster, path, f"pod-{number}", spec, status, labels={"app": "gemma"})


def route(config: Cluster, namespace: str, *backends: str) -> None:
    config.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    refs = [
        {"group": "networking.gke.io", "kind": "GCPInferencePoolImport", "name": name, "port": 8000}
        for name in backends
    ]
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
    add(config, path, "inference", {"parentRefs": [{"name": "inference"}], "rules": [{"backendRefs": refs}]})


def test_a_region_that_answers_its_own_clients(cluster: Cluster, namespace: str, door: Door) -> None:
    pool(cluster, namespace)
    pods(cluster, namespace, True)
    found = look(cluster, namespace, url=door.url)
    assert (found["state"], found["findings"], found["endpoints"]) == ("serving", [], 1)
    assert (found["answer"]["status"], found["answer"]["text"]) == (200, "hello")
    assert found["match_labels"] == {"app": "gemma"}
    assert door.asked[0]["model"] == "gemma"


def test_a_region_whose_servers_are_not_ready(cluster: Cluster, namespace: str, door: Door) -> None:
    pool(cluster, namespace)
    pods(cluster, namespace, True, False)
    door.reply = (200, {"x-serving-region": "west"}, COMPLETION)
    found = look(cluster, namespace, url=door.url)
    assert found["state"] == "degraded" and "answered by west" in found["symptom"]
    assert "1 of 2 model servers" in found["findings"][0]["cause"]


def test_it_waits_for_the_regions_own_answer_and_says_why_it_does_not_come(
    cluster: Cluster, namespace: str, door: Door
) -> None:
    pool(cluster, namespace)
    door.reply = (503, {}, b"no healthy upstream")
    with pytest.raises(
        ModuleFailed, match=r"waited 1 s for east to answer its own clients: .* 503 no healthy"
    ) as failed:
        look(cluster, namespace, url=door.url, wait=True, wait_timeout=1)
    assert "0 endpoints: no Pod" in failed.value.result["msg"]
    assert failed.value.result["serving"]["answer"]["status"] == 503
    # In check mode it looks once.
    assert look(cluster, namespace, url=door.url, wait=True, wait_timeout=60, check=True)["state"] == "down"

    def served() -> bool:
        if len(door.asked) < 5:
            return False
        door.reply = OWN
        return True

    with controller(served):
        found = look(cluster, namespace, url=door.url, wait=True, wait_timeout=30)
    assert found["answer"]["served_by"] == "east"


def test_without_an_address_it_waits_for_a_ready_server(cluster: Cluster, namespace: str) -> None:
    pool(cluster, namespace)
    pods(cluster, namespace, False)
    with pytest.raises(ModuleFailed, match="to have a model server that is ready"):
        look(cluster, namespace, wait=True, wait_timeout=0)
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    cluster.set_status(f"/api/v1/namespaces/{namespace}/pods/pod-0", **status)
    assert look(cluster, namespace, wait=True, wait_timeout=0)["endpoints"] == 1


def test_an_answer_without_the_header(cluster: Cluster, namespace: str, door: Door) -> None:
    pool(cluster, namespace)
    door.reply = (200, {}, COMPLETION)
    with pytest.raises(ModuleFailed, match="answered by another and not by its own region"):
        look(cluster, namespace, url=door.url, wait=True, wait_timeout=0)
    pods(cluster, namespace, True)
    found = look(cluster, namespace, url=door.url, wait=True, wait_timeout=0)
    assert found["state"] == "serving" and "cannot be told without the header" in found["symptom"]
    door.reply = (200, {"x-zone": "east"}, COMPLETION)
    assert look(cluster, namespace, url=door.url, region_header="x-zone")["answer"]["served_by"] == "east"


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, b"<html>"),
        (200, {}, b"[1]"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [5]}'),
        (200, {}, b"[" * 100_000),
        (200, {}, "\xff".encode("latin-1")),
        (307, {"location": "http://127.0.0.1:9/"}, b""),
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut",
        b"no HTTP at all\r\n\r\n",
    ],
    ids=range(10),
)
def test_any_answer_is_told(
    cluster: Cluster, namespace: str, door: Door, reply: tuple[int, dict[str, str], bytes] | bytes
) -> None:
    pool(cluster, namespace)
    door.reply = reply
    found = look(cluster, namespace, url=door.url)
    assert found["state"] == "down" and found["answer"]["status"] != 200 and found["findings"]


def test_nobody_at_the_address(cluster: Cluster, config: Cluster, namespace: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert look(cluster, namespace, url=url, import_kubeconfig=config.kubeconfig)["state"] == "absent"
        pool(cluster, namespace)
        found = look(cluster, namespace, url=url, import_kubeconfig=config.kubeconfig)
    assert (found["state"], found["answer"]["text"]) == ("down", "connection refused")
    assert any("Gateway" in finding["cause"] for finding in found["findings"])


def test_what_the_route_leads_to(cluster: Cluster, config: Cluster, namespace: str, door: Door) -> None:
    for name in ("gemma", "old", "older"):
        pool(cluster, namespace, name)
    pods(cluster, namespace, True)
    route(config, namespace, "old")
    options: Json = {"url": door.url, "import_kubeconfig": config.kubeconfig}
    found = look(cluster, namespace, **options)
    assert found["unrouted_pools"] == ["older"]
    assert any("leads to old, not to gemma" in finding["cause"] for finding in found["findings"])
    # As before a change that is only being checked: what is served now is looked at.
    now = look(cluster, namespace, follow_route=True, **options)
    assert now["match_labels"] == {"app": "old"} and door.asked[-1]["model"] == "old"


def test_options_are_checked(cluster: Cluster, namespace: str) -> None:
    for option in ("port", "request_timeout"):
        with pytest.raises(ModuleFailed, match=rf"{option}: 0(\.0)? is not valid"):
            look(cluster, namespace, **t.cast(Json, {option: 0}))
    with pytest.raises(ModuleFailed, match="mutually exclusive"):
        look(cluster, namespace, url="http://127.0.0.1", address="vip")
