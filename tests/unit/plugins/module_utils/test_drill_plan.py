# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a drill is found before it begins: in its options, and in the estate."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import load, plan, preflight
from ansible_collections.aiserving.gke.plugins.module_utils._drill.plan import Options, Region
from ansible_collections.aiserving.gke.plugins.module_utils._drill.records import Record
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError

A = Region("us-east5", "gke-a", "us-east5-b", "gateway-a")
B = Region("europe-west4", "gke-b", "europe-west4-a", "gateway-b")
GOOD = Options(
    regions=[A, B],
    primary="us-east5",
    hosts=["us-east5"],
    model="m",
    namespace="inference",
    deployment="m",
    gateway_port=80,
    rate=15,
    max_tokens=16,
    request_timeout=30,
    stable=10,
    hold=10,
    recovery_timeout=180,
    restore_timeout=2700,
    objective_recovery_seconds=60,
    objective_lost_percent=25,
    objective_latency_p95_seconds=None,
)


def test_good_options_have_no_problem_and_say_what_follows() -> None:
    assert plan.problems(GOOD) == []
    assert GOOD.everyone_at_home() == {"us-east5": ["us-east5"], "europe-west4": ["europe-west4"]}
    assert GOOD.everyone_at_survivors() == {"us-east5": ["europe-west4"], "europe-west4": ["europe-west4"]}
    assert GOOD.victim() == A
    assert GOOD.longest() == 2 * 180 + 10 + 2 * 2700 + 60


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rate": 0.0}, "rate: 0.0 is not valid: give a number above 0"),
        ({"rate": -3.0}, "rate: -3.0 is not valid: give a number above 0"),
        ({"rate": float("nan")}, "rate: nan is not valid"),
        ({"rate": float("inf")}, "rate: inf is not valid"),
        ({"rate": 0.05}, "rate: 0.05 is not valid: give at least one request in the 10 s of stable"),
        ({"stable": 0.0}, "stable: 0.0 is not valid: give a number above 0"),
        ({"hold": -1.0}, "hold: -1.0 is not valid: give 0 or more"),
        ({"objective_recovery_seconds": -5.0}, "objective_recovery_seconds: -5.0 is not valid: give 0 or more"),
        ({"objective_lost_percent": -5.0}, "objective_lost_percent: -5.0 is not valid: give 0 or more"),
        ({"objective_latency_p95_seconds": -0.1}, "objective_latency_p95_seconds: -0.1 is not valid"),
        ({"gateway_port": 0}, "gateway_port: 0 is not valid: give a port, 1 to 65535"),
        ({"gateway_port": 65536}, "gateway_port: 65536 is not valid: give a port, 1 to 65535"),
        ({"max_tokens": 0}, "max_tokens: 0 is not valid: give 1 or more"),
        ({"request_timeout": 0.0}, "request_timeout: 0.0 is not valid: give a number above 0"),
        (
            {"recovery_timeout": 12.0},
            "recovery_timeout: 12.0 is not valid: give more than the 10 s of stable and the 2 s",
        ),
        ({"restore_timeout": 5.0}, "restore_timeout: 5.0 is not valid: give more than the 10 s of stable"),
        ({"model": " "}, "model: ' ' is not valid: give the name of the served model"),
        ({"namespace": "Inference"}, "namespace: 'Inference' is not valid"),
        ({"deployment": "m_1"}, "deployment: 'm_1' is not valid"),
        ({"primary": "asia-east1"}, "primary: 'asia-east1' is not valid: name one of at least two"),
        ({"primary": ""}, "primary: '' is not valid: name one of at least two"),
        ({"regions": [A]}, "name one of at least two regions (us-east5)"),
        ({"regions": []}, "name one of at least two regions (none)"),
        ({"regions": [A, dataclasses.replace(B, region="us-east5")]}, "regions[].region: 'us-east5' is not valid"),
        (
            {"regions": [A, dataclasses.replace(A, region="europe-west4")]},
            "regions[].cluster: 'us-east5-b/gke-a' is not valid: give every region its own: 2 have this",
        ),
        ({"regions": [A, dataclasses.replace(B, address_name="")]}, "regions[1].address_name: '' is not valid"),
        (
            {"hosts": ["us-east5", "europe-west4"]},
            "hosts: 'us-east5, europe-west4' is not valid: give one host that plays",
        ),
    ],
)
def test_every_wrong_option_is_named(change: dict[str, t.Any], told: str) -> None:
    [problem] = plan.problems(dataclasses.replace(GOOD, **change))
    assert problem.message.startswith(told) or told in problem.message


