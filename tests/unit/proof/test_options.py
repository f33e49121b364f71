# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make google` is told, and what it says before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from proof.__main__ import confirm
from proof.options import HELP, ROOT, Refused, read
from proof.prices import estimate
from proof.steps import DEFAULT, STEPS, chosen

GOOD = "PROJECT=my-project"


def test_only_the_project_is_needed() -> None:
    options = read([GOOD])
    assert options.project == "my-project"
    assert options.steps == DEFAULT
    assert not any(STEPS[name].asked for name in options.steps), "what has accelerators is only made when it is named"
    assert estimate(options).most < 3


@pytest.mark.parametrize(
    ("word", "option", "says"),
    [
        ("PROJECT=", "PROJECT", "name the project"),
        ("PROJECT=My Project", "PROJECT", "no project ID"),
        ("PROJCT=x", "PROJCT", "did you mean PROJECT"),
        ("nonsense", "nonsense", "no such option"),
        ("STEPS=network,gatway", "STEPS", "no step gatway"),
        ("CAP=plenty", "CAP", "no number of dollars"),
        ("CAP=-1", "CAP", "no number of dollars"),
        ("CAP=nan", "CAP", "no number of dollars"),
        ("CAP=0.01", "CAP", "may be spent"),
        ("DEADLINE=soon", "DEADLINE", "no number of minutes"),
        ("DEADLINE=5", "DEADLINE", "about"),
        ("ZONES=us-east5-b", "ZONES", "two zones of different regions"),
        ("ZONES=us-east5-a,us-east5-b", "ZONES", "two zones of different regions"),
        ("YES=please", "YES", "give 1"),
        ("PRICES=/nowhere/prices.yml", "PRICES", "no file"),
        ("ENDPOINTS=/nowhere/status.json", "ENDPOINTS", "no file"),
        ("STEPS=service", "HF_TOKEN", "Hugging Face token"),
        ("STEPS=dranet", "CAP", "give CAP="),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_option(
    word: str, option: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(Refused) as refused:
        estimate(read([GOOD, word]))
    assert str(refused.value).startswith(f"{option}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_makes_own_words_are_none_of_ours() -> None:
    assert read([GOOD, "PYTHON=python3.12"]).project == "my-project"


@pytest.mark.parametrize("text", ["", "[]", "items: {}", "date: x\nelsewhere: 1\nitems: {cluster: {per_hour: 0}}"])
def test_a_price_file_that_lacks_something_is_refused(text: str, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yml"
    prices.write_text(text)
    with pytest.raises(Refused, match="^PRICES: "):
        estimate(read([GOOD, f"PRICES={prices}"]))


def test_a_price_file_of_ones_own_counts(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "proof" / "prices.yml").read_text())
    document["items"]["cluster"]["per_hour"] *= 100
    prices = tmp_path / "prices.yml"
    prices.write_text(yaml.safe_dump(document))
    with pytest.raises(Refused, match="^CAP: "):
        estimate(read([GOOD, f"PRICES={prices}"]))


def test_prices_say_where_they_are_from() -> None:
    document = yaml.safe_load((ROOT / "proof" / "prices.yml").read_text())
    used = {item for step in STEPS.values() for item in step.costs}
    assert used == set(document["items"])
    assert all("https://cloud.google.com/" in entry["source"] for entry in document["items"].values())


def test_the_cap_holds_for_what_is_there_until_the_deadline() -> None:
    price = estimate(read([GOOD, "STEPS=dranet", "CAP=100"]))
    assert price.per_hour == pytest.approx(sum(line.per_hour for line in price.lines))
    assert price.expected < price.most == pytest.approx(price.per_hour * 2)
    assert estimate(read([GOOD, "CAP=100", "ZONES=asia-northeast1-b,us-east5-b"])).most > estimate(read([GOOD])).most


def test_what_a_step_needs_comes_along() -> None:
    assert chosen(["gateway"]) == ("network", "cluster", "fleet", "gateway")
    assert chosen(["all"]) == tuple(STEPS)
    assert chosen([]) == DEFAULT


def test_every_step_has_its_tasks() -> None:
    playbooks = ROOT / "proof" / "playbooks"
    for name in STEPS:
        assert (playbooks / "tasks" / f"{name}.yml").is_file() or (playbooks / f"{name}.yml").is_file(), name


def test_nobody_is_there_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(Refused, match="^YES: "):
        confirm(read([GOOD]))
    confirm(read([GOOD, "YES=1"]))


def test_anything_but_yes_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _prompt: "y")
    with pytest.raises(Refused, match="nothing was done"):
        confirm(read([GOOD]))


def test_another_cloud_is_a_file(tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    status.write_text(json.dumps({"endpoints": {"compute": "http://127.0.0.1:1/"}, "token": "t", "prefix": "127.20"}))
    elsewhere = read([GOOD, f"ENDPOINTS={status}"]).elsewhere
    assert elsewhere is not None
    assert (elsewhere.endpoints, elsewhere.token) == ({"compute": "http://127.0.0.1:1/"}, "t")
    status.write_text("[]")
    with pytest.raises(Refused, match="^ENDPOINTS: "):
        read([GOOD, f"ENDPOINTS={status}"])


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "google.md").read_text(encoding="utf-8")
    for option in HELP:
        assert f"| `{option}` |" in text, option
    for step in STEPS:
        assert f"| `{step}` |" in text, step
