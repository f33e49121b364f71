# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in the download Job: fetch a model into the mounted bucket, then check that nothing is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path


def missing_files(target):
    """Names that the weights' index promises and the bucket lacks."""
    index = target / "model.safetensors.index.json"
    wanted = {"config.json"}
    if index.exists():
        wanted |= set(json.loads(index.read_text())["weight_map"].values())
    elif not list(target.glob("*.safetensors")):
        wanted.add("*.safetensors")
    return sorted(name for name in wanted if not (target / name).exists())


def main():
    target = Path(os.environ["MODEL_PATH"])
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


main()
