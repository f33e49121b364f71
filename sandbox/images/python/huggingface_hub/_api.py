# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HfApi.model_info: a repository's commit and files, without the hub."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from . import _repository
from ._download import listed


@dataclasses.dataclass(frozen=True)
class BlobLfsInfo:
    """A file of Git LFS: weights are, and documents are not."""

    size: int
    sha256: str
    pointer_size: int


@dataclasses.dataclass(frozen=True)
class RepoSibling:
    """A file; all but its name only when ``files_metadata`` was asked for."""

    rfilename: str
    size: int | None = None
    blob_id: str | None = None
    lfs: BlobLfsInfo | None = None


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What the sandbox knows of a repository: its name, the commit, its files."""

    id: str
    sha: str
    siblings: list[RepoSibling]


class HfApi:
    """The client of the hub's API."""

    def __init__(self, endpoint: str | None = None, token: bool | str | None = None, **_other: t.Any) -> None:
        self.token = token

    def model_info(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        files_metadata: bool = False,
        **_other: t.Any,
    ) -> ModelInfo:
        """Raises HFValidationError, RepositoryNotFoundError."""
        files = listed(repo_id, None, revision)
        siblings = [_sibling(name, make()) if files_metadata else RepoSibling(name) for name, make in files.items()]
        return ModelInfo(repo_id, _repository.commit(repo_id, revision or "main"), siblings)


def model_info(repo_id: str, **options: t.Any) -> ModelInfo:
    return HfApi().model_info(repo_id, **options)


def _sibling(name: str, content: bytes) -> RepoSibling:
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    lfs = BlobLfsInfo(len(content), hashlib.sha256(content).hexdigest(), 134)
    return RepoSibling(name, len(content), blob, lfs if name.endswith(".safetensors") else None)
