# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Batches, with Google's own client library as the one who writes and reads them."""

from __future__ import annotations

import typing as t

import httplib2
import pytest
from googleapiclient.http import BatchHttpRequest, HttpRequest

from tests.clouds import PROJECT, TOKEN, Running

NETWORKS = f"compute/v1/projects/{PROJECT}/global/networks"
SERVED = (
    ("batch/compute/v1", f"/{NETWORKS}/default", "compute#network"),
    ("batch", f"/{NETWORKS}/default", "compute#network"),
    ("batch/storage/v1", "/storage/v1/b/weights-1", "storage#bucket"),
    ("container/batch", f"/v1/projects/{PROJECT}/locations/us-east5/serverConfig", ""),
)


class Client:
    """Puts requests into one batch; ``answers``: of each, in order, (status, parsed answer)."""

    def __init__(self, cloud: Running, path: str) -> None:
        self._cloud = cloud
        self.answers: list[tuple[int, t.Any]] = []
        self._batch = BatchHttpRequest(batch_uri=f"{cloud.base}/{path}")

    def add(self, method: str, path: str, body: str | None = None) -> None:
        def parse(answer: httplib2.Response, content: bytes) -> tuple[int, bytes]:
            return int(answer.status), content

        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        request = HttpRequest(None, parse, f"{self._cloud.base}{path}", method, body, headers)
        self._batch.add(request, self._take)

    def _take(self, _id: str, answer: t.Any, error: t.Any) -> None:
        self.answers.append((error.status_code, error.content) if error else answer)

    def execute(self) -> None:
        self._batch.execute(http=httplib2.Http())


@pytest.mark.parametrize(("path", "wanted", "kind"), SERVED)
def test_parts_are_requests_of_their_own(cloud: Running, path: str, wanted: str, kind: str) -> None:
    cloud.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "weights-1"})
    client = Client(cloud, path)
    client.add("GET", wanted)
    client.add("GET", f"{wanted}-none")
    client.execute()
    (good, content), (bad, fault) = client.answers
    assert (good, kind.encode() in content) == (200, True)
    assert bad in (404, 501) and b'"error"' in fault


def test_many_things_are_made_and_deleted_at_once(cloud: Running) -> None:
    names = [f"net{number}" for number in range(12)]
    client = Client(cloud, "batch/compute/v1")
    for name in names:
        client.add("POST", f"/{NETWORKS}", f'{{"name": "{name}", "autoCreateSubnetworks": false}}')
    client.execute()
    assert [code for code, _content in client.answers] == [200] * len(names)
    found = {one["name"] for one in cloud.ok("GET", NETWORKS)["items"]}
    assert found == {"default", *names}


@pytest.mark.parametrize("kind", ["application/json", "multipart/mixed", "multipart/mixed; boundary=none"])
def test_what_is_no_batch_is_refused(cloud: Running, kind: str) -> None:
    code, answer = cloud.call("POST", "batch/compute/v1", data=b"{}", kind=kind)
    assert (code, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    part = b"--x\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--x--\r\n"
    assert cloud.call("POST", "batch", data=part, kind="multipart/mixed; boundary=x")[0] == 400


def test_a_part_needs_the_token_too(cloud: Running) -> None:
    part = f"--x\r\nContent-Type: application/http\r\nContent-ID: <1+1>\r\n\r\nGET /{NETWORKS}\r\n\r\n\r\n--x--\r\n"
    kind = "multipart/mixed; boundary=x"
    code, answer = cloud.call("POST", "batch", data=part.encode(), kind=kind, token="wrong")
    assert (code, b"HTTP/1.1 401 Unauthorized" in answer) == (200, True)
    code, answer = cloud.call("POST", "batch", data=part.encode(), kind=kind)
    assert (b"HTTP/1.1 200 OK" in answer, b"Content-ID: <response-1+1>" in answer) == (True, True)
