# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buckets and their objects, which are files."""

from __future__ import annotations

import base64
import hashlib
import typing as t
from pathlib import Path

import pytest

from tests.clouds import PROJECT, Running

BUCKETS = "storage/v1/b"
BUCKET = f"{BUCKETS}/weights-1"


@pytest.fixture
def bucket(fresh: Running) -> Running:
    """A cloud with the bucket weights-1; storage needs no enabling."""
    fresh.ok("POST", f"{BUCKETS}?project={PROJECT}", {"name": "weights-1", "location": "us"})
    return fresh


async def directory(cloud: Running) -> Path | None:
    return cloud.cloud.view.bucket("weights-1")


def put(cloud: Running, name: str, content: bytes) -> dict[str, t.Any]:
    status, answer = cloud.call("POST", f"upload/{BUCKET}/o?uploadType=media&name={name}", data=content)
    assert status == 200, answer
    return t.cast(dict[str, t.Any], answer)


def test_objects_are_files_in_the_buckets_directory(bucket: Running) -> None:
    assert put(bucket, "gemma%2Fconfig.json", b"{}")["size"] == "2"
    folder = bucket.within(directory(bucket))
    assert (folder / "gemma" / "config.json").read_bytes() == b"{}"
    (folder / "gemma" / "model.safetensors").write_bytes(b"weights")
    listed = bucket.ok("GET", f"{BUCKET}/o?prefix=gemma/")
    assert [item["name"] for item in listed["items"]] == ["gemma/config.json", "gemma/model.safetensors"]
    assert bucket.ok("GET", f"{BUCKET}/o?delimiter=/")["prefixes"] == ["gemma/"]
    # What was uploaded is of the type that was said, what a Pod wrote of that which its name says.
    (folder / "tokenizer.json").write_bytes(b"{}")
    assert bucket.ok("GET", f"{BUCKET}/o/gemma%2Fconfig.json")["contentType"] == "application/octet-stream"
    assert bucket.ok("GET", f"{BUCKET}/o/tokenizer.json")["contentType"] == "application/json"
    assert bucket.call("DELETE", f"{BUCKET}/o/tokenizer.json")[0] == 204
    assert bucket.call("GET", f"{BUCKET}/o/gemma%2Fmodel.safetensors?alt=media") == (200, b"weights")

    status, answer = bucket.call("DELETE", BUCKET)
    assert (status, answer["error"]["message"]) == (409, "The bucket you tried to delete is not empty.")
    for name in ("config.json", "model.safetensors"):
        assert bucket.call("DELETE", f"{BUCKET}/o/gemma%2F{name}")[0] == 204
    assert bucket.call("GET", f"{BUCKET}/o/gemma%2Fconfig.json")[0] == 404
    assert bucket.call("DELETE", BUCKET)[0] == 204
    assert bucket.within(directory(bucket)) is None
    assert not folder.exists()


@pytest.mark.parametrize("name", ["..%2F..%2Fstolen", "%2Fetc%2Fpasswd", "a%2F..%2F..%2Fb", ""])
def test_an_objects_name_does_not_lead_out_of_the_bucket(bucket: Running, name: str) -> None:
    status, answer = bucket.call("POST", f"upload/{BUCKET}/o?uploadType=media&name={name}", data=b"x")
    assert status == (501 if name else 400), answer  # Google takes such names; the sandbox has files and says so


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_multipart_upload_takes_its_name_from_the_metadata(bucket: Running, end: bytes, quote: str) -> None:
    content = b"\x00\x01\n"
    parts = end.join((b"--B==", b"Content-Type: application/json", b"", b'{"name": "a.bin"}', b""))
    parts += end.join((b"--B==", b"Content-Type: application/octet-stream", b"", content, b"--B==--"))
    kind = f"multipart/related; boundary={quote}B=={quote}"
    status, answer = bucket.call("POST", f"upload/{BUCKET}/o?uploadType=multipart", data=parts, kind=kind)
    assert (status, answer["name"], answer["size"]) == (200, "a.bin", "3")
    assert answer["md5Hash"] == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert bucket.call("GET", f"{BUCKET}/o/a.bin?alt=media") == (200, content)


