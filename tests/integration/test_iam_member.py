# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module iam_member on a project, a bucket and a service account."""

from __future__ import annotations

import threading
import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import prepare
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

EMAIL = f"model-reader@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"
CONDITION = {"title": "until-spring", "expression": 'request.time < timestamp("2027-03-21T00:00:00Z")'}
TARGETS: dict[str, Json] = {
    "project": {"role": "roles/container.viewer", "member": MEMBER},
    "bucket": {"role": "roles/storage.objectAdmin", "member": MEMBER, "bucket": "weights"},
    "account": {"role": "roles/iam.serviceAccountUser", "member": "group:ops@example.com", "service_account": EMAIL},
}


def bindings(server: Running, target: str) -> list[Json]:
    if target == "bucket":
        policy = server.request("GET", "storage", "b/weights/iam?optionsRequestedPolicyVersion=3")
    elif target == "account":
        policy = server.request("POST", "iam", f"v1/projects/{PROJECT}/serviceAccounts/{EMAIL}:getIamPolicy", {})
    else:
        asked = {"options": {"requestedPolicyVersion": 3}}
        policy = server.request("POST", "cloudresourcemanager", f"v1/projects/{PROJECT}:getIamPolicy", asked)
    return t.cast(list[Json], policy.get("bindings", []))


def has(server: Running, target: str, args: Json) -> bool:
    return any(
        binding["role"] == args["role"]
        and args["member"] in binding["members"]
        and binding.get("condition") == args.get("condition")
        for binding in bindings(server, target)
    )


@pytest.fixture(autouse=True)
def _objects(cloud: Json) -> None:
    prepare(
        cloud,
        ("service_account", {"name": "model-reader"}),
        ("bucket", {"name": "weights", "location": "US", "uniform_bucket_level_access": True}),
    )


