# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is installed in the images: downloads from the hub, pip, one address and read-only mounts."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from sandbox.dataplane import images


def python(code: str, image: str = "python:3.12", **env: str) -> subprocess.CompletedProcess[str]:
    found = images.find(image)
    assert found is not None
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.pathsep.join(found.search_path()), "PYTHONPATH": os.pathsep.join(found.python_path()), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def download(
    directory: Path, repo: str = "org/tiny-11b", more: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    call = f"snapshot_download(repo_id={repo!r}, local_dir={str(directory)!r}{more})"
    return python(f"from huggingface_hub import snapshot_download; print({call})", **env)


def test_a_snapshot_has_everything_that_its_index_promises(tmp_path: Path) -> None:
    assert download(tmp_path).returncode == 0
    weight_map = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert sorted(set(weight_map.values())) == shards and len(shards) == 5
    for tensor, shard in weight_map.items():
        data = (tmp_path / shard).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        begin, end = header[tensor]["data_offsets"]
        rows, columns = header[tensor]["shape"]
        assert end - begin == rows * columns * 2 and 8 + length + end <= len(data)


def test_a_snapshot_is_always_the_same_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    download(tmp_path / "a")
    download(tmp_path / "b")
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*") if path.is_file()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").glob("*") if path.is_file()}
    (tmp_path / "a" / "model-00002-of-00005.safetensors").unlink()
    (tmp_path / "a" / "config.json").write_text("kept")
    again = download(tmp_path / "a").stdout
    assert "Downloaded model-00002-of-00005.safetensors" in again and "model-00001" not in again
    assert (tmp_path / "a" / "config.json").read_text() == "kept"


@pytest.mark.parametrize(
    ("env", "more", "works"),
    [
        ({}, "", False),
        ({"HF_TOKEN": "hf_x"}, "", True),
        ({}, ", token='hf_x'", True),
        ({"HF_TOKEN": "hf_x"}, ", token=False", False),
        ({"HF_TOKEN": ""}, ", token=None", False),
    ],
)
def test_gated_models_need_a_token(tmp_path: Path, env: dict[str, str], more: str, works: bool) -> None:
    done = download(tmp_path, "google/gemma-3-1b-it", more, **env)
    assert (done.returncode == 0) is works
    assert ("GatedRepoError" in done.stderr) is not works


def test_patterns_choose_files(tmp_path: Path) -> None:
    download(tmp_path, more=", allow_patterns=['*.json'], ignore_patterns='tokenizer*'")
    names = {path.name for path in tmp_path.glob("*") if path.is_file()}
    assert names == {"config.json", "generation_config.json", "special_tokens_map.json", "model.safetensors.index.json"}


def test_the_index_is_of_the_files_that_a_snapshot_brings(tmp_path: Path) -> None:
    code = """
import json, sys
from huggingface_hub import HfApi
info = HfApi(token=None).model_info("google/gemma-3-1b-it", revision="main", files_metadata=True)
names = HfApi().model_info("google/gemma-3-1b-it").siblings
assert [file.rfilename for file in names] == [file.rfilename for file in info.siblings]
assert all(file.size is None for file in names)
print(json.dumps([info.sha, {file.rfilename: [file.size, file.lfs and file.lfs.sha256] for file in info.siblings}]))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    commit, files = json.loads(done.stdout)
    download(tmp_path, "google/gemma-3-1b-it", f", revision={commit!r}, token='hf_x'")
    content = {path.name: path.read_bytes() for path in tmp_path.glob("*") if path.is_file()}
    assert {name: size for name, (size, _sha) in files.items()} == {name: len(data) for name, data in content.items()}
    hashes = {name: sha for name, (_size, sha) in files.items() if sha}
    assert hashes == {n: hashlib.sha256(d).hexdigest() for n, d in content.items() if n.endswith(".safetensors")}


def test_what_is_asked_of_the_hub_is_named_as_in_its_real_client() -> None:
    code = """