def test_bucket_names_are_global_and_metageneration_guards_changes(bucket: Running) -> None:
    status, answer = bucket.call("POST", f"{BUCKETS}?project={PROJECT}", {"name": "weights-1"})
    assert (status, answer["error"]["errors"][0]["reason"]) == (409, "conflict")
    assert bucket.call("POST", f"{BUCKETS}?project={PROJECT}", {"name": "UPPER"})[0] == 400
    live = bucket.ok("GET", BUCKET)
    assert (live["location"], live["locationType"]) == ("US", "multi-region")
    body = {"labels": {"a": "b"}, "iamConfiguration": {"publicAccessPrevention": "enforced"}}
    changed = bucket.ok("PATCH", f"{BUCKET}?ifMetagenerationMatch=1&projection=noAcl", body)
    assert (changed["metageneration"], changed["labels"]) == ("2", {"a": "b"})
    assert changed["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": False}
    status, answer = bucket.call("PATCH", f"{BUCKET}?ifMetagenerationMatch=1", body)
    assert (status, answer["error"]["errors"][0]["reason"]) == (412, "conditionNotMet")
    assert bucket.call("PATCH", BUCKET, {"location": "EU"})[0] == 400
    assert "labels" not in bucket.ok("PATCH", BUCKET, {"labels": {"a": None}})


def test_what_only_the_server_sets_is_ignored_when_a_whole_bucket_comes_back(bucket: Running) -> None:
    live = bucket.ok("GET", BUCKET)
    stale = {**live, "timeCreated": "2001-01-01T00:00:00Z", "etag": "CAE=", "projectNumber": "1", "labels": {"a": "b"}}
    for method in ("PATCH", "PUT"):
        changed = bucket.ok(method, f"{BUCKET}?projection=noAcl", stale)
        assert (changed["labels"], changed["timeCreated"]) == ({"a": "b"}, live["timeCreated"])


@pytest.mark.parametrize("name", ["a/" + "x" * 256, "a%00b", "file/below", "folder", "a//b"])
def test_names_that_google_takes_and_no_file_can_have(bucket: Running, name: str) -> None:
    put(bucket, "file", b"x")
    put(bucket, "folder/file", b"x")
    status, answer = bucket.call("POST", f"upload/{BUCKET}/o?name={name}", data=b"x")
    assert (status, answer["error"]["errors"][0]["reason"]) == (501, "notImplemented")
    assert bucket.call("GET", f"{BUCKET}/o/{name.replace('/', '%2F')}")[0] == 404
    assert bucket.call("POST", f"upload/{BUCKET}/o?name={'x/' * 513}", data=b"x")[0] == 400


def test_the_policy_of_a_bucket_is_replaced_under_its_etag(bucket: Running) -> None:
    policy = bucket.ok("GET", f"{BUCKET}/iam")
    assert policy["kind"] == "storage#policy"
    member = f"serviceAccount:none@{PROJECT}.iam.gserviceaccount.com"
    policy["bindings"].append({"role": "roles/storage.objectViewer", "members": [member]})
    status, answer = bucket.call("PUT", f"{BUCKET}/iam", policy)
    assert (status, answer["error"]["message"]) == (400, f"Service account {member.partition(':')[2]} does not exist.")
    policy["bindings"][-1]["members"] = ["user:someone@example.com"]
    after = bucket.ok("PUT", f"{BUCKET}/iam", policy)
    assert after["etag"] != policy["etag"]
    assert bucket.call("PUT", f"{BUCKET}/iam", policy)[0] == 412


def test_an_ip_filter_is_kept(fresh: Running) -> None:
    wanted = {
        "mode": "Enabled",
        "publicNetworkSource": {"allowedIpCidrRanges": ["192.0.2.0/24"]},
        "vpcNetworkSources": [
            {"network": f"projects/{PROJECT}/global/networks/n", "allowedIpCidrRanges": ["10.0.0.0/8"]}
        ],
        "allowAllServiceAgentAccess": True,
    }
    made = fresh.ok("POST", f"{BUCKETS}?project={PROJECT}", {"name": "weights-1", "ipFilter": wanted})
    assert made["ipFilter"] == fresh.ok("GET", BUCKET)["ipFilter"] == wanted
    changed = fresh.ok("PATCH", BUCKET, {"ipFilter": {"mode": "Disabled"}})
    assert changed["ipFilter"] == {**wanted, "mode": "Disabled"}
    placed = {"name": "weights-2", "customPlacementConfig": {"dataLocations": ["US-EAST1", "US-WEST1"]}}
    assert fresh.call("POST", f"{BUCKETS}?project={PROJECT}", placed)[0] == 501


def test_a_reader_who_has_the_generation_gets_nothing(bucket: Running) -> None:
    live = put(bucket, "one", b"x")["generation"]
    assert bucket.call("GET", f"{BUCKET}/o/one?ifGenerationNotMatch={live}")[0] == 304
    assert bucket.call("GET", f"{BUCKET}/o/one?ifGenerationMatch={live}&alt=media") == (200, b"x")
    assert bucket.call("GET", f"{BUCKET}/o/one?ifGenerationMatch=1")[0] == 412
    assert bucket.call("GET", f"{BUCKET}/o/one?generation=1")[0] == 404
    status, _answer = bucket.call("POST", f"upload/{BUCKET}/o?name=two&ifGenerationMatch=0", data=b"y")
    assert status == 200
