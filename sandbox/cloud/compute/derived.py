# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinds that Google's own controllers make here: users read them, and are told what uses them if they delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from ...interfaces import Json
from ..store import Project
from . import balancing, groups, instances
from .kinds import nobody

Look = Callable[[Project, Json], Json]


@dataclasses.dataclass(frozen=True)
class Derived:
    """``documents`` gives all of a project; ``verbs``: POST requests that only look."""

    collection: str
    noun: str
    scopes: tuple[str, ...]  # "global", "regions", "zones"
    documents: Callable[[Project], Iterable[Json]]
    verbs: Mapping[str, Look] = dataclasses.field(default_factory=dict)
    users: Callable[[Project, Json], list[str]] = nobody


def _part(collection: str, *scopes: str, verbs: Mapping[str, Look] | None = None) -> Derived:
    """A kind of parts of load balancers."""

    def documents(project: Project) -> Iterable[Json]:
        return balancing.documents(project, collection)

    return Derived(collection, balancing.NOUNS[collection], scopes, documents, verbs or {}, balancing.users)


def _none(_project: Project) -> Iterable[Json]:
    return ()


DERIVED: dict[str, Derived] = {
    kind.collection: kind
    for kind in (
        Derived("instances", "instance", ("zones",), instances.documents),
        Derived(
            *("instanceGroups", "instanceGroup", ("regions", "zones"), groups.documents),
            verbs={"listInstances": groups.listed_instances},
        ),
        Derived(
            *("instanceGroupManagers", "instanceGroupManager", ("regions", "zones"), groups.managers),
            verbs={"listManagedInstances": groups.managed_instances},
        ),
        # GKE scales pools by itself; gcloud asks for these whenever it lists groups.
        Derived("autoscalers", "autoscaler", ("regions", "zones"), _none),
        _part(
            *("networkEndpointGroups", "global", "regions", "zones"),
            verbs={"listNetworkEndpoints": balancing.listed_endpoints},
        ),
        _part("healthChecks", "global", "regions"),
        _part("backendServices", "global", "regions"),
        _part("urlMaps", "global", "regions"),
        _part("targetHttpProxies", "global", "regions"),
        _part("forwardingRules", "global", "regions"),
    )
}
