# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an incident came to, and the table of it."""

from __future__ import annotations

import dataclasses
import re

from tests.e2e.estate import Run
from tests.e2e.load import Loss

LIMIT = 240.0  # seconds that a run may take when something is broken: an answer alone is waited for for 120


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One row."""

    name: str
    done: str
    losses: dict[str, Loss]
    check: str
    site: str
    repaired: bool


def said(run: Run) -> str:
    """How a run ended, in a few words."""
    if run.code < 0:
        return f"does not end within {LIMIT:.0f} s"
    if run.code:
        return f"fails: {reason(run)}"
    return f"announces {run.changed()} changes" if run.changed() else "sees nothing"


def reason(run: Run) -> str:
    """The first line of the first error."""
    found = re.search(r"\[ERROR\]: (?:Task failed: )?(?:Action failed: )?(.*)", run.output)
    text = found.group(1) if found else run.output.strip().rpartition("\n")[2]
    text = re.sub(r"https?://127[\d.:]+", "", text).replace("|", "/")
    return text if len(text) <= 160 else text[:157] + "..."


def lost(losses: dict[str, Loss]) -> str:
    told = [f"{region}: {loss.requests} in {loss.seconds:.1f} s" for region, loss in losses.items() if loss.requests]
    return ", ".join(told) or "none"


def markdown(outcomes: list[Outcome]) -> str:
    lines = [
        "| incident | what happens | requests lost, and for how long | `site.yml --check` | `site.yml` |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in outcomes:
        lines.append(f"| {one.name} | {one.done} | {lost(one.losses)} | {one.check} | {one.site} |")
    return "\n".join(lines) + "\n"
