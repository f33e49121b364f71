# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Incidents on a built estate under load: what clients lose, what a run says, and whether it repairs."""

from __future__ import annotations

import re
import time

import pytest

from tests.e2e.estate import Estate, Run
from tests.e2e.load import Load
from tests.gameday.conftest import site
from tests.gameday.incidents import BOTH, DEADLINE, INCIDENTS, Incident, until
from tests.gameday.rows import Outcome, reason, said

# Seconds without a lost request after which the loss is over, and that it may take until then.
QUIET, WORST = 6.0, 30.0


def repair(estate: Estate, incident: Incident, given: list[str]) -> tuple[Run, str]:
    """(the last run, what the table says): site.yml, and again with the variable that its message names."""
    first = site(estate, *given)
    if not first.code:
        return first, f"repairs it in {first.seconds:.0f} s"
    told = re.search(r"-e\s+['\"]?(\w+=\w+)", first.output)
    if incident.repair != "told" or told is None:
        return first, said(first)
    again = site(estate, *given, "-e", told.group(1))
    outcome = f"repairs it in {again.seconds:.0f} s" if not again.code else said(again)
    return again, f"{said(first)}; with `-e {told.group(1)}` it {outcome}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.name.replace(" ", "-"))
def test_incident(incident: Incident, healthy: Estate, outcomes: list[Outcome]) -> None:
    given = [word for name, value in incident.variables.items() for word in ("-e", f"{name}={value}")]
    with Load(healthy.addresses()) as load:
        assert set(load.addresses) == BOTH
        until(lambda: load.at_home(0.0), "every region serves its own clients")
        struck = time.monotonic()
        try:
            incident.inject(healthy)
            while not load.settled(struck, QUIET) and time.monotonic() < struck + WORST:
                time.sleep(0.1)
            check = site(healthy, "--check", *given)
            run, told = repair(healthy, incident, given)
        finally:
            if incident.undo:
                incident.undo(healthy)
        mended = time.monotonic()
        repaired = comes_home(load, mended)
        losses = {region: load.lost(region, struck) for region in load.addresses}
    outcomes.append(Outcome(incident.name, incident.done, losses, said(check), told, repaired))

    assert repaired, f"not every region serves its own clients again\n{run.output}"
    assert {region for region, loss in losses.items() if loss.requests} <= incident.hurts
    assert bool(run.code) == (incident.repair == "nobody"), run.output
    if incident.noticed:
        assert check.code or check.changed(), "--check sees nothing"
    assert re.search(incident.says, run.output + told), reason(run)
    assert "no-such-token" not in check.output + run.output


def comes_home(load: Load, since: float) -> bool:
    deadline = time.monotonic() + DEADLINE
    while not load.at_home(since):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
