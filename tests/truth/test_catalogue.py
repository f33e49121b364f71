# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud finds what there is to be had, reserves it, upgrades, rolls back, and is refused what cannot be."""

from __future__ import annotations

from tests.truth.gcloud import Gcloud

ZONE = "us-central1-a"
HERE = f"--location={ZONE}"


def test_what_is_sold_where(gcloud: Gcloud) -> None:
    zones = gcloud.succeed("compute", "accelerator-types", "list", "--filter=name~ct6e", "--format=value(zone)").split()
    assert "europe-west4-a" in zones and "europe-west4-b" not in zones
    found = gcloud("compute", "machine-types", "list", "--filter=name=ct5lp-hightpu-4t AND zone:us-central1")
    assert [one["guestCpus"] for one in found] == [112]
    config = gcloud("container", "get-server-config", HERE)
    assert [one["channel"] for one in config["channels"]] == ["RAPID", "REGULAR", "STABLE", "EXTENDED"]
    quotas = gcloud("compute", "regions", "describe", "us-central1")["quotas"]
    assert all(quota["limit"] > 0 for quota in quotas)


def test_pools_on_reserved_machines_and_their_upgrades(gcloud: Gcloud) -> None:
    gcloud(
        *("compute", "reservations", "create", "held", f"--zone={ZONE}", "--machine-type=ct5lp-hightpu-4t"),
        *("--vm-count=1", "--require-specific-reservation"),
    )
    gcloud(
        *("container", "clusters", "create", "upgraded", HERE, "--num-nodes=1", "--release-channel=rapid"),
        "--cluster-version=1.34",
    )
    pool = ("--cluster=upgraded", HERE, "--machine-type=ct5lp-hightpu-4t")
    reserved = ("--reservation-affinity=specific", "--reservation=held")
    gcloud("container", "node-pools", "create", "one", *pool, "--num-nodes=1", *reserved)
    text = gcloud.refused("container", "node-pools", "create", "two", *pool, "--num-nodes=1", *reserved)
    assert "required 1 and short of 1 VM count of machine type ct5lp-hightpu-4t" in text
    text = gcloud.refused("container", "node-pools", "create", "slice", *pool, "--num-nodes=3", "--tpu-topology=4x4")
    assert 'node count 3 is not a valid size of TPU pod slice with topology "4x4"' in text
    text = gcloud.refused("container", "node-pools", "create", "flex", *pool, "--num-nodes=1", "--flex-start")
    assert "Flex start node pools require autoscaling enabled." in text
    held = gcloud("compute", "reservations", "describe", "held", f"--zone={ZONE}")
    assert held["specificReservation"]["inUseCount"] == "1"

    upgrade = ("container", "clusters", "upgrade", "upgraded", HERE)
    gcloud.succeed(*upgrade, "--master", "--cluster-version=1.35")
    gcloud.succeed(*upgrade, "--node-pool=default-pool")
    gcloud.succeed("container", "node-pools", "rollback", "default-pool", "--cluster=upgraded", HERE)
    live = gcloud("container", "clusters", "describe", "upgraded", HERE)
    versions = {one["name"]: one["version"].partition("-")[0] for one in live["nodePools"]}
    assert versions == {"default-pool": "1.35.6", "one": "1.34.1"}
    gcloud("container", "clusters", "delete", "upgraded", HERE)
    gcloud("compute", "reservations", "delete", "held", f"--zone={ZONE}")


def test_autopilot(gcloud: Gcloud) -> None:
    region = "--location=us-central1"
    gcloud("container", "clusters", "create-auto", "managed", region)
    assert gcloud("container", "clusters", "describe", "managed", region)["autopilot"]["enabled"]
    text = gcloud.refused("container", "node-pools", "list", "--cluster=managed", region)
    assert "Autopilot node pools cannot be accessed or modified." in text
    gcloud("container", "clusters", "delete", "managed", region)


def test_ingress_needs_a_config_membership_that_is_there(gcloud: Gcloud) -> None:
    name = f"projects/{gcloud.project}/locations/global/memberships/none"
    text = gcloud.refused("container", "fleet", "ingress", "enable", f"--config-membership={name}")
    assert f'InvalidValueError for field config_membership: Membership "{name}" does not exist' in text
