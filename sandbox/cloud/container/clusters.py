# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster's document says: Google's defaults around what the request states."""

from __future__ import annotations

import copy
import hashlib
import re
import secrets

from ...catalogue.places import area, is_region
from ...interfaces import ClusterKey, Json
from ..bodies import fields
from ..errors import Refusal, invalid
from ..store import Project, fingerprint, now
from . import defaults, networking, pools, versions
from .documents import HOST, merged
from .maintenance import policy

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
# Fields that Google alone decides: what a request says of them is passed over (the discovery document's readOnly).
OUTPUT = fields(
    "conditions createTime currentEmulatedVersion currentMasterVersion currentNodeCount currentNodeVersion endpoint "
    "etag expireTime id instanceGroupUrls labelFingerprint location nodeIpv4CidrSize satisfiesPzi satisfiesPzs "
    "selfLink servicesIpv4Cidr status statusMessage tpuIpv4CidrBlock zone"
)
# Fields that are worked into the document by rules of their own.
WORKED_IN = fields(
    "clusterIpv4Cidr controlPlaneEndpointsConfig fleet initialClusterVersion initialNodeCount ipAllocationPolicy "
    "locations maintenancePolicy masterAuthorizedNetworksConfig name network networkConfig nodeConfig nodePools "
    "privateClusterConfig releaseChannel subnetwork"
)
# Of these what the request leaves out keeps its default; the other objects are taken as they come.
MERGED = ("addonsConfig", "autoscaling", "databaseEncryption", "masterAuth", "monitoringConfig", "notificationConfig")


def build(project: Project, key: ClusterKey, body: Json, pod_cidr: str) -> Json:
    """The document of a new cluster in state PROVISIONING; ``pod_cidr`` is used unless the request names its own.

    Raises Refusal 400/404 for what Google refuses at once.
    """
    if not NAME.fullmatch(key.name):
        raise invalid(
            f'Invalid value for field "cluster.name": "{key.name}". Must be 1-40 characters of lowercase letters, '
            "numbers and hyphens, start with a letter and not end with a hyphen."
        )
    autopilot = bool(body.get("autopilot", {}).get("enabled"))
    if autopilot:
        _check_autopilot(project, key, body)
        body = {"workloadIdentityConfig": {"workloadPool": project.pool_name}, **body}
    wanted = body.get("initialClusterVersion", "")
    stated = body.get("releaseChannel", {}).get("channel", "")
    # An explicit UNSPECIFIED keeps a cluster off all channels; one that says nothing is put on one.
    channel = stated if "releaseChannel" in body else versions.channel_of(wanted)
    version = versions.master(channel, wanted, stated=bool(stated))
    check_identity(project, body.get("workloadIdentityConfig", {}).get("workloadPool", ""))
    check_fleet(project, body.get("fleet", {}).get("project", ""))
    if any(body.get("masterAuth", {}).get(field) for field in ("username", "password")):
        raise invalid("Basic authentication was removed for GKE cluster versions >= 1.19.")
    document = {
        **_settings(body, channel, version, autopilot=autopilot),
        "name": key.name,
        "id": hashlib.sha256(secrets.token_bytes(16)).hexdigest(),
        "location": key.location,
        "locations": body.get("locations") or networking.first_locations(key.location),
        "selfLink": f"{HOST}projects/{project.id}/{area(key.location)}/{key.location}/clusters/{key.name}",
        "createTime": now(),
        "status": "PROVISIONING",
        "initialClusterVersion": version,
        "currentMasterVersion": version,
        "currentNodeVersion": version,
        "nodePools": [],
    }
    if not is_region(key.location):
        document["zone"] = key.location
    networking.check_locations(key.location, document["locations"])
    networking.connect(project, key, document, body, pod_cidr)
    _add_pools(project, document, body, autopilot=autopilot)
    return document


def _settings(body: Json, channel: str, version: str, *, autopilot: bool) -> Json:
    """The parts of a cluster that depend on nothing else."""
    first = defaults.of(version, autopilot=autopilot)
    given = {name: value for name, value in body.items() if name not in OUTPUT | WORKED_IN and (name in first or value)}
    settings = {**first, **copy.deepcopy(given)}
    for name in MERGED:
        settings[name] = merged(first[name], given.get(name, {}))
    settings["databaseEncryption"] = encrypted(settings["databaseEncryption"])
    settings |= {
        "labelFingerprint": fingerprint(body.get("resourceLabels", {})),
        "maintenancePolicy": policy(body.get("maintenancePolicy", {})),
        "releaseChannel": {"channel": channel} if channel else {},
    }
    if body.get("fleet", {}).get("project"):
        settings["fleet"] = dict(body["fleet"])
    return settings


