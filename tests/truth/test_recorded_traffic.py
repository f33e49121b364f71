# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of Google's recorded traffic is answered alike, before anything that was reviewed is excused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sandbox.latency import GOOGLE
from tests.clouds import SERVICES, running_cloud
from tests.sandbox.cloud.replay import Difference, Json, Replay
from tests.sandbox.cloud.reviewed import SKIPPED
from tests.truth.table import Fate, Finding, Note

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded"
FILES = sorted(f"{file.parent.name}/{file.stem}" for file in RECORDED.glob("*/*.json"))
JUDGE = "recorded traffic"


def test_the_recordings_are_here_or_it_is_said(note: Note) -> None:
    if not FILES:
        note(Finding(JUDGE, "all services", "recordings", "not tried", "no recordings here"))


@pytest.mark.parametrize("name", FILES)
def test_exchanges(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Note) -> None:
    # A second each: the answer to a creation must not be late enough to tell of progress.
    monkeypatch.setitem(GOOGLE, "cluster_create", 10_000)
    records = json.loads((RECORDED / f"{name}.json").read_text())
    services = () if name.startswith("serviceusage/") else SERVICES
    with running_cloud(tmp_path, scale=0.0001, services=services) as cloud:
        for record, differences in Replay(cloud, records).exchanges(re.compile(SKIPPED)):
            for finding in findings(record, differences):
                note(finding)


def findings(record: Json, differences: list[Difference] | None) -> list[Finding]:
    """One for the status and one for the shape: keys, types, enums, flags, links, words of errors."""
    service = record["url"].removeprefix("https://").partition(".")[0]
    name = f"{record['method']} {collection(record['url'])}"
    rows = (f"exchanges of {service}: status", f"exchanges of {service}: shape")
    if differences is None:
        why = "load balancers of users' own, and what follows"
        return [Finding(JUDGE, row, name, "not tried", why) for row in rows]
    status: Fate = "other" if any(one.kind == "status" for one in differences) else "as Google"
    places = sorted({place(one) for one in differences if one.kind != "status"})
    return [
        Finding(JUDGE, rows[0], name, status),
        Finding(JUDGE, rows[1], name, "other" if differences else "as Google", ", ".join(places[:2])),
    ]


def collection(url: str) -> str:
    """The last word of a URL that is no name: "clusters" of ".../clusters/${uniqueId}"."""
    words = [word for word in re.split(r"[/?&]", url) if "$" not in word and "=" not in word]
    known = (word for word in reversed(words) if re.fullmatch(r"[a-z][A-Za-z]*(:\w+)?", word))
    return next(known, url)


def place(difference: Difference) -> str:
    """The path of the key that is another, missing or too much."""
    path = difference.where.partition(": ")[2].removeprefix(".").lstrip()
    return f"{path}.{difference.detail}".lstrip(".") if difference.kind in ("missing", "extra") else path
