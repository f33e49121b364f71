# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How objects go: finalizers, grace periods, owners, namespaces, collections."""

from __future__ import annotations

import typing as t

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

Json = dict[str, t.Any]


def gone(read: t.Callable[[], t.Any]) -> bool:
    try:
        read()
    except ApiException as error:
        assert error.status == 404
        return True
    return False


def owned(name: str, owner: t.Any, kind: str = "ConfigMap") -> Json:
    reference = {"apiVersion": "v1", "kind": kind, "name": owner.metadata.name, "uid": owner.metadata.uid}
    return {"metadata": {"name": name, "ownerReferences": [{**reference, "blockOwnerDeletion": True}]}}


def test_finalizers_hold_an_object_back(core: t.Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    core.delete_namespaced_config_map("held", namespace)
    held = core.read_namespaced_config_map("held", namespace)
    assert held.metadata.deletion_timestamp
    held.metadata.finalizers = ["example.com/hold", "example.com/more"]
    with pytest.raises(ApiException) as error:
        core.replace_namespaced_config_map("held", namespace, held)
    assert error.value.status == 422
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": None}})
    assert gone(lambda: core.read_namespaced_config_map("held", namespace))


def test_a_placed_pod_goes_when_its_kubelet_says_so(core: t.Any, namespace: str, build: t.Any) -> None:
    core.create_namespaced_pod(namespace, build.pod())
    target = {"metadata": {"name": "one"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"}}
    core.create_namespaced_pod_binding("one", namespace, target, _preload_content=False).read()
    placed = core.read_namespaced_pod("one", namespace)
    assert placed.spec.node_name == "n1"
    assert [(one.type, one.status) for one in placed.status.conditions] == [("PodScheduled", "True")]
    with pytest.raises(ApiException) as error:
        core.create_namespaced_pod_binding("one", namespace, target, _preload_content=False)
    assert error.value.status == 409
    leaving = core.delete_namespaced_pod("one", namespace)
    assert leaving.metadata.deletion_timestamp and leaving.metadata.deletion_grace_period_seconds == 30
    assert core.read_namespaced_pod("one", namespace)
    core.delete_namespaced_pod("one", namespace, grace_period_seconds=0)
    assert gone(lambda: core.read_namespaced_pod("one", namespace))
    core.create_namespaced_pod(namespace, build.pod("unplaced"))
    core.delete_namespaced_pod("unplaced", namespace)
    assert gone(lambda: core.read_namespaced_pod("unplaced", namespace))


def test_dependents_follow_their_last_owner(core: t.Any, namespace: str, eventually: t.Any) -> None:
    first, second = (
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name}}) for name in ("o1", "o2")
    )
    shared = owned("shared", first)
    shared["metadata"]["ownerReferences"] += owned("", second)["metadata"]["ownerReferences"]
    core.create_namespaced_config_map(namespace, shared)
    child = core.create_namespaced_config_map(namespace, owned("child", first))
    core.create_namespaced_config_map(namespace, owned("grandchild", child))
    core.delete_namespaced_config_map("o1", namespace)
    eventually(lambda: gone(lambda: core.read_namespaced_config_map("grandchild", namespace)), "grandchild goes")
    assert gone(lambda: core.read_namespaced_config_map("child", namespace))
    assert core.read_namespaced_config_map("shared", namespace)
    core.delete_namespaced_config_map("o2", namespace)
    eventually(lambda: gone(lambda: core.read_namespaced_config_map("shared", namespace)), "shared goes")


def test_foreground_waits_for_dependents(core: t.Any, namespace: str, eventually: t.Any) -> None:
    owner = core.create_namespaced_config_map(namespace, {"metadata": {"name": "owner"}})
    child = owned("child", owner)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    core.create_namespaced_config_map(namespace, child)
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Foreground")

    def look() -> object:
        return core.read_namespaced_config_map("child", namespace).metadata.deletion_timestamp

    eventually(look, "the child is told to go")
    assert core.read_namespaced_config_map("owner", namespace).metadata.finalizers == ["foregroundDeletion"]
    core.patch_namespaced_config_map("child", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: gone(lambda: core.read_namespaced_config_map("owner", namespace)), "the owner goes last")


