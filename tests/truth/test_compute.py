# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud on networks, subnetworks, rules, addresses and routers: the chain's network."""

from __future__ import annotations

from tests.truth.gcloud import Gcloud

REGION = "europe-west4"
HERE = f"--region={REGION}"


def test_the_network_of_the_chain(gcloud: Gcloud) -> None:
    compute = "compute"
    gcloud(compute, "networks", "create", "truth", "--subnet-mode=custom", "--mtu=8896")
    subnets = (compute, "networks", "subnets")
    gcloud(*subnets, "create", "nodes", HERE, "--network=truth", "--range=10.0.1.0/24")
    gcloud(
        *(*subnets, "create", "proxies", HERE, "--network=truth", "--range=10.1.1.0/24"),
        *("--purpose=GLOBAL_MANAGED_PROXY", "--role=ACTIVE"),
    )
    gcloud(*subnets, "update", "nodes", HERE, "--enable-private-ip-google-access")
    for number in range(5):  # each of these is a PATCH under the fingerprint that the last one left
        gcloud(*subnets, "update", "nodes", HERE, f"--add-secondary-ranges=r{number}=10.2.{number}.0/24")
    live = gcloud(*subnets, "describe", "nodes", HERE)
    assert live["privateIpGoogleAccess"] and len(live["secondaryIpRanges"]) == 5

    rules = (compute, "firewall-rules")
    gcloud(
        *(*rules, "create", "truth-checks", "--network=truth", "--allow=tcp:8000"),
        "--source-ranges=130.211.0.0/22,35.191.0.0/16",
    )
    gcloud(*rules, "update", "truth-checks", "--priority=900")
    assert gcloud(*rules, "describe", "truth-checks")["priority"] == 900

    addresses = (compute, "addresses")
    gcloud(
        *(*addresses, "create", "vip", HERE, "--subnet=nodes", "--addresses=10.0.1.9"),
        "--purpose=SHARED_LOADBALANCER_VIP",
    )
    for number in range(5):
        gcloud("beta", *addresses, "update", "vip", HERE, f"--update-labels=number={number}")
    assert gcloud(*addresses, "describe", "vip", HERE)["labels"] == {"number": "4"}

    gcloud(compute, "routers", "create", "egress", HERE, "--network=truth")
    nats = (compute, "routers", "nats")
    gcloud(
        *(*nats, "create", "nat", "--router=egress", HERE, "--auto-allocate-nat-external-ips"),
        *("--nat-custom-subnet-ip-ranges=nodes", "--enable-logging", "--log-filter=ERRORS_ONLY"),
    )
    assert gcloud(*nats, "describe", "nat", "--router=egress", HERE)["logConfig"]["filter"] == "ERRORS_ONLY"

    status = gcloud(compute, "routers", "get-status", "egress", HERE)
    assert [nat["name"] for nat in status["result"]["natStatus"]] == ["nat"]
    usable = gcloud(*subnets, "list-usable", f"--project={gcloud.project}")
    assert {"nodes", "proxies"} <= {one["subnetwork"].rpartition("/")[2] for one in usable}
    assert "truth" in [network["name"] for network in gcloud(compute, "networks", "list")]

    assert "being used" in gcloud.refused(compute, "networks", "delete", "truth")
    gcloud(*nats, "delete", "nat", "--router=egress", HERE)
    gcloud(compute, "routers", "delete", "egress", HERE)
    gcloud(*addresses, "delete", "vip", HERE)
    gcloud(*rules, "delete", "truth-checks")
    for name in ("nodes", "proxies"):
        gcloud(*subnets, "delete", name, HERE)
    gcloud(compute, "networks", "delete", "truth")


def test_many_at_once_and_what_google_makes(gcloud: Gcloud) -> None:
    compute = "compute"
    gcloud(compute, "addresses", "create", "one", "two", HERE)  # a batch
    gcloud(compute, "addresses", "delete", "one", "two", HERE)
    gcloud(compute, "addresses", "create", "world", "--global")
    assert "world" in [one["name"] for one in gcloud(compute, "addresses", "list", "--global")]
    gcloud(compute, "addresses", "delete", "world", "--global")
    last = gcloud(compute, "operations", "list", f"--filter=region:{REGION}")[-1]["name"]
    assert gcloud(compute, "operations", "describe", last, HERE)["status"] == "DONE"
    for kind in ("instances", "instance-groups", "health-checks", "network-endpoint-groups", "forwarding-rules"):
        gcloud(compute, kind, "list")
    for kind in ("backend-services", "url-maps", "target-http-proxies"):
        gcloud(compute, kind, "list")
    assert "This sandbox does not have" in gcloud.run(compute, "disks", "list").stderr
