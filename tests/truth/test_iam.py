# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gcloud's read-modify-write of policies and service accounts."""

from __future__ import annotations

from sandbox.interfaces import Json
from tests.truth.gcloud import Gcloud

ROLES = (
    *("roles/compute.networkViewer", "roles/compute.viewer", "roles/container.developer", "roles/container.viewer"),
    *("roles/gkehub.viewer", "roles/iam.securityReviewer", "roles/logging.viewer", "roles/monitoring.viewer"),
    *("roles/storage.objectUser", "roles/storage.objectViewer"),
)


def test_every_binding_is_added_and_removed(gcloud: Gcloud) -> None:
    """gcloud sends etags in the URL-safe alphabet; of 20, some have a character that the alphabets spell apart."""
    account = gcloud("iam", "service-accounts", "create", "writer", "--display-name=Writer")
    member = f"serviceAccount:writer@{gcloud.project}.iam.gserviceaccount.com"
    assert account is None or account["displayName"] == "Writer"
    for role in ROLES:
        binding = (f"--member={member}", f"--role={role}", "--condition=None")
        policy = gcloud("projects", "add-iam-policy-binding", gcloud.project, *binding)
        assert member in members(policy, role)
        policy = gcloud("projects", "remove-iam-policy-binding", gcloud.project, *binding)
        assert member not in members(policy, role)


def members(policy: Json, role: str) -> list[str]:
    """Others may have the role, too: the estate that stands in the same project."""
    return [member for entry in policy["bindings"] if entry["role"] == role for member in entry["members"]]
