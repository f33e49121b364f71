# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The collection's own errors: one family, so that a module needs one except."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterator


class CollectionError(Exception):
    """Anything that a user must read.

    ``message`` is one clear sentence; ``details`` are further result keys of the
    failed task (``api_code``, ``operation``, ``remedy``...), never secrets.
    """

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


@contextlib.contextmanager
def having_changed(changed: bool = True) -> Iterator[None]:
    """What fails in here fails after a change was made (``changed``): the failed task reports that."""
    try:
        yield
    except CollectionError as error:
        if changed:
            error.details["changed"] = True
        raise


class InvalidOption(CollectionError):
    """Bad input, found before anything was changed; names the option, the value and what would be right.

    ``advice`` is a clause with a verb of its own, best an imperative ("give a zone such as us-east5-a",
    "leave it out with config.spot"): it reads on from "OPTION: 'VALUE' is not valid:".
    """

    def __init__(self, option: str, given: t.Any, advice: str) -> None:
        fault = "is not set" if given is None else f"{given!r} is not valid"
        super().__init__(f"{option}: {fault}: {advice}", option=option)
        self.option = option
        self.given = given
        self.advice = advice


class MissingLibrary(CollectionError):
    """A Python library that this interpreter lacks, found before anything was done; another one may have it."""

    def __init__(self, library: str) -> None:
        super().__init__(f"the Python library {library} is missing", missing=library)
        self.library = library


class ApiError(CollectionError):
    """An answer of an API that is not a success. ``status`` is Google's canonical status (``NOT_FOUND``...)."""

    def __init__(self, message: str, *, code: int, status: str = "", reason: str = "", **details: t.Any) -> None:
        super().__init__(message, api_code=code, api_status=status, api_reason=reason, **details)
        self.code = code
        self.status = status
        self.reason = reason


class NotFound(ApiError):
    """404: the object is not there."""


class Conflict(ApiError):
    """409: it exists already, or somebody changed it in between."""


class OperationFailed(CollectionError):
    """An operation that reached its end with an error; DONE alone is not success."""


class WaitTimeout(CollectionError):
    """The deadline passed; ``details["last"]`` is what was seen last."""


class ImmutableField(CollectionError):
    """A difference that the API cannot change in place."""
