# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What a service has in a project that nobody names any more: it stays, and most of it is billed.

A cluster is the service's when it is on the service's network. A membership is told when its cluster is gone:
those of other clusters may be anybody's.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from .._call import Call
from .._errors import CollectionError, InvalidOption
from .._gcp.connect import Gcp, connect
from .names import cluster_of

Json = dict[str, t.Any]

# GKE makes it with the cluster; no inventory names it.
DEFAULT_POOL = "default-pool"


def info(call: Call) -> Json:
    """The core of module left_behind_info."""
    named = check_clusters(call.params["clusters"])
    gcp = connect(call)
    clusters, no_clusters = _listed(gcp, "container", "clusters")
    memberships, no_memberships = _listed(gcp, "gkehub", "memberships")
    ours = [one for one in clusters if str(one.get("network", "")).rpartition("/")[2] == call.params["network"]]
    return {
        "changed": False,
        "left_behind": [*of_clusters(ours, named), *of_memberships(memberships, named)],
        "unknown": [*no_clusters, *no_memberships],
    }


def check_clusters(clusters: Mapping[str, t.Any]) -> dict[str, list[str]]:
    """By LOCATION/NAME, or by /NAME where nobody says where the cluster is. Raises InvalidOption."""
    for name, pools in clusters.items():
        if name.count("/") != 1 or name.endswith("/"):
            raise InvalidOption("clusters", name, "give LOCATION/NAME, with the names of its node pools")
        if not isinstance(pools, list):
            raise InvalidOption(f"clusters.{name}", pools, "give a list of names of node pools")
    return {name: [str(pool) for pool in pools] for name, pools in clusters.items()}


def of_clusters(clusters: Sequence[Json], named: Mapping[str, Sequence[str]]) -> list[Json]:
    """Clusters that are not named, and the node pools that are not named of those that are."""
    found = []
    for cluster in sorted(clusters, key=_path):
        location, name, pools = cluster["location"], cluster["name"], cluster.get("nodePools") or []
        wanted = named.get(_path(cluster), named.get(f"/{name}"))
        if wanted is None:
            machines = ", ".join(_size(pool) for pool in pools)
            command = f"gcloud container clusters delete {name} --location {location}"
            found.append(_entry("cluster", name, location, f"node pools: {machines or 'none'}", command))
            continue
        for pool in pools if wanted else ():
            if pool["name"] not in (*wanted, DEFAULT_POOL):
                command = f"gcloud container node-pools delete {pool['name']} --cluster {name} --location {location}"
                found.append(_entry("node pool", pool["name"], f"{location}/{name}", _size(pool), command))
    return found


def of_memberships(memberships: Sequence[Json], named: Mapping[str, Sequence[str]]) -> list[Json]:
    found = []
    for membership in memberships:
        gke = (membership.get("endpoint") or {}).get("gkeCluster") or {}
        cluster = cluster_of(gke.get("resourceLink", ""))
        if not gke.get("clusterMissing") or not {cluster, cluster[cluster.find("/") :]}.isdisjoint(named):
            continue
        _projects, _project, _locations, location, _memberships, name = membership["name"].split("/")
        command = f"gcloud container fleet memberships delete {name} --location {location}"
        found.append(_entry("membership", name, location, "its cluster is gone", command))
    return found


def _entry(kind: str, name: str, location: str, detail: str, command: str) -> Json:
    return {"kind": kind, "name": name, "location": location, "detail": detail, "command": command}


def _path(cluster: Json) -> str:
    return f"{cluster['location']}/{cluster['name']}"


def _size(pool: Json) -> str:
    machine = (pool.get("config") or {}).get("machineType", "machines of unknown type")
    return f"{pool['name']} of {machine}"


def _listed(gcp: Gcp, service: str, collection: str) -> tuple[list[Json], list[str]]:
    """All of the project, or why they cannot be listed. In check mode a service that is not enabled has none."""
    path = f"v1/projects/{gcp.project}/locations/-/{collection}"
    key = "resources" if service == "gkehub" else collection
    try:
        return list(gcp.rest(service).pages(path, key)), []
    except CollectionError as error:
        return [], [] if gcp.is_absent(error) else [f"{collection} cannot be listed: {error.message}"]
