# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A project's id and its number are two names of one project; which belong together only Google knows."""

from __future__ import annotations

import typing as t

from .._errors import ApiError
from .connect import Gcp
from .transport import is_disabled

# Whether an id or number and another name the same project.
SameProject = t.Callable[[str, str], bool]


class Projects:
    """Asks Google only where it must, and for each id once."""

    def __init__(self, gcp: Gcp) -> None:
        self._gcp = gcp
        self._numbers: dict[str, str | None] = {}

    def same(self, one: str, other: str) -> bool:
        """Where Google does not tell, an id and a number are taken to be the same, with a warning."""
        if one == other or one.isdigit() == other.isdigit():
            return one == other
        name, number = (other, one) if one.isdigit() else (one, other)
        if name != self._gcp.project and self.number(self._gcp.project) == number:
            return False  # it is the number of our own project
        return self.number(name) in (None, number)

    def number(self, name: str) -> str | None:
        """A project's number; None, with a warning, where Google does not tell."""
        if name.isdigit():
            return name
        if name not in self._numbers:
            try:
                answer = self._gcp.rest("cloudresourcemanager").get(f"v1/projects/{name}")
                self._numbers[name] = str(answer["projectNumber"])
            except ApiError as error:
                if not (self._gcp.plan_only and is_disabled(error)):
                    self._gcp.warn(f"project {name} does not tell its number, so any may be its: {error.message}")
                self._numbers[name] = None
        return self._numbers[name]
