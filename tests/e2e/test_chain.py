# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The promise: build it, run it again without a change, lose a region, and know what that cost."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.estate import BIN, ROOT, Estate
from tests.waiting import until

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


def wait_until_served_by(url: str, region: str) -> None:
    until(lambda: ask(url) == (200, region), f"{url} is served by {region}")


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
    found = built.addresses()
    assert set(found) == set(REGIONS)
    for region, url in found.items():
        assert ask(url) == (200, region)


def test_the_load_balancer_and_the_nodes_are_there_to_be_read(built: Estate) -> None:
    compute = "projects/sandbox-project"
    rules = built.google("compute", f"{compute}/global/forwardingRules")["items"]
    vips = {f"http://{rule['IPAddress']}:{rule['portRange'].partition('-')[0]}" for rule in rules}
    assert vips == set(built.addresses().values())
    groups = built.google("compute", f"{compute}/aggregated/networkEndpointGroups")["items"]
    for region, zone in REGIONS.items():
        [group] = groups[f"zones/{zone}"]["networkEndpointGroups"]
        assert group["size"] > 0, group
        wide = ["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]
        nodes = built.kubectl(f"{zone}/gke-{region}", *wide).output.split()
        instances = built.google("compute", f"{compute}/zones/{zone}/instances")["items"]
        assert sorted(one["name"] for one in instances) == sorted(nodes)


def test_no_secret_is_printed_or_readable_by_others(built: Estate) -> None:
    token = built.status()["token"]
    shown = built.play("site.yml", "--check", "--diff", "-vvv").output
    assert token not in shown and "hf_sandbox" not in shown
    directory = built.directory / "sandbox"
    for path in directory.rglob("*"):
        if path.is_file() and (token.encode() in (content := path.read_bytes()) or b"hf_sandbox" in content):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_killed_model_servers_of_a_region_are_replaced_by_the_other_region(built: Estate) -> None:
    url = built.addresses()["europe-west4"]
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
    assert summary["lost"] > 0, "a region that is lost drains nothing: what was under way there is gone"
    by_phase = {phase: summary["phases"][phase]["served_by_target"] for phase in summary["phases"]}
    assert set(by_phase["before"]["us-east5"]) == {"us-east5"}
    assert set(by_phase["recovered"]["us-east5"]) == {"europe-west4"}
    assert by_phase["restored"]["us-east5"].get("us-east5", 0) > 0
    # What is reported must follow from the records that lie beside it.
    records = [json.loads(line) for line in (built.reports / "records.jsonl").read_text().splitlines()]
    assert len(records) == summary["requests"]
    assert sum(record["status"] != 200 or bool(record["error"]) for record in records) == summary["lost"]
    # Every request that was scheduled has exactly one record.
    for target in REGIONS:
        numbers = sorted(record["number"] for record in records if record["target"] == target)
        assert numbers == list(range(len(numbers)))
    fault = report["began"] + report["events"]["fault"]
    recovered = fault + summary["recovery_seconds"]
    restored = report["began"] + report["events"]["restored"]
    touched = [r for r in records if r["start"] + r["latency"] >= fault and r["start"] < restored and r["error"]]
    victims = sum(r["target"] == "us-east5" for r in touched)
    assert summary["lost_percent"] == pytest.approx(100 * victims / (15 * 60), abs=0.2)
    quiet = [r for r in records if recovered <= r["start"] < restored]
    assert quiet and all(r["status"] == 200 and r["region"] == "europe-west4" for r in quiet)
    assert not (built.reports / "undo.json").exists()
    page = (built.reports / "failover.html").read_text()
    assert "<svg" in page and ">fault<" in page
    assert "PASSED" in (built.reports / "failover.txt").read_text()
    wait_until_served_by(built.addresses()["us-east5"], "us-east5")


def test_a_run_after_a_drill_changes_nothing(built: Estate) -> None:
    """Scaled to none and back, nobody owns the replicas any more; to own them again is no change."""
    again = built.play("site.yml", "--diff")
    assert again.code == 0, again.output
    assert again.changed() == 0, again.output
    assert "+++" not in again.output


# Strings, as -e KEY=VALUE gives them; a drill in a third of the time.
QUICK = [argument for option in ("stable=3", "hold=1", "rate=10") for argument in ("-e", f"failover_{option}")]
VICTIM = "us-east5-b/gke-us-east5"


def journal(estate: Estate) -> str:
    path = estate.reports / "undo.json"
    return path.read_text() if path.exists() else ""


def wanted(estate: Estate) -> str:
    return estate.kubectl(VICTIM, "get", "deploy", "gemma-3-27b-it", "-o", "jsonpath={.spec.replicas}").output


def processes(*words: str) -> list[int]:
    """Those whose command line or environment has all the words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if all(word.encode() in text for word in words):
                found.append(int(folder.name))
    return found


def load_is_running(estate: Estate) -> bool:
    """Whether somebody still has this drill's records open."""
    records = str(estate.reports / "records.jsonl")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == records:
                return True
    return False


def test_a_restore_that_fails_ends_the_load_is_the_verdict_and_can_be_made_up_for(
    built: Estate, tmp_path: Path
) -> None:
    """From another directory, too: the report, the journal and the lock are where they were."""
    built.reports.mkdir(exist_ok=True)
    (built.reports / "failover.txt").write_text("Failover drill: PASSED long ago")
    with ThreadPoolExecutor() as pool:
        drill = pool.submit(built.play, "failover_drill.yml", *QUICK)
        until(lambda: '"made"' in journal(built), "no fault was made")
        good = journal(built)
        (built.reports / "undo.json").write_text("{half")
        failed = drill.result()
    (built.reports / "undo.json").write_text(good)
    assert failed.code != 0 and "is no undo journal of a drill" in failed.output, failed.output
    assert not load_is_running(built)
    summary = json.loads((built.reports / "failover.json").read_text())["summary"]
    assert not summary["passed"] and "End | Bring the primary back" in summary["failures"][0]
    assert summary["recovery_seconds"] > 0 and summary["requests"] < 1000
    assert "Failover drill: FAILED" in (built.reports / "failover.txt").read_text()
    [earlier] = (built.reports / "earlier").iterdir()
    assert (earlier / "failover.txt").read_text() == "Failover drill: PASSED long ago"

    check = built.play("failover_drill.yml", "--check")
    assert check.code == 0, check.output
    told = " ".join(check.output.split())  # Ansible folds lines
    assert f"{built.reports}/undo.json is open (made), comes first" in told
    assert "Deployment inference/gemma-3-27b-it in gke-us-east5: 0 -> 1 replicas, as before the fault" in told
    assert (wanted(built), journal(built)) == ("0", good)

    relative = {"failover_report_directory": os.path.relpath(built.reports, tmp_path)}
    playbook = str(ROOT / "failover_drill.yml")
    restored = built.play(playbook, *QUICK, "-e", json.dumps(relative), cwd=tmp_path)
    assert restored.code == 0, restored.output
    assert (wanted(built), journal(built), list(tmp_path.iterdir())) == ("1", "", [])
    assert "Failover drill: PASSED" in (built.reports / "failover.txt").read_text()
    wait_until_served_by(built.addresses()["us-east5"], "us-east5")


def test_a_drill_that_is_killed_before_its_fault_leaves_nothing_that_could_do_harm(built: Estate) -> None:
    mark = f"drill-of-{built.directory.name}"
    drill = subprocess.Popen(
        [str(BIN / "ansible-playbook"), "-i", str(built.inventory), "failover_drill.yml"]
        + ["-e", json.dumps({"failover_report_directory": str(built.reports)})],
        cwd=ROOT,
        env={**built.environment(), "AISERVING_TEST_MARK": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: load_is_running(built), "no load was started")
    # The playbook and its workers, which are sessions of their own; the load is to end by itself.
    drill.kill()
    for pid in processes(mark, "ansible-playbook"):
        os.kill(pid, signal.SIGKILL)
    drill.wait(timeout=60)
    until(lambda: not load_is_running(built), "the load goes on without anybody")
    assert journal(built) == ""
    assert not list(built.reports.glob("failover.*")), "an old report stands for the drill that was killed"
    check = built.play("failover_drill.yml", "--check")
    assert check.code == 0 and "a drill was cut short" in check.output, check.output
    assert wanted(built) == "1"


@pytest.mark.parametrize("mode", ["--check", "--diff"])
def test_an_estate_that_is_not_whole_is_not_drilled(built: Estate, mode: str) -> None:
    survivor = "europe-west4-a/gke-europe-west4"
    scaled = built.kubectl(survivor, "scale", "deployment/gemma-3-27b-it", "--replicas=2")
    assert scaled.code == 0, scaled.output
    try:
        drill = built.play("failover_drill.yml", mode)
    finally:
        built.kubectl(survivor, "scale", "deployment/gemma-3-27b-it", "--replicas=1")
    assert drill.code != 0 and "europe-west4: Deployment inference/gemma-3-27b-it in" in drill.output, drill.output
    assert not load_is_running(built) and journal(built) == ""
    wait = built.kubectl(survivor, "rollout", "status", "deployment/gemma-3-27b-it", "--timeout=60s")
    assert wait.code == 0, wait.output


def test_wrong_options_of_a_drill_are_told_together_before_it_begins(built: Estate) -> None:
    wrong = ("rate=-3", "stable=0", "hold=-1", "objective_lost_percent=-5", "gateway_port=0", "primary=asia-east1")
    drill = built.play("failover_drill.yml", "--check", *(x for o in wrong for x in ("-e", f"failover_{o}")))
    assert drill.code != 0
    for option in wrong:
        assert f"failover_{option.partition('=')[0]}: " in drill.output, drill.output
    other = built.play("failover_drill.yml", "--check", "-e", "failover_model=gemma", "-e", "failover_deployment=x")
    assert other.code != 0 and "failover_model: 'gemma' is not valid: name one of gemma-3" in other.output
    untyped = built.play("failover_drill.yml", "--check", "-e", "failover_rate=fast")
    assert untyped.code != 0 and "failover_rate" in untyped.output


def test_two_hosts_in_the_config_region_begin_no_drill(built: Estate, tmp_path: Path) -> None:
    second = tmp_path / "second.yml"
    second.write_text("config_region:\n  hosts:\n    europe-west4:\n")
    drill = built.play("failover_drill.yml", "-i", str(second), "--skip-tags", "judge")
    assert drill.code != 0 and not load_is_running(built)
    assert drill.output.count("failover_hosts: 'us-east5, europe-west4' is not valid: give one host that plays") >= 2


@pytest.mark.parametrize("primary", ["asia-east1", ""])
def test_a_drill_of_an_unknown_region_is_refused(built: Estate, primary: str) -> None:
    drill = built.play("failover_drill.yml", "--skip-tags", "judge", "-e", f"failover_primary={primary}")
    assert drill.code != 0 and "name one of at least two" in drill.output
