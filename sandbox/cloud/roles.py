# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The predefined roles that this cloud knows. https://cloud.google.com/iam/docs/roles-permissions

All of those services are here whose resources an LLM service on GKE has something to do with, by name; permissions
only of those that the chain grants, and only the ones that it needs of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from .apis import APIS

BASIC = ("owner", "editor", "viewer", "browser", "admin", "reader", "writer")
# Service -> its roles. Of resourcemanager, projectAdmin and projectEditor are in recorded traffic only.
NAMES: Mapping[str, str] = {
    "artifactregistry": "admin createOnPushRepoAdmin createOnPushWriter reader repoAdmin writer serviceAgent "
    "containerRegistryMigrationAdmin",
    "autoscaling": "metricsWriter recommendationsReader sitesAdmin sitesEditor sitesReader stateWriter",
    "compute": "admin futureReservationAdmin futureReservationUser futureReservationViewer imageUser instanceAdmin "
    "instanceAdmin.v1 instanceGroupManagerServiceAgent loadBalancerAdmin loadBalancerServiceUser networkAdmin "
    "networkUser networkViewer orgFirewallPolicyAdmin orgFirewallPolicyUser orgSecurityPolicyAdmin "
    "orgSecurityPolicyUser orgSecurityResourceAdmin osAdminLogin osLogin osLoginExternalUser packetMirroringAdmin "
    "packetMirroringUser publicIpAdmin securityAdmin serviceAgent soleTenantViewer storageAdmin viewer xpnAdmin",
    "container": "admin clusterAdmin clusterViewer defaultNodeServiceAccount developer hostServiceAgentUser "
    "nodeServiceAccount nodeServiceAgent serviceAgent viewer cdnAgent",
    "dns": "admin peer reader serviceAgent",
    "gkebackup": "admin backupAdmin delegatedBackupAdmin delegatedRestoreAdmin restoreAdmin serviceAgent viewer",
    "gkehub": "admin connect crossProjectServiceAgent editor gatewayAdmin gatewayEditor gatewayReader scopeAdmin "
    "scopeEditor scopeEditorProjectLevel scopeViewer scopeViewerProjectLevel serviceAgent viewer",
    "iam": "denyAdmin denyReviewer oauthClientAdmin oauthClientViewer oidcTokenCreator "
    "organizationRoleAdmin organizationRoleViewer roleAdmin roleViewer securityAdmin securityReviewer "
    "serviceAccountAdmin serviceAccountApiKeyBindingAdmin serviceAccountCreator serviceAccountDeleter "
    "serviceAccountKeyAdmin serviceAccountOpenIdTokenCreator serviceAccountTokenCreator serviceAccountUser "
    "serviceAccountViewer workforcePoolAdmin workforcePoolEditor workforcePoolViewer workloadIdentityPoolAdmin "
    "workloadIdentityPoolViewer workloadIdentityUser",
    "logging": "admin bucketWriter configWriter fieldAccessor linkViewer logWriter privateLogViewer serviceAgent "
    "sqlAlertWriter viewAccessor viewer",
    "monitoring": "admin alertPolicyEditor alertPolicyViewer cloudConsoleIncidentEditor cloudConsoleIncidentViewer "
    "dashboardEditor dashboardViewer editor metricWriter metricsScopesAdmin metricsScopesViewer "
    "notificationChannelEditor notificationChannelViewer notificationServiceAgent servicesEditor servicesViewer "
    "snoozeEditor snoozeViewer uptimeCheckConfigEditor uptimeCheckConfigViewer viewer",
    "multiclusteringress": "serviceAgent",
    "multiclustermetering": "serviceAgent",
    "multiclusterservicediscovery": "serviceAgent",
    "networkconnectivity": "consumerNetworkAdmin groupUser hubAdmin hubViewer internalRangeAdmin internalRangeViewer "
    "regionalEndpointAdmin regionalEndpointViewer serviceAgent serviceClassUser serviceProducerAdmin spokeAdmin",
    "networkservices": "serviceExtensionsAdmin serviceExtensionsViewer",
    "resourcemanager": "folderAdmin folderCreator folderEditor folderIamAdmin folderMover folderViewer lienModifier "
    "organizationAdmin organizationViewer projectAdmin projectCreator projectDeleter projectEditor projectIamAdmin "
    "projectMover tagAdmin tagHoldAdmin tagUser tagViewer",
    "secretmanager": "admin secretAccessor secretVersionAdder secretVersionManager viewer",
    "servicemanagement": "admin configEditor quotaAdmin quotaViewer reporter serviceConsumer serviceController",
    "serviceusage": "apiKeysAdmin apiKeysMetadataViewer apiKeysViewer serviceUsageAdmin serviceUsageConsumer "
    "serviceUsageViewer",
    "storage": "admin bucketViewer expressModeServiceInput expressModeServiceOutput expressModeUserAccess folderAdmin "
    "hmacKeyAdmin insightsCollectorService legacyBucketOwner legacyBucketReader legacyBucketWriter legacyObjectOwner "
    "legacyObjectReader objectAdmin objectCreator objectUser objectViewer",
    "tpu": "admin serviceAgent viewer xpnAgent",
    "trafficdirector": "client",
}
# Prefixes of roles whose service has another name than its API.
OTHER = frozenset({"cloudsql", "cloudkms", "errorreporting", "stackdriver", "run", "meshconfig"})


