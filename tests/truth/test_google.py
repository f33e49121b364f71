# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make google` rehearsed from beginning to end: on a sandbox in place of Google, with the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from proof.google import services_of_role
from proof.journal import OURS
from proof.steps import DEFAULT, STEPS
from tests.e2e.census import census, differences
from tests.e2e.estate import ROOT, Estate, Run, run, started
from tests.sandbox.cloud.evidence import differences as differing
from tests.waiting import until

DEADLINE = 120.0


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """A project in which nothing has been built, with the APIs on that a run asks for."""
    with started(tmp_path_factory.mktemp("google")) as estate:
        yield estate


@pytest.fixture(scope="module")
def enabled(estate: Estate) -> Estate:
    refused = google(estate, "YES=1")
    assert refused.code == 2
    assert "gcloud services enable" in refused.output, "what is off is told, and nothing is made"
    parent = "v1/projects/sandbox-project/services"
    operation = estate.google("serviceusage", f"{parent}:batchEnable", "POST", {"serviceIds": services_of_role()})
    until(
        lambda: operation.get("done") or estate.google("serviceusage", f"v1/{operation['name']}").get("done"),
        "the APIs are on",
    )
    return estate


def command(estate: Estate, *words: str) -> list[str]:
    where = [f"ENDPOINTS={estate.directory / 'sandbox' / 'status.json'}", f"DIRECTORY={estate.directory / 'runs'}"]
    return ["make", "google", "PROJECT=sandbox-project", *where, *words]


def google(estate: Estate, *words: str) -> Run:
    """`make google` as a user types it; the environment is made already."""
    return run(command(estate, *words), cwd=ROOT, env={**estate.environment(), "HF_TOKEN": "hf_sandbox"})


def runs(estate: Estate) -> list[Path]:
    return sorted((estate.directory / "runs" / "sandbox-project").glob("*/journal.jsonl"), key=os.path.getmtime)


def nothing_left(estate: Estate, before: dict[str, list[str]]) -> None:
    """The project is as it was, but for the agents that Google makes on demand and keeps."""
    end = time.monotonic() + DEADLINE
    while found := differences(before, census(estate)):
        assert time.monotonic() < end, "\n".join(found)


@pytest.mark.parametrize(
    "steps",
    [pytest.param(DEFAULT, id="default"), pytest.param(("dranet", "service"), id="accelerators")],
)
def test_a_run_makes_tells_and_leaves_nothing(steps: tuple[str, ...], enabled: Estate) -> None:
    before = census(enabled)
    done = google(enabled, "YES=1", "CAP=200", "DEADLINE=300", f"STEPS={','.join(steps)}")
    assert done.code == 0, done.output
    nothing_left(enabled, before)
    folder = runs(enabled)[-1].parent / "evidence"
    about = json.loads((folder / "run.json").read_text())
    assert about["outcome"] == "done"
    assert set(steps) < set(about["steps"])
    for name, report in about["steps"].items():
        assert report["exchanges"] > 0
        if name in STEPS and STEPS[name].again:
            assert report["changed again"] == 0, name
        if name in STEPS and STEPS[name].looks:
            looks = json.loads((folder / f"{name}-kubernetes.json").read_text())
            assert all(look["status"] == 200 for look in looks), [look for look in looks if look["status"] != 200]


def test_its_evidence_gives_nothing_away(enabled: Estate) -> None:
    status = enabled.status()
    secrets = [status["token"], status["project_number"], status["project"], "hf_sandbox", f"{status['prefix']}."]
    for path in enabled.directory.glob("runs/*/*/evidence/*"):
        text = path.read_text()
        for secret in secrets:
            assert secret not in text, f"{path}: {secret}"


def test_its_evidence_replays_without_a_difference(enabled: Estate, tmp_path: Path) -> None:
    """All but the step that works on two regions side by side, whose order is of that moment."""
    for journal in runs(enabled):
        folder = journal.parent / "evidence"
        if (folder / "run.json").exists() and not (folder / "service.json").exists():
            assert not list(map(str, differing(folder, tmp_path / journal.parent.name)))


class Playing:
    """A run that is under way, until something of it is there."""

    def __init__(self, estate: Estate, kind: str) -> None:
        known = set(runs(estate))
        words = command(estate, "YES=1", "STEPS=cluster")[2:]
        # Not by make, which would be in the way of the signal.
        arguments = [sys.executable, "-m", "proof", *words]
        environment = {**estate.environment(), "PYTHONPATH": str(ROOT / ".venv" / "collections")}
        self.process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        until(
            lambda: any(f'"{kind}"' in path.read_text() for path in set(runs(estate)) - known), f"a journal with {kind}"
        )

    def end(self) -> tuple[int, str]:
        output, _none = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, output


@pytest.mark.parametrize("kind", ["subnetworks", "clusters"])
def test_what_a_killed_run_has_left_is_cleaned(kind: str, enabled: Estate) -> None:
    before = census(enabled)
    playing = Playing(enabled, kind)
    playing.process.send_signal(signal.SIGKILL)
    playing.end()
    cleaned = google(enabled, "CLEAN=1")
    assert cleaned.code == 0, cleaned.output
    assert "nothing is left" in cleaned.output
    nothing_left(enabled, before)
    assert "no run has left anything" in google(enabled, "CLEAN=1").output


def test_ctrl_c_takes_everything_down(enabled: Estate) -> None:
    before = census(enabled)
    playing = Playing(enabled, "clusters")
    playing.process.send_signal(signal.SIGINT)
    code, output = playing.end()
    assert code == 1, output
    assert "taking everything down" in output
    nothing_left(enabled, before)


def test_what_is_called_like_ours_and_is_not_is_left_alone(enabled: Estate) -> None:
    path = "projects/sandbox-project/global/networks"
    body: dict[str, t.Any] = {"name": "gkeproof-0123abcd", "autoCreateSubnetworks": False}
    assert OURS.search(body["name"])
    enabled.google("compute", path, "POST", body)
    refused = google(enabled, "YES=1", "STEPS=network")
    assert refused.code == 2
    assert "networks/gkeproof-0123abcd" in refused.output
    assert google(enabled, "CLEAN=1").code == 2
    enabled.google("compute", f"{path}/{body['name']}", "DELETE")
