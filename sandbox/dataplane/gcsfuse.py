# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be right before Cloud Storage FUSE mounts a bucket, with the errors that GKE gives when it is not.

A Pod's identity follows Workload Identity Federation for GKE: the
ServiceAccount itself is a principal that roles can be given to, or it acts as
the Google service account that its annotation names, if that one lets it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from ..interfaces import CloudView, Json

DRIVER = "gcsfuse.csi.storage.gke.io"
_ANNOTATION = "gke-gcsfuse/volumes"
_ACTS_AS = "iam.gke.io/gcp-service-account"

_WRITERS = frozenset({"roles/storage.admin", "roles/storage.objectAdmin", "roles/storage.objectUser"})
_READERS = _WRITERS | {"roles/storage.objectViewer"}
# On the project, the basic roles reach buckets through the legacy roles that buckets are made with.
_PROJECT_WRITERS = _WRITERS | {"roles/owner", "roles/editor"}
_PROJECT_READERS = _READERS | _PROJECT_WRITERS | {"roles/viewer"}
# Listing and reading apart: together they are enough.
_LISTERS = frozenset(f"roles/storage.legacyBucket{kind}" for kind in ("Reader", "Writer", "Owner"))
_GETTERS = frozenset({"roles/storage.legacyObjectReader", "roles/storage.legacyObjectOwner"})


class MountError(Exception):
    """A volume cannot be set up; the message is what the event FailedMount says."""


@dataclasses.dataclass(frozen=True)
class Mounted:
    """A bucket's directory, and whether the Pod may write to it."""

    directory: Path
    writable: bool


def mount(cloud: CloudView, cluster: Json, node_pool: Json | None, account: Json, pod: Json, csi: Json) -> Mounted:
    """Check everything in the order in which GKE stumbles. ``account``: the Pod's ServiceAccount. Raises MountError."""
    addons = cluster.get("addonsConfig") or {}
    if not (addons.get("gcsFuseCsiDriverConfig") or {}).get("enabled"):
        raise MountError(
            f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name {DRIVER} not found"
            " in the list of registered CSI drivers"
        )
    annotations = pod["metadata"].get("annotations") or {}
    if str(annotations.get(_ANNOTATION, "")).lower() != "true":
        raise MountError(
            "rpc error: code = FailedPrecondition desc = failed to find the sidecar container in Pod spec:"
            f' the annotation {_ANNOTATION}: "true" is needed'
        )
    attributes = csi.get("volumeAttributes") or {}
    name = attributes.get("bucketName")
    if not name:
        raise MountError("rpc error: code = InvalidArgument desc = NodePublishVolume target bucket must be provided")
    principals = identities(cloud, cluster, node_pool, account)
    bucket = cloud.bucket(name)
    if bucket is None:
        raise MountError(
            f'rpc error: code = NotFound desc = failed to get GCS bucket "{name}":'
            " googleapi: Error 404: The specified bucket does not exist., notFound"
        )
    on_bucket = _roles(cloud.bindings(f"bucket/{name}"), principals)
    on_project = _roles(cloud.bindings("project"), principals)
    reads = on_bucket & _READERS or on_project & _PROJECT_READERS or (on_bucket & _LISTERS and on_bucket & _GETTERS)
    if not reads:
        raise MountError(
            f'rpc error: code = PermissionDenied desc = failed to get GCS bucket "{name}": googleapi: Error 403:'
            f" {principals[0].partition(':')[2]} does not have storage.objects.list access to the Google Cloud Storage"
            " bucket. Permission 'storage.objects.list' denied on resource (or it may not exist)., forbidden"
        )
    directory = bucket
    for option in str(attributes.get("mountOptions", "")).split(","):
        key, separator, value = option.partition("=") if "=" in option.split(":")[0] else option.partition(":")
        if separator and key.strip() == "only-dir":
            directory = bucket / value.strip().strip("/")
            directory.mkdir(parents=True, exist_ok=True)
    return Mounted(directory, bool(on_bucket & _WRITERS or on_project & _PROJECT_WRITERS))


def identities(cloud: CloudView, cluster: Json, node_pool: Json | None, account: Json) -> list[str]:
    """IAM members that speak for the Pod, the one that errors name first. Raises MountError."""
    pool = (cluster.get("workloadIdentityConfig") or {}).get("workloadPool")
    config = (node_pool or {}).get("config") or {}
    mode = (config.get("workloadMetadataConfig") or {}).get("mode", "GKE_METADATA")
    if not pool or mode != "GKE_METADATA":
        email = config.get("serviceAccount") or "default"
        if email == "default":
            email = f"{cloud.project_number}-compute@developer.gserviceaccount.com"
        return [f"serviceAccount:{email}"]
    namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
    federated = f"serviceAccount:{pool}[{namespace}/{name}]"
    base = f"//iam.googleapis.com/projects/{cloud.project_number}/locations/global/workloadIdentityPools/{pool}"
    members = [
        federated,
        f"principal:{base}/subject/ns/{namespace}/sa/{name}",
        f"principalSet:{base}/namespace/{namespace}",
        f"principalSet:{base}/*",
    ]
    email = (account["metadata"].get("annotations") or {}).get(_ACTS_AS)
    if not email:
        return members
    allowed = _roles(cloud.bindings(f"serviceAccount/{email}"), members) | _roles(cloud.bindings("project"), members)
    if "roles/iam.workloadIdentityUser" not in allowed:
        raise MountError(
            "rpc error: code = Unauthenticated desc = failed to prepare storage service: storage service manager failed"
            " to setup service: googleapi: Error 403: Permission 'iam.serviceAccounts.getAccessToken' denied on"
            f" resource (or it may not exist): {federated.partition(':')[2]} may not act as {email}"
            " (roles/iam.workloadIdentityUser)"
        )
    return [f"serviceAccount:{email}"]


def _roles(bindings: Iterable[Json], members: list[str]) -> set[str]:
    everybody = {*members, "allUsers", "allAuthenticatedUsers"}
    return {binding["role"] for binding in bindings if everybody & set(binding.get("members") or [])}
