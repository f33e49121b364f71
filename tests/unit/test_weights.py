# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that fetches a model into the bucket, and lets model servers wait for it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "model" / "files" / "weights.py"
SHARDS = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
INDEX = "model.safetensors.index.json"


def script() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("weights", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(target: Path, names: Sequence[str]) -> None:
    target.mkdir(exist_ok=True)
    for name in names:
        text = json.dumps({"weight_map": dict(enumerate(SHARDS))}) if name == INDEX else ""
        (target / name).write_text(text)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], ["*.safetensors", "config.json"]),
        (["config.json"], ["*.safetensors"]),
        (["config.json", "model.safetensors"], []),
        (["config.json", INDEX], ["*.safetensors", *SHARDS]),
        (["config.json", INDEX, *SHARDS], []),
        (["config.json", SHARDS[1]], [SHARDS[0], SHARDS[2]]),  # a shard may come before the index does
        ([INDEX, *SHARDS], ["config.json"]),
    ],
)
def test_what_a_model_lacks(tmp_path: Path, there: list[str], missing: list[str]) -> None:
    put(tmp_path, there)
    assert script().missing_files(tmp_path) == missing


def run(action: str, target: Path, *path: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "MODEL_PATH": str(target),
        "MODEL_REPOSITORY": "google/gemma",
        "MODEL_REVISION": "main",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), action],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_model_server_waits_for_the_whole_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    waiting = run("wait", target)
    assert waiting.stdout
    assert "lacks *.safetensors, config.json" in waiting.stdout.readline()
    put(target, [".downloading", "config.json", "model.safetensors"])
    assert "is being downloaded" in waiting.stdout.readline()
    assert waiting.poll() is None
    (target / ".downloading").unlink()
    assert "is complete" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0


def hub(folder: Path, body: str) -> Path:
    """A huggingface_hub whose download does this."""
    folder.mkdir()
    lines = ["from pathlib import Path", "def snapshot_download(repo_id, revision, local_dir, token):", f"    {body}"]
    (folder / "huggingface_hub.py").write_text("\n".join(lines))
    return folder


def test_a_download_that_broke_off_is_under_way_until_one_has_succeeded(tmp_path: Path) -> None:
    target = tmp_path / "model"
    breaks = hub(tmp_path / "breaks", "(Path(local_dir) / 'config.json').touch(); raise OSError('the hub is away')")
    partial = hub(tmp_path / "partial", f"(Path(local_dir) / '{SHARDS[0]}').touch()")
    whole = hub(tmp_path / "whole", "(Path(local_dir) / 'model.safetensors').touch()")
    for path, code, told in (
        (breaks, 1, "the hub is away"),
        (partial, 1, f"incomplete after the download: {SHARDS[1]}"),
    ):
        download = run("download", target, path)
        assert told in download.communicate(timeout=60)[0]
        assert download.returncode == code
        assert script().unfinished(target)
    (target / SHARDS[0]).unlink()
    download = run("download", target, whole)
    assert "google/gemma@main is complete" in download.communicate(timeout=60)[0]
    assert script().unfinished(target) == ""
