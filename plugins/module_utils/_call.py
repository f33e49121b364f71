# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""One call of a module, as its core sees it: options in, a result out, no Ansible in between."""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import InvalidOption
from ._naming import from_api
from ._reconcile import Resource, Result, reconcile

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Call:
    """``params``: the validated options, defaults filled in. ``warn`` tells the user without failing."""

    params: Json
    check_mode: bool
    diff: bool
    warn: t.Callable[[str], None]


def run_resource(call: Call, noun: str, resource: Resource, desired: Json) -> Json:
    """Reconcile one object as the common options say; the object comes back under ``noun``. Raises InvalidOption."""
    check_counts(call.params)
    result = reconcile(
        resource,
        desired,
        state=call.params["state"],
        check_mode=call.check_mode,
        recreate=bool(call.params.get("recreate")),
        purge_labels=bool(call.params.get("purge_labels")),
    )
    return as_result(call, noun, result)


def check_counts(options: t.Any, path: str = "") -> None:
    """No option of Google's objects counts below zero. Raises InvalidOption, in check mode too."""
    if isinstance(options, dict):
        for name, value in options.items():
            check_counts(value, f"{path}.{name}" if path else name)
    elif isinstance(options, list):
        for position, value in enumerate(options):
            check_counts(value, f"{path}[{position}]")
    elif isinstance(options, int) and options < 0:
        raise InvalidOption(path, options, "give 0 or more")


def as_result(call: Call, noun: str, result: Result) -> Json:
    answer: Json = {
        "changed": result.changed,
        noun: from_api(result.live) if result.live is not None else {},
        "plan": result.plan.as_dict(),
    }
    if result.operation:
        answer["operation"] = from_api(result.operation)
    if call.diff:
        answer["diff"] = {"before": result.before, "after": result.after}
    return answer
