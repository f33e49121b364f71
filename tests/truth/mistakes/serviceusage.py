# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in switching APIs on and off."""

from __future__ import annotations

from tests.truth.mistakes.compute import refused

SERVICES = "serviceusage/v1/projects/{project}/services"
REFERENCE = "https://cloud.google.com/service-usage/docs/reference/rest/v1/services"
UNKNOWN = "Not found or permission denied for service\\(s\\): containers\\.googleapis\\.com\\."


MISTAKES = (
    refused(
        "an API that there is not",
        "service",
        "https://cloud.google.com/service-usage/docs/troubleshooting",
        UNKNOWN,
        ("POST", f"{SERVICES}/containers.googleapis.com:enable", {}),
        code=403,
        status="PERMISSION_DENIED",
    ),
    refused(
        "an API that there is not, among others",
        "service",
        f"{REFERENCE}/batchEnable",
        UNKNOWN,
        (
            *("POST", f"{SERVICES}:batchEnable"),
            {"serviceIds": ["compute.googleapis.com", "containers.googleapis.com"]},
        ),
        code=403,
        status="PERMISSION_DENIED",
    ),
    refused(
        "21 APIs at once",
        "service",
        f"{REFERENCE}/batchEnable",
        ".",
        ("POST", f"{SERVICES}:batchEnable", {"serviceIds": ["compute.googleapis.com"] * 21}),
        code=400,
        status="INVALID_ARGUMENT",
    ),
    refused(
        "an API off that others need",
        "disabling",
        f"{REFERENCE}/disable",
        "The service compute\\.googleapis\\.com is depended on by the following active service\\(s\\): "
        "container\\.googleapis\\.com; Please specify disable_dependent_services=true if you want to proceed with "
        "disabling all services\\.",
        ("POST", f"{SERVICES}/compute.googleapis.com:disable", {}),
        code=400,
        status="FAILED_PRECONDITION",
    ),
    refused(
        "an API off that is in use",
        "disabling",
        "https://github.com/swiss-ai-center/a-guide-to-mlops/issues/209",
        "The service container\\.googleapis\\.com has usage in the last 30 days\\. Please specify "
        "check_if_service_has_usage=SKIP if you want to proceed with disabling the service\\.",
        ("GET", "container/v1/projects/{project}/locations/-/clusters", None),
        ("POST", f"{SERVICES}/container.googleapis.com:disable", {"checkIfServiceHasUsage": "CHECK"}),
        code=400,
        status="FAILED_PRECONDITION",
    ),
    refused(
        "a call to an API that is off",
        "disabling",
        "https://cloud.google.com/service-usage/docs/enable-disable",
        "Compute Engine API has not been used in project \\d+ before or it is disabled\\. Enable it by visiting",
        ("POST", "cloudresourcemanager/v1/projects", {"projectId": "switched-off"}),
        ("GET", "compute/v1/projects/switched-off/global/networks", None),
        code=403,
        reason="accessNotConfigured",
    ),
)
