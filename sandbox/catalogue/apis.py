# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The APIs of this Google Cloud, what enabling one brings, and the service agents."""

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
SOURCES = {
    "TITLES": "https://console.cloud.google.com/apis/library, error texts of recorded/ and public issues",
    "DEPENDENCIES": "https://cloud.google.com/kubernetes-engine/docs/how-to/enable-gkee, recorded/serviceusage",
    "AGENTS": "https://cloud.google.com/iam/docs/service-agents",
    "AGENT_NAMES": "https://cloud.google.com/iam/docs/service-agents",
}
