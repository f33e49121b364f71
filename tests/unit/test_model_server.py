# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kubelet asks of a model server: a hung one is told from a slow one, and one that ends has finished."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
import types
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "model" / "files" / "model_server.py"
Json = dict[str, t.Any]


def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("model_server", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODEL_SERVER = script()

# As vLLM 0.11 prints them; floats in scientific notation are what prometheus_client makes of big ones.
METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="gemma 3 {it}"} 2.0
vllm:num_requests_running{engine="1",model_name="gemma 3 {it}"} 1.0
vllm:num_requests_waiting{engine="0",model_name="gemma 3 {it}"} 0.0
vllm:prompt_tokens_total{engine="0",model_name="gemma 3 {it}"} 1.5e+06
vllm:generation_tokens_total{engine="0",model_name="gemma 3 {it}"} 40.0
vllm:generation_tokens_created{engine="0",model_name="gemma 3 {it}"} 1.7e+09
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="gemma 3 {it}"} 7.0
vllm:iteration_tokens_total_sum{engine="0",model_name="gemma 3 {it}"} 900.0
vllm:iteration_tokens_total_count{engine="0",model_name="gemma 3 {it}"} 2.0
"""


def test_metrics_are_summed_over_engines_by_their_full_names() -> None:
    assert MODEL_SERVER.total(METRICS, MODEL_SERVER.WORK) == 3.0
    assert MODEL_SERVER.total(METRICS, MODEL_SERVER.PROGRESS) == 1_500_042.0
    assert MODEL_SERVER.total("up 1\n", MODEL_SERVER.PROGRESS) is None


LIMIT = 10.0

# A look: seconds since the one before, what the counters have grown by (None: no answer), whether work is there.
LOOKS = st.lists(st.tuples(st.floats(0.1, 9), st.none() | st.integers(0, 2), st.booleans()), max_size=40)


def still(looks: list[tuple[float, int | None, bool]]) -> Iterator[tuple[float, float, int | None, bool]]:
    """(now, seconds of standstill by the rule, growth, busy) at every look."""
    now, counter = 100.0, 0
    seen = MODEL_SERVER.judge(None, 0, True, now)
    for pause, growth, busy in looks:
        now += pause
        counter += growth or 0
        progress = None if growth is None else counter
        seen = MODEL_SERVER.judge(json.loads(json.dumps(seen)), progress, busy or growth is None, now)
        yield now, now - seen["since"], growth, busy


@given(LOOKS)
def test_a_server_is_hung_exactly_as_long_as_work_is_there_and_nothing_moves(looks: list[t.Any]) -> None:
    good = 100.0  # when progress was last seen, or nothing to do
    for now, standstill, growth, busy in still(looks):
        if growth or (growth is not None and not busy):
            good = now
        assert standstill == pytest.approx(now - good)


@given(st.lists(st.tuples(st.floats(0.1, 9), st.integers(1, 10**9)), max_size=40))
def test_a_saturated_server_is_never_hung(looks: list[tuple[float, int]]) -> None:
    """However long it has been full, and however little it does between two looks."""
    assert all(
        standstill == 0 for _now, standstill, *_rest in still([(pause, growth, True) for pause, growth in looks])
    )


def test_a_server_that_was_started_again_is_judged_anew() -> None:
    """Counters fall back to nought; and the clock of another node may be behind."""
    hung = {"progress": 500.0, "since": 100.0}
    assert MODEL_SERVER.judge(hung, 0.0, True, 900.0) == {"progress": 0.0, "since": 900.0}
    assert MODEL_SERVER.judge(hung, 500.0, True, 50.0)["since"] == 50.0


class Engine(http.server.ThreadingHTTPServer):
    """vLLM as seen from outside: an API server that answers, and an engine behind it that may hang."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EngineHandler)
        self.tokens = 7
        self.running = 0
        self.hangs = threading.Event()
        self.ended = threading.Event()
        self.known = True
        self.refuses = 0
        self.asked = 0

    def metrics(self) -> str:
        if not self.known:
            return "up 1.0\n"
        return f'vllm:num_requests_running{{engine="0"}} {self.running}.0\nvllm:generation_tokens_total {self.tokens}\n'


