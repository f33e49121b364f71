# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads that can be resumed, as https://cloud.google.com/storage/docs/performing-resumable-uploads has them."""

from __future__ import annotations

import base64
import hashlib
import http.client
import resource
import socket
import typing as t
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
import requests

from tests.clouds import PROJECT, TOKEN, Running, running_cloud, until

BUCKET = "storage/v1/b/weights-1"
UNIT = 256 * 1024
CONTENT = bytes(range(256)) * 1024 * 3 + b"the end"
LARGE = 200 * 1024 * 1024


@pytest.fixture
def bucket(fresh: Running) -> Running:
    fresh.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "weights-1", "location": "us"})
    return fresh


async def directory(cloud: Running) -> Path | None:
    return cloud.cloud.view.bucket("weights-1")


def ask(method: str, url: str, **options: t.Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=30, **options)


def start(cloud: Running, name: str = "model.bin", query: str = "", way: str = "upload", **options: t.Any) -> str:
    """The URI of a new session."""
    url = f"{cloud.base}/{way}/{BUCKET}/o?uploadType=resumable&name={name}{query}"
    answer = ask("POST", url, headers={"Authorization": f"Bearer {TOKEN}"}, **options)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert answer.headers["X-GUploader-UploadID"] in answer.headers["Location"]
    return answer.headers["Location"]


def put(uri: str, content: bytes, span: str, **headers: str) -> requests.Response:
    return ask("PUT", uri, data=content, headers={"Content-Range": f"bytes {span}", **headers})


def sums(content: bytes) -> tuple[str, str]:
    """crc32c and md5Hash."""
    crc = google_crc32c.Checksum(content).digest()
    return base64.b64encode(crc).decode(), base64.b64encode(hashlib.md5(content).digest()).decode()


