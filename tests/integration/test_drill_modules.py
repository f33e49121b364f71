# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drill's modules against an endpoint that breaks on command."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.module_runner import ModuleFailed, run_module


class Endpoint(ThreadingHTTPServer):
    """Streams two tokens as region "a"; ``mode`` makes it fail in one of the ways that life has."""

    mode = "ok"
    daemon_threads = True

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self.numbers = itertools.count(1)
        self.at_the_tenth: t.Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = t.cast(Endpoint, self.server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if next(server.numbers) == 10:
            server.at_the_tenth()
        if server.mode == "error":
            self.send_response(503)
            self.send_header("Content-Length", "19")
            self.end_headers()
            self.wfile.write(b"no healthy upstream")
            return
        self.send_response(200)
        self.send_header("x-serving-region", "a")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in ("one", "two"):
            chunk = {"model": body["model"], "choices": [{"delta": {"content": word}}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        if server.mode != "cut":
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, *arguments: t.Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def probe(url: str, tmp_path: Path, **more: t.Any) -> dict[str, t.Any]:
    arguments = {
        "targets": [{"name": "a", "url": url}],
        "model": "m",
        "rate": 50,
        "duration": 1,
        "records": str(tmp_path / "records.jsonl"),
        **more,
    }
    return run_module("inference_probe", arguments)


def test_probe_records_every_request(endpoint: Endpoint, tmp_path: Path) -> None:
    result = probe(endpoint.url, tmp_path)
    assert (result["requests"], result["lost"]) == (50, 0)
    records = [json.loads(line) for line in Path(result["records"]).read_text().splitlines()]
    assert sorted(record["number"] for record in records) == list(range(50))
    assert {(record["region"], record["tokens"], record["status"]) for record in records} == {("a", 2, 200)}
    assert all(0 < record["first_token"] <= record["latency"] for record in records)
    spans = [record["scheduled"] for record in sorted(records, key=lambda record: record["number"])]
    assert spans[-1] - spans[0] == pytest.approx(0.98, abs=0.01)


@pytest.mark.parametrize(
    ("mode", "error"), [("error", "no healthy upstream"), ("cut", "the stream was cut off"), ("gone", "Cannot connect")]
)
def test_probe_counts_what_is_lost(endpoint: Endpoint, tmp_path: Path, mode: str, error: str) -> None:
    endpoint.mode = mode
    url = "http://127.0.0.1:9" if mode == "gone" else endpoint.url
    result = probe(url, tmp_path, duration=0.2)
    assert result["lost"] == result["requests"] == 10
    assert error in Path(result["records"]).read_text()


def test_probe_stops_when_told(endpoint: Endpoint, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    endpoint.at_the_tenth = stop.touch
    began = time.monotonic()
    result = probe(endpoint.url, tmp_path, duration=600, stop_file=str(stop))
    assert time.monotonic() - began < 60
    assert 10 <= result["requests"] < 3000


def test_probe_ends_when_nobody_can_read_its_records(endpoint: Endpoint, tmp_path: Path) -> None:
    """As when the controller was killed: the next drill clears up, and a load still running must not be its second."""
    endpoint.at_the_tenth = (tmp_path / "records.jsonl").unlink
    assert 10 <= probe(endpoint.url, tmp_path, duration=600)["requests"] < 3000


def test_probe_ends_with_the_process_that_it_belongs_to(endpoint: Endpoint, tmp_path: Path) -> None:
    """As when a playbook is killed: nobody is left to stop the load."""
    owner = subprocess.Popen(["sleep", "600"])

    def kill() -> None:
        while not (tmp_path / "records.jsonl").exists() or not (tmp_path / "records.jsonl").read_text():
            time.sleep(0.01)
        owner.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert 0 < probe(endpoint.url, tmp_path, duration=600, owner_pid=owner.pid)["requests"] < 3000
    killer.join()
    owner.wait()


@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        ("inference_probe", {"rate": "-3"}, "rate: -3.0 is not valid: give a number above 0"),
        ("inference_probe", {"duration": 0}, "duration: 0.0 is not valid"),
        ("inference_probe", {"max_tokens": 0}, "max_tokens: 0 is not valid"),
        ("inference_probe", {"targets": []}, r"targets: \[\] is not valid: give at least one endpoint"),
        ("drill_watch", {"stable": 0}, "stable: 0.0 is not valid"),
        ("drill_watch", {"share": 2}, "share: 2.0 is not valid: give a number from 0 to 1"),
        ("drill_watch", {"timeout": -1}, "timeout: -1.0 is not valid"),
        ("drill_watch", {"expected": {"a": "a"}}, "expected.a: 'a' is not valid: give a list of regions"),
        ("drill_report", {"objectives": {"lost_percent": -5}}, "lost_percent: -5.0 is not valid"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_wrong_numbers_are_refused(
    tmp_path: Path, module: str, options: dict[str, t.Any], told: str, check: bool
) -> None:
    path = str(tmp_path / "records.jsonl")
    needed: dict[str, dict[str, t.Any]] = {
        "inference_probe": {"targets": [{"name": "a", "url": "http://127.0.0.1:9"}], "model": "m", "duration": 1},
        "drill_watch": {"expected": {"a": ["a"]}},
        "drill_report": {"failed_region": "a"},
    }
    with pytest.raises(ModuleFailed, match=told):
        run_module(module, {"records": path, **needed[module], **options}, check=check)
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text("PASSED\n")
    for module, more in (("drill_watch", {"expected": {"a": []}}), ("drill_report", {"failed_region": "a"})):
        with pytest.raises(ModuleFailed, match=r"records.jsonl, line 1: no record of a load"):
            run_module(module, {"records": str(path), **more})
    path.write_text("")
    with pytest.raises(ModuleFailed, match="holds no request, so there is nothing to judge\n  the load did not start"):
        run_module("drill_report", {"records": str(path), "failed_region": "a", "failures": ["the load did not start"]})


def test_probe_sends_nothing_in_check_mode(tmp_path: Path) -> None:
    arguments = {"targets": [{"name": "a", "url": "http://127.0.0.1:9"}], "model": "m", "duration": 1}
    result = run_module("inference_probe", {**arguments, "records": str(tmp_path / "r")}, check=True)
    assert result["requests"] == 0 and not (tmp_path / "r").exists()


def test_probe_refuses_a_rate_of_zero(tmp_path: Path) -> None:
    with pytest.raises(ModuleFailed, match="rate: 0.0 is not valid: give a number above 0"):
        probe("http://127.0.0.1:9", tmp_path, rate=0)


def test_watch_sees_a_running_load_settle(endpoint: Endpoint, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    arguments = {"targets": [{"name": "a", "url": endpoint.url}], "model": "m", "rate": 50, "duration": 120}
    arguments |= {"records": str(tmp_path / "records.jsonl"), "stop_file": str(stop)}
    watched = {"records": str(tmp_path / "records.jsonl"), "expected": {"a": ["a"]}, "stable": 1}
    # The module runner redirects stdout, which is one per process: the load needs another.
    code = f"from tests.module_runner import run_module; run_module('inference_probe', {arguments!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    load = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        assert run_module("drill_watch", {**watched, "timeout": 60})["settled"]
        with pytest.raises(ModuleFailed, match="waited 1 s for the service to settle: a: served by a, wanted b"):
            run_module("drill_watch", {**watched, "expected": {"a": ["b"]}, "timeout": 1, "since": 1.0})
        unsettled = run_module(
            "drill_watch", {**watched, "expected": {"c": []}, "timeout": 0.5, "fail": False, "since": 1.0}
        )
        assert not unsettled["settled"] and "no request" in unsettled["missing"]
    finally:
        stop.touch()
        assert load.wait(timeout=60) == 0


def test_report_judges_a_file_of_records(endpoint: Endpoint, tmp_path: Path) -> None:
    records = probe(endpoint.url, tmp_path)["records"]
    middle = time.time() - 0.5
    report = run_module(
        "drill_report",
        {
            "records": records,
            "failed_region": "a",
            "fault_at": middle,
            "objectives": {"recovery_seconds": 1, "lost_percent": 0},
        },
    )
    # The victim served to the end, so nobody took over.
    assert report["summary"]["recovery_seconds"] is None and not report["summary"]["passed"]
    assert report["summary"]["requests"] == 50
    assert report["chart"].startswith("<svg")
    with pytest.raises(ModuleFailed, match="cannot read"):
        run_module("drill_report", {"records": str(tmp_path / "none"), "failed_region": "a"})
