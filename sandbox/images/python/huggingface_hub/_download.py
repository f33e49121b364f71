# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""snapshot_download and hf_hub_download without the hub."""

from __future__ import annotations

import fnmatch
import os
import re
import time
import typing as t
from collections.abc import Callable
from pathlib import Path

from . import _repository
from .errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

# Owners and families whose licence has to be accepted on the hub.
_GATED = ("google/gemma", "meta-llama/", "mistralai/")

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


def snapshot_download(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    token: bool | str | None = None,
    allow_patterns: list[str] | str | None = None,
    ignore_patterns: list[str] | str | None = None,
    force_download: bool = False,
    **_other: t.Any,
) -> str:
    """Bring the repository's files; those that are there are kept, so a broken download goes on where it stopped.

    Returns the directory. Raises HFValidationError, RepositoryNotFoundError, GatedRepoError.
    """
    files = open_repository(repo_id, repo_type, revision, token)
    wanted = {name: make for name, make in files.items() if _wanted(name, allow_patterns, ignore_patterns)}
    target = _target(repo_id, revision, cache_dir, local_dir)
    weights = sum(name.endswith(".safetensors") for name in files)
    pause = float(os.environ.get("SANDBOX_MODEL_DOWNLOAD_SECONDS", "0")) / weights
    for name, make in wanted.items():
        _fetch(target, name, make, pause if name.endswith(".safetensors") else 0, force_download)
    print(f"Fetched {len(wanted)} files of {repo_id} to {target}", flush=True)
    return str(target)


def hf_hub_download(
    repo_id: str,
    filename: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_dir: str | os.PathLike[str] | None = None,
    token: bool | str | None = None,
    force_download: bool = False,
    **_other: t.Any,
) -> str:
    """Bring one file; returns its path. Raises as snapshot_download does, and HfHubHTTPError for an unknown file."""
    files = open_repository(repo_id, repo_type, revision, token)
    if filename not in files:
        raise HfHubHTTPError(f"404 Client Error. Entry Not Found for url: {_url(repo_id, revision, filename)}.")
    target = _target(repo_id, revision, cache_dir, local_dir)
    _fetch(target, filename, files[filename], 0, force_download)
    return str(target / filename)


def open_repository(
    repo_id: str, repo_type: str | None, revision: str | None, token: bool | str | None
) -> dict[str, Callable[[], bytes]]:
    """The files of a repository that this caller may read."""
    files = listed(repo_id, repo_type, revision)
    if repo_id.startswith(_GATED) and not _token(token):
        raise GatedRepoError(
            f"401 Client Error. Cannot access gated repo for url {_url(repo_id, revision, 'config.json')}. Access to"
            f" model {repo_id} is restricted: a token of someone who accepted its licence is needed."
        )
    return files


def listed(repo_id: str, repo_type: str | None, revision: str | None) -> dict[str, Callable[[], bytes]]:
    """The files of a repository; what a gated one has is known to everybody."""
    if not _NAME.fullmatch(repo_id):
        raise HFValidationError(f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': {repo_id!r}.")
    if "/" not in repo_id or repo_type not in (None, "model"):
        raise RepositoryNotFoundError(f"404 Client Error. Repository Not Found for url: {_url(repo_id, revision)}.")
    return _repository.files(repo_id, revision or "main")


def _token(token: bool | str | None) -> str:
    if isinstance(token, str):
        return token
    if token is False:
        return ""
    return os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or ""


def _url(repo_id: str, revision: str | None, filename: str | None = None) -> str:
    base = f"https://huggingface.co/{repo_id}"
    return f"{base}/resolve/{revision or 'main'}/{filename}" if filename else base


def _wanted(name: str, allow: list[str] | str | None, ignore: list[str] | str | None) -> bool:
    def matches(patterns: list[str] | str) -> bool:
        patterns = [patterns] if isinstance(patterns, str) else patterns
        return any(fnmatch.fnmatch(name, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)

    return (allow is None or matches(allow)) and not (ignore is not None and matches(ignore))


def _target(
    repo_id: str,
    revision: str | None,
    cache_dir: str | os.PathLike[str] | None,
    local_dir: str | os.PathLike[str] | None,
) -> Path:
    if local_dir is not None:
        return Path(local_dir)
    home = Path(cache_dir or Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface") / "hub")
    return home / f"models--{repo_id.replace('/', '--')}" / "snapshots" / (revision or "main")


def _fetch(target: Path, name: str, make: Callable[[], bytes], pause: float, force: bool) -> None:
    if (target / name).is_file() and not force:
        return
    # Under another name until it is whole: whoever finds the file finds all of it.
    draft = target / ".cache" / "huggingface" / "download" / f"{name}.incomplete"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(make())
    time.sleep(pause)
    os.replace(draft, target / name)
    print(f"Downloaded {name}", flush=True)