def test_chunks_become_an_object_with_what_was_said_at_the_start(bucket: Running) -> None:
    uri = start(bucket, json={"metadata": {"model": "gemma"}}, query="&ifGenerationMatch=0")
    one = put(uri, CONTENT[:UNIT], f"0-{UNIT - 1}/*")
    assert (one.status_code, one.reason, one.headers["Range"]) == (308, "Resume Incomplete", f"bytes=0-{UNIT - 1}")
    assert bucket.call("GET", f"{BUCKET}/o/model.bin")[0] == 404
    two = put(uri, CONTENT[UNIT:], f"{UNIT}-{len(CONTENT) - 1}/{len(CONTENT)}")
    made = two.json()
    assert (two.status_code, made["size"], made["metadata"]) == (200, str(len(CONTENT)), {"model": "gemma"})
    assert (made["crc32c"], made["md5Hash"]) == sums(CONTENT)
    assert (bucket.within(directory(bucket)) / "model.bin").read_bytes() == CONTENT
    # Whoever missed the answer asks again, whatever the request.
    for content, span in ((b"", f"*/{len(CONTENT)}"), (b"", "*/*"), (CONTENT[:UNIT], f"0-{UNIT - 1}/*")):
        assert put(uri, content, span).json() == made
    late = start(bucket)
    assert ask("POST", late.replace("&upload_id", "&x"), headers={}).status_code == 401
    stale = ask(
        "POST",
        f"{bucket.base}/upload/{BUCKET}/o?uploadType=resumable&name=model.bin&ifGenerationMatch=0",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert stale.status_code == 412


def test_how_much_has_come_is_told_and_sent_twice_does_no_harm(bucket: Running) -> None:
    uri = start(bucket)
    asked = put(uri, b"", "*/*")
    assert (asked.status_code, "Range" in asked.headers) == (308, False)
    # Of 300 KiB that are not the last, whole units are kept.
    assert put(uri, CONTENT[: 300 * 1024], f"0-{300 * 1024 - 1}/*").headers["Range"] == f"bytes=0-{UNIT - 1}"
    assert put(uri, b"", f"*/{len(CONTENT)}").headers["Range"] == f"bytes=0-{UNIT - 1}"
    other = put(uri, b"x" * UNIT + CONTENT[UNIT : 2 * UNIT], f"0-{2 * UNIT - 1}/*")
    assert other.headers["Range"] == f"bytes=0-{2 * UNIT - 1}"
    for_go = ask("POST", uri, headers={"Content-Range": "bytes */*", "X-GUploader-No-308": "yes"})
    assert (for_go.status_code, for_go.headers["X-HTTP-Status-Code-Override"]) == (200, "308")
    assert put(uri, CONTENT[2 * UNIT :], f"{2 * UNIT}-*/*").json()["md5Hash"] == sums(CONTENT)[1]


def test_the_whole_at_once_and_nothing_at_all(bucket: Running) -> None:
    # gcloud takes the other way.
    assert ask("PUT", start(bucket, way="resumable/upload"), data=CONTENT).json()["size"] == str(len(CONTENT))
    assert put(start(bucket), b"", "*/0").json()["size"] == "0"
    uri = start(bucket)
    put(uri, CONTENT[:UNIT], f"0-{UNIT - 1}/*")
    assert put(uri, b"", f"*/{UNIT}").json()["size"] == str(UNIT)


@pytest.mark.parametrize(
    ("content", "span", "status", "words"),
    [
        (b"x", "*/*", 400, "Client sent query request with a non-empty body."),
        (b"x", "0-0/*/", 400, "Failed to parse Content-Range header."),
        (b"x", "5-4/10", 400, "Failed to parse Content-Range header."),
        (b"xx", "0-1/1", 400, "Failed to parse Content-Range header."),
        (
            b"xyz",
            "0-4/5",
            400,
            "Invalid request.  There were 3 byte(s) in the request body.  There should have been 5 byte(s) (starting "
            "at offset 0 and ending at offset 4) according to the Content-Range header.",
        ),
        (
            b"x",
            "4-4/5",
            503,
            "Invalid request.  According to the Content-Range header, the upload offset is 4 byte(s), which exceeds "
            "already uploaded size of 0 byte(s).",
        ),
        (
            b"x",
            "0-0/*",
            400,
            "Invalid request.  The number of bytes uploaded is required to be equal or greater than 262144, except "
            "for the final request (it's recommended to be the exact multiple of 262144).  The received request "
            "contained 1 bytes, which does not meet this requirement.",
        ),
    ],
)
def test_a_wrong_chunk_is_refused_in_plain_words(
    bucket: Running, content: bytes, span: str, status: int, words: str
) -> None:
    uri = start(bucket)
    answer = put(uri, content, span)
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (
        status,
        words,
        "text/plain; charset=utf-8",
    )
    assert put(uri, CONTENT, f"0-{len(CONTENT) - 1}/{len(CONTENT)}").status_code == 200


def test_a_session_is_cancelled(bucket: Running) -> None:
    uri = start(bucket)
    put(uri, CONTENT[:UNIT], f"0-{UNIT - 1}/*")
    assert ask("DELETE", uri).status_code == 499
    assert put(uri, b"", "*/*").status_code == 499
    assert bucket.call("GET", f"{BUCKET}/o/model.bin")[0] == 404
    assert not list((bucket.within(directory(bucket)).parent.parent / "uploads").iterdir())


def test_a_session_is_its_own_credential_and_of_nothing_else(tmp_path: Path) -> None:
    with running_cloud(tmp_path, services=(), hostile=True) as cloud:
        cloud.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "weights-1"})
        see_what_a_session_opens(cloud)


def see_what_a_session_opens(bucket: Running) -> None:
    uri = start(bucket)
    key = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["upload_id"][0]
    assert put(uri, b"", "*/*", Authorization="Bearer wrong").status_code == 401
    assert put(uri, b"", "*/*", Authorization=f"Bearer {TOKEN}").status_code == 308
    assert bucket.call("GET", f"{BUCKET}?upload_id={key}", token=None)[0] == 401
    assert bucket.call("PUT", f"upload/storage/v1/b/other/o?upload_id={key}", data=b"", token=None)[0] == 404
    assert bucket.call("PUT", f"upload/{BUCKET}/o?upload_id=none", data=b"")[0] == 404
    assert bucket.call("PUT", f"upload/{BUCKET}/o?upload_id=none", data=b"", token=None)[0] == 401


