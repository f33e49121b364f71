# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge of all clouds of the tests finds what is not of Google's types, on either side."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import typing as t
import urllib.request
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.judge import Judge

ROOT = Path(__file__).resolve().parents[2]
ZONE = "/container/v1/projects/p/locations/us-east5-a"
CREATED = {"name": "operation-1", "status": "RUNNING"}


def judged(verb: str, path: str, given: t.Any, answer: t.Any, status: int = 200) -> tuple[list[str], list[str]]:
    """(what is wrong with the answer, what is wrong with both) of one exchange."""
    judge = Judge()

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    async def exchange() -> None:
        app = web.Application(middlewares=[judge.middleware()])
        app.router.add_route("*", "/{path:.*}", handle)
        async with TestClient(TestServer(app)) as client:
            body = {"data": given} if isinstance(given, str) else {"json": given}
            await client.request(verb, path, **body)

    asyncio.run(exchange())
    return judge.violations(requests=False), judge.violations()


@pytest.mark.parametrize(
    ("verb", "path", "given", "answer", "status", "says"),
    [
        ("POST", f"{ZONE}/clusters", {"cluster": {"name": "c"}}, CREATED, 200, []),
        ("POST", f"{ZONE}/clusters", None, {**CREATED, "stat": 1}, 200, ["there is no such field", "has no field"]),
        ("POST", f"{ZONE}/clusters", None, {**CREATED, "status": "RUN"}, 200, ["'RUN' is none of", "Invalid enum"]),
        ("GET", f"{ZONE}/clusters/c", None, {"name": "c", "nodePools": [{"x": 1}]}, 200, ["no such field", "no field"]),
        ("GET", "/compute/v1/projects/p/global/networks/n", None, {"name": "n", "mtu": "1"}, 200, ["is no integer"]),
        ("GET", f"{ZONE}/clusters/c", None, {"error": {"code": 500, "message": "m"}}, 404, ["404 with"]),
        ("POST", "/upload/storage/v1/b/b/o?name=o", None, {"name": "o", "x": 1}, 200, ["there is no such field"]),
        ("GET", "/sandbox/status", None, {"state": "running"}, 200, []),
    ],
)
def test_answers(verb: str, path: str, given: t.Any, answer: t.Any, status: int, says: list[str]) -> None:
    found, _all = judged(verb, path, given, answer, status)
    assert len(found) == len(says), found
    assert all(any(text in one for one in found) for text in says), found


@pytest.mark.parametrize(
    ("verb", "path", "given", "says"),
    [
        ("POST", f"{ZONE}/clusters", {"cluster": {"nam": "c"}}, ["there is no such field", "has no field"]),
        ("POST", f"{ZONE}/clusters", {"cluster": {"name": "c", "location": None}}, []),
        ("POST", f"{ZONE}/clusters?wait=1", {"cluster": {"name": "c"}}, ["there is no parameter wait"]),
        ("POST", f"{ZONE}/clusters/c:explode", {}, ["Google has no such method"]),
        ("POST", f"{ZONE}/clusters", "{cluster:", ["a body that is no JSON"]),
    ],
)
def test_requests(verb: str, path: str, given: t.Any, says: list[str]) -> None:
    of_answers, found = judged(verb, path, given, CREATED)
    assert not of_answers and len(found) == len(says), found
    assert all(any(text in one for one in found) for text in says), found


def test_what_was_refused_may_have_been_refused_for_this() -> None:
    refusal = {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}
    wrong = {"cluster": {"nam": "c"}}
    assert judged("POST", f"{ZONE}/clusters", wrong, refusal, 400) == ([], [])
    refusal["error"]["code"] = 409
    assert len(judged("POST", f"{ZONE}/clusters", wrong, refusal, 409)[1]) == 2


def test_stopping_a_judged_sandbox_fails_where_the_judge_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.judged", "--state-dir", str(tmp_path)]
    subprocess.run([*command, "start"], cwd=ROOT, check=True, capture_output=True)
    try:
        status = json.loads((tmp_path / "status.json").read_text())
        url = f"{status['endpoints']['cloudresourcemanager']}v1/projects?odd=1"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {status['token']}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    finally:
        stopped = subprocess.run([*command, "stop"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert "request: cloudresourcemanager.projects.list: there is no parameter odd" in stopped.stdout
