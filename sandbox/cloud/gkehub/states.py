# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fleet's features know of its members."""

from __future__ import annotations

from ...interfaces import Json
from ..store import Project, now

# Feature -> the API that it needs and what it says of a member once that member is in order.
FEATURES = {
    "multiclusteringress": ("multiclusteringress.googleapis.com", ""),
    "multiclusterservicediscovery": (
        "multiclusterservicediscovery.googleapis.com",
        "Firewall successfully updated",
    ),
}


def settle(project: Project) -> None:
    """Let every active feature know the members that are in order, and forget the others."""
    for feature, document in project.features.items():
        if document["resourceState"]["state"] != "ACTIVE":
            continue
        states = document.setdefault("membershipStates", {})
        ready = [number_name(project, name) for name, member in project.memberships.items() if is_ready(member)]
        for name in set(states) - set(ready):
            del states[name]
        for name in ready:
            states.setdefault(name, {"state": in_order(feature)})


def in_order(feature: str) -> Json:
    """What a feature says of a member that is as it should be."""
    text = FEATURES[feature][1]
    return {"code": "OK", **({"description": text} if text else {}), "updateTime": now()}


def is_ready(member: Json) -> bool:
    missing = member["endpoint"].get("gkeCluster", {}).get("clusterMissing")
    return member["state"]["code"] in ("READY", "UPDATING") and not missing


def number_name(project: Project, name: str) -> str:
    """The name with the project's number, as membershipStates spells its keys."""
    return name.replace(f"projects/{project.id}/", f"projects/{project.number}/", 1)


def config_membership(project: Project) -> str:
    """The membership that feature multiclusteringress has its objects in, as it is stated; "" when there is none."""
    ingress = project.features.get("multiclusteringress", {})
    return str(ingress.get("spec", {}).get("multiclusteringress", {}).get("configMembership", ""))


def membership(project: Project, name: str) -> Json | None:
    """A membership by its full name with the project's id or number."""
    return project.memberships.get(name.replace(f"projects/{project.number}/", f"projects/{project.id}/", 1))
