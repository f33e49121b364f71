# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model server as clients see it: a real process, asked over HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.dataplane import images
from tests.sandbox.dataplane.support import free_port

Json = dict[str, t.Any]

MIDDLEWARE = """
class AddRegion:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_more(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-serving-region", b"us-east5")]}
            await send(message)
        await self.app(scope, receive, send_more)

async def add_path(request, call_next):
    response = await call_next(request)
    response.headers["x-path"] = request.path
    return response

number = 1
"""


@dataclasses.dataclass
class Server:
    """A model server that has been started."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def post(self, path: str, body: t.Any, **options: t.Any) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=30, **options)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample whose labels include these."""
        for line in requests.get(f"{self.url}/metrics", timeout=10).text.splitlines():
            match = re.fullmatch(r"(\S+?)\{(.*)\} (\S+)", line)
            if match and match[1] == name and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[2])).items():
                return float(match[3])
        raise AssertionError(f"no sample {name} {labels}")


def weights(directory: Path, **config: t.Any) -> Path:
    """A model of two shards."""
    directory.mkdir(parents=True, exist_ok=True)
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (directory / "config.json").write_text(json.dumps({"max_position_embeddings": 8192, **config}))
    index = {"weight_map": {f"layer.{n}": shard for n, shard in enumerate(shards)}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    for shard in shards:
        (directory / shard).write_bytes(b"\0" * 16)
    return directory


def launch(directory: Path, *options: str, module: str = "vllm.entrypoints.openai.api_server", **env: str) -> Server:
    image = images.find("vllm/vllm-tpu")
    assert image is not None
    port = free_port()
    log = directory / "server.log"
    paths = os.pathsep.join([*image.python_path(), str(directory)])
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *options, f"--port={port}"],
            env={"PATH": os.defpath, "PYTHONPATH": paths, "SANDBOX_POD_ADDRESS": "127.0.0.1", **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Server(process, f"http://127.0.0.1:{port}", log)


@contextlib.contextmanager
def serving(directory: Path, *options: str, **more: str) -> Iterator[Server]:
    server = launch(directory, *options, **more)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{server.url}/health", timeout=5).status_code == 200:
                    break
            assert server.process.poll() is None and time.monotonic() < deadline, server.log.read_text()
            time.sleep(0.05)
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def fails(directory: Path, *options: str, **env: str) -> str:
    """The log of a server that must not start."""
    server = launch(directory, *options, **env)
    try:
        assert server.process.wait(30) == 1, server.log.read_text()
    finally:
        server.process.kill()
    return server.log.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("model")
    (directory / "serving_region.py").write_text(MIDDLEWARE)
    model = weights(directory / "weights")
    options = [f"--model={model}", "--served-model-name", "gemma", "second", "--max-model-len=512", "--max_num_seqs=2"]
    options += ["--middleware=serving_region.AddRegion", "--middleware", "serving_region.add_path", "--swap-space=4"]
    with serving(directory, *options, SANDBOX_FAULTS=str(directory / "faults.json")) as running:
        yield running


@pytest.fixture
def wrong(server: Server) -> Iterator[Path]:
    """The file that tells the server what it has to do wrong; gone afterwards."""
    file = server.log.with_name("faults.json")
    yield file
    file.unlink(missing_ok=True)


def test_answers_come_late_while_health_is_as_ever(server: Server, wrong: Path) -> None:
    wrong.write_text(json.dumps({"first": 0.4, "between": 0.1}))
    for path, takes in (("/health", 0.0), ("/v1/models", 0.4)):
        began = time.monotonic()
        assert requests.get(server.url + path, timeout=10).status_code == 200
        assert takes <= time.monotonic() - began < takes + 0.3
    began = time.monotonic()
    streamed = server.post("/v1/completions", {**PROMPT, "stream": True, "max_tokens": 4, "ignore_eos": True}).text
    assert streamed.endswith("data: [DONE]\n\n") and time.monotonic() - began > 0.8


def test_answers_break_off_in_the_middle(server: Server, wrong: Path) -> None:
    wrong.write_text(json.dumps({"pieces": 2}))
    stream = server.post("/v1/completions", {**PROMPT, "stream": True}, stream=True)
    seen = b""
    with pytest.raises(requests.RequestException):
        for part in stream.iter_content(None):
            seen += part
    assert seen.count(b"\n\n") == 2 and b"[DONE]" not in seen
    with pytest.raises(requests.RequestException):
        server.post("/v1/completions", PROMPT)
    wrong.unlink()
    assert server.post("/v1/completions", PROMPT).json()["choices"]


CHAT = {"model": "gemma", "messages": [{"role": "user", "content": "Why do regions fail over?"}]}
PROMPT = {"model": "gemma", "prompt": "Why do regions fail over?"}


def events(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.decode() for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def test_models_and_version(server: Server) -> None:
    models = requests.get(f"{server.url}/v1/models", timeout=5).json()
    assert [model["id"] for model in models["data"]] == ["gemma", "second"]
    assert models["data"][0]["max_model_len"] == 512 and models["data"][0]["owned_by"] == "vllm"
    assert re.fullmatch(r"\d+\.\d+\.\d+", requests.get(f"{server.url}/version", timeout=5).json()["version"])
    assert requests.get(f"{server.url}/health", timeout=5).content == b""
    assert requests.post(f"{server.url}/ping", timeout=5).status_code == 200


def test_a_chat(server: Server) -> None:
    answer = server.post("/v1/chat/completions", {**CHAT, "max_tokens": 12, "temperature": 0}).json()
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-") and answer["model"] == "gemma"
    assert choice["message"]["role"] == "assistant" and len(choice["message"]["content"].split()) > 4
    assert choice["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 12 and usage["prompt_tokens"] > 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12


def test_the_same_prompt_has_the_same_answer_and_another_another(server: Server) -> None:
    def ask(content: str) -> str:
        body = {**CHAT, "messages": [{"role": "user", "content": content}], "max_tokens": 40}
        text: str = server.post("/v1/chat/completions", body).json()["choices"][0]["message"]["content"]
        return text

    assert ask("What is latency?") == ask("What is latency?") != ask("What is throughput?")


def test_completions_default_to_16_tokens_and_take_several_prompts(server: Server) -> None:
    answer = server.post("/v1/completions", {"prompt": ["One more story", "Another story"]}).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["object"] == "text_completion" and answer["usage"]["completion_tokens"] == 32
    by_ids = server.post("/v1/completions", {**PROMPT, "prompt": [1, 2, 3]}).json()
    assert by_ids["usage"]["prompt_tokens"] == 3


def test_answers_end_by_themselves_or_at_a_stop_string(server: Server) -> None:
    whole = server.post("/v1/chat/completions", {**CHAT, "max_tokens": 400}).json()
    text = whole["choices"][0]["message"]["content"]
    assert whole["choices"][0]["finish_reason"] == "stop" and whole["usage"]["completion_tokens"] < 400
    stop = text.split()[3]
    stopped = server.post("/v1/chat/completions", {**CHAT, "max_tokens": 400, "stop": [stop]}).json()["choices"][0]
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", stop)
    assert text.startswith(stopped["message"]["content"]) and stop not in stopped["message"]["content"]
    forced = server.post("/v1/chat/completions", {**CHAT, "max_tokens": 300, "ignore_eos": True}).json()
    assert forced["usage"]["completion_tokens"] == 300


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_stream_says_the_same_piece_by_piece(server: Server, path: str) -> None:
    chat = "chat" in path
    body = {**(CHAT if chat else PROMPT), "max_tokens": 20}
    whole = server.post(path, body).json()["choices"][0]
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = events(server.post(path, streamed, stream=True))
    parsed = [json.loads(chunk) for chunk in chunks]
    *parts, last = parsed
    assert done == "[DONE]" and last["choices"] == [] and last["usage"]["completion_tokens"] == 20
    assert len({part["id"] for part in parsed}) == 1
    choices = [part["choices"][0] for part in parts]
    assert [choice["finish_reason"] for choice in choices[-2:]] == [None, "length"]
    if chat:
        assert choices[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(choice["delta"]["content"] for choice in choices) == whole["message"]["content"]
    else:
        assert "".join(choice["text"] for choice in choices) == whole["text"]


def test_a_stream_without_usage_has_none(server: Server) -> None:
    *chunks, _unused = events(server.post("/v1/completions", {**PROMPT, "stream": True, "max_tokens": 2}, stream=True))
    assert all("usage" not in json.loads(chunk) and json.loads(chunk)["choices"] for chunk in chunks)


def test_the_first_token_takes_longer_than_the_next_ones(server: Server) -> None:
    """By the server's own clock: on a busy machine a client reads late, and then all at once."""
    names = ("vllm:time_to_first_token_seconds_sum", "vllm:e2e_request_latency_seconds_sum")
    before = [server.metric(name) for name in names]
    body = {**PROMPT, "stream": True, "max_tokens": 100, "ignore_eos": True}
    assert events(server.post("/v1/completions", body, stream=True))[-1] == "[DONE]"
    first, whole = (server.metric(name) - known for name, known in zip(names, before, strict=True))
    assert 0.02 <= first < whole
    assert whole - first >= 99 * 0.002


BAD: list[tuple[str, t.Any, int, str, str]] = [
    ("completions", {**PROMPT, "model": "none"}, 404, "NotFoundError", "The model `none` does not exist."),
    ("chat/completions", {**CHAT, "model": "none"}, 404, "NotFoundError", "The model `none` does not exist."),
    ("completions", {"model": "gemma"}, 400, "Bad Request", "'prompt'"),
    ("chat/completions", {"model": "gemma"}, 400, "Bad Request", "'messages'"),
    ("chat/completions", {**CHAT, "messages": []}, 400, "BadRequestError", "message"),
    ("chat/completions", {**CHAT, "messages": [{"content": "x"}]}, 400, "Bad Request", "'role'"),
    ("completions", {**PROMPT, "prompt": []}, 400, "BadRequestError", "prompt"),
    ("completions", {**PROMPT, "max_tokens": 0}, 400, "BadRequestError", "max_tokens must be at least 1, got 0."),
    ("completions", {**PROMPT, "max_tokens": "9"}, 400, "Bad Request", "valid integer"),
    ("completions", {**PROMPT, "max_tokens": 600}, 400, "BadRequestError", "maximum context length is 512 tokens"),
    (
        "completions",
        {**PROMPT, "prompt": "word " * 600},
        400,
        "BadRequestError",
        "maximum context length is 512 tokens",
    ),
    ("completions", {**PROMPT, "temperature": -1}, 400, "BadRequestError", "temperature must be non-negative"),
    ("completions", {**PROMPT, "top_p": 2}, 400, "BadRequestError", "top_p must be in (0, 1]"),
    ("completions", {**PROMPT, "stream": "yes"}, 400, "Bad Request", "valid boolean"),
    ("completions", {**PROMPT, "stream_options": {"include_usage": True}}, 400, "BadRequestError", "stream=True"),
    ("completions", [], 400, "Bad Request", "dictionary"),
]


@pytest.mark.parametrize(("path", "body", "status", "kind", "words"), BAD)
def test_bad_input(server: Server, path: str, body: t.Any, status: int, kind: str, words: str) -> None:
    answer = server.post(f"/v1/{path}", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, status, kind)
    assert words in error["message"]


def test_what_is_no_json_or_not_called_so_and_unknown_paths(server: Server) -> None:
    url = f"{server.url}/v1/completions"
    broken = requests.post(url, data="{", headers={"content-type": "application/json"}, timeout=5)
    assert broken.status_code == 400 and "JSON decode error" in broken.json()["error"]["message"]
    form = requests.post(url, data=json.dumps(PROMPT), headers={"content-type": "text/plain"}, timeout=5)
    assert form.status_code == 400 and "application/json" in form.json()["error"]["message"]
    assert requests.get(f"{server.url}/nothing", timeout=5).json() == {"detail": "Not Found"}
    assert requests.get(url, timeout=5).status_code == 405


def test_middleware_of_both_kinds_reaches_every_answer(server: Server) -> None:
    for answer in (
        requests.get(f"{server.url}/health", timeout=5),
        server.post("/v1/completions", {**PROMPT, "model": "none"}),
        server.post("/v1/completions", {**PROMPT, "stream": True}),
    ):
        assert answer.headers["x-serving-region"] == "us-east5"
        assert answer.headers["x-path"] in answer.url


def test_metrics_count_and_queue(server: Server) -> None:
    names = {"model_name": "gemma", "engine": "0"}
    before = {
        reason: server.metric("vllm:request_success_total", finished_reason=reason) for reason in ("length", "abort")
    }
    tokens = server.metric("vllm:generation_tokens_total", **names)
    body = {**PROMPT, "max_tokens": 200, "ignore_eos": True}
    threads = [threading.Thread(target=server.post, args=("/v1/completions", body)) for _unused in range(4)]
    for thread in threads:
        thread.start()
    seen = {"running": 0.0, "waiting": 0.0, "cache": 0.0}
    while any(thread.is_alive() for thread in threads):
        seen["running"] = max(seen["running"], server.metric("vllm:num_requests_running", **names))
        seen["waiting"] = max(seen["waiting"], server.metric("vllm:num_requests_waiting", **names))
        seen["cache"] = max(seen["cache"], server.metric("vllm:kv_cache_usage_perc", **names))
    assert seen["running"] == 2 and seen["waiting"] >= 1 and 0 < seen["cache"] < 1
    assert server.metric("vllm:generation_tokens_total", **names) == tokens + 800
    assert server.metric("vllm:request_success_total", finished_reason="length") == before["length"] + 4
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        assert server.metric(f"vllm:{name}") == 0
    count = server.metric("vllm:e2e_request_latency_seconds_count")
    assert count == server.metric("vllm:e2e_request_latency_seconds_bucket", le="+Inf") >= 4
    assert server.metric("vllm:time_to_first_token_seconds_sum") > 0


def test_a_client_that_leaves_ends_its_request(server: Server) -> None:
    def aborted() -> float:
        return server.metric("vllm:request_success_total", finished_reason="abort")

    before = aborted()
    body = json.dumps({**PROMPT, "max_tokens": 500, "ignore_eos": True})
    deadline = time.monotonic() + 60
    while aborted() == before:  # on a busy machine a client may leave too late
        assert time.monotonic() < deadline
        tokens = server.metric("vllm:generation_tokens_total")
        client = http.client.HTTPConnection(server.url.removeprefix("http://"))
        client.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        while server.metric("vllm:generation_tokens_total") == tokens:
            time.sleep(0.02)
        client.close()
        while server.metric("vllm:num_requests_running"):
            time.sleep(0.02)


def test_sigterm_finishes_what_runs_and_takes_nothing_new(tmp_path: Path) -> None:
    with serving(tmp_path, f"--model={weights(tmp_path / 'w')}", "--served-model-name=m") as server:
        body = {"prompt": "x", "max_tokens": 300, "ignore_eos": True, "stream": True}
        answer = server.post("/v1/completions", body, stream=True)
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while True:
            try:
                requests.get(f"{server.url}/health", timeout=5)
            except requests.ConnectionError:
                break
            assert time.monotonic() < deadline
        assert events(answer)[-1] == "[DONE]"
        assert server.process.wait(10) == 0


def test_nothing_is_answered_while_the_model_loads(tmp_path: Path) -> None:
    model = weights(tmp_path / "w")
    server = launch(tmp_path, f"--model={model}", SANDBOX_MODEL_LOAD_SECONDS="60")
    try:
        deadline = time.monotonic() + 20
        while "1/2" not in server.log.read_text() and "Using max model len" not in server.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/health", timeout=5)
        server.process.terminate()
        assert server.process.wait(5) == -signal.SIGTERM
    finally:
        server.process.kill()
        server.process.wait()


def test_vllm_serve_and_the_default_name_is_the_path_in_the_container(tmp_path: Path) -> None:
    weights(tmp_path / "w" / "gemma")
    mounts = json.dumps({"/data": str(tmp_path / "w")})
    model = str(tmp_path / "w" / "gemma")
    module = "vllm.entrypoints.cli.main"
    with serving(tmp_path, "serve", model, "--api-key", "k", module=module, SANDBOX_MOUNTS=mounts) as server:
        key = {"Authorization": "Bearer k"}
        assert requests.get(f"{server.url}/v1/models", timeout=5).status_code == 401
        models = requests.get(f"{server.url}/v1/models", headers=key, timeout=5).json()
        assert [model["id"] for model in models["data"]] == ["/data/gemma"]


def test_a_repository_of_the_hub_is_downloaded(tmp_path: Path) -> None:
    home = {"HF_HOME": str(tmp_path)}
    assert "gated repo" in fails(tmp_path, "--model=google/gemma-3-4b-it", **home)
    with serving(tmp_path, "--model=google/gemma-3-4b-it", HF_TOKEN="hf_x", **home) as server:
        model = requests.get(f"{server.url}/v1/models", timeout=5).json()["data"][0]
        assert (model["id"], model["max_model_len"]) == ("google/gemma-3-4b-it", 131072)


def test_what_cannot_be_served_ends_with_the_reason(tmp_path: Path) -> None:
    model = weights(tmp_path / "w")
    assert "Invalid repository ID or local directory" in fails(tmp_path, "--model=/no/where")
    assert "larger than the number of available" in fails(
        tmp_path, f"--model={model}", "-tp=8", SANDBOX_ACCELERATORS="4"
    )
    assert "max_position_embeddings=8192" in fails(tmp_path, f"--model={model}", "--max-model-len=9000")
    assert "Invalid middleware" in fails(tmp_path, f"--model={model}", "--middleware=os.sep")
    (model / "model-00002-of-00002.safetensors").unlink()
    assert "Missing weights" in fails(tmp_path, f"--model={model}")
    for path in model.glob("*.safetensors*"):
        path.unlink()
    assert "Cannot find any model weights" in fails(tmp_path, f"--model={model}")
    (model / "config.json").unlink()
    assert "No config.json" in fails(tmp_path, f"--model={model}")
