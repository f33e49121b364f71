# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users are told of GKE's failures."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import OperationFailed
from ansible_collections.aiserving.gke.plugins.module_utils._gke import explain

# Texts as GKE writes them (public issues and documentation) -> what the remedy must name.
TEXTS = [
    (
        "Google Compute Engine: Not all instances running in IGM after 39s. Expected 1, running 0, transitioning 1. "
        "Current errors: [GCE_STOCKOUT]: Instance 'gke-x' creation failed: The zone 'projects/p/zones/z' does not "
        "have enough resources available to fulfill the request.",
        "reservation",
    ),
    ("Atomic resize failed with [GCE_STOCKOUT]", "flex_start"),
    ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "another zone"),
    ("Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '8.0'", "quota"),
    ("Quota 'TPUS_PER_TPU_FAMILY' exceeded. Limit: 0.0 in region us-east5.", "per region and family"),
    ("Insufficient reserved capacity for reservation", "reservation"),
    ("Reservation projects/p/reservations/r not found in zone", "pool's zone"),
    ("Required 'compute.networks.create' permission, roles/compute.networkAdmin", "roles/compute.networkAdmin"),
    ("Identity Pool does not exist (p.svc.id.goog).", "run again"),
]


@pytest.mark.parametrize(("text", "names"), TEXTS)
def test_a_known_failure_has_its_remedy(text: str, names: str) -> None:
    assert names in explain.remedy(text)


def test_an_unknown_failure_has_none() -> None:
    assert explain.remedy("something else broke") == ""


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, ""),
        ({"statusMessage": "m"}, "m"),
        ({"conditions": [{"code": "GCE_STOCKOUT", "message": "no room"}]}, "[GCE_STOCKOUT]: no room"),
        ({"conditions": [{"canonicalCode": "RESOURCE_EXHAUSTED"}]}, "[RESOURCE_EXHAUSTED]"),
        ({"statusMessage": "[GCE_STOCKOUT]: a", "conditions": [{"code": "GCE_STOCKOUT", "message": "b"}]}, None),
        ({"statusMessage": "m", "conditions": [{"message": "m"}, {"message": "n"}]}, "m; n"),
    ],
)
def test_message_and_conditions_are_told_once_each(document: dict[str, t.Any], says: str | None) -> None:
    wanted = "[GCE_STOCKOUT]: a; [GCE_STOCKOUT]: b" if says is None else says
    assert explain.condition_text(document) == wanted


def test_a_broken_object_says_state_cause_and_ways_out() -> None:
    failure = explain.broken(
        "node pool p", {"status": "ERROR", "statusMessage": "[GCE_STOCKOUT]: no room"}, "replace it"
    )
    assert failure.message.startswith("node pool p is ERROR: [GCE_STOCKOUT]: no room -- ")
    assert failure.message.endswith("; replace it")
    assert failure.details["cause"] == "[GCE_STOCKOUT]: no room"
    assert explain.broken("x", {"status": "DEGRADED"}, "wait").message == "x is DEGRADED: GKE gives no reason -- wait"


def test_a_failed_creation_keeps_its_details_and_gains_the_way_out() -> None:
    error = OperationFailed(
        "create: [GCE_STOCKOUT] -- old advice", operation="op", cause="[GCE_STOCKOUT]", remedy="old"
    )
    failure = explain.left_behind(error, {"status": "ERROR"}, "replace it")
    assert failure.details["operation"] == "op" and failure.details["status"] == "ERROR"
    assert failure.message.startswith("create: [GCE_STOCKOUT] -- ") and "old advice" not in failure.message
    assert failure.details["remedy"].endswith("; replace it")


def test_where_a_wait_stands() -> None:
    assert explain.state_text(None) == "it is not there"
    assert explain.state_text({"status": "PROVISIONING"}) == "it is PROVISIONING"
    assert explain.state_text({"status": "PROVISIONING", "statusMessage": "m"}) == "it is PROVISIONING: m"
