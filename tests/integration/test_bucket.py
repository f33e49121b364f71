# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules bucket and bucket_objects_info."""

from __future__ import annotations

import json
import typing as t
import urllib.parse
import urllib.request

import pytest

from tests.clouds import TOKEN, Running
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


def upload(server: Running, bucket: str, name: str, content: bytes = b"weights") -> None:
    """An object of the bucket, by the upload URL that Google's clients use."""
    url = f"{server.base}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/octet-stream"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, content, headers, method="POST"), timeout=30).close()


def test_life(cloud: Json, cloud_server: Running) -> None:
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


def test_objects_are_deleted_only_on_the_users_word(cloud: Json, cloud_server: Running) -> None:
    run_module("bucket", {**cloud, **WEIGHTS, "name": "full"})
    for name in ("config.json", "deep/er/model 1.safetensors"):
        upload(cloud_server, "full", name)
    with pytest.raises(ModuleFailed, match="force_destroy: true") as failure:
        run_module("bucket", {**cloud, "name": "full", "state": "absent"})
    assert failure.value.result["api_code"] == 409
    assert len(cloud_server.request("GET", "storage", "b/full/o")["items"]) == 2
    assert run_module("bucket", {**cloud, "name": "full", "state": "absent", "force_destroy": True})["changed"] is True
    assert cloud_server.find("storage", "b/full") is None


def test_objects_are_listed_and_held_against_their_manifest(cloud: Json, cloud_server: Running) -> None:
    asked = {**cloud, "bucket": "model", "prefix": "org/model/main/", "manifest": ".files.json"}
    nothing = {"changed": False, "objects": [], "missing": [], "complete": False}.items()
    assert nothing <= run_module("bucket_objects_info", asked).items()  # no such bucket
    run_module("bucket", {**cloud, "name": "model"})
    assert nothing <= run_module("bucket_objects_info", asked, check=True).items()
    for name in ("config.json", "deep/er 1.safetensors", "cut.safetensors"):
        upload(cloud_server, "model", f"org/model/main/{name}")
    upload(cloud_server, "model", "org/model/other/config.json")
    found = run_module("bucket_objects_info", asked)
    assert [item["name"].removeprefix(asked["prefix"]) for item in found["objects"]] == [
        "config.json",
        "cut.safetensors",
        "deep/er 1.safetensors",
    ]
    assert found["objects"][0]["size"] == len(b"weights") and found["objects"][0]["updated"]
    assert (found["complete"], found["missing"]) == (False, [])
    files = {"config.json": 7, "deep/er 1.safetensors": 7, "cut.safetensors": 8, "lost.safetensors": 9}
    upload(cloud_server, "model", "org/model/main/.files.json", json.dumps({"files": files}).encode())
    found = run_module("bucket_objects_info", asked)
    assert (found["complete"], found["missing"]) == (
        False,
        [
            {"name": "org/model/main/cut.safetensors", "size": 8, "found": 7},
            {"name": "org/model/main/lost.safetensors", "size": 9, "found": None},
        ],
    )
    upload(cloud_server, "model", "org/model/main/cut.safetensors", b"weights!")
    upload(cloud_server, "model", "org/model/main/lost.safetensors", b"weights!!")
    found = run_module("bucket_objects_info", asked)
    assert (found["complete"], found["missing"]) == (True, [])
    plain = run_module("bucket_objects_info", {**cloud, "bucket": "model"})
    assert len(plain["objects"]) == 6 and "complete" not in plain


def test_a_manifest_that_is_none_is_said_so(cloud: Json, cloud_server: Running) -> None:
    run_module("bucket", {**cloud, "name": "strange"})
    upload(cloud_server, "strange", "m.json", b'{"files": ["config.json"]}')
    with pytest.raises(ModuleFailed, match="gs://strange/m.json is no manifest: it has no mapping 'files'"):
        run_module("bucket_objects_info", {**cloud, "bucket": "strange", "manifest": "m.json"})
