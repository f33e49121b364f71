# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal knows what a run has made, whatever became of the run; evidence is private and can be played again."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest

from proof.evidence import NUMBERS, Evidence, named, read, replayable
from proof.journal import Directory, Journal, Made, made_by
from proof.options import Refused
from proof.redact import Redactor

Json = dict[str, t.Any]

HOSTS = {
    "compute": "compute.googleapis.com/compute/v1/",
    "storage": "storage.googleapis.com/storage/v1/",
}


def record(
    service: str, path: str, body: t.Any = None, *, method: str = "POST", status: int = 200, answer: t.Any = None
) -> Json:
    base = HOSTS.get(service, f"{service}.googleapis.com/")
    return {
        "service": service,
        "method": method,
        "url": f"https://{base}{path}",
        "request": body,
        "status": status,
        "response": answer,
        "at": "2026-01-01T00:00:00",
        "seconds": 0.1,
    }


NETWORK = record("compute", "projects/p/global/networks", {"name": "n"})
POLICY = "v1/projects/p:{}IamPolicy"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    folder = tmp_path / "0a1b2c3d"
    folder.mkdir()
    return Journal(folder / "journal.jsonl")


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        (NETWORK, Made("networks", "", "n")),
        (record("compute", "projects/p/regions/us-east5/routers", {"name": "r"}), Made("routers", "us-east5", "r")),
        (record("compute", "projects/p/regions/us-east5/routers/r/x", {"name": "r"}), None),
        (record("compute", "projects/p/global/networks/n", {"name": "n"}, method="PATCH"), None),
        (record("storage", "b?project=p", {"name": "w"}), Made("b", "", "w")),
        (record("iam", "v1/projects/p/serviceAccounts", {"accountId": "a"}), Made("serviceAccounts", "", "a")),
        (record("iam", "v1/projects/p/serviceAccounts/a:setIamPolicy", {"policy": {}}), None),
        (
            record("container", "v1/projects/p/locations/us-east5-b/clusters", {"cluster": {"name": "c"}}),
            Made("clusters", "us-east5-b", "c"),
        ),
        (record("container", "v1/projects/p/locations/us-east5-b/clusters/c/nodePools", {"nodePool": {}}), None),
        (
            record("gkehub", "v1/projects/p/locations/global/memberships?membershipId=m", {}),
            Made("memberships", "global", "m"),
        ),
        (
            record("gkehub", "v1/projects/p/locations/global/features?featureId=multiclusteringress", {}),
            Made("features", "global", "multiclusteringress"),
        ),
        (record("serviceusage", "v1/projects/p/services:batchEnable", {"serviceIds": []}), None),
    ],
)
def test_what_a_request_makes(sent: Json, made: Made | None) -> None:
    assert made_by(sent) == made


def test_it_is_on_disk_before_the_request_is_sent(journal: Journal) -> None:
    journal.begin()
    journal.before(NETWORK)
    assert Journal(journal.path).made() == [Made("networks", "", "n")]
    assert Journal(journal.path).open()
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_what_was_refused_is_not_ours(journal: Journal) -> None:
    """A 409: somebody else has made it, and we must not take it away."""
    journal.before(NETWORK)
    journal.after({**NETWORK, "status": 409})
    assert journal.made() == []


@pytest.mark.parametrize("status", [0, 500, 503])
def test_what_may_have_landed_is_ours(status: int, journal: Journal) -> None:
    journal.before(NETWORK)
    journal.after({**NETWORK, "status": status})
    assert journal.made() == [Made("networks", "", "n")]


def test_only_grants_that_were_not_there_before_are_taken_back(journal: Journal) -> None:
    before = {"bindings": [{"role": "r/a", "members": ["user:x"]}]}
    wanted = {"bindings": [{"role": "r/a", "members": ["user:x", "user:y"]}, {"role": "r/b", "members": ["user:x"]}]}
    journal.after(record("cloudresourcemanager", POLICY.format("get"), {}, answer=before))
    journal.before(record("cloudresourcemanager", POLICY.format("set"), {"policy": wanted}))
    journal.after(record("cloudresourcemanager", POLICY.format("set"), {"policy": wanted}, answer=wanted))
    journal.before(record("cloudresourcemanager", POLICY.format("set"), {"policy": wanted}))
    assert journal.made() == [Made("grants", "", "r/a user:y"), Made("grants", "", "r/b user:x")]


