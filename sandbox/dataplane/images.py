# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which container images the sandbox has, and what is installed in them."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "images"

_PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")


@dataclasses.dataclass(frozen=True)
class Image:
    """An image: directories below sandbox/images (modules, and programs in their bin/), entry point and arguments."""

    directories: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    guarded: bool = False  # its ports ask for the sandbox's token

    def python_path(self) -> list[str]:
        return [str(ROOT / name) for name in ("base", *self.directories)]

    def search_path(self) -> list[str]:
        """PATH: the image's own programs before those of the sandbox's Python and of the machine."""
        programs = [str(ROOT / name / "bin") for name in (*self.directories, "base")]
        return [*programs, str(Path(sys.executable).parent), *os.defpath.split(os.pathsep)]

    def program(self, name: str) -> str:
        """What to execute for argv[0]: every Python is the sandbox's own, /epp is the image's epp."""
        if _PYTHON.fullmatch(name):
            return sys.executable
        for directory in self.directories:
            program = ROOT / directory / "bin" / Path(name).name
            if program.is_file():
                return str(program)
        return name


# By repository, the longest prefix wins. vLLM's images bring huggingface_hub along.
_IMAGES: dict[str, Image] = {
    "docker.io/vllm/vllm-openai": Image(("vllm", "python"), ("vllm", "serve")),
    "docker.io/vllm/": Image(("vllm", "python"), (), ("/bin/bash",)),
    "docker.io/library/python": Image(("python",), (), ("python3",)),
    "registry.k8s.io/gateway-api-inference-extension/epp": Image(("epp",), ("/epp",), guarded=True),
}


def find(reference: str) -> Image | None:
    """The image that a reference names, whatever its tag or digest; None when the sandbox lacks it."""
    repository = _repository(reference)
    known = [name for name in _IMAGES if repository == name or (name.endswith("/") and repository.startswith(name))]
    return _IMAGES[max(known, key=len)] if known else None


# What containerd says when it cannot pull an image, in answer to a registry that does not have it or does not give it.
_UNPULLABLE = {
    "not-found": "rpc error: code = NotFound desc = {failed}: {image}: not found",
    "denied": "rpc error: code = Unknown desc = {failed}: pull access denied, repository does not exist or may require "
    "authorization: server message: insufficient_scope: authorization failed",
}


def absent(reference: str, why: str) -> str:
    """Why an image is not there: ``why`` as a fault says it, or "" for one that the sandbox does not have."""
    failed = f'failed to pull and unpack image "{reference}"'
    if not why:
        return f"{failed}: not found: the sandbox does not have this image"
    return _UNPULLABLE[why].format(failed=f'{failed}: failed to resolve reference "{reference}"', image=reference)


def _repository(reference: str) -> str:
    """ "python:3.12-slim" -> "docker.io/library/python", as container runtimes complete names."""
    name = reference.split("@")[0]
    head, _unused, tail = name.rpartition("/")
    name = f"{head}/{tail.split(':')[0]}" if head else tail.split(":")[0]
    first, _unused, rest = name.partition("/")
    if not rest:
        return f"docker.io/library/{name}"
    if "." in first or ":" in first or first == "localhost":
        return name
    return f"docker.io/{name}"
