# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud storage on buckets, their policies and objects."""

from __future__ import annotations

import base64
import hashlib
import random
from pathlib import Path

import pytest

from tests.truth.gcloud import Gcloud

BUCKET, LARGE, STREAMED = "gs://truth-weights", "gs://truth-large", "gs://truth-streamed"
SYNCED, FAR = "gs://truth-synced", "gs://truth-far"
MIB = 1024 * 1024


def test_a_bucket_with_labels_policy_and_objects(gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud("storage", "buckets", "create", BUCKET, "--location=us", "--uniform-bucket-level-access")
    gcloud("storage", "buckets", "update", BUCKET, "--update-labels=team=serving,kind=weights")
    gcloud("storage", "buckets", "update", BUCKET, "--update-labels=kind=model")
    assert gcloud("storage", "buckets", "describe", BUCKET)["labels"] == {"team": "serving", "kind": "model"}
    gcloud("storage", "buckets", "update", BUCKET, "--clear-labels")
    assert "labels" not in gcloud("storage", "buckets", "describe", BUCKET)

    gcloud("iam", "service-accounts", "create", "reader")
    member = f"--member=serviceAccount:reader@{gcloud.project}.iam.gserviceaccount.com"
    for verb in ("add", "remove"):
        for role in ("objectViewer", "objectCreator", "objectUser", "objectAdmin", "legacyObjectReader"):
            gcloud("storage", "buckets", f"{verb}-iam-policy-binding", BUCKET, member, f"--role=roles/storage.{role}")

    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    gcloud.succeed("storage", "cp", str(file), f"{BUCKET}/gemma/model.safetensors")
    assert gcloud.succeed("storage", "cat", f"{BUCKET}/gemma/model.safetensors") == "weights"
    assert gcloud.succeed("storage", "ls", f"{BUCKET}/gemma/").split() == [f"{BUCKET}/gemma/model.safetensors"]
    gcloud.succeed("storage", "rm", "--recursive", BUCKET)
    assert "not found" in gcloud.refused("storage", "buckets", "describe", BUCKET)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file over 8 MiB, which gcloud sends in a way that can be resumed."""
    file = tmp_path_factory.mktemp("large") / "model.safetensors"
    file.write_bytes(random.Random(7).randbytes(9 * MIB + 5))
    return file


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def test_weights_of_many_megabytes(gcloud: Gcloud, large: Path, tmp_path: Path) -> None:
    gcloud("storage", "buckets", "create", LARGE, "--location=us-east5", "--uniform-bucket-level-access")
    one, two = f"{LARGE}/gemma/model.safetensors", f"{LARGE}/gemma/second.safetensors"
    gcloud.succeed("storage", "cp", str(large), one, "--custom-metadata=model=gemma")
    made = gcloud("storage", "objects", "describe", one)
    assert (made["size"], made["md5_hash"]) == (large.stat().st_size, md5(large.read_bytes()))
    assert made["custom_fields"] == {"model": "gemma"}
    gcloud.succeed("storage", "cp", one, str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == large.read_bytes()
    assert gcloud.succeed("storage", "hash", one, "--hex").count(hashlib.md5(large.read_bytes()).hexdigest()) == 1

    gcloud.succeed("storage", "cp", "--no-clobber", str(large), one)
    assert "pre-condition" in gcloud.refused("storage", "cp", str(large), one, "--if-generation-match=1")
    gcloud.succeed("storage", "mv", one, two)
    assert gcloud.succeed("storage", "ls", f"{LARGE}/gemma/").split() == [two]
    assert gcloud("storage", "objects", "describe", two)["custom_fields"] == {"model": "gemma"}
    gcloud.succeed("storage", "rm", "--recursive", f"{LARGE}/gemma")
    assert "matched no objects" in gcloud.refused("storage", "ls", f"{LARGE}/gemma/")


def test_a_stream_of_unknown_length(gcloud: Gcloud) -> None:
    gcloud("storage", "buckets", "create", STREAMED, "--location=us-east5", "--uniform-bucket-level-access")
    done = gcloud.run("storage", "cp", "-", f"{STREAMED}/config.json", stdin="{}")
    assert done.returncode == 0, done.stderr
    assert gcloud.succeed("storage", "cat", f"{STREAMED}/config.json") == "{}"
    assert gcloud.succeed("storage", "cat", "--range=1-1", f"{STREAMED}/config.json") == "}"


def test_directories_are_kept_alike_and_objects_change_and_grow(gcloud: Gcloud, large: Path, tmp_path: Path) -> None:
    gcloud("storage", "buckets", "create", SYNCED, "--location=us-east5", "--uniform-bucket-level-access")
    gcloud("storage", "buckets", "create", FAR, "--location=europe-west4", "--uniform-bucket-level-access")
    for name, text in (("config.json", "{}"), ("shards/1", "one"), ("shards/2", "two")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "model.safetensors").write_bytes(large.read_bytes())
    gcloud.succeed("storage", "rsync", "--recursive", str(tmp_path), SYNCED)
    (tmp_path / "shards" / "1").unlink()
    (tmp_path / "shards" / "2").write_text("2")
    gcloud.succeed("storage", "rsync", "--recursive", "--delete-unmatched-destination-objects", str(tmp_path), SYNCED)
    names = [f"{SYNCED}/config.json", f"{SYNCED}/model.safetensors", f"{SYNCED}/shards/2"]
    assert gcloud.succeed("storage", "ls", f"{SYNCED}/**").split() == names
    assert gcloud.succeed("storage", "cat", f"{SYNCED}/shards/2") == "2"
    # To another place in parts, which gcloud asks for until it is told that it was the last.
    gcloud.succeed("storage", "rsync", "--recursive", SYNCED, FAR)
    assert gcloud("storage", "objects", "describe", f"{FAR}/model.safetensors")["md5_hash"] == md5(large.read_bytes())

    config = f"{SYNCED}/config.json"
    gcloud.succeed("storage", "objects", "update", config, "--content-type=text/x", "--cache-control=no-cache")
    gcloud.succeed("storage", "objects", "update", config, "--update-custom-metadata=a=b,c=d")
    gcloud.succeed("storage", "objects", "update", config, "--clear-cache-control")
    told = gcloud("storage", "objects", "describe", config)
    assert (told["content_type"], told["metageneration"], "cache_control" in told) == ("text/x", 4, False)
    assert {"a": "b", "c": "d"}.items() <= told["custom_fields"].items()
    gcloud.succeed("storage", "objects", "update", config, "--storage-class=nearline")
    assert gcloud("storage", "objects", "describe", config)["storage_class"] == "NEARLINE"
    gcloud.succeed("storage", "objects", "compose", config, f"{SYNCED}/shards/2", f"{SYNCED}/whole")
    assert gcloud.succeed("storage", "cat", f"{SYNCED}/whole") == "{}2"
    assert gcloud("storage", "objects", "describe", f"{SYNCED}/whole")["component_count"] == 2
    for one in (SYNCED, FAR):
        gcloud.succeed("storage", "rm", "--recursive", one)
