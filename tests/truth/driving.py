# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a client of Google's is driven through all its methods: a table of steps, held against the class itself."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing as t
from collections.abc import Callable, Mapping, Sequence

from google.api_core import exceptions
from google.oauth2.credentials import Credentials

from tests import clouds
from tests.truth.table import Finding, Note

Json = dict[str, t.Any]

DEADLINE = 60.0
until = functools.partial(clouds.until, seconds=DEADLINE)


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a method, in the order of the table. ``good``: of what it returns."""

    method: str
    act: Callable[[t.Any], object]
    good: Callable[[t.Any], object] = lambda answer: True


@dataclasses.dataclass(frozen=True)
class Reached:
    """Where the sandbox is: "127.0.0.1:PORT", below which each service has a path of its own."""

    host: str
    credentials: Credentials
    project: str

    @classmethod
    def of(cls, status: Json) -> Reached:
        host = str(status["endpoints"]["compute"]).removeprefix("http://").removesuffix("/compute/v1/")
        return cls(host, Credentials(status["token"]), str(status["project"]))


def methods(client: type) -> list[str]:
    """The names of all that a client can ask of Google; compute's X_unary is X with another way to wait."""
    found = {
        name.removesuffix("_unary")
        for name, function in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_") and "request" in inspect.signature(function).parameters
    }
    return sorted(found)


def drive(judge: str, client: type, step: Step, reached: t.Any, note: Note) -> None:
    """Take a step; a method that the sandbox does not have says so with 501, and is counted as such."""
    what = f"methods of {client.__name__}"
    try:
        answer = step.act(reached)
    except exceptions.MethodNotImplemented:
        note(Finding(judge, what, step.method, "other", "answered 501"))
        return
    assert step.good(answer), answer
    note(Finding(judge, what, step.method, "as Google"))


def untried(
    judge: str, client: type, names: Sequence[str], tried: set[str], why: Mapping[str, str], note: Note
) -> None:
    """Count what is in no step, and see that every step is of a method that there is."""
    assert tried <= set(names), f"no methods of {client.__name__}: {', '.join(sorted(tried - set(names)))}"
    assert not set(why) & tried and set(why) <= set(names), "reasons for what is tried, or for what is not there"
    for name in sorted(set(names) - tried):
        note(Finding(judge, f"methods of {client.__name__}", name, "not tried", why.get(name, "")))
