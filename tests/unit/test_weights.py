# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that fetches a model into the bucket, and lets model servers wait for it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import types
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "model" / "files" / "weights.py"
INDEX = "model.safetensors.index.json"
MANIFEST = ".files.json"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("weights", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WEIGHTS = script()


def shard(size: int) -> bytes:
    """A safetensors file with one tensor of ``size`` bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


SHARDS = {f"model-{number:05}-of-00003.safetensors": shard(100 + number) for number in (1, 2, 3)}
MODEL: dict[str, bytes] = {
    "config.json": b"{}",
    "tokenizer/vocab [1].txt": b"a b c",
    INDEX: json.dumps({"weight_map": dict(enumerate(SHARDS))}).encode(),
    **SHARDS,
}


def put(target: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def listing(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The manifest, as a file, of these files."""
    document = {"repository": "google/gemma", "revision": COMMIT, "files": {n: len(c) for n, c in files.items()}}
    return {MANIFEST: json.dumps(document).encode()}


FIRST, SECOND, THIRD = SHARDS
CUT = SHARDS[SECOND][:-1]


@pytest.mark.parametrize(
    ("there", "lacks"),
    [
        ({}, ["*.safetensors", "config.json"]),
        ({"config.json": b"{}"}, ["*.safetensors"]),
        ({"config.json": b"{}", "model.safetensors": shard(9)}, []),
        ({"config.json": b"{}", "model.safetensors": shard(9)[:-1]}, ["model.safetensors"]),
        ({"config.json": b"{}", "model.safetensors": b""}, ["model.safetensors"]),
        ({"config.json": b"{}", INDEX: MODEL[INDEX]}, ["*.safetensors", *SHARDS]),
        ({"config.json": b"{}", INDEX: MODEL[INDEX][:9], **SHARDS}, [INDEX]),
        (MODEL, []),
        ({**MODEL, SECOND: CUT}, [SECOND]),
        ({"config.json": b"{}", SECOND: SHARDS[SECOND]}, [FIRST, THIRD]),  # a shard may come before the index does
        ({INDEX: MODEL[INDEX], **SHARDS}, ["config.json"]),
    ],
)
def test_what_weights_without_a_manifest_lack(tmp_path: Path, there: dict[str, bytes], lacks: list[str]) -> None:
    put(tmp_path, there)
    assert sorted(WEIGHTS.lacking(tmp_path)) == lacks


@given(
    st.dictionaries(
        st.sampled_from([*MODEL, "other.bin", "deep/er/file"]),
        st.tuples(st.integers(0, 9), st.integers(0, 9) | st.none()),
    )
)
def test_a_manifest_is_met_by_exactly_its_names_and_sizes(files: dict[str, tuple[int, int | None]]) -> None:
    """Wanted and found size of each file; the rest of the bucket is no business of the manifest's."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        put(target, listing({name: bytes(wanted) for name, (wanted, _found) in files.items()}))
        put(target, {name: bytes(found) for name, (_wanted, found) in files.items() if found is not None})
        put(target, {"more": b"of something else"})
        assert set(WEIGHTS.lacking(target)) == {name for name, (wanted, found) in files.items() if wanted != found}


def run(action: str, target: Path, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "MODEL_PATH": str(target), "MODEL_REPOSITORY": "google/gemma", "MODEL_REVISION": "main"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), action],
        env=variables | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_model_server_waits_for_the_whole_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    waiting = run("wait", target)
    assert waiting.stdout
    assert "lacks weights: *.safetensors is missing, config.json is missing" in waiting.stdout.readline()
    put(target, {**listing(MODEL), **MODEL, SECOND: CUT})
    told = iter(waiting.stdout.readline, "")
    assert any(f"{SECOND} has {len(CUT)} of {len(CUT) + 1} bytes" in line for line in told)
    assert waiting.poll() is None
    put(target, {SECOND: SHARDS[SECOND]})
    assert "is complete" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0


class Hub(http.server.ThreadingHTTPServer):
    """What huggingface_hub asks the hub for: a repository's index, its files' metadata, its files."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files = dict(files)
        self.fetched: list[str] = []
        self.asked: list[str] = []
        self.broken: set[str] = set()  # names whose content breaks off

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server_address[1]}"
        return {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}


class HubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.asked.append(self.path)
        if path.startswith("/api/models/google/gemma/tree/"):
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": oid(content)}
                for name, content in self.server.files.items()
            ]
            self._send(200, json.dumps(listed).encode(), body=body)
        elif path.startswith("/api/models/google/gemma"):
            siblings = [
                {"rfilename": name, "size": len(content), "blobId": oid(content)}
                for name, content in self.server.files.items()
            ]
            document = {"_id": "1", "id": "google/gemma", "sha": COMMIT, "siblings": siblings}
            self._send(200, json.dumps(document).encode(), body=body)
        else:
            name = path.removeprefix(f"/google/gemma/resolve/{COMMIT}/")
            content = self.server.files[name]
            if body:
                self.server.fetched.append(name)
            headers = {"ETag": f'"{oid(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            self._send(200, content, headers, body=body, cut=name in self.server.broken)

    def _send(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None, *, body: bool, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:-1] if cut else content)
        self.close_connection = cut

    def log_message(self, *args: t.Any) -> None:
        pass


def oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join(30)


def download(target: Path, hub: Hub) -> tuple[int, str]:
    done = run("download", target, **hub.environment, HF_HOME=str(target.parent / "home"))
    output = done.communicate(timeout=120)[0]
    return done.returncode, output


def test_the_real_client_of_the_hub_fetches_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with serving(Hub(MODEL)) as hub:
        code, output = download(target, hub)
        assert code == 0, output
        assert f"google/gemma@{COMMIT} is complete" in output
        assert sorted(hub.fetched) == sorted(MODEL)
        assert {name: (target / name).read_bytes() for name in MODEL} == MODEL
        # A whole model is no reason to ask anybody.
        hub.asked.clear()
        assert download(target, hub)[0] == 0 and not hub.asked
        # What was lost or cut off since then comes again, of the commit that the rest is of.
        hub.fetched.clear()
        (target / THIRD).unlink()
        (target / "tokenizer/vocab [1].txt").unlink()
        put(target, {SECOND: CUT})
        assert sorted(WEIGHTS.lacking(target)) == sorted([SECOND, THIRD, "tokenizer/vocab [1].txt"])
        code, output = download(target, hub)
        assert code == 0, output
        assert sorted(hub.fetched) == sorted([SECOND, THIRD, "tokenizer/vocab [1].txt"])
        assert WEIGHTS.lacking(target) == {}


def test_a_hub_that_is_away_blocks_no_model_server(tmp_path: Path) -> None:
    """Weights that were brought by hand, and a first download that does not reach the hub."""
    target = tmp_path / "model"
    put(target, MODEL)
    hub = Hub(MODEL)
    hub.server_close()
    code, output = download(target, hub)
    assert code != 0, output
    assert WEIGHTS.lacking(target) == {}


def test_a_download_that_breaks_off_keeps_model_servers_waiting_until_one_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "model"
    # All that can be told from names alone is there: only the hub knows that a file is missing.
    files = {**MODEL, "tokenizer.json": b"{}"}
    with serving(Hub(files)) as hub:
        put(target, MODEL)
        hub.broken = {"tokenizer.json"}
        code, output = download(target, hub)
        assert code != 0, output
        assert WEIGHTS.lacking(target) == {"tokenizer.json": "is missing"}
        hub.broken = set()
        assert download(target, hub)[0] == 0
        assert WEIGHTS.lacking(target) == {}
