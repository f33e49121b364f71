# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What the modules cluster and node_pool do, from options to result."""

from __future__ import annotations

import typing as t

from .._call import Call, run_resource
from .._errors import ImmutableField, InvalidOption, having_changed
from .._gcp.connect import connect
from .._gcp.projects import Projects
from .._gcp.spec import GCP_SPEC
from .._naming import from_api, to_api
from .._reconcile import Json
from . import preflight
from .api import Gke
from .clusters import Cluster, check_versions, connection_of, explain_immutable, without_secrets
from .messages import to_message
from .names import ClusterName, check_location, check_name
from .node_pools import NodePool, agent_warning, network_warning

# Options that say how, not what.
_HOW = frozenset(
    {
        *GCP_SPEC,
        *("state", "name", "location", "cluster", "wait", "wait_timeout"),
        *("min_version", "dranet", "recreate", "purge_labels"),
    }
)


def stated(call: Call) -> Json:
    """The API JSON that the options state."""
    return t.cast(Json, to_api({key: value for key, value in call.params.items() if key not in _HOW}))


def _check_values(kind: str, desired: Json) -> None:
    """Refuse values that the API cannot hold (a label that is no string) in check mode too. Raises CollectionError."""
    to_message(kind, {key: value for key, value in desired.items() if key not in ("masterVersion", "nodeCount")})


def cluster(call: Call) -> Json:
    params = call.params
    name, location = check_name("name", params["name"]), check_location("location", params["location"])
    desired = stated(call)
    floor = params["min_version"]
    check_versions(desired, floor)
    gcp = connect(call)
    gke = Gke(gcp, wait=params["wait"], timeout=params["wait_timeout"])
    _check_values("Cluster", desired)
    resource = Cluster(
        gke,
        ClusterName(gcp.project, location, name),
        same_project=Projects(gcp).same,
        state=params["state"],
        check_mode=call.check_mode,
        min_version=floor,
    )
    try:
        result = run_resource(call, "cluster", resource, desired)
    except ImmutableField as error:
        raise explain_immutable(error) from error
    version = result["cluster"].get("current_master_version")
    upgraded = any(change["field"] == "master_version" for change in result["plan"]["changes"])
    if floor and version and params["state"] == "present" and not (upgraded and (call.check_mode or not gke.wait)):
        with having_changed(result["changed"]):
            preflight.check_floor(name, version, floor)
    return result


def node_pool(call: Call) -> Json:
    params = call.params
    for option in ("name", "cluster"):
        check_name(option, params[option])
    check_location("location", params["location"])
    present, dranet = params["state"] == "present", params["dranet"]
    desired = preflight.complete(stated(call), dranet=dranet) if present else {}
    gcp = connect(call)
    gke = Gke(gcp, wait=params["wait"], timeout=params["wait_timeout"])
    _check_values("NodePool", desired)
    path = ClusterName(gcp.project, params["location"], params["cluster"])
    if present and dranet and (found := gke.find("get_cluster", str(path))) is not None:
        preflight.check_dranet(found, desired)
        if warning := network_warning(gcp, found):
            call.warn(warning)
    profile = (desired.get("networkConfig") or {}).get("acceleratorNetworkProfile")
    new = profile and gke.find("get_node_pool", path.node_pool(params["name"])) is None
    if new and (warning := agent_warning(gcp, Projects(gcp))):
        call.warn(warning)
    resource = NodePool(
        gcp,
        gke,
        path,
        params["name"],
        desired,
        state=params["state"],
        check_mode=call.check_mode,
        recreate=params["recreate"],
    )
    return run_resource(call, "node_pool", resource, desired)


def cluster_info(call: Call) -> Json:
    params = call.params
    gcp = connect(call)
    gke = Gke(gcp)
    name, location = params["name"], params["location"]
    if name and location != "-":
        found = gke.find("get_cluster", str(ClusterName(gcp.project, location, name)))
        clusters = [found] if found else []
    else:
        answer = gke.read("list_clusters", {"parent": f"projects/{gcp.project}/locations/{location}"})
        clusters = [one for one in answer.get("clusters") or [] if name in (None, one.get("name"))]
        if answer.get("missingZones"):
            call.warn(f"no answer from {', '.join(answer['missingZones'])}: clusters there are not listed")
    result: Json = {"changed": False, "clusters": from_api([without_secrets(one) for one in clusters])}
    if name:
        if len(clusters) > 1:
            places = ", ".join(one["location"] for one in clusters)
            raise InvalidOption("location", location, f"name one of {places}, since each has a cluster {name}")
        live = clusters[0] if clusters else None
        result.update(exists=live is not None, cluster=(result["clusters"] or [{}])[0], connection=connection_of(live))
    return result


def node_pool_info(call: Call) -> Json:
    params = call.params
    gcp = connect(call)
    gke = Gke(gcp)
    path = ClusterName(gcp.project, params["location"], params["cluster"])
    if params["name"]:
        found = gke.find("get_node_pool", path.node_pool(params["name"]))
        pools = [found] if found else []
    else:
        pools = (gke.find("list_node_pools", str(path), "parent") or {}).get("nodePools") or []
    result: Json = {"changed": False, "node_pools": from_api(pools)}
    if params["name"]:
        result.update(exists=bool(pools), node_pool=from_api(pools[0]) if pools else {})
    return result
