# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Names in the fleet: one thing has several spellings, and a project's id and number both stand for it."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidOption
from .._gcp.projects import SameProject

_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CLUSTER = re.compile(r"projects/([^/]+)/(?:locations|zones|regions)/([^/]+)/clusters/([^/]+)$")


def check_id(option: str, name: str) -> str:
    """Google's rule for memberships. Raises InvalidOption."""
    if not _ID.fullmatch(name):
        raise InvalidOption(
            option, name, "give up to 63 lower-case letters, digits and hyphens, with no hyphen at either end"
        )
    return name


def resource_link(project: str, location: str, cluster: str) -> str:
    return f"//container.googleapis.com/projects/{project}/locations/{location}/clusters/{cluster}"


def issuer(project: str, location: str, cluster: str) -> str:
    return f"https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"


def membership_path(project: str, membership: str) -> str:
    """The full path of a membership given as name (then in global), as location and name, or as path."""
    parts = membership.strip("/").split("/")
    if len(parts) == 1:
        parts = ["locations", "global", "memberships", *parts]
    return "/".join(parts if parts[0] == "projects" else ["projects", project, *parts])


def same_cluster(desired: t.Any, live: t.Any, same_project: SameProject) -> bool:
    """Links to one cluster: locations/ and zones/ are the same, a project's number may stand for its id."""
    want, have = _CLUSTER.search(str(desired)), _CLUSTER.search(str(live or ""))
    if not want or not have:
        return bool(desired == live)
    return want.groups()[1:] == have.groups()[1:] and same_project(want.group(1), have.group(1))


def same_membership(desired: t.Any, live: t.Any, same_project: SameProject) -> bool:
    """A membership as name, as location and name, or as a full path, whose project may be id or number."""
    want, have = str(desired).strip("/").split("/"), str(live or "").strip("/").split("/")
    size = min(len(want), len(have), 4)
    if want[-size:] != have[-size:]:
        return False
    projects = [path[1] for path in (want, have) if len(path) == 6]
    return len(projects) < 2 or same_project(*projects)


def cluster_of(link: str) -> str:
    """The LOCATION/NAME that a resource link ends in; "" for another kind of link."""
    found = _CLUSTER.search(link)
    return f"{found.group(2)}/{found.group(3)}" if found else ""
