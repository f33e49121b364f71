# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud storage on buckets, their policies and objects."""

from __future__ import annotations

from pathlib import Path

from tests.truth.gcloud import Gcloud

BUCKET = "gs://truth-weights"


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
