# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One sandbox for all judges that are not ours; each file takes names of its own, so that they do not meet."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.truth.gcloud import Gcloud
from tests.truth.table import Finding, Note, note

__all__ = ["note"]

Json = dict[str, t.Any]

ROOT = Path(__file__).resolve().parent.parent.parent
SCALE = "0.002"  # of Google's latencies
SERVICES = (
    "cloudresourcemanager",
    "compute",
    "container",
    "gkehub",
    "iam",
    "multiclusteringress",
    "multiclusterservicediscovery",
    "serviceusage",
)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """The status of a running sandbox: endpoints, token, project."""
    command = [sys.executable, "-m", "tests.judged", "--state-dir", str(tmp_path_factory.mktemp("sandbox"))]

    def call(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("start", "--latency-scale", SCALE)
    try:
        yield json.loads(call("status", "--json"))
    finally:
        call("stop")


@pytest.fixture(scope="session")
def enabled(sandbox: Json) -> Json:
    """The same, with the chain's APIs enabled in its project."""
    root = f"{sandbox['endpoints']['serviceusage']}v1"
    headers = {"Authorization": f"Bearer {sandbox['token']}"}
    names = [f"{name}.googleapis.com" for name in SERVICES]
    parent = f"{root}/projects/{sandbox['project']}/services"
    operation = requests.post(f"{parent}:batchEnable", json={"serviceIds": names}, headers=headers, timeout=30).json()
    end = time.monotonic() + 30
    while not operation.get("done"):
        assert time.monotonic() < end, operation
        operation = requests.get(f"{root}/{operation['name']}", headers=headers, timeout=30).json()
    return sandbox


@pytest.fixture(scope="session")
def fresh_gcloud(sandbox: Json, tmp_path_factory: pytest.TempPathFactory) -> Gcloud:
    """gcloud in the sandbox's project as it is."""
    return Gcloud(sandbox, tmp_path_factory.mktemp("gcloud"))


@pytest.fixture(scope="session")
def gcloud(enabled: Json, fresh_gcloud: Gcloud) -> Gcloud:
    """gcloud in a project with the chain's APIs enabled."""
    return fresh_gcloud


@pytest.fixture(autouse=True)
def _noted(request: pytest.FixtureRequest, note: Note) -> Iterator[None]:
    """What gcloud was asked by a test is counted."""
    yield
    if "gcloud" in request.fixturenames:
        for command in request.getfixturevalue("gcloud").taken():
            note(Finding("gcloud", "other commands, from data to data", command, "as Google"))
