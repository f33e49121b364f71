# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policies: one member in or out, everything else untouched."""

from __future__ import annotations

import copy
import functools
import types
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ApiError, InvalidOption, WaitTimeout
from ansible_collections.aiserving.gke.plugins.module_utils._gcp import iam
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.iam import (
    Member,
    account_email,
    canonical_member,
    holds,
    with_member,
    without_member,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.operations import retry_while
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import Unreachable, api_error
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import reconcile
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff

Json = dict[str, t.Any]

CONDITION = {"title": "t", "expression": "request.time < timestamp('2027-01-01T00:00:00Z')"}
POLICY: Json = {
    "etag": "e1",
    "version": 1,
    "auditConfigs": [{"service": "allServices"}],
    "bindings": [
        {"role": "roles/viewer", "members": ["user:a@example.com", "user:b@example.com"]},
        {"role": "roles/viewer", "members": ["user:c@example.com"], "condition": CONDITION},
        {"role": "roles/editor", "members": ["user:a@example.com"]},
    ],
}


@pytest.mark.parametrize(
    ("role", "member", "condition", "expected"),
    [
        ("roles/viewer", "user:a@example.com", None, True),
        ("roles/viewer", "user:A@Example.com", None, True),
        ("roles/viewer", "user:c@example.com", None, False),
        ("roles/viewer", "user:c@example.com", CONDITION, True),
        ("roles/viewer", "user:a@example.com", CONDITION, False),
        ("roles/viewer", "user:c@example.com", {**CONDITION, "title": "other"}, False),
        ("roles/owner", "user:a@example.com", None, False),
        ("roles/viewer", "group:a@example.com", None, False),
    ],
)
def test_holds(role: str, member: str, condition: Json | None, expected: bool) -> None:
    assert holds(POLICY, role, member, condition) is expected


@pytest.mark.parametrize(
    ("role", "condition"),
    [("roles/viewer", None), ("roles/viewer", CONDITION), ("roles/new", None), ("roles/editor", CONDITION)],
)
def test_in_and_out_again_leaves_all_else(role: str, condition: Json | None) -> None:
    before = copy.deepcopy(POLICY)
    added = with_member(POLICY, role, "user:new@example.com", condition)
    assert before == POLICY, "the policy that was read is not changed under the reader"
    assert holds(added, role, "user:new@example.com", condition)
    assert added["etag"] == "e1"
    assert added["auditConfigs"] == POLICY["auditConfigs"]
    assert without_member(added, role, "user:new@example.com", condition)["bindings"] == POLICY["bindings"]


def test_a_binding_without_members_goes() -> None:
    left = without_member(POLICY, "roles/editor", "user:A@example.com", None)
    assert [binding["role"] for binding in left["bindings"]] == ["roles/viewer", "roles/viewer"]


def test_conditions_need_version_3() -> None:
    plain = {"etag": "e", "version": 1, "bindings": []}
    assert with_member(plain, "roles/viewer", "user:a@b", None)["version"] == 1
    assert with_member(plain, "roles/viewer", "user:a@b", CONDITION)["version"] == 3
    assert without_member(POLICY, "roles/editor", "user:a@example.com", None)["version"] == 3


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("user:A@B.com", "user:a@b.com"),
        ("serviceAccount:P.svc.id.goog[Ns/Ksa]", "serviceAccount:p.svc.id.goog[ns/ksa]"),
        ("principal://iam.googleapis.com/X", "principal://iam.googleapis.com/X"),
        ("allUsers", "allUsers"),
    ],
)
def test_canonical_members(member: str, expected: str) -> None:
    assert canonical_member(member) == expected
    assert canonical_member(expected) == expected


@pytest.mark.parametrize(
    ("project", "email"),
    [
        ("p", "robot@p.iam.gserviceaccount.com"),
        ("example.com:p", "robot@p.example.com.iam.gserviceaccount.com"),
    ],
)
def test_account_email(project: str, email: str) -> None:
    assert account_email("robot", project) == email


