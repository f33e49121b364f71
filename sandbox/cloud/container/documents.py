# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents of clusters and pools: merging, places in them, where a cluster has an endpoint."""

from __future__ import annotations

import copy

from ...catalogue.places import area
from ...interfaces import ClusterKey, Json
from ..store import Project

HOST = "https://container.googleapis.com/v1/"


def merged(defaults: Json, given: Json) -> Json:
    """``given`` over ``defaults``, objects merged; neither is changed."""
    result = copy.deepcopy(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(result.get(key, {}), dict)
        result[key] = merged(result.get(key, {}), value) if both else copy.deepcopy(value)
    return result


def put(document: Json, place: str, value: object) -> None:
    """Set the field at the dotted ``place``."""
    *parents, last = place.split(".")
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value


def get(document: Json, place: str) -> object:
    """The field at the dotted ``place``, None where there is none."""
    value: object = document
    for key in place.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def path(project: Project, key: ClusterKey) -> str:
    """The cluster's name as Google's messages spell it."""
    return f"projects/{project.id}/{area(key.location)}/{key.location}/clusters/{key.name}"


def key_of(cluster: Json) -> ClusterKey:
    return ClusterKey(cluster["location"], cluster["name"])


def set_status(document: Json, status: str) -> None:
    document["status"] = status
    document.pop("statusMessage", None)
    document.pop("conditions", None)
