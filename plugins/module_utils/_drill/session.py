# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A drill from its options to the moment before its load: judged, alone in its directory, on a whole estate."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .._errors import CollectionError, InvalidOption
from . import fault, journal, load, lock, preflight
from .journal import Entry, Journal
from .plan import Options, problems

Json = dict[str, t.Any]

FILES = {"journal": "undo.json", "records": "records.jsonl", "stop": "stop"}
REPORT = ("failover.html", "failover.json", "failover.txt", FILES["records"])
EARLIER = "earlier"
NUMBERS = ("rate", "max_tokens", "request_timeout", "stable", "hold", "recovery_timeout", "restore_timeout")


@dataclasses.dataclass(frozen=True)
class Session:
    """What was found: an open journal with what undoing it would do, and every region."""

    options: Options
    journal: Journal | None
    undone: Sequence[fault.Undone]
    sights: Sequence[preflight.Sight]


def judge(options: Options, prefix: str) -> None:
    """Raises CollectionError with everything that is wrong with the options; ``prefix`` stands before their names."""
    _refuse("No drill is begun", problems(options), prefix)


def survey(
    options: Options,
    prefix: str,
    directory: Path,
    estate: preflight.Estate,
    workload: Callable[[Entry], fault.Workload],
    ask: Callable[[load.Load], list[preflight.Answered]] = preflight.ask,
) -> Session:
    """Look at the open journal and at the estate. Raises CollectionError with all that speaks against a drill."""
    path = directory / FILES["journal"]
    found = journal.read(path)
    try:
        undone = fault.judge(found, workload) if found else []
    except CollectionError as error:
        error.message = f"the undo journal {path} is open, and what it names cannot be looked at: {error.message}"
        raise
    undoing = {f"{item.entry.location}/{item.entry.cluster}" for item in undone if item.action != "leave"}
    sights = preflight.look(options, estate, ask, undoing)
    _refuse("The estate is not whole, so no drill is begun", preflight.problems(options, sights, undoing), prefix)
    return Session(options, found, undone, sights)


def _refuse(what: str, found: Collection[CollectionError], prefix: str) -> None:
    lines = [prefix * isinstance(problem, InvalidOption) + problem.message for problem in found]
    if lines:
        raise CollectionError("\n  ".join([f"{what}:", *lines]), problems=lines)


@contextlib.contextmanager
def locked(directory: Path, me: lock.Holder, warn: Callable[[str], None]) -> t.Iterator[None]:
    """Take the directory and keep it, unless the block raises. Raises CollectionError while another drill has it."""
    dead = lock.take(directory, me)
    if dead:
        warn(f"a drill was cut short in {directory}, {dead.told(time.time())}; this one has taken its lock over")
    try:
        yield
    except BaseException:
        lock.release(directory, me)
        raise


def clear(directory: Path) -> str:
    """Put an earlier drill's report and records away, so that they never stand for one that was cut short.

    Returns where they went, "" when there were none. Raises CollectionError.
    """
    try:
        (directory / FILES["stop"]).unlink(missing_ok=True)
        old = [path for name in REPORT if (path := directory / name).exists()]
        kept = ""
        if old:
            ended = time.gmtime(max(path.stat().st_mtime for path in old))
            kept = str(_fresh(directory / EARLIER / time.strftime("%Y-%m-%dT%H%M%SZ", ended)))
            for path in old:
                path.replace(Path(kept) / path.name)
    except OSError as cause:
        raise CollectionError(f"report_directory: cannot prepare {directory}: {cause}") from cause
    return kept


def _fresh(folder: Path) -> Path:
    """A new directory of this name, or of the next."""
    number, wanted = 1, folder
    while True:
        try:
            wanted.mkdir(parents=True)
        except FileExistsError:
            number += 1
            wanted = folder.with_name(f"{folder.name}-{number}")
        else:
            return wanted


def plain(session: Session, directory: Path) -> Json:
    """All that the steps of the drill need, so that none of them computes from what a user stated."""
    options, found = session.options, session.journal
    urls = {item.region.region: item.answer.url for item in session.sights if item.answer}
    return {
        "paths": {"directory": str(directory), **{name: str(directory / file) for name, file in FILES.items()}},
        "primary": options.primary,
        "victim": dataclasses.asdict(options.victim()),
        "replicas": {item.region.region: item.replicas for item in session.sights},
        "urls": urls,
        "answers": {
            item.region.region: {"text": item.answer.text, "served_by": item.answer.record.region}
            for item in session.sights
            if item.answer
        },
        "everyone_at_home": options.everyone_at_home(),
        "everyone_at_survivors": options.everyone_at_survivors(),
        "longest": options.longest(),
        "undo": [str(item) for item in session.undone],
        "undo_phase": found.phase if found else "",
        "undo_began": found.began if found else None,
        **{name: getattr(options, name) for name in NUMBERS},
    }
