# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links to compute's resources, which every other service's documents name them by."""

from __future__ import annotations

import re

from ...interfaces import Json
from ..errors import invalid, not_found
from ..store import Project

LINK = "https://www.googleapis.com/compute/v1/"


def reference(link: str) -> str:
    """ "https://www.googleapis.com/compute/v1/projects/P/global/networks/N" -> "projects/P/global/networks/N"."""
    return re.sub(r"^https?://[^/]+/(compute/)?(v1|beta|alpha)/", "", link)


def full_link(project: Project, link: str) -> str:
    """The full URL of a resource named by URL, by "projects/..." or within the project."""
    path = reference(link).lstrip("/")
    return f"{LINK}{path}" if path.startswith("projects/") else f"{LINK}projects/{project.id}/{path}"


def lookup(project: Project, link: str, field: str) -> Json:
    """The compute resource that a field of a body names. Raises Refusal 404 in compute's words, 400 for nonsense."""
    path = reference(full_link(project, link))
    owner, _unused, rest = path.removeprefix("projects/").partition("/")
    if not re.fullmatch(r"(global|regions/[^/]+)/\w+/[^/]+", rest):
        raise invalid(f"Invalid value for field 'resource.{field}': '{link}'. The URL is malformed.", reason="invalid")
    found = project.compute.get(rest) if owner in (project.id, project.number) else None
    if found is None:
        raise not_found(f"The resource '{path}' was not found")
    if rest in project.pending:
        raise invalid(f"The resource '{path}' is not ready", reason="resourceNotReady")
    return found
