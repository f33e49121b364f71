# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold of runs that disturbed each other, or were cut off."""

from __future__ import annotations

import re

from tests.e2e.estate import Estate, Run
from tests.e2e.playing import Playing

# How a run says that it gave way to another.
AT_WORK = re.compile(r"another .{0,80}at work", re.DOTALL)


def converges(estate: Estate) -> None:
    """One run makes everything, and leaves nothing for a second."""
    run = estate.play("site.yml")
    assert run.code == 0, run.output
    again = estate.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output


def together(estate: Estate) -> list[Run]:
    """Two site.yml at the same moment: both converge, or one says that another is at work."""
    with Playing(estate, "site.yml") as one, Playing(estate, "site.yml") as other:
        runs = [one.end(), other.end()]
    failed = [run for run in runs if run.code]
    assert len(failed) < 2, "both failed\n" + "\n".join(run.output for run in runs)
    for run in failed:
        assert AT_WORK.search(run.output), run.output
    again = estate.play("site.yml", "--check")
    assert (again.code, again.changed()) == (0, 0), again.output
    return runs