def test_orphans_stay(core: t.Any, namespace: str, eventually: t.Any) -> None:
    owner = core.create_namespaced_config_map(namespace, {"metadata": {"name": "owner"}})
    core.create_namespaced_config_map(namespace, owned("child", owner))
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Orphan")
    eventually(lambda: gone(lambda: core.read_namespaced_config_map("owner", namespace)), "the owner goes")
    assert not core.read_namespaced_config_map("child", namespace).metadata.owner_references


def test_dependents_of_an_owner_that_never_was_are_collected(core: t.Any, namespace: str, eventually: t.Any) -> None:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "no-such-uid"}
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "lost", "ownerReferences": [reference]}})
    eventually(lambda: gone(lambda: core.read_namespaced_config_map("lost", namespace)), "the lost child goes")


def test_namespaces_come_furnished_and_take_their_contents_along(core: t.Any, eventually: t.Any) -> None:
    core.create_namespace({"metadata": {"name": "short-lived"}})
    eventually(lambda: not gone(lambda: core.read_namespaced_service_account("default", "short-lived")), "furnished")
    assert core.read_namespace("short-lived").metadata.labels == {"kubernetes.io/metadata.name": "short-lived"}
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    core.create_namespaced_config_map("short-lived", held)
    core.create_namespaced_secret("short-lived", {"metadata": {"name": "s"}})
    core.delete_namespace("short-lived")
    eventually(lambda: gone(lambda: core.read_namespaced_secret("s", "short-lived")), "contents go")
    assert core.read_namespace("short-lived").status.phase == "Terminating"
    with pytest.raises(ApiException) as error:
        core.create_namespaced_secret("short-lived", {"metadata": {"name": "late"}})
    assert error.value.status == 403 and "because it is being terminated" in str(error.value.body)
    core.patch_namespaced_config_map("held", "short-lived", {"metadata": {"finalizers": None}})
    eventually(lambda: gone(lambda: core.read_namespace("short-lived")), "the namespace goes")


def test_delete_collection_takes_the_selected(core: t.Any, namespace: str) -> None:
    for name in ("a", "b", "c"):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"go": str(name != "b")}}})
    core.delete_collection_namespaced_config_map(namespace, label_selector="go=True")
    left = [one.metadata.name for one in core.list_namespaced_config_map(namespace, label_selector="go").items]
    assert left == ["b"]


def test_preconditions_of_a_deletion(core: t.Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "sure"}})
    with pytest.raises(ApiException) as error:
        core.delete_namespaced_config_map("sure", namespace, body={"preconditions": {"uid": "another"}})
    assert error.value.status == 409
    assert core.read_namespaced_config_map("sure", namespace)


def test_eviction_respects_the_disruption_budget(
    core: t.Any, api_client: client.ApiClient, namespace: str, build: t.Any
) -> None:
    core.create_namespaced_pod(namespace, build.pod())
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "one"}}}}
    policy: t.Any = client.PolicyV1Api(api_client)
    policy.create_namespaced_pod_disruption_budget(namespace, budget)
    eviction = {"metadata": {"name": "one", "namespace": namespace}}
    with pytest.raises(ApiException) as error:
        core.create_namespaced_pod_eviction("one", namespace, eviction)
    assert error.value.status == 429
    policy.patch_namespaced_pod_disruption_budget_status("b", namespace, {"status": {"disruptionsAllowed": 1}})
    core.create_namespaced_pod_eviction("one", namespace, eviction, _preload_content=False).read()
    assert gone(lambda: core.read_namespaced_pod("one", namespace))
