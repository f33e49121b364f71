# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every precondition of a Cloud Storage FUSE mount, and what is said when it does not hold."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.dataplane import gcsfuse
from sandbox.interfaces import Json
from tests.sandbox.dataplane.support import FEDERATED, GSA, PROJECT, FakeCloud

POOL = f"//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/{PROJECT}.svc.id.goog"
SUBJECT = f"principal:{POOL}/subject/ns/default/sa/model-server"


class Case:
    """A mount that works; tests take something away."""

    def __init__(self, directory: Path) -> None:
        (directory / "weights").mkdir()
        self.cloud = FakeCloud(directory, "127.0.0.0/24")
        self.pod: Json = {"metadata": {"annotations": {"gke-gcsfuse/volumes": "true"}}}
        annotations = {"iam.gke.io/gcp-service-account": GSA}
        self.account: Json = {"metadata": {"namespace": "default", "name": "model-server", "annotations": annotations}}
        self.csi: Json = {"driver": gcsfuse.DRIVER, "volumeAttributes": {"bucketName": "weights"}}

    def mount(self) -> gcsfuse.Mounted:
        pool = self.cloud.document["nodePools"][0]
        cloud = t.cast(t.Any, self.cloud)
        return gcsfuse.mount(cloud, self.cloud.document, pool, self.account, self.pod, self.csi)

    def grant(self, role: str, member: str, on: str = "bucket/weights") -> None:
        self.cloud.policies[on] = [{"role": role, "members": [member]}]

    def direct(self) -> None:
        """No Google service account in between."""
        del self.account["metadata"]["annotations"]
        del self.cloud.policies[f"serviceAccount/{GSA}"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_right_mount_is_the_buckets_directory(case: Case) -> None:
    assert case.mount() == gcsfuse.Mounted(case.cloud.directory / "weights", True)


def _no_driver(case: Case) -> None:
    case.cloud.document["addonsConfig"]["gcsFuseCsiDriverConfig"]["enabled"] = False


def _no_addons(case: Case) -> None:
    del case.cloud.document["addonsConfig"]


def _no_annotation(case: Case) -> None:
    case.pod["metadata"] = {}


def _no_bucket(case: Case) -> None:
    case.csi["volumeAttributes"]["bucketName"] = "other"


def _no_bucket_name(case: Case) -> None:
    case.csi["volumeAttributes"] = {}


def _no_impersonation(case: Case) -> None:
    case.cloud.policies[f"serviceAccount/{GSA}"] = []


def _impersonation_of_another(case: Case) -> None:
    case.grant("roles/iam.workloadIdentityUser", FEDERATED.replace("default/", "other/"), f"serviceAccount/{GSA}")


def _no_role(case: Case) -> None:
    case.cloud.policies["bucket/weights"] = []


def _role_of_another(case: Case) -> None:
    case.grant("roles/storage.objectAdmin", "serviceAccount:else@x.iam.gserviceaccount.com")


def _role_too_small(case: Case) -> None:
    case.grant("roles/storage.legacyBucketReader", f"serviceAccount:{GSA}")


def _ksa_role_but_acts_as_gsa(case: Case) -> None:
    case.grant("roles/storage.objectAdmin", SUBJECT)


def _node_identity(case: Case) -> None:
    case.cloud.document["nodePools"][0]["config"]["workloadMetadataConfig"]["mode"] = "GCE_METADATA"


def _no_workload_pool(case: Case) -> None:
    del case.cloud.document["workloadIdentityConfig"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_driver, "not found in the list of registered CSI drivers"),
        (_no_addons, "not found in the list of registered CSI drivers"),
        (_no_annotation, "failed to find the sidecar container"),
        (_no_bucket_name, "target bucket must be provided"),
        (_no_bucket, "The specified bucket does not exist"),
        (_no_impersonation, "iam.serviceAccounts.getAccessToken"),
        (_impersonation_of_another, "iam.serviceAccounts.getAccessToken"),
        (_no_role, f"PermissionDenied.*{GSA} does not have storage.objects.list"),
        (_role_of_another, "PermissionDenied"),
        (_role_too_small, "PermissionDenied"),
        (_ksa_role_but_acts_as_gsa, "PermissionDenied"),
        (_node_identity, "123456789012-compute@developer.gserviceaccount.com does not have"),
        (_no_workload_pool, "123456789012-compute@developer.gserviceaccount.com does not have"),
    ],
)
def test_what_is_missing_is_said(case: Case, spoil: Callable[[Case], None], words: str) -> None:
    spoil(case)
    with pytest.raises(gcsfuse.MountError, match=words):
        case.mount()


@pytest.mark.parametrize(
    ("role", "member", "resource", "writable"),
    [
        ("roles/storage.objectUser", SUBJECT, "bucket/weights", True),
        ("roles/storage.objectViewer", SUBJECT, "bucket/weights", False),
        ("roles/storage.objectViewer", FEDERATED, "bucket/weights", False),
        ("roles/storage.objectAdmin", f"principalSet:{POOL}/namespace/default", "bucket/weights", True),
        ("roles/storage.objectViewer", "allUsers", "bucket/weights", False),
        ("roles/storage.objectViewer", SUBJECT, "project", False),
        ("roles/storage.admin", SUBJECT, "project", True),
    ],
)
def test_direct_grants_to_the_kubernetes_service_account(
    case: Case, role: str, member: str, resource: str, writable: bool
) -> None:
    case.direct()
    case.cloud.policies.clear()
    case.grant(role, member, resource)
    assert case.mount().writable is writable


def test_listing_and_reading_may_be_given_apart(case: Case) -> None:
    legacy = ("roles/storage.legacyBucketReader", "roles/storage.legacyObjectReader")
    case.cloud.policies["bucket/weights"] = [{"role": r, "members": [f"serviceAccount:{GSA}"]} for r in legacy]
    assert case.mount().writable is False


def test_the_nodes_identity_can_be_let_in(case: Case) -> None:
    _node_identity(case)
    case.grant("roles/storage.objectViewer", "serviceAccount:123456789012-compute@developer.gserviceaccount.com")
    assert case.mount().directory.name == "weights"


@pytest.mark.parametrize(
    "option", ["only-dir:models/a", "implicit-dirs,only-dir:models/a,file-mode=444", "only-dir=models/a"]
)
def test_only_dir_shows_a_part(case: Case, option: str) -> None:
    case.csi["volumeAttributes"]["mountOptions"] = option
    assert case.mount().directory == case.cloud.directory / "weights" / "models" / "a"


def test_other_mount_options_with_colons_are_no_matter(case: Case) -> None:
    case.csi["volumeAttributes"]["mountOptions"] = (
        "metadata-cache:ttl-secs:-1,file-cache:enable-parallel-downloads:true"
    )
    assert case.mount().directory.name == "weights"
