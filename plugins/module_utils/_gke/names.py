# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""GKE's resource names and versions."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from .._errors import InvalidOption

# Managed DRANET on Standard clusters; the newest public statement still names this floor.
MANAGED_DRANET = "1.34.1-gke.1829001"

_CLUSTER = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_LOCATION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+(-[a-z]+[0-9a-z]*)?")
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)(?:-gke\.(\d+))?)?")


@dataclasses.dataclass(frozen=True)
class ClusterName:
    """A cluster's resource name; ``location`` is a zone or a region."""

    project: str
    location: str
    cluster: str

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    def __str__(self) -> str:
        return f"{self.parent}/clusters/{self.cluster}"

    def node_pool(self, name: str) -> str:
        return f"{self}/nodePools/{name}"


def check_name(option: str, name: str) -> str:
    """Google's rule for clusters and node pools. Raises InvalidOption."""
    if not _CLUSTER.fullmatch(name):
        raise InvalidOption(
            option,
            name,
            "give up to 40 lower-case letters, digits and hyphens, starting with a letter, not ending with a hyphen",
        )
    return name


def check_location(option: str, location: str) -> str:
    """A zone (us-east5-a) or a region (us-east5). Raises InvalidOption."""
    if not _LOCATION.fullmatch(location):
        raise InvalidOption(option, location, "give a zone such as us-east5-a, or a region such as us-east5")
    return location


def is_zone(location: str) -> bool:
    return bool(re.search(r"\d-[a-z]+[0-9a-z]*$", location))


@functools.total_ordering
@dataclasses.dataclass(frozen=True)
class Version:
    """``1.34.1-gke.1829001``, or a prefix of it (``1.34``): what a prefix leaves out is None."""

    parts: tuple[int | None, int | None, int | None, int | None]

    @classmethod
    def parse(cls, text: str, option: str = "version") -> Version:
        """Raises InvalidOption, also for the aliases (latest, -), which have no place in an order."""
        found = _VERSION.fullmatch(text)
        if not found:
            raise InvalidOption(option, text, "give a version of GKE such as 1.34.1-gke.1829001, 1.34.1 or 1.34")
        major, minor, patch, build = (None if part is None else int(part) for part in found.groups())
        return cls((major, minor, patch, build))

    def _key(self) -> tuple[int, ...]:
        return tuple(part or 0 for part in self.parts)

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()


def at_least(have: str, floor: str) -> bool:
    """True when ``have`` is ``floor`` or later; a floor of 1.34 is met by every 1.34 patch."""
    return Version.parse(have) >= Version.parse(floor)


def reached(want: t.Any, have: t.Any) -> bool:
    """As the comparison of a field: release channels move on by themselves, so beyond the wanted is no difference."""
    return bool(have) and at_least(str(have), str(want))
