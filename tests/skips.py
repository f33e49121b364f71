# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pytest plugin: the last lines before pytest's own closing line say what was not tested, and why."""

from __future__ import annotations

import collections
from collections.abc import Generator, Iterable

import pytest


def lines(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """A paragraph for each reason: how many tests, and how many in which file."""
    files: dict[str, collections.Counter[str]] = {}
    for report in reports:
        if isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            files.setdefault(reason, collections.Counter())[report.nodeid.partition("::")[0]] += 1
    found = []
    for reason, counts in sorted(files.items(), key=lambda item: -item[1].total()):
        found.append(f"{counts.total():4} {reason}")
        found += [f"       {count:4} in {name}" for name, count in sorted(counts.items())]
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    yield  # everything else that is summed up comes before
    if found := lines(terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("not tested here")
        for line in found:
            terminalreporter.line(line)
