# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the model, as vLLM does: a local directory with weights, or a repository of Hugging Face."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

_DEFAULT_CONTEXT = 8192


class ModelError(Exception):
    """The model cannot be loaded."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """A model on disk; ``context`` is the longest sequence that it was made for, in tokens."""

    directory: Path
    files: tuple[Path, ...]
    architecture: str
    context: int


def find(model: str, revision: str | None, download_dir: str | None) -> Weights:
    """Raises ModelError when something is missing."""
    directory = Path(model)
    if not directory.is_dir():
        if model.startswith(("/", ".", "~")) or model.count("/") != 1:
            raise ModelError(
                f"Invalid repository ID or local directory specified: {model!r}. Neither a directory with a config.json"
                " nor the name of a repository."
            )
        directory = _download(model, revision, download_dir)
    config = _config(directory)
    files = _files(directory)
    sizes = {**config, **config.get("text_config", {})}
    architectures = config.get("architectures") or ["unknown"]
    return Weights(directory, files, architectures[0], int(sizes.get("max_position_embeddings", _DEFAULT_CONTEXT)))


def _config(directory: Path) -> dict[str, t.Any]:
    path = directory / "config.json"
    if not path.is_file():
        raise ModelError(
            f"Invalid repository ID or local directory specified: {str(directory)!r}. No config.json in it."
        )
    try:
        config: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"It looks like the config file at {str(path)!r} is not a valid JSON file.") from error
    return config


def _files(directory: Path) -> tuple[Path, ...]:
    index = directory / "model.safetensors.index.json"
    files = sorted(directory.glob("*.safetensors"))
    if index.is_file():
        promised = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in promised if not (directory / name).is_file()]
        if missing:
            raise ModelError(f"Missing weights in {str(directory)!r}: {', '.join(missing)}")
        files = [directory / name for name in promised]
    if not files:
        raise ModelError(f"Cannot find any model weights with `{directory}`")
    return tuple(files)


def _download(model: str, revision: str | None, download_dir: str | None) -> Path:
    # The image brings huggingface_hub along; see sandbox/images/python.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    home = download_dir or os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    target = Path(home) / f"models--{model.replace('/', '--')}"
    try:
        return Path(snapshot_download(model, revision=revision, local_dir=str(target)))
    except HfHubHTTPError as error:
        raise ModelError(str(error)) from error