@pytest.mark.parametrize("field", ["crc32c", "md5Hash"])
def test_content_that_is_not_what_was_said_is_no_object(bucket: Running, field: str) -> None:
    right = dict(zip(("crc32c", "md5Hash"), sums(CONTENT), strict=True))
    wrong = dict(zip(("crc32c", "md5Hash"), sums(b"other"), strict=True))
    words = {"crc32c": "CRC32C", "md5Hash": "MD5 hash"}[field]
    said = f'Provided {words} "{wrong[field]}" doesn\'t match calculated {words} "{right[field]}".'
    whole = f"0-{len(CONTENT) - 1}/{len(CONTENT)}"
    header = {"crc32c": f"crc32c={wrong['crc32c']}", "md5Hash": f"md5={wrong['md5Hash']}"}[field]
    for answer in (
        put(start(bucket, json={field: wrong[field]}), CONTENT, whole),
        put(start(bucket), CONTENT, whole, **{"X-Goog-Hash": header}),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["message"], error["errors"][0]["reason"]) == (400, said, "invalid")
    assert bucket.call("GET", f"{BUCKET}/o/model.bin")[0] == 404
    assert put(start(bucket, json=right), CONTENT, whole).status_code == 200


def test_what_came_before_the_line_broke_is_kept(bucket: Running) -> None:
    uri = start(bucket)
    line = http.client.HTTPConnection("127.0.0.1", bucket.port, timeout=30)
    line.putrequest("PUT", uri.removeprefix(bucket.base))
    line.putheader("Content-Length", str(len(CONTENT)))
    line.putheader("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
    line.endheaders(CONTENT[: UNIT + 1000])
    line.sock.shutdown(socket.SHUT_RDWR)
    line.close()
    asked = until(lambda: put(uri, b"", "*/*"), lambda answer: "Range" in answer.headers)
    assert asked.headers["Range"] == f"bytes=0-{UNIT - 1}"
    done = put(uri, CONTENT[UNIT:], f"{UNIT}-{len(CONTENT) - 1}/{len(CONTENT)}")
    assert done.json()["md5Hash"] == sums(CONTENT)[1]


def resident() -> int:
    """Bytes of this process, in which both sides run, that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("way", ["media", "resumable"])
def test_a_large_file_goes_to_disk_as_it_comes(bucket: Running, way: str) -> None:
    before, most = resident(), 0

    def content() -> Iterator[bytes]:
        nonlocal most
        block = b"weights!" * 131072
        for _number in range(LARGE // len(block)):
            yield block
            most = max(most, resident())

    if way == "media":
        url = f"{bucket.base}/upload/{BUCKET}/o?uploadType=media&name=model.bin"
        made = ask("POST", url, data=content(), headers={"Authorization": f"Bearer {TOKEN}"})
    else:
        made = ask("PUT", start(bucket), data=content())
    assert (made.status_code, made.json()["size"]) == (200, str(LARGE))
    got = ask(
        "GET",
        f"{bucket.base}/{BUCKET}/o/model.bin?alt=media",
        headers={"Authorization": f"Bearer {TOKEN}"},
        stream=True,
    )
    length = 0
    for block in got.iter_content(1 << 20):
        length, most = length + len(block), max(most, resident())
    assert length == LARGE
    assert most - before < LARGE / 8


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\n--other--\r\n", b"x" * 3 * UNIT, b"x" * UNIT + b"\r\n\r\n"])
def test_a_multipart_upload_keeps_every_byte(bucket: Running, content: bytes) -> None:
    head = b'--B\r\nContent-Type: application/json\r\n\r\n{"name": "a.bin", "metadata": {"a": "b"}}\r\n'
    body = head + b"--B\r\ncontent-type: text/x\r\n\r\n" + content + b"\r\n--B--\r\n"
    path, kind = f"upload/{BUCKET}/o?uploadType=multipart", "multipart/related; boundary=B"
    status, made = bucket.call("POST", path, data=body, kind=kind)
    assert (status, made["contentType"], made["metadata"]) == (200, "text/x", {"a": "b"})
    assert (made["size"], made["md5Hash"]) == (str(len(content)), sums(content)[1])
    for cut in (body[:20], head, body.removesuffix(b"--B--\r\n"), b""):
        status, answer = bucket.call("POST", path, data=cut, kind=kind)
        assert (status, answer["error"]["message"]) == (400, "Malformed multipart body.")
