# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What compute lists of the catalogue: machine types, accelerator types, reservations, quotas."""

from __future__ import annotations

import typing as t

from tests.clouds import PROJECT, Running

Json = dict[str, t.Any]
COMPUTE = f"compute/v1/projects/{PROJECT}"
ZONE = f"{COMPUTE}/zones/us-east5-a"
CLUSTERS = f"container/v1/projects/{PROJECT}/locations/us-east5-a/clusters"
TPU: Json = {"machineType": "ct6e-standard-4t"}


def test_a_zone_lists_its_machines(cloud: Running) -> None:
    names = {item["name"] for item in cloud.ok("GET", f"{ZONE}/machineTypes?maxResults=500")["items"]}
    assert {"e2-standard-16", "ct6e-standard-4t"} <= names and "tpu7x-standard-4t" not in names
    live = cloud.ok("GET", f"{ZONE}/machineTypes/ct6e-standard-4t")
    assert (live["guestCpus"], live["memoryMb"]) == (180, 720 * 1024)
    assert live["accelerators"] == [{"guestAcceleratorType": "ct6e", "guestAcceleratorCount": 4}]
    assert cloud.ok("GET", f"{ZONE}/machineTypes/n2-custom-4-8192")["memoryMb"] == 8192
    for name in ("tpu7x-standard-4t", "e2-standard-3"):
        assert cloud.call("GET", f"{ZONE}/machineTypes/{name}")[0] == 404
    every = cloud.ok("GET", f"{COMPUTE}/aggregated/machineTypes?filter=name%3Dtpu7x-standard-4t")["items"]
    assert [place for place, found in every.items() if "machineTypes" in found] == [
        "zones/us-central1-c",
        "zones/us-central1-ai1a",
    ]


def test_a_zone_lists_its_accelerators(cloud: Running) -> None:
    """As https://docs.cloud.google.com/tpu/docs looks for TPUs: gcloud compute accelerator-types list."""
    items = cloud.ok("GET", f"{COMPUTE}/aggregated/acceleratorTypes")["items"]
    places = [
        place
        for place, found in items.items()
        if any(one["name"] == "ct6e" for one in found.get("acceleratorTypes", []))
    ]
    assert "zones/europe-west4-a" in places and "zones/europe-west4-b" not in places
    assert cloud.ok("GET", f"{COMPUTE}/zones/us-central1-a/acceleratorTypes/nvidia-l4")["maximumCardsPerInstance"] == 8
    assert cloud.call("GET", f"{ZONE}/acceleratorTypes/nvidia-tesla-t4")[0] == 404


def test_a_reservation_is_made_consumed_and_held(cloud: Running) -> None:
    properties = {"count": "2", "instanceProperties": {"machineType": "ct6e-standard-4t"}}
    body = {"name": "mine", "specificReservation": properties, "specificReservationRequired": True}
    cloud.done(cloud.ok("POST", f"{ZONE}/reservations", body))
    cloud.done(cloud.ok("POST", CLUSTERS, {"cluster": {"name": "c", "initialNodeCount": 1}}))
    affinity = {
        "consumeReservationType": "SPECIFIC_RESERVATION",
        "key": "compute.googleapis.com/reservation-name",
        "values": ["mine"],
    }
    pool = {"name": "tpu", "initialNodeCount": 1, "config": {**TPU, "reservationAffinity": affinity}}
    cloud.done(cloud.ok("POST", f"{CLUSTERS}/c/nodePools", {"nodePool": pool}))
    live = cloud.ok("GET", f"{ZONE}/reservations/mine")
    assert (live["status"], live["specificReservation"]["inUseCount"]) == ("READY", "1")
    status, answer = cloud.call("DELETE", f"{ZONE}/reservations/mine")
    assert (status, answer["error"]["errors"][0]["reason"]) == (400, "resourceInUseByAnotherResource")
    # Shared reservations and their blocks are named in full.
    for name, values in (("block", ["mine/reservationBlocks/b"]), ("full", [f"projects/{PROJECT}/reservations/mine"])):
        more = {**pool, "name": name, "config": {**TPU, "reservationAffinity": {**affinity, "values": values}}}
        assert "error" not in cloud.done(cloud.ok("POST", f"{CLUSTERS}/c/nodePools", {"nodePool": more}))
        cloud.done(cloud.ok("DELETE", f"{CLUSTERS}/c/nodePools/{name}"))
    cloud.done(cloud.ok("DELETE", f"{CLUSTERS}/c/nodePools/tpu"))
    assert cloud.ok("GET", f"{ZONE}/reservations/mine")["specificReservation"]["inUseCount"] == "0"
    places = cloud.ok("GET", f"{COMPUTE}/aggregated/reservations")["items"]
    assert [one["name"] for one in places["zones/us-east5-a"]["reservations"]] == ["mine"]
    cloud.done(cloud.ok("DELETE", f"{ZONE}/reservations/mine"))
    assert cloud.call("GET", f"{ZONE}/reservations/mine")[0] == 404


def test_a_region_tells_its_quotas_and_what_is_used_of_them(cloud: Running) -> None:
    def quota(metric: str) -> Json:
        found = cloud.ok("GET", f"{COMPUTE}/regions/us-east5")["quotas"]
        return next(one for one in found if one["metric"] == metric)

    assert quota("N2_CPUS")["usage"] == 0
    config = {"machineType": "n2-standard-8"}
    cloud.done(cloud.ok("POST", CLUSTERS, {"cluster": {"name": "c", "initialNodeCount": 2, "nodeConfig": config}}))
    assert quota("N2_CPUS")["usage"] == 16
    cloud.done(cloud.ok("POST", f"{CLUSTERS}/c/nodePools/default-pool:setSize", {"nodeCount": 3}))
    assert quota("N2_CPUS")["usage"] == 24
    room = int((quota("N2_CPUS")["limit"] - 24) / 8)
    status, answer = cloud.call("POST", f"{CLUSTERS}/c/nodePools/default-pool:setSize", {"nodeCount": 3 + room + 1})
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "is short '8.0'" in answer["error"]["message"]
    cloud.done(cloud.ok("DELETE", f"{CLUSTERS}/c"))
    assert quota("N2_CPUS")["usage"] == 0