@pytest.mark.parametrize("condition", [None, CONDITION], ids=["always", "condition"])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_life(cloud: Json, cloud_server: Running, target: str, condition: Json | None) -> None:
    args = {**TARGETS[target], **({"condition": condition} if condition else {})}
    wanted, unwanted = {**cloud, **args}, {**cloud, **args, "state": "absent"}
    neighbour = {**args, "member": "user:neighbour@example.com"}
    run_module("iam_member", {**cloud, **neighbour})
    others = bindings(cloud_server, target)
    with pytest.raises(ModuleFailed, match="missing required arguments: member, role"):
        run_module("iam_member", cloud)

    planned = run_module("iam_member", wanted, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"]) == (True, "create")
    assert planned["diff"]["after"]["member"] == args["member"]
    assert bindings(cloud_server, target) == others
    assert run_module("iam_member", wanted)["iam_member"]["role"] == args["role"]
    assert has(cloud_server, target, args)
    assert run_module("iam_member", wanted)["changed"] is False

    planned = run_module("iam_member", unwanted, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"], planned["diff"]["after"]) == (True, "delete", {})
    assert has(cloud_server, target, args)
    assert run_module("iam_member", unwanted)["changed"] is True
    assert bindings(cloud_server, target) == others, "other members were touched"
    assert run_module("iam_member", unwanted)["changed"] is False
    run_module("iam_member", {**cloud, **neighbour, "state": "absent"})


def test_with_and_without_a_condition_are_two(cloud: Json, cloud_server: Running) -> None:
    args = TARGETS["project"]
    run_module("iam_member", {**cloud, **args})
    conditional = {**args, "condition": CONDITION}
    assert run_module("iam_member", {**cloud, **conditional})["changed"] is True
    run_module("iam_member", {**cloud, **args, "state": "absent"})
    assert has(cloud_server, "project", conditional)
    assert not has(cloud_server, "project", args)
    run_module("iam_member", {**cloud, **conditional, "state": "absent"})


def test_changes_of_others_at_the_same_time_are_kept(cloud: Json, cloud_server: Running) -> None:
    """Regions proceed in parallel: a policy is written by several runs at once."""
    path = f"v1/projects/{PROJECT}"
    stop, begun = threading.Event(), threading.Event()
    written: list[str] = []

    def others() -> None:
        while not stop.is_set():
            who = f"user:other-{len(written)}@example.com"
            policy = cloud_server.request("POST", "cloudresourcemanager", f"{path}:getIamPolicy", {})
            policy["bindings"] = [*policy.get("bindings", []), {"role": "roles/browser", "members": [who]}]
            answer = cloud_server.call("POST", f"cloudresourcemanager/{path}:setIamPolicy", {"policy": policy})
            if answer[0] == 409:
                continue  # the module was faster
            written.append(who)
            begun.set()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        assert begun.wait(30)
        for number in range(5):
            run_module("iam_member", {**cloud, "role": "roles/browser", "member": f"user:ours-{number}@example.com"})
    finally:
        stop.set()
        thread.join()
    browsers = next(b["members"] for b in bindings(cloud_server, "project") if b["role"] == "roles/browser")
    assert {f"user:ours-{number}@example.com" for number in range(5)} <= set(browsers)
    assert set(written) <= set(browsers)


def test_an_identity_pool_that_comes_later_is_waited_for(cloud: Json, cloud_server: Running) -> None:
    """The pool PROJECT.svc.id.goog is there some time after the first cluster with Workload Identity."""
    args = {
        "service_account": EMAIL,
        "role": "roles/iam.workloadIdentityUser",
        "member": f"serviceAccount:{PROJECT}.svc.id.goog[models/vllm]",
    }
    with pytest.raises(ModuleFailed, match="Identity Pool does not exist") as failure:
        run_module("iam_member", {**cloud, **args, "wait": False})
    assert "run again" in failure.value.result["remedy"]
    with pytest.raises(ModuleFailed, match="waited 0 s .*Identity Pool does not exist"):
        run_module("iam_member", {**cloud, **args, "wait_timeout": 0})

    cluster = {
        "name": "serving",
        "initialNodeCount": 1,
        "workloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"},
    }
    path = f"v1/projects/{PROJECT}/locations/us-east5-a/clusters"
    cloud_server.request("POST", "container", path, {"cluster": cluster})
    assert run_module("iam_member", {**cloud, **args, "wait_timeout": 60})["changed"] is True
    assert has(cloud_server, "account", args)


def test_an_account_that_comes_later_is_waited_for(cloud: Json, cloud_server: Running) -> None:
    args = {**TARGETS["project"], "member": f"serviceAccount:late-comer@{PROJECT}.iam.gserviceaccount.com"}
    body = {"accountId": "late-comer", "serviceAccount": {}}
    path = f"v1/projects/{PROJECT}/serviceAccounts"
    later = threading.Timer(1.0, lambda: cloud_server.request("POST", "iam", path, body))
    later.start()
    try:
        assert run_module("iam_member", {**cloud, **args, "wait_timeout": 60})["changed"] is True
    finally:
        later.join()


@pytest.mark.parametrize(
    "parent", [{"bucket": "nowhere"}, {"service_account": f"nobody@{PROJECT}.iam.gserviceaccount.com"}]
)
def test_a_parent_that_is_not_there(cloud: Json, parent: Json) -> None:
    args = {**cloud, "role": "roles/storage.objectViewer", "member": "group:ops@example.com", **parent}
    assert run_module("iam_member", args, check=True)["plan"]["action"] == "create"
    assert run_module("iam_member", {**args, "state": "absent"})["changed"] is False
    with pytest.raises(ModuleFailed, match="does not exist|Unknown service account"):
        run_module("iam_member", {**args, "wait_timeout": 0})


def test_one_parent_only(cloud: Json) -> None:
    with pytest.raises(ModuleFailed, match="mutually exclusive"):
        run_module("iam_member", {**cloud, **TARGETS["bucket"], "service_account": EMAIL})


def test_a_kubernetes_identity_directly(cloud: Json, cloud_server: Running) -> None:
    pool = f"principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/{PROJECT}"
    args = {
        "bucket": "weights",
        "role": "roles/storage.objectViewer",
        "member": f"{pool}.svc.id.goog/subject/ns/models/sa/vllm",
    }
    run_module("iam_member", {**cloud, **args})
    assert has(cloud_server, "bucket", args)
    assert run_module("iam_member", {**cloud, **args})["changed"] is False
