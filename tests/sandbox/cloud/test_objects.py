# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of objects, parts of their content, lists, copies and compositions."""

from __future__ import annotations

import base64
import hashlib
import typing as t
from pathlib import Path

import google_crc32c
import pytest
import requests

from tests.clouds import PROJECT, TOKEN, Running

BUCKETS = "storage/v1/b"
BUCKET = f"{BUCKETS}/weights-1"
MIB = 1024 * 1024

Json = dict[str, t.Any]


@pytest.fixture
def bucket(fresh: Running) -> Running:
    for name, location in (("weights-1", "us-east5"), ("weights-2", "us-east5"), ("weights-far", "europe-west4")):
        fresh.ok("POST", f"{BUCKETS}?project={PROJECT}", {"name": name, "location": location})
    return fresh


def put(cloud: Running, name: str, content: bytes = b"x") -> Json:
    status, answer = cloud.call("POST", f"upload/{BUCKET}/o?uploadType=media&name={name}", data=content, kind="text/a")
    assert status == 200, answer
    return t.cast(Json, answer)


def download(cloud: Running, name: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(
            f"{cloud.base}/{BUCKET}/o/{name}?alt=media",
            headers={"Authorization": f"Bearer {TOKEN}", **headers},
            timeout=30,
        )


def message(answer: tuple[int, t.Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["message"]


def test_what_is_said_of_an_object_changes_under_its_metageneration(bucket: Running) -> None:
    made = put(bucket, "one")
    assert (made["metageneration"], made["contentType"], made["updated"]) == ("1", "text/a", made["timeCreated"])
    path = f"{BUCKET}/o/one"
    changed = bucket.ok("PATCH", path, {"metadata": {"a": "b", "c": "d"}, "cacheControl": "no-cache", "size": "9"})
    assert (changed["metageneration"], changed["generation"]) == ("2", made["generation"])
    assert (changed["metadata"], changed["cacheControl"], changed["size"]) == ({"a": "b", "c": "d"}, "no-cache", "1")
    assert changed["etag"] != made["etag"] and changed["updated"] > made["updated"]
    assert bucket.ok("PATCH", path, {"metadata": {"a": None}, "cacheControl": None})["metadata"] == {"c": "d"}
    assert "cacheControl" not in bucket.ok("GET", path)
    assert bucket.call("PATCH", f"{path}?ifMetagenerationMatch=2", {"metadata": None})[0] == 412
    assert bucket.call("PATCH", f"{path}?generation=1", {"metadata": None})[0] == 404
    replaced = bucket.ok("PUT", f"{path}?ifMetagenerationMatch=3", {"contentType": "text/b"})
    assert (replaced["contentType"], "metadata" in replaced) == ("text/b", False)
    assert bucket.call("PATCH", path, {"contentType": "a\r\nSet-Cookie: b"})[0] == 400
    assert bucket.call("PATCH", path, {"temporaryHold": True})[0] == 501
    assert put(bucket, "one")["metageneration"] == "1"
    assert bucket.call("PATCH", f"{BUCKET}/o/none", {})[0] == 404


def test_generations_differ_however_fast_they_follow(bucket: Running) -> None:
    assert len({put(bucket, "one")["generation"] for _time in range(20)}) == 20


def test_checksums_are_of_the_content_whoever_wrote_it(bucket: Running) -> None:
    made = put(bucket, "one", b"123456789")
    assert made["crc32c"] == "4waSgw=="  # 0xe3069283, the check value of CRC-32C in RFC 3720

    async def file() -> Path | None:
        folder = bucket.cloud.view.bucket("weights-1")
        return folder / "one" if folder else None

    bucket.within(file()).write_bytes(b"a Pod was here")
    seen = bucket.ok("GET", f"{BUCKET}/o/one")
    assert seen["md5Hash"] == base64.b64encode(hashlib.md5(b"a Pod was here").digest()).decode()
    assert (seen["contentType"], seen["metageneration"]) == ("application/octet-stream", "1")
    assert seen["generation"] != made["generation"]


@pytest.mark.parametrize(
    ("span", "status", "content", "told"),
    [
        ("", 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"Request range not satisfiable", "bytes */10"),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_part_of_the_content(bucket: Running, span: str, status: int, content: bytes, told: str | None) -> None:
    made = put(bucket, "one", b"0123456789")
    # A file that a server of static files would take for the same, compressed.
    put(bucket, "one.gz", b"something else")
    answer = download(bucket, "one", **({"Range": span} if span else {}))
    assert (answer.status_code, answer.content, answer.headers.get("Content-Range")) == (status, content, told)
    if status != 416:
        assert answer.headers["X-Goog-Hash"] == f"crc32c={made['crc32c']},md5={made['md5Hash']}"
        assert answer.headers["Content-Type"] == "text/a"


def test_a_download_is_refused_in_plain_words(bucket: Running) -> None:
    answer = download(bucket, "none")
    assert (answer.status_code, answer.text) == (404, "No such object: weights-1/none")
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    put(bucket, "empty", b"")
    assert download(bucket, "empty", Range="bytes=0-").status_code == 416
    assert (download(bucket, "empty").status_code, download(bucket, "empty").content) == (200, b"")


def test_a_list_goes_on_where_it_ended_whatever_was_deleted(bucket: Running) -> None:
    names = ["a/1", "a/2", "b", "c/1", "c/2", "d"]
    for name in names:
        put(bucket, name.replace("/", "%2F"))
    one = bucket.ok("GET", f"{BUCKET}/o?maxResults=2")
    assert [item["name"] for item in one["items"]] == names[:2]
    for item in one["items"]:
        assert bucket.call("DELETE", f"{BUCKET}/o/{item['name'].replace('/', '%2F')}")[0] == 204
    two = bucket.ok("GET", f"{BUCKET}/o?pageToken={one['nextPageToken']}")
    assert ([item["name"] for item in two["items"]], "nextPageToken" in two) == (names[2:], False)
    three = bucket.ok("GET", f"{BUCKET}/o?delimiter=/&maxResults=2")
    assert ([item["name"] for item in three["items"]], three["prefixes"]) == (["b"], ["c/"])
    four = bucket.ok("GET", f"{BUCKET}/o?delimiter=/&pageToken={three['nextPageToken']}")
    assert ([item["name"] for item in four["items"]], "prefixes" in four) == (["d"], False)
    some = bucket.ok("GET", f"{BUCKET}/o?startOffset=c/1&endOffset=d")
    assert [item["name"] for item in some["items"]] == ["c/1", "c/2"]
    for bad in ("pageToken=*", "maxResults=-1"):
        assert bucket.call("GET", f"{BUCKET}/o?{bad}")[0] == 400
    assert bucket.call("GET", f"{BUCKET}/o?matchGlob=**")[0] == 501


def test_a_copy_takes_along_what_is_said_unless_it_is_said_anew(bucket: Running) -> None:
    made = put(bucket, "one", b"content")
    bucket.ok("PATCH", f"{BUCKET}/o/one", {"metadata": {"a": "b"}})
    to = f"{BUCKET}/o/one/rewriteTo/b/weights-2/o/deep%2Ftwo"
    done = bucket.ok("POST", f"{to}?ifGenerationMatch=0", {})
    assert (done["done"], done["totalBytesRewritten"], done["objectSize"]) == (True, "7", "7")
    copied = done["resource"]
    assert [copied[key] for key in ("bucket", "name", "metadata", "contentType")] == [
        *("weights-2", "deep/two", {"a": "b"}, "text/a")
    ]
    assert (copied["crc32c"], copied["metageneration"]) == (made["crc32c"], "1")
    assert bucket.call("POST", f"{to}?ifGenerationMatch=0", {})[0] == 412
    assert bucket.call("POST", f"{to}?ifSourceGenerationMatch=1", {})[0] == 412
    assert bucket.call("POST", f"{to}?sourceGeneration=1", {})[0] == 404
    other = bucket.ok("POST", f"{BUCKET}/o/one/copyTo/b/weights-1/o/three", {"contentType": "text/b"})
    assert (other["contentType"], "metadata" in other) == ("text/b", False)
    nowhere = bucket.call("POST", f"{BUCKET}/o/one/copyTo/b/none/o/three", {})
    assert message(nowhere) == (404, "The specified bucket does not exist.")


def test_a_large_copy_to_another_place_takes_several_calls(bucket: Running) -> None:
    made = put(bucket, "one", b"x" * (2 * MIB + 5))
    to = f"{BUCKET}/o/one/rewriteTo/b/weights-far/o/one"
    assert bucket.call("POST", f"{to}?maxBytesRewrittenPerCall=1000", {})[0] == 400
    one = bucket.ok("POST", f"{to}?maxBytesRewrittenPerCall={MIB}", {})
    assert (one["done"], one["totalBytesRewritten"], "resource" in one) == (False, str(MIB), False)
    assert bucket.call("GET", f"{BUCKETS}/weights-far/o/one")[0] == 404
    again = f"{to}?maxBytesRewrittenPerCall={MIB}&rewriteToken={one['rewriteToken']}"
    assert bucket.ok("POST", again, {})["totalBytesRewritten"] == str(2 * MIB)
    done = bucket.ok("POST", again, {})
    assert (done["done"], done["resource"]["md5Hash"]) == (True, made["md5Hash"])
    assert bucket.ok("POST", f"{BUCKET}/o/one/rewriteTo/b/weights-2/o/one?maxBytesRewrittenPerCall={MIB}", {})["done"]
    assert bucket.call("POST", f"{to}?rewriteToken=other", {})[0] == 400


def test_objects_are_composed_in_order(bucket: Running) -> None:
    parts = [put(bucket, name, name.encode() * 3) for name in ("a", "b")]
    to = f"{BUCKET}/o/whole/compose"
    sources = [{"name": part["name"], "generation": part["generation"]} for part in parts]
    made = bucket.ok("POST", to, {"sourceObjects": sources, "destination": {"contentType": "text/c"}})
    assert (made["componentCount"], made["size"], made["contentType"], "md5Hash" in made) == (2, "6", "text/c", False)
    crc = google_crc32c.Checksum(b"aaabbb").digest()
    assert made["crc32c"] == base64.b64encode(crc).decode()
    assert download(bucket, "whole").content == b"aaabbb"
    more = bucket.ok("POST", to, {"sourceObjects": [{"name": "whole"}, {"name": "a"}], "deleteSourceObjects": True})
    assert (more["componentCount"], download(bucket, "whole").content) == (3, b"aaabbbaaa")
    assert bucket.call("GET", f"{BUCKET}/o/a")[0] == 404
    stale = {"sourceObjects": [{"name": "b", "objectPreconditions": {"ifGenerationMatch": "1"}}]}
    assert bucket.call("POST", to, stale)[0] == 412
    assert bucket.call("POST", f"{to}?ifGenerationMatch=0", {"sourceObjects": [{"name": "b"}]})[0] == 412


def test_what_google_has_below_an_object_is_lacking_and_no_other_object(bucket: Running) -> None:
    put(bucket, "one")
    assert bucket.call("GET", f"{BUCKET}/o/one/acl")[0] == 501
    assert bucket.call("GET", f"{BUCKET}/o/one%2Facl")[0] == 404