def test_all_problems_are_told_at_once() -> None:
    wrong = dataclasses.replace(GOOD, rate=0, stable=0, primary="x", gateway_port=-1, namespace="", hosts=["a", "b"])
    assert len(plan.problems(wrong)) == 6


@dataclasses.dataclass
class Fake:
    """An estate in which regions differ only where a test says so."""

    addresses: dict[str, str | None] = dataclasses.field(default_factory=dict)
    workloads: dict[str, tuple[int, str] | CollectionError] = dataclasses.field(default_factory=dict)
    answers: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    models: t.Sequence[str] = ()
    asked: int = 0

    def address(self, region: Region) -> str | None:
        return self.addresses.get(region.region, "10.0.0.1")

    def workload(self, region: Region) -> tuple[int, str]:
        found = self.workloads.get(region.region, (1, ""))
        if isinstance(found, CollectionError):
            raise found
        return found

    def ask(self, wanted: load.Load) -> list[preflight.Answered]:
        self.asked += 1
        found = []
        for target in wanted.targets:
            good = Record(target.name, 0, 1.0, 1.0, 0.1, 0.05, 200, target.name, 3)
            record = dataclasses.replace(good, **self.answers.get(target.name, {}))
            found.append(preflight.Answered(target.url, record, "text", self.models))
        return found


def judge(estate: Fake, undoing: t.Collection[str] = ()) -> list[str]:
    sights = preflight.look(GOOD, estate, estate.ask, undoing)
    return [problem.message for problem in preflight.problems(GOOD, sights, undoing)]


def test_a_whole_estate_has_no_problem() -> None:
    estate = Fake()
    assert judge(estate) == [] and estate.asked == 1


REFUSED = {"status": 404, "region": "", "tokens": 0, "error": "The model m does not exist"}


@pytest.mark.parametrize(
    ("estate", "told"),
    [
        (Fake(addresses={"us-east5": None}), "us-east5: there is no address gateway-a"),
        (Fake(workloads={"us-east5": (2, "1 of 2 replicas available")}), "us-east5: 1 of 2 replicas available"),
        (Fake(workloads={"us-east5": (0, "")}), "us-east5: no model server is wanted: it can neither fail nor"),
        (Fake(workloads={"us-east5": CollectionError("there is no cluster x")}), "us-east5: there is no cluster x"),
        (
            Fake(answers={"us-east5": {"region": ""}}),
            "us-east5: http://10.0.0.1:80 answers without the header x-serving",
        ),
        (
            Fake(answers={"us-east5": REFUSED}, models=["gemma", "llama"]),
            "model: 'm' is not valid: name one of gemma, llama",
        ),
        (Fake(answers={"us-east5": REFUSED}), "us-east5: http://10.0.0.1:80 answers 404: The model m does not exist"),
    ],
)
def test_what_is_not_whole_is_named_with_its_region(estate: Fake, told: str) -> None:
    [problem] = judge(estate)
    assert problem.startswith(told)
    assert estate.asked == 1, "waiting does not mend this"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"region": "europe-west4"}, "us-east5: http://10.0.0.1:80 is answered by europe-west4, not by its own region"),
        ({"status": 503, "error": "no healthy upstream"}, "us-east5: http://10.0.0.1:80 answers 503: no healthy"),
        ({"error": "the answer ended without a token"}, "us-east5: http://10.0.0.1:80 answers 200: the answer ended"),
        ({"status": 0, "error": "refused"}, "gateway_port: 80 is not valid: nothing answers at http://10.0.0.1:80"),
    ],
)
def test_what_may_pass_by_itself_is_asked_again_before_it_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, t.Any], told: str
) -> None:
    monkeypatch.setattr(preflight, "PATIENCE", 0.0)
    [problem] = judge(Fake(answers={"us-east5": answer}))
    assert problem.startswith(told)
    estate = Fake(answers={"us-east5": answer})
    monkeypatch.setattr(preflight, "PATIENCE", 60.0)

    class Mending(Fake):
        def ask(self, wanted: load.Load) -> list[preflight.Answered]:
            found = super().ask(wanted)
            self.answers = {}
            return found

    estate = Mending(answers={"us-east5": answer})
    assert judge(estate) == [] and estate.asked == 2


def test_what_an_open_journal_brings_back_is_not_asked_for() -> None:
    estate = Fake(
        workloads={"us-east5": (0, "")},
        answers={"us-east5": {"region": "europe-west4"}},
    )
    assert judge(estate, {"us-east5-b/gke-a"}) == [] and estate.asked == 1
    estate.workloads["europe-west4"] = (1, "0 of 1 replicas available")
    assert judge(estate, {"us-east5-b/gke-a"}) == ["europe-west4: 0 of 1 replicas available"]
