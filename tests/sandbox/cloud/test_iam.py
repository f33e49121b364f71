# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Service accounts that come and go, the roles that there are, and what may be asked of permissions."""

from __future__ import annotations

from tests.clouds import PROJECT, Running

ACCOUNTS = f"iam/v1/projects/{PROJECT}/serviceAccounts"
PROJECTS = f"cloudresourcemanager/v1/projects/{PROJECT}"
EMAIL = f"reader@{PROJECT}.iam.gserviceaccount.com"


def members(cloud: Running) -> list[str]:
    policy = cloud.ok("POST", f"{PROJECTS}:getIamPolicy", {})
    found = (binding for binding in policy["bindings"] if binding["role"] == "roles/container.viewer")
    return [member for binding in found for member in binding["members"]]


def test_a_deleted_account_keeps_its_bindings_from_the_next_of_its_name(cloud: Running) -> None:
    first = cloud.ok("POST", ACCOUNTS, {"accountId": "reader"})
    policy = cloud.ok("POST", f"{PROJECTS}:getIamPolicy", {})
    policy["bindings"].append({"role": "roles/container.viewer", "members": [f"serviceAccount:{EMAIL}"]})
    before = cloud.ok("POST", f"{PROJECTS}:setIamPolicy", {"policy": policy})
    assert cloud.ok("DELETE", f"{ACCOUNTS}/{EMAIL}") == {}
    left = f"deleted:serviceAccount:{EMAIL}?uid={first['uniqueId']}"
    assert members(cloud) == [left]
    second = cloud.ok("POST", ACCOUNTS, {"accountId": "reader"})
    assert second["uniqueId"] != first["uniqueId"]
    assert members(cloud) == [left]
    assert cloud.call("POST", f"{PROJECTS}:setIamPolicy", {"policy": before})[0] == 409, "the policy has changed"
    live = cloud.ok("POST", f"{PROJECTS}:getIamPolicy", {})
    cloud.ok("POST", f"{PROJECTS}:setIamPolicy", {"policy": live})
    assert members(cloud) == [left]


def test_predefined_roles_are_described_and_listed(cloud: Running) -> None:
    role = cloud.ok("GET", "iam/v1/roles/storage.objectViewer")
    assert (role["title"], role["stage"]) == ("Storage Object Viewer", "GA")
    assert "storage.objects.get" in role["includedPermissions"]
    names: list[str] = []
    token = ""
    while True:
        answer = cloud.ok("GET", f"iam/v1/roles?pageSize=100&pageToken={token}")
        names += [one["name"] for one in answer["roles"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert len(names) == len(set(names)) > 200
    assert {"roles/owner", "roles/container.admin", "roles/compute.networkAdmin"} < set(names)
    assert cloud.ok("GET", f"iam/v1/projects/{PROJECT}/roles") == {}
    assert cloud.call("GET", "iam/v1/roles/pubsub.viewer")[0] == 501


def test_an_owner_has_every_permission_that_there_can_be(cloud: Running) -> None:
    cloud.ok("POST", ACCOUNTS, {"accountId": "reader"})
    for path in (PROJECTS, f"{ACCOUNTS}/{EMAIL}"):
        body = {"permissions": ["container.clusters.get", "iam.serviceAccounts.actAs"]}
        assert cloud.ok("POST", f"{path}:testIamPermissions", body) == body
        assert cloud.call("POST", f"{path}:testIamPermissions", {"permissions": ["container"]})[0] == 400