class EngineHandler(http.server.BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self._send(200, self.server.metrics().encode())

    def do_POST(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuses:
            self._send(self.server.refuses, b"{}")
        elif self.server.hangs.is_set():
            self.server.ended.wait(60)
        else:
            self.server.tokens += 1
            self._send(200, b"{}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    thread = threading.Thread(target=engine.serve_forever, daemon=True)
    thread.start()
    yield engine
    engine.ended.set()
    engine.shutdown()
    engine.server_close()
    thread.join(30)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(MODEL_SERVER, "ANSWER", 0.3)
    monkeypatch.setattr(MODEL_SERVER, "MEMORY", tmp_path / "memory.json")
    monkeypatch.setenv("POD_IP", "127.0.0.1")


def probe(engine: Engine, limit: float) -> int:
    return int(MODEL_SERVER.alive(MODEL_SERVER.Server(engine.server_address[1], "gemma"), limit))


def probed_until_hung(engine: Engine, limit: float) -> bool:
    """Whether it is called hung within ten looks of at most a third of a second each."""
    return any(probe(engine, limit) for _look in range(10))


@pytest.mark.usefixtures("quick")
class TestAlive:
    def test_an_engine_that_hangs_with_requests_is_hung(self, engine: Engine) -> None:
        engine.running = 3
        assert probe(engine, 0.0001) == 0  # the first look has nothing to compare with
        assert probed_until_hung(engine, 0.0001)
        engine.tokens += 1
        assert probe(engine, 0.0001) == 0

    def test_an_engine_that_hangs_while_idle_is_hung(self, engine: Engine) -> None:
        """vLLM publishes what runs after each step of its engine: one that never ends shows nothing running."""
        engine.hangs.set()
        assert probed_until_hung(engine, 0.5)

    def test_an_idle_engine_is_alive(self, engine: Engine) -> None:
        assert not probed_until_hung(engine, 0.0001)
        assert engine.asked

    def test_an_idle_engine_that_refuses_us_is_alive(self, engine: Engine) -> None:
        engine.refuses = 401
        assert not probed_until_hung(engine, 0.0001)

    def test_a_busy_engine_is_not_asked_for_more(self, engine: Engine) -> None:
        engine.running = 128
        for _look in range(5):
            engine.tokens += 1
            assert probe(engine, 0.0001) == 0
        assert engine.asked == 0

    def test_a_server_that_is_no_vllm_is_left_alone(self, engine: Engine) -> None:
        engine.known = False
        assert not probed_until_hung(engine, 0.0001)

    def test_a_server_that_does_not_answer_is_hung_after_the_limit_only(self, engine: Engine) -> None:
        assert probe(engine, 60) == 0
        engine.server_close()
        assert not probed_until_hung(engine, 60)
        assert probed_until_hung(engine, 0.0001)

    def test_what_cannot_be_remembered_ends_no_server(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(MODEL_SERVER, "MEMORY", tmp_path / "no" / "such" / "directory.json")
        engine.running = 1
        assert not probed_until_hung(engine, 0.0001)


@pytest.mark.usefixtures("quick")
class TestStarted:
    @pytest.mark.parametrize(("refuses", "code"), [(0, 0), (401, 0), (404, 0), (500, 1), (503, 1)])
    def test_it_has_started_when_it_answers(self, engine: Engine, refuses: int, code: int) -> None:
        engine.refuses = refuses
        assert MODEL_SERVER.started(MODEL_SERVER.Server(engine.server_address[1], "gemma")) == code

    def test_an_engine_that_compiles_has_not_started(self, engine: Engine) -> None:
        """Metrics and /health are answered all the time."""
        engine.hangs.set()
        assert MODEL_SERVER.started(MODEL_SERVER.Server(engine.server_address[1], "gemma")) == 1


def drain(engine: Engine, unlisted: float, limit: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), "--port", str(engine.server_address[1]), "--model", "gemma"]
    options = ["drain", f"--unlisted={unlisted}", f"--limit={limit}"]
    return subprocess.Popen([*command, *options], env={**os.environ, "POD_IP": "127.0.0.1"}, text=True)


class TestDrain:
    def test_answers_under_way_are_waited_for(self, engine: Engine) -> None:
        engine.running = 1
        draining = drain(engine, 0, 60)
        with pytest.raises(subprocess.TimeoutExpired):
            draining.wait(2)
        engine.running = 0
        assert draining.wait(30) == 0

    def test_not_for_ever(self, engine: Engine) -> None:
        engine.running = 1
        assert drain(engine, 0, 0.5).wait(30) == 0

    def test_an_idle_server_serves_on_until_load_balancers_have_learnt(self, engine: Engine) -> None:
        draining = drain(engine, 3, 60)
        with pytest.raises(subprocess.TimeoutExpired):
            draining.wait(2)
        assert draining.wait(30) == 0

    def test_a_server_that_serves_nobody_ends_at_once(self, engine: Engine) -> None:
        with contextlib.suppress(OSError):
            engine.server_close()
        assert drain(engine, 3600, 3600).wait(60) == 0
