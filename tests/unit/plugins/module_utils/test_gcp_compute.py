# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of compute on a scripted API: races, failed operations, the requests themselves."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import OperationFailed
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.compute import link
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.iam import policy_of
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.network import Subnetwork
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import Rest, api_error
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import reconcile

Json = dict[str, t.Any]

PARAMS: Json = {
    **dict.fromkeys(Subnetwork.options),
    "name": "proxies",
    "region": "us-east5",
    "network": "vpc",
    "ip_cidr_range": "10.1.1.0/24",
    "role": "ACTIVE",
    "wait": True,
    "wait_timeout": 5,
}
LIVE: Json = {
    "name": "proxies",
    "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/vpc",
    "ipCidrRange": "10.1.1.0/24",
    "role": "BACKUP",
    "fingerprint": "f1",
}
DONE: Json = {"kind": "compute#operation", "name": "op", "status": "DONE"}


class Compute(Rest):
    """One subnetwork; ``writes`` are the answers (or errors) of the writes, in order."""

    def __init__(self, live: Json | None, *writes: t.Any) -> None:
        self.live = live
        self.writes = list(writes)
        self.sent: list[tuple[str, str, t.Any]] = []
        self.warnings: list[str] = []
        self.operations: list[Json] = []

    def request(self, method: str, path: str, *, body: t.Any = None, **how: t.Any) -> Json:
        if method == "GET":
            if path.endswith("/operations"):
                return {"items": self.operations[:1]}
            if "/operations/" in path:
                return self.operations[-1]
            if self.live is None:
                raise api_error(404, {"error": {"message": "not found"}}, "GET")
            return dict(self.live)
        self.sent.append((method, path, body))
        answer = self.writes.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return t.cast(Json, answer(self) if callable(answer) else answer)

    def find(self, path: str, params: Json | None = None) -> Json | None:
        return None if self.live is None and "/operations" not in path else self.request("GET", path)


def subnetwork(api: Compute, **params: t.Any) -> Subnetwork:
    gcp = types.SimpleNamespace(project="p", plan_only=False, rest=lambda service: api, warn=api.warnings.append)
    return Subnetwork(t.cast(t.Any, gcp), {**PARAMS, **params})


def test_a_fingerprint_that_got_old_is_read_again() -> None:
    api = Compute(dict(LIVE))

    def somebody_was_faster(api: Compute) -> Json:
        api.live = {**LIVE, "fingerprint": "f2"}
        raise api_error(412, {"error": {"message": "Invalid fingerprint."}}, "PATCH")

    def accepted(api: Compute) -> Json:
        api.live = {**LIVE, "fingerprint": "f3", "role": "ACTIVE"}
        return DONE

    api.writes = [somebody_was_faster, accepted]
    resource = subnetwork(api)
    result = reconcile(resource, resource.desired())
    assert result.changed is True
    path = "projects/p/regions/us-east5/subnetworks/proxies"
    assert api.sent == [
        ("PATCH", path, {"role": "ACTIVE", "fingerprint": "f1"}),
        ("PATCH", path, {"role": "ACTIVE", "fingerprint": "f2"}),
    ]


def test_an_operation_that_failed_is_a_failure() -> None:
    error = {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'SUBNETWORKS' exceeded. Limit: 100.0 globally."}]}
    resource = subnetwork(Compute(None, {**DONE, "error": error}))
    with pytest.raises(OperationFailed, match="create subnetwork proxies in us-east5: QUOTA_EXCEEDED") as failure:
        reconcile(resource, resource.desired())
    assert "ask for more of this quota" in failure.value.details["remedy"]


def test_an_object_that_is_there_after_all_is_adopted() -> None:
    there = api_error(409, {"error": {"message": "already exists"}}, "POST")

    def made_meanwhile(api: Compute) -> t.NoReturn:
        api.live = {**LIVE, "role": "ACTIVE"}
        raise there

    resource = subnetwork(Compute(None, made_meanwhile))
    result = reconcile(resource, resource.desired())
    assert (result.changed, (result.live or {})["role"]) == (False, "ACTIVE")


def test_what_became_of_an_operation_that_was_under_way_is_told() -> None:
    """It is no failure of ours, but nobody else may ever tell."""
    api = Compute(dict(LIVE, role="ACTIVE"))
    resource = subnetwork(api)
    path = "https://www.googleapis.com/compute/v1/projects/p/regions/us-east5/subnetworks/proxies"
    running = {"kind": "compute#operation", "name": "op", "status": "RUNNING", "targetLink": path}
    failed = {**running, "status": "DONE", "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "too many"}]}}
    api.operations = [running, failed]
    assert not reconcile(resource, resource.desired()).changed
    (warning,) = api.warnings
    assert "subnetwork proxies" in warning and "QUOTA_EXCEEDED: too many" in warning


def test_an_object_that_went_by_itself_is_deleted() -> None:
    gone = api_error(404, {"error": {"message": "not found"}}, "DELETE")
    resource = subnetwork(Compute(dict(LIVE), gone))
    assert reconcile(resource, resource.desired(), state="absent").changed is True


def test_only_what_was_stated_is_sent() -> None:
    api = Compute(None, DONE)
    resource = subnetwork(api)
    reconcile(resource, resource.desired())
    assert api.sent == [
        (
            "POST",
            "projects/p/regions/us-east5/subnetworks",
            {
                "name": "proxies",
                "region": "projects/p/regions/us-east5",
                "network": "projects/p/global/networks/vpc",
                "ipCidrRange": "10.1.1.0/24",
                "role": "ACTIVE",
            },
        )
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("vpc", "projects/p/global/networks/vpc"),
        ("projects/host/global/networks/vpc", "projects/host/global/networks/vpc"),
        ("https://www.googleapis.com/compute/v1/x/vpc", "https://www.googleapis.com/compute/v1/x/vpc"),
    ],
)
def test_links(value: str, expected: str) -> None:
    assert link("p", "global/networks", value) == expected


@pytest.mark.parametrize(
    ("target", "path", "asked"),
    [
        ({"bucket": "b1"}, "b/b1/iam", {"params": {"optionsRequestedPolicyVersion": 3}}),
        (
            {"service_account": "a@p.iam.gserviceaccount.com"},
            "v1/projects/p/serviceAccounts/a@p.iam.gserviceaccount.com:getIamPolicy",
            {"params": {"options.requestedPolicyVersion": 3}, "body": {}},
        ),
        (
            {"service_account": "a@other.iam.gserviceaccount.com"},
            "v1/projects/-/serviceAccounts/a@other.iam.gserviceaccount.com:getIamPolicy",
            {"params": {"options.requestedPolicyVersion": 3}, "body": {}},
        ),
        ({}, "v1/projects/p:getIamPolicy", {"body": {"options": {"requestedPolicyVersion": 3}}}),
    ],
)
def test_policies_are_read_with_their_conditions(target: Json, path: str, asked: Json) -> None:
    """Asked for an older version, Google hides conditions, and a write would lose them."""
    seen: list[t.Any] = []

    class Recorder(Rest):
        def __init__(self) -> None:
            pass

        def request(self, method: str, path: str, **how: t.Any) -> Json:
            seen.append((path, {key: how[key] for key in ("params", "body") if how.get(key) is not None}, how["read"]))
            return {}

    gcp = types.SimpleNamespace(project="p", rest=lambda service: Recorder())
    policy_of(t.cast(t.Any, gcp), {"bucket": None, "service_account": None, **target}).read()
    assert seen == [(path, asked, True)]
