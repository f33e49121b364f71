# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this Google Cloud consists of: its APIs, regions, zones and GKE versions."""

from __future__ import annotations

# Names of the APIs that Google's error texts print; others are printed by their DNS name.
TITLES = {
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "compute.googleapis.com": "Compute Engine API",
    "container.googleapis.com": "Kubernetes Engine API",
    "gkehub.googleapis.com": "GKE Hub API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "multiclusteringress.googleapis.com": "Multi Cluster Ingress API",
    "multiclusterservicediscovery.googleapis.com": "Multi cluster Service Discovery API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage JSON API",
}

# Enabling the one enables the others.
DEPENDENCIES = {
    "container.googleapis.com": (
        "compute.googleapis.com",
        "autoscaling.googleapis.com",
        "dns.googleapis.com",
        "iam.googleapis.com",
        "iamcredentials.googleapis.com",
        "logging.googleapis.com",
        "monitoring.googleapis.com",
        "oslogin.googleapis.com",
    ),
    "compute.googleapis.com": ("oslogin.googleapis.com",),
}

# Service agents that come with their API, with a role of their own, and do not follow service-NUMBER@gcp-sa-NAME.
AGENTS = {
    "compute.googleapis.com": "compute-system",
    "container.googleapis.com": "container-engine-robot",
}

# Service agents service-NUMBER@gcp-sa-NAME whose NAME is not that of the API.
AGENT_NAMES = {"multiclusterservicediscovery": "mcsd"}

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
    "me-west1": "abc",
    "northamerica-northeast1": "abc",
    "northamerica-northeast2": "abc",
    "northamerica-south1": "abc",
    "southamerica-east1": "abc",
    "southamerica-west1": "abc",
    "us-central1": "abcf",
    "us-east1": "bcd",
    "us-east4": "abc",
    "us-east5": "abc",
    "us-south1": "abc",
    "us-west1": "abc",
    "us-west2": "abc",
    "us-west3": "abc",
    "us-west4": "abc",
}

# Channel -> versions that it offers, the default first.
VERSIONS = {
    "RAPID": (
        "1.35.6-gke.1127000",
        "1.35.5-gke.1241004",
        "1.35.2-gke.1842000",
        "1.34.1-gke.2037000",
        "1.34.1-gke.1829001",
        "1.33.5-gke.1162000",
    ),
    "REGULAR": ("1.35.6-gke.1127000", "1.35.5-gke.1241004", "1.33.5-gke.1162000"),
    "STABLE": ("1.34.8-gke.1278000", "1.33.5-gke.1162000", "1.32.9-gke.1108000"),
    "EXTENDED": (
        "1.34.8-gke.1278000",
        "1.35.5-gke.1241004",
        "1.33.5-gke.1162000",
        "1.32.9-gke.1108000",
        "1.30.5-gke.1014001",
    ),
}


def zones(region: str) -> list[str]:
    return [f"{region}-{letter}" for letter in REGIONS[region]]


def is_region(location: str) -> bool:
    return location in REGIONS


def is_zone(location: str) -> bool:
    return location.rpartition("-")[0] in REGIONS and location in zones(location.rpartition("-")[0])


def area(location: str) -> str:
    """What GKE calls the place in links and messages: "locations" for a region, "zones" for a zone."""
    return "locations" if is_region(location) else "zones"


def region_of(location: str) -> str:
    return location if is_region(location) else location.rpartition("-")[0]
