# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model's files in the mounted bucket: `download` fetches them and checks that none is missing; `wait` waits.

A Job downloads; every model server waits in an init container.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# Seconds between two looks into the bucket.
PAUSE = 2

# There from before the first file until after the last: a hub's files come in any order.
UNDER_WAY = ".downloading"


def missing_files(target):
    """Names that the model is known to have and the bucket lacks: from its index, and from its shards' own names."""
    wanted = {"config.json"}
    index = target / "model.safetensors.index.json"
    if index.exists():
        wanted |= set(json.loads(index.read_text())["weight_map"].values())
    weights = [path.name for path in target.glob("*.safetensors")]
    if not weights:
        wanted.add("*.safetensors")
    for name in weights:
        if shard := re.fullmatch(r"(.+)-\d{5}-of-(\d{5})\.safetensors", name):
            stem, count = shard.groups()
            wanted |= {f"{stem}-{number:05}-of-{count}.safetensors" for number in range(1, int(count) + 1)}
    return sorted(name for name in wanted if not (target / name).exists())


def unfinished(target):
    """Why a model server must not start yet; empty when it may."""
    if missing := missing_files(target):
        return f"lacks {', '.join(missing)}"
    return "is being downloaded" if (target / UNDER_WAY).exists() else ""


def download(target):
    repository, revision = os.environ["MODEL_REPOSITORY"], os.environ["MODEL_REVISION"]
    target.mkdir(parents=True, exist_ok=True)
    (target / UNDER_WAY).touch()
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "huggingface_hub"], check=True)
        from huggingface_hub import snapshot_download
    snapshot_download(
        repo_id=repository, revision=revision, local_dir=str(target), token=os.environ.get("HF_TOKEN") or None
    )
    if missing := missing_files(target):
        sys.exit(f"{repository}@{revision}: incomplete after the download: {', '.join(missing)}")
    (target / UNDER_WAY).unlink()
    print(f"{repository}@{revision} is complete in {target}")


def wait(target):
    told = ""
    while reason := unfinished(target):
        if reason != told:
            print(f"{target} {reason}; waiting", flush=True)
            told = reason
        time.sleep(PAUSE)
    print(f"{target} is complete", flush=True)


if __name__ == "__main__":
    {"download": download, "wait": wait}[sys.argv[1]](Path(os.environ["MODEL_PATH"]))
