# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a project or its credentials lack is one sentence, and no request that writes is ever sent."""

from __future__ import annotations

import http.server
import json
import threading
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from proof.__main__ import main
from proof.google import Google, services_of_role
from proof.options import Refused, read

Json = dict[str, t.Any]
Answer = tuple[int, Json]

PROJECT = "my-project"
NETWORKS = f"compute/projects/{PROJECT}/global/networks"


def error(code: int, message: str, reason: str = "") -> Answer:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return code, {"error": {"code": code, "message": message, "status": "PERMISSION_DENIED", "details": details}}


class Cloud:
    """Answers by how a path begins, with the service; ``asked``: (method, path) of every request."""

    def __init__(self) -> None:
        names = [*services_of_role(), "serviceusage.googleapis.com"]
        self.answers: dict[str, Answer] = {
            "cloudresourcemanager": (200, {"projectNumber": "1", "lifecycleState": "ACTIVE"}),
            "serviceusage": (200, {"services": [{"name": f"p/{name}", "state": "ENABLED"} for name in names]}),
        }
        self.asked: list[tuple[str, str]] = []
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cloud.asked.append((self.command, self.path))
                known = [name for name in cloud.answers if self.path.startswith(f"/{name}")]
                code, body = cloud.answers[max(known, key=len)] if known else (200, {})
                content = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_unused: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def words(self, folder: Path, *more: str) -> list[str]:
        root = f"http://127.0.0.1:{self.server.server_address[1]}"
        services = ("cloudresourcemanager", "compute", "container", "gkehub", "iam", "serviceusage", "storage")
        status = {"endpoints": {name: f"{root}/{name}/" for name in services}, "token": "t"}
        (folder / "status.json").write_text(json.dumps(status))
        return [f"PROJECT={PROJECT}", f"ENDPOINTS={folder / 'status.json'}", f"DIRECTORY={folder / 'runs'}", *more]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    thread = threading.Thread(target=cloud.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield cloud
    cloud.server.shutdown()
    cloud.server.server_close()
    thread.join(10)


@pytest.mark.parametrize(
    ("service", "answer", "says"),
    [
        (
            "cloudresourcemanager",
            error(403, "The caller does not have permission"),
            "PROJECT: my-project cannot be read",
        ),
        ("cloudresourcemanager", error(401, "Invalid credentials"), "credentials: "),
        (
            "cloudresourcemanager",
            (200, {"projectNumber": "1", "lifecycleState": "DELETE_REQUESTED"}),
            "DELETE_REQUESTED",
        ),
        ("serviceusage", (200, {"services": []}), "gcloud services enable"),
        ("serviceusage", error(403, "It is disabled", "SERVICE_DISABLED"), "PROJECT: an API is off"),
        ("compute", error(403, "This API method requires billing to be enabled."), "PROJECT: billing is off"),
        ("gkehub", (200, {"resources": [{"name": "projects/p/locations/global/memberships/other"}]}), "STEPS: "),
        (NETWORKS, (200, {"items": [{"name": "gkeproof-0a1b2c3d"}]}), "PROJECT: networks/gkeproof-0a1b2c3d"),
        ("nothing", (200, {}), "YES: "),
    ],
)
def test_it_is_told_before_anything_is_done(
    service: str, answer: Answer, says: str, cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.answers[service] = answer
    assert main(cloud.words(tmp_path)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert {method for method, _path in cloud.asked} == {"GET"}
    assert not list(tmp_path.glob("runs/*/*/journal.jsonl"))


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GCP_AUTH_KIND", "GCP_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(Refused, match="^credentials: .*gcloud auth application-default login"):
        Google(read([f"PROJECT={PROJECT}"]))


def test_without_anything_it_tells_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert "STEPS" in told.out
    assert told.err.startswith("PROJECT: name the project")