def test_a_torn_line_hides_no_other(journal: Journal) -> None:
    journal.before(NETWORK)
    with journal.path.open("a") as file:
        file.write('{"made": ["networks"')
    assert journal.made() == [Made("networks", "", "n")]
    assert journal.open()


def test_after_the_removal_nothing_is_left(journal: Journal) -> None:
    journal.before(NETWORK)
    journal.removed()
    assert journal.made() == []
    assert not journal.open()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "state", "example.com:p")
    with directory.locked():
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
        with pytest.raises(Refused, match="under way"), Directory(tmp_path / "state", "example.com:p").locked():
            pass
        folder = directory.new().path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_evidence_is_for_its_owner_alone_and_never_raw(tmp_path: Path) -> None:
    redactor = Redactor(
        project="acme-prod", number="1234567890", run="0a1b2c3d", name="gkeproof-0a1b2c3d", prefix="10.64"
    )
    evidence = Evidence(tmp_path / "evidence", redactor)
    evidence.add(record("compute", "projects/acme-prod/global/networks", {"name": "n"}))
    assert not list(evidence.folder.iterdir())
    assert evidence.close("network") == 1
    evidence.looks("network", [{"method": "GET", "path": "/version", "status": 200, "response": {"at": "acme-prod"}}])
    evidence.about({"steps": {"network": {}}})
    assert stat.S_IMODE(evidence.folder.stat().st_mode) == 0o700
    for path in evidence.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "acme-prod" not in path.read_text()
    (found,) = read(evidence.folder)
    assert found["url"].endswith("/projects/${projectId}/global/networks")
    # The format of recorded traffic.
    assert {"method", "url", "request", "status", "response"} <= set(found)
    assert json.loads((evidence.folder / "network.json").read_text()) == [found]


def test_of_what_waited_the_last_look_is_played_again() -> None:
    def get(url: str, answer: str, status: int = 200) -> Json:
        return {"method": "GET", "url": url, "status": status, "response": answer}

    write = {"method": "POST", "url": "b", "status": 200, "response": "op"}
    records = [
        get("a", "404"),
        write,
        get("op", "RUNNING"),
        get("x", "x"),
        get("op", "DONE"),
        get("a", "a"),
        get("a", "", 0),
    ]
    kept = replayable(records)
    assert [one["response"] for one in kept] == ["404", "op", "DONE", "x", "a"]
    assert [one["response"] for one in kept if one.get("waited")] == ["DONE"]


def test_enums_that_were_asked_for_by_number_get_their_names() -> None:
    url = "https://container.googleapis.com/v1/projects/p/locations/us-east5-b/clusters/c"
    answer = {
        "status": 2,
        "networkConfig": {"datapathProvider": 2},
        "nodePools": [{"status": 2, "config": {"taints": [{"effect": 1}], "labels": {"status": "2"}}}],
        "monitoringConfig": {"componentConfig": {"enableComponents": [1, 999]}},
        "fieldOfTomorrow": 2,
    }
    found = named(record("container", "", answer=answer, method="GET") | {"url": url + NUMBERS})
    assert found["url"] == url
    assert found["response"] == {
        "status": "RUNNING",
        "networkConfig": {"datapathProvider": "ADVANCED_DATAPATH"},
        "nodePools": [
            {"status": "RUNNING", "config": {"taints": [{"effect": "NO_SCHEDULE"}], "labels": {"status": "2"}}}
        ],
        "monitoringConfig": {"componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", 999]}},
        "fieldOfTomorrow": 2,
    }
    write = named(record("container", "", answer={"status": 2}) | {"url": url + NUMBERS})
    assert write["response"] == {"status": "RUNNING"}
