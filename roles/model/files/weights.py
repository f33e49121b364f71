# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model's files in the mounted bucket: `download` fetches what is missing of them; `wait` waits for them.

A Job downloads; every model server waits in an init container.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# Seconds between two looks into the bucket.
PAUSE = 2

# What belongs here, as the hub says: {"repository", "revision": the commit, "files": {name: bytes}}. Written before the
# first file comes and never before the hub has answered: a download that fails early blocks nobody.
MANIFEST = ".files.json"

# Which tensor lies in which file: a part of every model that is cut into shards.
INDEX = "model.safetensors.index.json"


def read(path):
    """A JSON document, or None where there is none or only the beginning of one."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def differing(target, files):
    """Name -> how, of those ``files`` (name -> bytes, None for any) that are missing or of another size."""
    found = {}
    for name, wanted in sorted(files.items()):
        path = target / name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            found[name] = "is missing"
        elif wanted is not None and size != wanted:
            found[name] = f"has {size} of {wanted} bytes"
    return found


def whole_size(path):
    """The bytes that a safetensors file must have by its own header; None when that cannot be read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 100_000_000)))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return 8 + length + max(ends, default=0)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def doubtful(target):
    """The same without a manifest: by the model's index, by its shards' names, and by their headers."""
    index = read(target / INDEX)
    files = {"config.json": None} | dict.fromkeys(index["weight_map"].values() if index else ())
    weights = {path.name: whole_size(path) for path in target.glob("*.safetensors")}
    if not weights:
        files["*.safetensors"] = None
    for name in weights:
        if shard := re.fullmatch(r"(.+)-\d{5}-of-(\d{5})\.safetensors", name):
            stem, count = shard.groups()
            files |= {f"{stem}-{number:05}-of-{count}.safetensors": None for number in range(1, int(count) + 1)}
    broken = {name: "has no whole header" for name, size in weights.items() if size is None}
    if index is None and (target / INDEX).exists():
        broken[INDEX] = "is cut off"
    return differing(target, files | weights) | broken


def lacking(target):
    """Name -> what is wrong with it, of everything that keeps a model server from starting."""
    known = read(target / MANIFEST)
    return differing(target, known["files"]) if known else doubtful(target)


def told(lacks):
    return ", ".join(f"{name} {how}" for name, how in lacks.items())


def hub():
    try:
        import huggingface_hub
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "huggingface_hub"], check=True)
        import huggingface_hub
    return huggingface_hub


def ask_hub(repository, revision, token):
    """The manifest of a revision."""
    info = hub().HfApi(token=token).model_info(repository, revision=revision, files_metadata=True)
    files = {file.rfilename: file.size for file in info.siblings}
    return {"repository": repository, "revision": info.sha, "files": files}


def download(target):
    """Fetch what differs from the manifest. It pins the commit: what is repaired later fits what was there before."""
    repository, token = os.environ["MODEL_REPOSITORY"], os.environ.get("HF_TOKEN") or None
    known = read(target / MANIFEST)
    if known is None:
        known = ask_hub(repository, os.environ["MODEL_REVISION"], token)
        target.mkdir(parents=True, exist_ok=True)
        (target / MANIFEST).write_text(json.dumps(known, indent=1))
    if lacks := differing(target, known["files"]):
        print(f"{target}: {told(lacks)}; fetching", flush=True)
        for name in lacks:
            # For the hub's client a file that is there is a whole one.
            (target / name).unlink(missing_ok=True)
        hub().snapshot_download(
            repo_id=repository,
            revision=known["revision"],
            local_dir=str(target),
            allow_patterns=[glob.escape(name) for name in lacks],
            token=token,
        )
    if lacks := differing(target, known["files"]):
        sys.exit(f"{repository}@{known['revision']}: incomplete after the download: {told(lacks)}")
    print(f"{repository}@{known['revision']} is complete in {target}")


def wait(target):
    last = None
    while lacks := lacking(target):
        if lacks != last:
            print(f"{target} lacks weights: {told(lacks)}; waiting", flush=True)
            last = lacks
        time.sleep(PAUSE)
    print(f"{target} is complete", flush=True)


if __name__ == "__main__":
    {"download": download, "wait": wait}[sys.argv[1]](Path(os.environ["MODEL_PATH"]))
