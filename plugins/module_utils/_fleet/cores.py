# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What the fleet modules do, from options to result."""

from __future__ import annotations

import typing as t

from .._call import Call, run_resource
from .._errors import InvalidOption, having_changed
from .._gcp.connect import connect
from .._gke.names import check_location, check_name
from .._naming import from_api, to_api
from .._reconcile import Json
from .features import Feature
from .hub import Hub
from .memberships import Membership, stale_warning
from .names import check_id, issuer, membership_path, resource_link


def fleet_membership(call: Call) -> Json:
    params = call.params
    name = check_id("name", params["name"])
    if params["location"] != "global":
        check_location("location", params["location"])
    gcp = connect(call)
    hub = Hub(gcp, wait=params["wait"], timeout=params["wait_timeout"])
    desired: Json = to_api({key: params[key] for key in ("authority", "description", "labels")})
    own_issuer = ""
    if params["state"] == "present":
        check_name("cluster", params["cluster"])
        check_location("cluster_location", params["cluster_location"])
        cluster = (params["cluster_project"] or gcp.project, params["cluster_location"], params["cluster"])
        desired["endpoint"] = {"gkeCluster": {"resourceLink": resource_link(*cluster)}}
        own_issuer = issuer(*cluster)
    resource = Membership(
        hub,
        params["location"],
        name,
        issuer=own_issuer,
        state=params["state"],
        check_mode=call.check_mode,
        recreate=params["recreate"],
        force=params["force"],
    )
    result = run_resource(call, "membership", resource, desired)
    live = to_api(result["membership"])
    if params["state"] == "present" and (warning := stale_warning(live)):
        call.warn(warning)
    return result


def fleet_feature(call: Call) -> Json:
    params = call.params
    spec = to_api(params["spec"] or {})
    if spec and list(spec) != [params["name"]]:
        raise InvalidOption("spec", params["spec"], f"give the settings of the feature that is named, {params['name']}")
    gcp = connect(call)
    hub = Hub(gcp, wait=params["wait"], timeout=params["wait_timeout"])
    ingress = spec.get("multiclusteringress")
    if ingress:
        ingress["configMembership"] = membership_path(gcp.project, ingress["configMembership"])
    desired: Json = to_api({"spec": spec or None, "labels": params["labels"]})
    resource = Feature(hub, params["name"], check_mode=call.check_mode, force=params["force"])
    result = run_resource(call, "feature", resource, desired)
    if params["state"] == "present" and hub.wait and not call.check_mode:
        with having_changed(result["changed"]):
            result["feature"] = from_api(resource.ready(params["memberships"]))
    return result


def fleet_info(call: Call) -> Json:
    gcp = connect(call)
    hub = Hub(gcp)
    parent = f"projects/{gcp.project}/locations"

    def listed(place: str, plural: str) -> t.Any:
        return from_api(hub.listed(f"{parent}/{place}", plural))

    return {
        "changed": False,
        "memberships": listed(call.params["location"], "memberships"),
        "features": listed("global", "features"),
    }
