# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model's files in the mounted bucket: `download` fetches them and checks that none is missing; `wait` waits.

A Job downloads; every model server waits in an init container.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Seconds between two looks into the bucket.
PAUSE = 2


def missing_files(target):
    """Names that the weights' index promises and the bucket lacks."""
    index = target / "model.safetensors.index.json"
    wanted = {"config.json"}
    if index.exists():
        wanted |= set(json.loads(index.read_text())["weight_map"].values())
    elif not list(target.glob("*.safetensors")):
        wanted.add("*.safetensors")
    return sorted(name for name in wanted if not (target / name).exists())


def download(target):
    repository, revision = os.environ["MODEL_REPOSITORY"], os.environ["MODEL_REVISION"]
    target.mkdir(parents=True, exist_ok=True)
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
    print(f"{repository}@{revision} is complete in {target}")


def wait(target):
    told = None
    while missing := missing_files(target):
        if missing != told:
            print(f"{target} lacks {', '.join(missing)}; waiting for the download", flush=True)
            told = missing
        time.sleep(PAUSE)
    print(f"{target} is complete", flush=True)


if __name__ == "__main__":
    {"download": download, "wait": wait}[sys.argv[1]](Path(os.environ["MODEL_PATH"]))
