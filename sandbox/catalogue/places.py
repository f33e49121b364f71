# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regions and zones."""

from __future__ import annotations

# Region -> letters of its zones.
REGIONS = {
    "africa-south1": "abc",
    "asia-east1": "abc",
    "asia-east2": "abc",
    "asia-northeast1": "abc",
    "asia-northeast2": "abc",
    "asia-northeast3": "abc",
    "asia-south1": "abc",
    "asia-south2": "abc",
    "asia-southeast1": "abc",
    "asia-southeast2": "abc",
    "australia-southeast1": "abc",
    "australia-southeast2": "abc",
    "europe-central2": "abc",
    "europe-north1": "abc",
    "europe-north2": "abc",
    "europe-southwest1": "abc",
    "europe-west1": "bcd",
    "europe-west10": "abc",
    "europe-west12": "abc",
    "europe-west2": "abc",
    "europe-west3": "abc",
    "europe-west4": "abc",
    "europe-west6": "abc",
    "europe-west8": "abc",
    "europe-west9": "abc",
    "me-central1": "abc",
    "me-central2": "abc",
    "me-west1": "abc",
    "northamerica-northeast1": "abc",
    "northamerica-northeast2": "abc",
    "northamerica-south1": "abc",
    "southamerica-east1": "abc",
    "southamerica-west1": "abc",
    "us-central1": "abcf",
    "us-central2": "b",
    "us-east1": "bcd",
    "us-east4": "abc",
    "us-east5": "abc",
    "us-south1": "abc",
    "us-west1": "abc",
    "us-west2": "abc",
    "us-west3": "abc",
    "us-west4": "abc",
}
# Regions that are not open to everybody: a network in auto mode has no subnetwork there.
CLOSED_REGIONS = ("me-central2", "us-central2")
# Zones beside the ordinary ones that have accelerators and little else; regional clusters do not spread over them.
AI_ZONES = ("us-central1-ai1a", "us-central1-ai1b", "us-south1-ai1b")
SOURCES = {
    "REGIONS": "https://cloud.google.com/compute/docs/regions-zones",
    "CLOSED_REGIONS": "recorded/compute/firewall: the subnetworks of a default network",
    "AI_ZONES": "https://docs.cloud.google.com/compute/docs/regions-zones/ai-zones",
}


def ordinary_zones(region: str) -> list[str]:
    """The zones over which a regional resource spreads. Raises KeyError."""
    return [f"{region}-{letter}" for letter in REGIONS[region]]


def zones(region: str) -> list[str]:
    """All zones of a region. Raises KeyError."""
    return [*ordinary_zones(region), *(zone for zone in AI_ZONES if region_of(zone) == region)]


def is_region(location: str) -> bool:
    return location in REGIONS


def is_zone(location: str) -> bool:
    region = location.rpartition("-")[0]
    return region in REGIONS and location in zones(region)


def area(location: str) -> str:
    """What GKE calls the place in links and messages: "locations" for a region, "zones" for a zone."""
    return "locations" if is_region(location) else "zones"


def region_of(location: str) -> str:
    return location if is_region(location) else location.rpartition("-")[0]
