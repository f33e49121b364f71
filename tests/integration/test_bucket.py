# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module bucket."""

from __future__ import annotations

import typing as t
import urllib.parse
import urllib.request

import pytest

from tests.integration.conftest import TOKEN, CloudServer
from tests.integration.life import live_through
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

WEIGHTS: Json = {
    "name": "weights",
    "location": "us",
    "storage_class": "STANDARD",
    "uniform_bucket_level_access": True,
    "public_access_prevention": "enforced",
    "labels": {"my_model": "gemma"},
}


def upload(server: CloudServer, bucket: str, name: str) -> None:
    """An object of the bucket, by the upload URL that Google's clients use."""
    url = f"{server.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/octet-stream"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, b"weights", headers, method="POST"), timeout=30).close()


def test_life(cloud: Json, cloud_server: CloudServer) -> None:
    created, changed = live_through(
        "bucket",
        cloud,
        create=WEIGHTS,
        change={"labels": {"stage": "test"}, "versioning": True, "public_access_prevention": "inherited"},
        diff=(
            {
                "iam_configuration.public_access_prevention": "enforced",
                "versioning.enabled": None,
                "labels": {"my_model": "gemma"},
            },
            {
                "iam_configuration.public_access_prevention": "inherited",
                "versioning.enabled": True,
                "labels": {"my_model": "gemma", "stage": "test"},
            },
        ),
        look=lambda: cloud_server.find("storage", "b/weights"),
    )
    assert created["location"] == "US"
    assert created["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True
    assert changed["labels"] == {"my_model": "gemma", "stage": "test"}
    assert changed["versioning"] == {"enabled": True}
    assert changed["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True


def test_location_is_fixed(cloud: Json) -> None:
    run_module("bucket", {**cloud, **WEIGHTS, "name": "fixed"})
    with pytest.raises(ModuleFailed, match="bucket fixed: cannot change in place: location is 'US', wanted 'EU'"):
        run_module("bucket", {**cloud, **WEIGHTS, "name": "fixed", "location": "EU"})


def test_a_bare_bucket_is_compared_with_nothing(cloud: Json) -> None:
    run_module("bucket", {**cloud, **WEIGHTS, "name": "bare"})
    assert run_module("bucket", {**cloud, "name": "bare"})["changed"] is False


def test_objects_are_deleted_only_on_the_users_word(cloud: Json, cloud_server: CloudServer) -> None:
    run_module("bucket", {**cloud, **WEIGHTS, "name": "full"})
    for name in ("config.json", "deep/er/model 1.safetensors"):
        upload(cloud_server, "full", name)
    with pytest.raises(ModuleFailed, match="force_destroy: true") as failure:
        run_module("bucket", {**cloud, "name": "full", "state": "absent"})
    assert failure.value.result["api_code"] == 409
    assert len(cloud_server.request("GET", "storage", "b/full/o")["items"]) == 2
    assert run_module("bucket", {**cloud, "name": "full", "state": "absent", "force_destroy": True})["changed"] is True
    assert cloud_server.find("storage", "b/full") is None
