# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists with selectors and pages, watches with resume and expiry, authentication, negotiation."""

from __future__ import annotations

import json
import ssl
import stat
import threading
import typing as t

import pytest
import urllib3
from kubernetes import watch

from sandbox.kubernetes.store import HISTORY

Json = dict[str, t.Any]


def names(objects: t.Any) -> list[str]:
    return [one.metadata.name for one in objects.items]


@pytest.fixture
def fruit(core: t.Any, namespace: str) -> str:
    for name, labels in (("apple", {"color": "red"}), ("cherry", {"color": "red", "stone": ""}), ("kiwi", {})):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"fruit": "yes", **labels}}})
    return namespace


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("fruit", ["apple", "cherry", "kiwi"]),
        ("color=red", ["apple", "cherry"]),
        ("color==red,stone", ["cherry"]),
        ("fruit,color!=red", ["kiwi"]),
        ("fruit,!stone", ["apple", "kiwi"]),
        ("color in (red, blue)", ["apple", "cherry"]),
        ("fruit,color notin (red)", ["kiwi"]),
    ],
)
def test_label_selectors(core: t.Any, fruit: str, selector: str, wanted: list[str]) -> None:
    assert names(core.list_namespaced_config_map(fruit, label_selector=selector)) == wanted


def test_field_selectors(core: t.Any, fruit: str, raw: t.Any) -> None:
    assert names(core.list_namespaced_config_map(fruit, field_selector="metadata.name=kiwi")) == ["kiwi"]
    others = names(core.list_namespaced_config_map(fruit, field_selector="metadata.name!=kiwi", label_selector="fruit"))
    assert others == ["apple", "cherry"]
    refused = raw("GET", f"/api/v1/namespaces/{fruit}/configmaps?fieldSelector=data.x=1")
    assert refused.status == 400 and "field label not supported: data.x" in refused.json()["message"]
    assert raw("GET", f"/api/v1/namespaces/{fruit}/configmaps?labelSelector=a%20b").status == 400


def test_pages(core: t.Any, fruit: str) -> None:
    first = core.list_namespaced_config_map(fruit, label_selector="fruit", limit=2)
    assert names(first) == ["apple", "cherry"] and first.metadata.remaining_item_count == 1
    rest = core.list_namespaced_config_map(fruit, label_selector="fruit", limit=2, _continue=first.metadata._continue)
    assert names(rest) == ["kiwi"] and not rest.metadata._continue
    assert rest.metadata.resource_version == first.metadata.resource_version


def test_watch_tells_every_change_from_a_version_on(core: t.Any, fruit: str) -> None:
    start = core.list_namespaced_config_map(fruit).metadata.resource_version
    core.patch_namespaced_config_map("apple", fruit, {"data": {"a": "b"}})
    core.patch_namespaced_config_map("kiwi", fruit, {"metadata": {"labels": {"color": "red"}}})
    core.patch_namespaced_config_map("cherry", fruit, {"metadata": {"labels": {"color": "black"}}})
    core.delete_namespaced_config_map("apple", fruit)
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, fruit, label_selector="color=red", resource_version=start, timeout_seconds=1
    )
    seen = [(event["type"], event["object"].metadata.name) for event in stream]
    # What leaves a selection is deleted for its watcher, what enters it is added.
    assert seen == [("MODIFIED", "apple"), ("ADDED", "kiwi"), ("DELETED", "cherry"), ("DELETED", "apple")]


def test_watch_is_live_and_begins_with_the_state(core: t.Any, fruit: str) -> None:
    seen: list[tuple[str, str]] = []
    ready = threading.Event()

    def follow() -> None:
        watcher = watch.Watch()
        for event in watcher.stream(core.list_namespaced_config_map, fruit, label_selector="fruit", timeout_seconds=20):
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 3:
                ready.set()
            if event["type"] == "DELETED":
                watcher.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    assert ready.wait(15)
    core.delete_namespaced_config_map("kiwi", fruit)
    thread.join(15)
    assert not thread.is_alive()
    assert seen == [("ADDED", "apple"), ("ADDED", "cherry"), ("ADDED", "kiwi"), ("DELETED", "kiwi")]


def lines(response: urllib3.BaseHTTPResponse) -> list[Json]:
    return [json.loads(line) for line in response.data.splitlines()]


def test_watch_with_initial_events_ends_them_with_a_bookmark(raw: t.Any, fruit: str) -> None:
    query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    events = lines(raw("GET", f"/api/v1/namespaces/{fruit}/configmaps?{query}&labelSelector=fruit&timeoutSeconds=1"))
    assert [event["type"] for event in events][:4] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    bookmark = events[3]["object"]["metadata"]
    assert bookmark["annotations"] == {"k8s.io/initial-events-end": "true"} and int(bookmark["resourceVersion"]) >= 3


def test_watch_of_forgotten_history_is_gone(raw: t.Any, running: t.Any, namespace: str) -> None:
    def churn() -> None:
        store = running.server._operations.store
        lease = {"metadata": {"name": "churn", "namespace": namespace, "uid": "u"}}
        for _unused in range(HISTORY + 5):
            store.put("coordination.k8s.io/leases", {**lease, "metadata": dict(lease["metadata"])})

    running.within(churn)
    base = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases?watch=true&timeoutSeconds=1&resourceVersion="
    (event,) = lines(raw("GET", base + "2"))
    assert event["type"] == "ERROR" and (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_list_newer_than_the_server_times_out(raw: t.Any) -> None:
    assert (
        raw("GET", "/api/v1/pods?resourceVersion=99999999").json()["message"].startswith("Too large resource version")
    )


def test_only_the_bearer_of_the_token_is_served(anonymous: t.Any, running: t.Any) -> None:
    for stranger in (anonymous(), anonymous("wrong")):
        response = stranger("GET", "/api/v1/pods")
        assert (response.status, response.json()["reason"]) == (401, "Unauthorized")
        assert stranger("GET", "/readyz").data == b"ok"
    with pytest.raises(urllib3.exceptions.SSLError):
        urllib3.PoolManager(ssl_context=ssl.create_default_context(), retries=False).request("GET", running.url)
    assert stat.S_IMODE(running.server.kubeconfig.stat().st_mode) == 0o600


def test_lists_of_builtin_kinds_name_the_kind_once(raw: t.Any, fruit: str) -> None:
    answer = raw("GET", f"/api/v1/namespaces/{fruit}/configmaps").json()
    assert answer["kind"] == "ConfigMapList" and all("kind" not in item for item in answer["items"])


def test_metadata_only(raw: t.Any, fruit: str) -> None:
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    answer = raw("GET", f"/api/v1/namespaces/{fruit}/configmaps?labelSelector=stone", accept=accept).json()
    assert answer["kind"] == "PartialObjectMetadataList"
    assert [sorted(item) for item in answer["items"]] == [["apiVersion", "kind", "metadata"]]


@pytest.mark.parametrize(
    ("method", "path", "content", "code"),
    [
        ("GET", "/apis/nothing.io/v1/things", "application/json", 404),
        ("GET", "/nothing", "application/json", 404),
        ("PUT", "/api/v1/pods", "application/json", 405),
        ("POST", "/api/v1/namespaces/default/configmaps", "application/xml", 415),
        ("PATCH", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", "application/xml", 415),
    ],
)
def test_what_is_not_served(raw: t.Any, method: str, path: str, content: str, code: int) -> None:
    response = raw(method, path, {"metadata": {"name": "x"}}, content)
    assert response.status == code and response.json()["kind"] == "Status"
