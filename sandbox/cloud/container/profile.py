# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network that GKE makes for a pool with an accelerator network profile."""

from __future__ import annotations

from ...catalogue.places import region_of
from ...interfaces import Json
from ..compute import LINK
from ..store import Project, fingerprint, now

ACCELERATOR_MTU = 8896


def add_networks(project: Project, cluster: Json, pool: Json) -> None:
    """The network that GKE makes for a pool with the profile: its own VPC with MTU 8896."""
    if not pool["networkConfig"].get("acceleratorNetworkProfile"):
        return
    region = region_of(cluster["location"])
    name = f"gke-{cluster['name'][:20]}-{cluster['id'][:8]}-{pool['name'][:20]}-net-0"
    link = f"{LINK}projects/{project.id}/global/networks/{name}"
    subnetwork = f"{LINK}projects/{project.id}/regions/{region}/subnetworks/{name}"
    common = {"creationTimestamp": now(), "name": name}
    project.compute[f"global/networks/{name}"] = {
        **common,
        "kind": "compute#network",
        "id": str(abs(hash(name))),
        "selfLink": link,
        "selfLinkWithId": link,
        "autoCreateSubnetworks": False,
        "mtu": ACCELERATOR_MTU,
        "routingConfig": {"routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY"},
        "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        "subnetworks": [subnetwork],
    }
    document: Json = {
        **common,
        "kind": "compute#subnetwork",
        "id": str(abs(hash(subnetwork))),
        "selfLink": subnetwork,
        "network": link,
        "region": f"{LINK}projects/{project.id}/regions/{region}",
        "ipCidrRange": "192.168.0.0/20",
        "gatewayAddress": "192.168.0.1",
        "purpose": "PRIVATE",
        "privateIpGoogleAccess": False,
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "stackType": "IPV4_ONLY",
        "state": "READY",
    }
    document["fingerprint"] = fingerprint(document)
    project.compute[f"regions/{region}/subnetworks/{name}"] = document
    pool["networkConfig"]["additionalNodeNetworkConfigs"] = [{"network": name, "subnetwork": name}]


def remove_networks(project: Project, pool: Json) -> None:
    if not pool["networkConfig"].get("acceleratorNetworkProfile"):
        return
    for entry in pool["networkConfig"].get("additionalNodeNetworkConfigs", []):
        project.compute.pop(f"global/networks/{entry['network']}", None)
        for path in [path for path in project.compute if path.endswith(f"/subnetworks/{entry['subnetwork']}")]:
            project.compute.pop(path)
