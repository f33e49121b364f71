# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""One waiter for the three shapes of Google's operations: compute, container, google.longrunning."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from .._errors import CollectionError, OperationFailed, having_changed
from .._wait import Backoff, Clock, wait_for
from .remedies import remedy_for
from .transport import is_busy

Json = dict[str, t.Any]
# Where an OperationProgress.Metric of container v1 has its value.
_METRIC_VALUES = ("stringValue", "intValue", "doubleValue")
T = t.TypeVar("T")


def is_done(operation: Mapping[str, t.Any]) -> bool:
    """Whether the operation has ended, well or badly."""
    return bool(operation.get("done")) or operation.get("status") == "DONE"


def cause_of(operation: Mapping[str, t.Any]) -> str:
    """Why an ended operation failed, or "" when it did not.

    compute: error.errors[{code, message}]; container: error{code, message} or only the older
    statusMessage; longrunning: error{code, message}.
    """
    error = operation.get("error") or {}
    parts = error.get("errors") or ([error] if error else [])
    causes = [": ".join(str(part[key]) for key in ("code", "message") if part.get(key)) for part in parts]
    if not causes and operation.get("kind") != "compute#operation" and operation.get("statusMessage"):
        causes = [str(operation["statusMessage"])]
    return "; ".join(causes)


def progress_of(operation: Mapping[str, t.Any]) -> str:
    """One line on where an operation stands.

    How far it is: compute tells a percentage, container stages with metrics and a text, gkehub a text.
    """
    state = operation.get("status") or ("DONE" if operation.get("done") else "RUNNING")
    line = f"operation {operation.get('name', '?')} is {state}"
    progress = operation.get("progress")
    if isinstance(progress, int):
        return f"{line} ({progress}%)"
    told = stages_of(progress or {}) + [operation.get("detail"), (operation.get("metadata") or {}).get("statusDetail")]
    return line + (f" ({'; '.join(filter(None, told))})" if any(told) else "")


def stages_of(progress: Mapping[str, t.Any]) -> list[str | None]:
    """What a container operation's progress says of the stages that run now."""
    parts = [stage for stage in progress.get("stages") or () if stage.get("status") == "RUNNING"] or [progress]
    lines: list[str | None] = []
    for part in parts:
        metrics = (
            f"{metric.get('name')} {next((metric[key] for key in _METRIC_VALUES if key in metric), '')}"
            for metric in part.get("metrics") or ()
        )
        lines.append(": ".join(filter(None, (part.get("name"), ", ".join(metrics)))) or None)
    return lines


def check_operation(operation: Json, *, what: str) -> Json:
    """The ended operation itself, if it ended well. Raises OperationFailed: DONE alone is not success."""
    cause = cause_of(operation)
    if not cause:
        return operation
    remedy = remedy_for(cause)
    raise OperationFailed(
        f"{what}: {cause}" + (f" -- {remedy}" if remedy else ""),
        operation=operation.get("name"),
        cause=cause,
        **({"remedy": remedy} if remedy else {}),
    )


def wait_operation(
    look: Callable[[Json], Json],
    operation: Json,
    *,
    timeout: float,
    what: str,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
) -> Json:
    """Wait until an operation that this call has started has ended well; return its last state.

    ``look(operation)`` fetches the current state; all states are API JSON with enums spelled as names.
    ``what`` says what is being done ("create network vpc"). Raises OperationFailed and WaitTimeout.
    """
    first = [operation]

    def seen() -> Json:
        # The answer of the write is the first look.
        return first.pop() if first else look(operation)

    with having_changed():
        ended = wait_for(seen, is_done, timeout=timeout, what=what, why=progress_of, backoff=backoff, clock=clock)
        return check_operation(ended, what=what)


def retry_while(
    passing: Callable[[CollectionError], bool],
    call: Callable[[], T],
    *,
    timeout: float,
    what: str,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
) -> T:
    """Call until it succeeds, as long as its errors are ``passing``; at most ``timeout`` seconds.

    Raises other errors at once, WaitTimeout with the last passing error in its text at the end.
    """
    answers: list[T] = []

    def look() -> str:
        try:
            answers.append(call())
        except CollectionError as error:
            if not passing(error):
                raise
            return error.message
        return ""

    backoff = backoff or Backoff(first=0.5, cap=20.0, jitter=0.3)
    wait_for(look, lambda error: not error, timeout=timeout, what=what, why=str, backoff=backoff, clock=clock)
    return answers[-1]


def when_free(call: Callable[[], T], *, timeout: float, what: str) -> T:
    """Call until no other operation holds the object (see transport.is_busy); at most ``timeout`` seconds."""
    return retry_while(is_busy, call, timeout=timeout, what=what)