def encrypted(given: Json) -> Json:
    """databaseEncryption with the state that its secrets are really in. Raises Refusal 400."""
    state = given.get("state", "DECRYPTED")
    if state == "ENCRYPTED" and not given.get("keyName"):
        raise invalid("Database encryption key name must be specified when database encryption state is ENCRYPTED.")
    return {**given, "currentState": f"CURRENT_STATE_{state}"}


def check_identity(project: Project, pool: str) -> None:
    """Raises Refusal 400 for a workload pool of elsewhere.

    Source: https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
    """
    if pool and pool != project.pool_name:
        raise invalid(
            f'Workload pool "{pool}" is invalid: the only pool that this cluster can use is "{project.pool_name}".'
        )


def check_fleet(project: Project, given: str) -> None:
    """Raises Refusal 403 for a fleet of another project."""
    if given and given.removeprefix("projects/") not in (project.id, project.number):
        raise Refusal("PERMISSION_DENIED", f'The fleet host project "{given}" cannot be used from "{project.id}".')


def _check_autopilot(project: Project, key: ClusterKey, body: Json) -> None:
    """Words of the first two: hashicorp/terraform-provider-google's tests, public reports of 2026."""
    if not is_region(key.location):
        raise invalid("Autopilot clusters must be regional clusters.")
    components = body.get("monitoringConfig", {}).get("componentConfig", {"enableComponents": ["SYSTEM_COMPONENTS"]})
    if not components.get("enableComponents") or body.get("monitoringService") == "none":
        raise invalid("Autopilot clusters must have monitoring enabled.")
    # gcloud container clusters create-auto states a default pool with nothing but scopes.
    for pool in (*body.get("nodePools", []), {"config": body.get("nodeConfig", {})}):
        own = defaults.AUTOPILOT_POOL["name"]
        if pool.get("name", own) != own or pool.get("config", {}).get("machineType"):
            raise invalid("Autopilot clusters do not support user-managed node pools.")
    if body.get("networkConfig", {}).get("datapathProvider", "ADVANCED_DATAPATH") != "ADVANCED_DATAPATH":
        raise invalid("Autopilot clusters must use GKE Dataplane V2 (ADVANCED_DATAPATH).")
    if body.get("workloadIdentityConfig", {}).get("workloadPool", project.pool_name) != project.pool_name:
        check_identity(project, body["workloadIdentityConfig"]["workloadPool"])


def _add_pools(project: Project, document: Json, body: Json, *, autopilot: bool) -> None:
    given = body.get("nodePools")
    if autopilot:
        stated = given[0].get("config", {}) if given else body.get("nodeConfig", {})
        given = [merged(defaults.AUTOPILOT_POOL, {"config": stated})]
    elif given and (body.get("nodeConfig") or body.get("initialNodeCount")):
        raise invalid("Cannot specify both nodePools and initialNodeCount or nodeConfig.")
    elif not given:
        if not body.get("initialNodeCount"):
            raise invalid("Cluster.initial_node_count must be greater than zero.")
        given = [
            {
                "name": "default-pool",
                "initialNodeCount": body["initialNodeCount"],
                "config": body.get("nodeConfig", {}),
            }
        ]
    for number, pool in enumerate(given):
        if any(pool.get("name") == other.get("name") for other in given[:number]):
            raise invalid(f'Duplicate node pool name "{pool.get("name", "")}".')
        document["nodePools"].append(pools.build(project, document, pool))


def rendered(document: Json) -> Json:
    """The cluster as GET answers it: with what follows from its pools, and the etag."""
    shown = [pools.rendered(pool) for pool in document["nodePools"]]
    answer = {
        **document,
        "nodePools": shown,
        "currentNodeCount": sum(pool.get("initialNodeCount", 0) * len(pool["locations"]) for pool in shown),
        "instanceGroupUrls": [url for pool in shown for url in pool["instanceGroupUrls"]],
    }
    if shown:
        answer["nodeConfig"] = shown[0]["config"]
        answer["initialNodeCount"] = shown[0].get("initialNodeCount", 0)
    answer["etag"] = fingerprint(document)
    return answer
