# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to run site.yml again when there is nothing to do."""

from __future__ import annotations

import argparse
import typing as t

from .estates import play, requests, running
from .report import spread


def measure(options: argparse.Namespace) -> dict[str, t.Any]:
    with running(2, 0.01) as found:
        play(found, "site.yml")
        seconds, tasks, sent = [], 0, 0
        for _unused in range(options.repeat):
            before = requests(found)
            run = play(found, "site.yml")
            if run.changed():
                raise RuntimeError(f"a converged estate was changed\n{run.output}")
            seconds.append(run.seconds)
            tasks, sent = sum(counts["ok"] for counts in run.recap().values()), requests(found) - before
    return {"regions": 2, "seconds": spread(seconds), "tasks": tasks, "requests": sent}
