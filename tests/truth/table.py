# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pytest plugin (`-p tests.truth.table`): counts what the judges tried and found, and makes the table of it.

Tests say what they tried with ``note``; mistakes are counted by their tests' parameters, faults as they are asked for.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib.util
import shutil
import sys
import typing as t
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from sandbox.faults import KINDS, Fault, Faults
from tests.markers import write_between
from tests.truth.mistakes import Mistake

PROPERTY = "truth"
FAULTS = "faults"
REASONS = 4  # of one cell
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"

Fate = t.Literal["as Google", "other", "not tried"]
Note = Callable[["Finding"], None]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was tried, or not. ``judge`` and ``what`` name the row of the table, ``why`` what is other."""

    judge: str
    what: str
    name: str
    fate: Fate
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Judge:
    """Somebody who must be there: how to see that, and how to get them."""

    present: Callable[[], object]
    get: str


def _client(name: str) -> Judge:
    return Judge(lambda: importlib.util.find_spec(f"google.cloud.{name}"), "pip install -r requirements-truth.txt")


JUDGES: Mapping[str, Judge] = {
    "gcloud": Judge(lambda: shutil.which("gcloud"), "install it from https://cloud.google.com/sdk/docs/install"),
    "kubectl": Judge(
        lambda: shutil.which("kubectl") and shutil.which("gke-gcloud-auth-plugin"),
        "gcloud components install kubectl gke-gcloud-auth-plugin",
    ),
    "container": _client("container_v1"),
    "compute": _client("compute_v1"),
    "gkehub": _client("gkehub_v1"),
    "storage": _client("storage"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("truth")
    group.addoption("--without", default="", help=f"judges to do without, with commas: {', '.join(JUDGES)}")
    group.addoption("--keep-table", action="store_true", help=f"keep the table in {DOCUMENT.name}")


def pytest_configure(config: pytest.Config) -> None:
    """Raises UsageError for an absent judge, before anything runs."""
    without = _without(config)
    if unknown := set(without) - set(JUDGES):
        raise pytest.UsageError(f"no such judge: {', '.join(sorted(unknown))}; there are {', '.join(JUDGES)}")
    absent = [name for name, judge in JUDGES.items() if name not in without and not judge.present()]
    if absent:
        told = "\n".join(f"{name} is not here: {JUDGES[name].get}" for name in absent)
        left_out = ",".join([*without, *absent])
        raise pytest.UsageError(f"{told}\nor do without, and have it said so: make truth WITHOUT={left_out}")
    sys.addaudithook(_hear)
    config.pluginmanager.register(_Collector(config), "truth-collector")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a judge that is done without; said is that once a judge, by the summary."""
    without = set(_without(config))
    gone = [item for item in items if without & _needed(item)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]


def _needed(item: pytest.Item) -> set[str]:
    """Judges that a test names, or whose fixtures it takes."""
    marked = {str(name) for mark in item.iter_markers("judges") for name in mark.args}
    return marked | set(getattr(item, "fixturenames", ()))


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Call it with a Finding once it is known."""
    return lambda finding: record_property(PROPERTY, dataclasses.astuple(finding))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note which faults a test that passes has asked for, in a cloud of this process or by `sandbox fault add`."""
    _ASKED.clear()
    add = Faults.add

    def noting(self: Faults, wanted: dict[str, t.Any]) -> Fault:
        fault = add(self, wanted)
        _ASKED.add(fault.kind)
        return fault

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Faults, "add", noting)
        yield
    for kind in sorted(_ASKED & set(KINDS)):
        item.user_properties.append((PROPERTY, dataclasses.astuple(fault_tried(kind))))


_ASKED: set[str] = set()  # kinds of faults, by the test that runs


def _hear(event: str, arguments: tuple[t.Any, ...]) -> None:
    """Processes that are started: an audit event of Python's own."""
    if event == "subprocess.Popen":
        words = [str(word) for word in arguments[1]]
        _ASKED.update(
            kind
            for fault, add, kind in zip(words, words[1:], words[2:], strict=False)
            if (fault, add) == ("fault", "add")
        )


def fault_tried(kind: str) -> Finding:
    return Finding(FAULTS, "kinds of `sandbox fault add`, with the effect that is told of them", kind, "as Google")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which mistakes were refused as Google refuses them."""
    report = yield
    callspec = getattr(item, "callspec", None)
    if call.when == "call" and callspec is not None:
        for made in callspec.params.values():
            if isinstance(made, Mistake):
                service = made.steps[-1][1].removeprefix("upload/").partition("/")[0]
                fate: Fate = "as Google" if report.passed else "other"
                found = Finding(
                    "mistakes", service, made.name, fate, "" if report.passed else "taken, or told otherwise"
                )
                item.user_properties.append((PROPERTY, dataclasses.astuple(found)))
    return report


class _Collector:
    """In the process that gathers all reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: list[Finding] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":  # has all that the test has noted
            noted = [Finding(*t.cast(t.Any, values)) for name, values in report.user_properties if name == PROPERTY]
            self._found += [one for one in noted if one.judge != FAULTS or one not in self._found]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if hasattr(self._config, "workerinput"):
            return
        left_out = [Finding(name, "", name, "not tried", "left out with WITHOUT") for name in _without(self._config)]
        tried = {found.name for found in self._found if found.judge == FAULTS}
        untried = [dataclasses.replace(fault_tried(kind), fate="not tried") for kind in KINDS if kind not in tried]
        text = markdown([*self._found, *untried, *left_out])
        terminalreporter.section("the truth of it")
        terminalreporter.write_line(text)
        if self._config.getoption("--keep-table"):
            write_between(DOCUMENT, "truth", text)


def _without(config: pytest.Config) -> list[str]:
    return [name for name in str(config.getoption("--without")).replace(" ", ",").split(",") if name]


def markdown(found: Iterable[Finding]) -> str:
    """The table: a row for each judge and what."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for one in found:
        rows.setdefault((one.judge, one.what), []).append(one)
    lines = ["| judge | what | tried | as Google | otherwise | not tried |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [_row(judge, what, rows[judge, what]) for judge, what in sorted(rows)]
    return "\n".join(lines) + "\n"


def _row(judge: str, what: str, found: Sequence[Finding]) -> str:
    by_fate = {fate: [one for one in found if one.fate == fate] for fate in t.get_args(Fate)}
    tried = len(by_fate["as Google"]) + len(by_fate["other"])
    cells = (judge, what, tried, len(by_fate["as Google"]), _told(by_fate["other"]), _told(by_fate["not tried"]))
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _told(found: Sequence[Finding]) -> str:
    """How many, and why: the most frequent reasons, with at most three names each."""
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for one in found:
        reasons[one.why].append(one.name)
    frequent = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = []
    for why, names in frequent[:REASONS]:
        different = list(dict.fromkeys(names))
        shown = ", ".join(f"`{name}`" for name in different[:3]) + (", ..." if len(different) > 3 else "")
        parts.append(f"{len(names)} {why + ': ' if why else ''}{shown}".replace("|", "\\|"))
    if more := sum(len(names) for _why, names in frequent[REASONS:]):
        parts.append(f"{more} for other reasons")
    return "; ".join(parts) if parts else "0"