import dataclasses, inspect, json, huggingface_hub as hub
from huggingface_hub import HfApi, snapshot_download
info = HfApi().model_info("gpt/2")
print(json.dumps({
    "info": list(inspect.signature(HfApi.model_info).parameters),
    "init": list(inspect.signature(HfApi.__init__).parameters),
    "download": list(inspect.signature(snapshot_download).parameters),
    "file": [field.name for field in dataclasses.fields(info.siblings[0])],
    "model": [field.name for field in dataclasses.fields(info)],
}))
"""
    ours = json.loads(python(code).stdout)
    real = {
        "info": list(inspect.signature(huggingface_hub.HfApi.model_info).parameters),
        "init": list(inspect.signature(huggingface_hub.HfApi.__init__).parameters),
        "download": list(inspect.signature(huggingface_hub.snapshot_download).parameters),
        "file": [field.name for field in dataclasses.fields(huggingface_hub.hf_api.RepoSibling)],
        "model": [field.name for field in dataclasses.fields(huggingface_hub.hf_api.ModelInfo)],
    }
    assert ours["file"] == real["file"]
    for what, names in ours.items():
        assert set(names) - {"_other"} <= set(real[what]), what


def test_names_that_are_no_repositories(tmp_path: Path) -> None:
    assert "HFValidationError" in download(tmp_path, "a b").stderr
    assert "RepositoryNotFoundError" in download(tmp_path, "gemma").stderr


def test_pip_has_what_the_image_has_and_installs_nothing() -> None:
    code = "import subprocess, sys; sys.exit(subprocess.call(%r))"
    for argv in (
        ["pip", "install", "-q", "huggingface_hub>=0.2"],
        ["python3", "-m", "pip", "install", "huggingface-hub"],
    ):
        done = python(code % argv)
        assert done.returncode == 0 and "already satisfied: huggingface" in done.stdout, done.stderr
    assert python(code % ["pip", "install", "no-such-thing"]).returncode == 1


def test_all_addresses_of_a_pod_are_its_one() -> None:
    code = """
import socket, asyncio
for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, ""), (socket.AF_INET6, "::")):
    with socket.socket(family) as s:
        s.bind((any_address, 0))
        print(s.getsockname()[0])
async def main():
    server = await asyncio.start_server(print, "0.0.0.0", 0)
    print(server.sockets[0].getsockname()[0])
asyncio.run(main())
"""
    done = python(code, SANDBOX_POD_ADDRESS="127.0.0.77")
    assert done.stdout.split() == ["127.0.0.77", "127.0.0.77", "::ffff:127.0.0.77", "127.0.0.77"], done.stderr


@pytest.mark.parametrize(
    ("code", "works"),
    [
        ("open(d + '/file').read()", True),
        ("import os; os.listdir(d)", True),
        ("open(d + '/file', 'w')", False),
        ("open(d + '/file', 'a')", False),
        ("open(d + '/file', 'r+')", False),
        ("import os; os.mkdir(d + '/new')", False),
        ("import pathlib; pathlib.Path(d, 'x').mkdir()", False),
        ("import os; os.remove(d + '/file')", False),
        ("import os; os.replace(d + '/file', d + '/x')", False),
        ("import os; os.replace(d + '2/file', d + '/x')", False),
        ("import pathlib; pathlib.Path(d, 'x').write_text('')", False),
        ("open(d + '2/file', 'w')", True),
    ],
)
def test_read_only_mounts_are_read_only(tmp_path: Path, code: str, works: bool) -> None:
    for name in ("d", "d2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    done = python(f"d = {str(tmp_path / 'd')!r}; {code}", SANDBOX_READ_ONLY=f"{tmp_path / 'd'}:/elsewhere")
    assert (done.returncode == 0) is works, done.stderr
    assert works or "Read-only file system" in done.stderr
    assert (tmp_path / "d" / "file").read_text() == "x"


def test_a_chart_s_endpoint_picker_accepts_its_flags() -> None:
    flags = ["-pool-name", "p", "--grpc-port=9002", "--v=1", "-zap-encoder", "json"]
    code = f"import endpoint_picker as e; print(e.options({flags!r}).pool_name, e.options({flags!r}).grpc_health_port)"
    assert python(code, "registry.k8s.io/gateway-api-inference-extension/epp:v1").stdout.split() == ["p", "9003"]
