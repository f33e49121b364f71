# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The promise: build it, run it again without a change, lose a region, and know what that cost."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import stat
import time
import urllib.error
import urllib.request

import pytest

from tests.e2e.estate import Estate

REGIONS = {"us-east5": "us-east5-b", "europe-west4": "europe-west4-a"}


def ask(url: str) -> tuple[int, str]:
    """(status, serving region) of one completion."""
    body = json.dumps({"model": "gemma-3-27b-it", "prompt": "A region is", "max_tokens": 4}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get("x-serving-region", "")
    except urllib.error.HTTPError as error:
        return error.code, ""


def addresses(estate: Estate) -> dict[str, str]:
    return {listener["region"]: listener["url"] for listener in estate.status()["listeners"]}


def wait_until_served_by(url: str, region: str) -> None:
    deadline = time.monotonic() + 120
    while ask(url) != (200, region):
        assert time.monotonic() < deadline, f"{url} is not served by {region}: {ask(url)}"
        time.sleep(0.2)


def moment(text: str) -> datetime.datetime:
    """Google gives nanoseconds and any zone, Kubernetes whole seconds."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))


def operations(estate: Estate, service: str, path: str) -> list[dict[str, str]]:
    document = estate.google(service, f"{path}/operations")
    return document.get("operations") or document.get("items") or []


def test_what_does_not_need_each_other_was_built_at_the_same_time(built: Estate) -> None:
    found = operations(built, "container", "v1/projects/sandbox-project/locations/-")
    clusters = {op["targetLink"].split("/")[-1]: op for op in found if op["operationType"] == "CREATE_CLUSTER"}
    assert len(clusters) == 2
    began = {name: moment(op["startTime"]) for name, op in clusters.items()}
    ended = {name: moment(op["endTime"]) for name, op in clusters.items()}
    assert max(began.values()) < min(ended.values())
    for region in REGIONS:
        regional = operations(built, "compute", f"projects/sandbox-project/regions/{region}")
        [router] = [op for op in regional if op["targetLink"].endswith(f"/routers/router-{region}")]
        assert began[f"gke-{region}"] < moment(router["startTime"]) < ended[f"gke-{region}"]
    # Model servers are there before the weights are, also where another region fetches these.
    born = "jsonpath={.metadata.creationTimestamp}"
    servers = built.kubectl("europe-west4-a/gke-europe-west4", "get", "deploy", "gemma-3-27b-it", "-o", born)
    over = "jsonpath={.items[0].status.completionTime}"
    download = built.kubectl("us-east5-b/gke-us-east5", "get", "jobs", "-o", over)
    assert moment(servers.output) < moment(download.output)


def test_built_twice_changes_nothing(built: Estate) -> None:
    again = built.play("site.yml")
    assert again.code == 0, again.output
    assert again.changed() == 0, again.output


def test_check_of_a_built_estate_sees_nothing_to_change(built: Estate) -> None:
    check = built.play("site.yml", "--check", "--diff")
    assert check.code == 0, check.output
    assert check.changed() == 0, check.output
    assert "+++" not in check.output


def test_every_address_is_served_by_its_own_region(built: Estate) -> None:
    found = addresses(built)
    assert set(found) == set(REGIONS)
    for region, url in found.items():
        assert ask(url) == (200, region)


def test_no_secret_is_printed_or_readable_by_others(built: Estate) -> None:
    token = built.status()["token"]
    shown = built.play("site.yml", "--check", "--diff", "-vvv").output
    assert token not in shown and "hf_sandbox" not in shown
    directory = built.directory / "sandbox"
    for path in directory.rglob("*"):
        if path.is_file() and (token.encode() in (content := path.read_bytes()) or b"hf_sandbox" in content):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_killed_model_servers_of_a_region_are_replaced_by_the_other_region(built: Estate) -> None:
    url = addresses(built)["europe-west4"]
    wait_until_served_by(url, "europe-west4")

    def victims() -> list[int]:
        return [
            load["pid"]
            for load in built.status()["workloads"]
            if load["cluster"].startswith("europe-west4") and load["container"] == "vllm" and load["pid"]
        ]

    assert victims()
    deadline = time.monotonic() + 120
    # The kubelet starts them again as on GKE, so they are killed until the other region has answered.
    while ask(url) != (200, "us-east5"):
        assert time.monotonic() < deadline
        for pid in victims():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    wait_until_served_by(url, "europe-west4")


def test_the_drill_proves_the_failover(built: Estate) -> None:
    drill = built.play("failover_drill.yml")
    assert drill.code == 0, drill.output
    report = json.loads((built.reports / "failover.json").read_text())
    summary = report["summary"]
    assert summary["passed"] and report["restored"]
    assert summary["rate"] >= 20
    assert summary["recovery_seconds"] > 0
    by_phase = {phase: summary["phases"][phase]["served_by_target"] for phase in summary["phases"]}
    assert set(by_phase["before"]["us-east5"]) == {"us-east5"}
    assert set(by_phase["recovered"]["us-east5"]) == {"europe-west4"}
    assert by_phase["restored"]["us-east5"].get("us-east5", 0) > 0
    # What is reported must follow from the records that lie beside it.
    records = [json.loads(line) for line in (built.reports / "records.jsonl").read_text().splitlines()]
    assert len(records) == summary["requests"]
    assert sum(record["status"] != 200 or bool(record["error"]) for record in records) == summary["lost"]
    fault = report["began"] + report["events"]["fault"]
    recovered = fault + summary["recovery_seconds"]
    restored = report["began"] + report["events"]["restored"]
    quiet = [r for r in records if recovered <= r["start"] < restored]
    assert quiet and all(r["status"] == 200 and r["region"] == "europe-west4" for r in quiet)
    assert not (built.reports / "undo.json").exists()
    page = (built.reports / "failover.html").read_text()
    assert "<svg" in page and ">fault<" in page
    assert "PASSED" in (built.reports / "failover.txt").read_text()
    wait_until_served_by(addresses(built)["us-east5"], "us-east5")


def test_a_run_after_a_drill_changes_nothing(built: Estate) -> None:
    """Scaled to none and back, nobody owns the replicas any more; to own them again is no change."""
    again = built.play("site.yml", "--diff")
    assert again.code == 0, again.output
    assert again.changed() == 0, again.output
    assert "+++" not in again.output


def test_a_drill_that_was_cut_short_is_undone_from_its_journal(built: Estate) -> None:
    """As if the controller had died between fault and restore: replicas at 0, only the journal left."""
    entry = {
        "kind": "Deployment",
        "cluster": "gke-us-east5",
        "location": REGIONS["us-east5"],
        "name": "gemma-3-27b-it",
        "namespace": "inference",
        "replicas": 1,
    }
    scaled = built.kubectl("us-east5-b/gke-us-east5", "scale", "deployment/gemma-3-27b-it", "--replicas=0")
    assert scaled.code == 0, scaled.output
    (built.reports / "undo.json").write_text(json.dumps({"began": 1.0, "entries": [entry]}))
    drill = built.play("failover_drill.yml", "--check")
    assert drill.code != 0 and "Every region needs a model server" in drill.output
    restored = built.play("failover_drill.yml", "-e", "failover_rate=5")
    assert restored.code == 0, restored.output
    assert not (built.reports / "undo.json").exists()
    wait_until_served_by(addresses(built)["us-east5"], "us-east5")


@pytest.mark.parametrize("primary", ["asia-east1", ""])
def test_a_drill_of_an_unknown_region_is_refused(built: Estate, primary: str) -> None:
    drill = built.play("failover_drill.yml", "-e", f"failover_primary={primary}")
    assert drill.code != 0 and "must be one of at least two" in drill.output