@dataclasses.dataclass(frozen=True)
class Role:
    """``permissions``: those that matter here."""

    title: str
    description: str
    permissions: tuple[str, ...]


_READ_PROJECT = ("resourcemanager.projects.get", "resourcemanager.projects.list")
_READ_OBJECTS = (
    *("storage.folders.get", "storage.folders.list", "storage.managedFolders.get", "storage.managedFolders.list"),
    *("storage.objects.get", "storage.objects.list"),
)
_WRITE_OBJECTS = ("storage.objects.create", "storage.objects.delete", "storage.objects.update")
DESCRIBED: Mapping[str, Role] = {
    "roles/compute.networkAdmin": Role(
        "Compute Network Admin",
        "Full control of Compute Engine networking resources.",
        tuple(
            f"compute.{kind}.{verb}"
            for kind in ("addresses", "firewalls", "networks", "routers", "subnetworks")
            for verb in (("get", "list") if kind == "firewalls" else ("create", "delete", "get", "list", "update"))
        ),
    ),
    "roles/container.admin": Role(
        "Kubernetes Engine Admin",
        "Full management of Kubernetes Clusters and their Kubernetes API objects.",
        (
            *("container.clusters.create", "container.clusters.delete", "container.clusters.get"),
            *("container.clusters.list", "container.clusters.update", "container.operations.get", *_READ_PROJECT),
        ),
    ),
    "roles/container.defaultNodeServiceAccount": Role(
        "Kubernetes Engine Default Node Service Account",
        "Least privilege role to use as the default service account for GKE Nodes.",
        (
            *("autoscaling.sites.writeMetrics", "logging.logEntries.create", "monitoring.metricDescriptors.create"),
            *("monitoring.metricDescriptors.list", "monitoring.timeSeries.create", "monitoring.timeSeries.list"),
        ),
    ),
    "roles/gkehub.admin": Role(
        "Fleet Admin (formerly GKE Hub Admin)",
        "Full access to Fleet resources.",
        (
            *("gkehub.features.create", "gkehub.features.delete", "gkehub.features.get", "gkehub.features.update"),
            *("gkehub.memberships.create", "gkehub.memberships.delete", "gkehub.memberships.get", *_READ_PROJECT),
        ),
    ),
    "roles/iam.workloadIdentityUser": Role(
        "Workload Identity User",
        "Impersonate service accounts from federated workloads.",
        ("iam.serviceAccounts.get", "iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken"),
    ),
    "roles/storage.objectAdmin": Role(
        "Storage Object Admin",
        "Full control of GCS objects.",
        (
            *_READ_PROJECT,
            *_READ_OBJECTS,
            *_WRITE_OBJECTS,
            "storage.objects.getIamPolicy",
            "storage.objects.setIamPolicy",
        ),
    ),
    "roles/storage.objectUser": Role(
        "Storage Object User",
        "Access to create, read, update and delete objects and multipart uploads in GCS.",
        (*_READ_PROJECT, *_READ_OBJECTS, *_WRITE_OBJECTS),
    ),
    "roles/storage.objectViewer": Role(
        "Storage Object Viewer",
        "Grants access to view objects and their metadata, excluding ACLs. Can also list the objects in a bucket.",
        (*_READ_PROJECT, *_READ_OBJECTS),
    ),
}
ROLES = frozenset(
    [f"roles/{name}" for name in BASIC]
    + [f"roles/{service}.{name}" for service, names in NAMES.items() for name in names.split()]
)


def unknown_service(role: str) -> str:
    """The Google service, if any, whose roles this cloud does not know: it cannot say whether there is such a role."""
    service = role.removeprefix("roles/").partition(".")[0]
    return service if service not in NAMES and service in APIS | OTHER else ""
