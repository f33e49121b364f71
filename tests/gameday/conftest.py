# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One estate for all incidents, healthy before each; the table of what they came to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from tests.e2e.estate import ROOT, Estate, Run
from tests.e2e.playing import Playing
from tests.gameday.incidents import INCIDENTS
from tests.gameday.rows import LIMIT, Outcome, markdown
from tests.markers import write_between

REPORT = ROOT / "reports" / "incidents.json"
TABLE = ROOT / "docs" / "incidents.md"

# What is waited for, or taken for hung, in minutes or hours on Google; the same in all runs, since it is in templates.
TIMEOUTS = json.dumps({"gateway_wait_timeout": 60, "model_hang_timeout": 20})


def site(estate: Estate, *arguments: str) -> Run:
    """site.yml, which may wait for something that does not come."""
    with Playing(estate, "site.yml", "-e", TIMEOUTS, *arguments) as playing:
        return playing.end(LIMIT)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    estate = Estate(tmp_path_factory.mktemp("gameday"))
    try:
        yield estate
    finally:
        assert estate.sandbox("stop").code == 0


@pytest.fixture
def healthy(sandbox: Estate) -> Estate:
    """Built, and nothing left to do; made anew when the incident before has left damage."""
    assert sandbox.sandbox("start").code == 0
    check = site(sandbox, "--check") if sandbox.status()["listeners"] else None
    if check is None or check.code or check.changed():
        assert sandbox.sandbox("stop").code == 0
        assert sandbox.sandbox("start").code == 0
        build = site(sandbox)
        assert build.code == 0, build.output
    return sandbox


@pytest.fixture(scope="session")
def outcomes() -> Iterator[list[Outcome]]:
    """Filled by the incidents; a whole run of them writes the table."""
    found: list[Outcome] = []
    yield found
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps([dataclasses.asdict(one) for one in found], indent=2) + "\n")
    if len(found) == len(INCIDENTS):
        write_between(TABLE, "gameday", markdown(found))