PARAMS: Json = {
    "role": "roles/viewer",
    "member": "user:new@example.com",
    "condition": None,
    "bucket": None,
    "service_account": None,
    "wait": True,
    "wait_timeout": 30,
}


class Iam:
    """The policy of one resource; ``troubles`` are raised by the next writes, after ``meanwhile`` has happened."""

    def __init__(self, *troubles: Exception, meanwhile: t.Callable[[Json], None] | None = None) -> None:
        self.policy = copy.deepcopy(POLICY)
        self.troubles = list(troubles)
        self.meanwhile = meanwhile
        self.reads = self.writes = 0

    def read(self) -> Json:
        self.reads += 1
        return copy.deepcopy(self.policy)

    def write(self, policy: Json) -> Json:
        self.writes += 1
        if self.troubles:
            if self.meanwhile:
                self.meanwhile(self.policy)
            raise self.troubles.pop(0)
        self.policy = policy
        return policy


def member(policy: Iam, monkeypatch: pytest.MonkeyPatch, **params: t.Any) -> Member:
    monkeypatch.setattr(iam, "policy_of", lambda *_unused: iam.Policy("project p", policy.read, policy.write))
    quick = functools.partial(retry_while, backoff=Backoff(first=0.001))
    monkeypatch.setattr(iam, "retry_while", quick)
    gcp = types.SimpleNamespace(project="p", is_absent=lambda error: False)
    return Member(t.cast(t.Any, gcp), {**PARAMS, **params})


def refused(code: int, message: str, status: str) -> ApiError:
    return api_error(code, {"error": {"message": message, "status": status}}, "POST policy")


PASSING = [
    refused(409, "There were concurrent policy changes.", "ABORTED"),
    refused(412, "conditionNotMet", "FAILED_PRECONDITION"),
    refused(400, "Identity Pool does not exist (p.svc.id.goog).", "INVALID_ARGUMENT"),
    refused(400, "Service account x@p.iam.gserviceaccount.com does not exist.", "INVALID_ARGUMENT"),
    refused(404, "Unknown service account", "NOT_FOUND"),
    refused(503, "later", "UNAVAILABLE"),
    Unreachable("reset", sent=True),
]


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_what_passes_is_tried_again_on_a_new_reading(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(policy: Json) -> None:
        policy["bindings"][2]["members"].append("user:other@example.com")

    policy = Iam(trouble, meanwhile=other)
    resource = member(policy, monkeypatch)
    assert reconcile(resource, resource.desired()).changed is True
    assert policy.writes == 2
    assert holds(policy.policy, "roles/viewer", "user:new@example.com", None)
    assert holds(policy.policy, "roles/editor", "user:other@example.com", None), "another's change was lost"


def test_a_write_that_landed_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def landed(policy: Json) -> None:
        policy["bindings"][0]["members"].append("user:new@example.com")

    policy = Iam(Unreachable("reset", sent=True), meanwhile=landed)
    resource = member(policy, monkeypatch)
    assert reconcile(resource, resource.desired()).changed is True
    assert policy.writes == 1
    assert policy.policy["bindings"][0]["members"].count("user:new@example.com") == 1


def test_other_refusals_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Iam(refused(403, "no permission", "PERMISSION_DENIED"))
    resource = member(policy, monkeypatch)
    with pytest.raises(ApiError, match="no permission"):
        reconcile(resource, resource.desired())
    assert policy.writes == 1


def test_what_never_comes_is_a_timeout_that_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Iam(*[PASSING[2]] * 50)
    resource = member(policy, monkeypatch, wait_timeout=0.05)
    with pytest.raises(WaitTimeout, match="Identity Pool does not exist"):
        reconcile(resource, resource.desired())


def test_without_wait_the_first_refusal_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Iam(PASSING[2])
    resource = member(policy, monkeypatch, wait=False)
    with pytest.raises(ApiError, match="Identity Pool does not exist"):
        reconcile(resource, resource.desired())


def test_members_need_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOption, match="member: 'a@example.com' is not valid"):
        member(Iam(), monkeypatch, member="a@example.com")
