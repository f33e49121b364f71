# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a client sends, the API server answers as Kubernetes does: a Status, never a failure of its own."""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
import threading
import typing as t
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.kubernetes import ApiServer
from tests.sandbox import hostile
from tests.sandbox.hostile import Request
from tests.sandbox.kubernetes.conftest import TOKEN

Json = dict[str, t.Any]

META: Json = {"name": "one", "namespace": "default", "labels": {"a": "b"}, "annotations": {"c": "d"}}
CONTAINER: Json = {
    "name": "main",
    "image": "python:3.12",
    "ports": [{"containerPort": 80, "protocol": "TCP"}],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"google.com/tpu": "4", "memory": "1Gi"}},
}
POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {**META, "finalizers": ["a.b/c"], "ownerReferences": []},
    "spec": {
        "containers": [CONTAINER],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "nodeSelector": {"a": "b"},
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": META,
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"a": "b"}},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}},
    },
}
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": META,
    "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}], "clusterIP": "None"},
}
CONFIG_MAP: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": META, "data": {"a": "b"}}
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"size": {"type": "integer", "default": 1, "maximum": 9}, "kind": {"enum": ["a", "b"]}},
            "x-kubernetes-validations": [{"rule": "self.size > 0", "message": "m"}],
        }
    },
}
CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            }
        ],
    },
}
WIDGET: Json = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": META, "spec": {"size": 2}}
# What is done to this one does not change what the others' objects are checked by.
GADGETS: Json = {
    **CRD,
    "metadata": {"name": "gadgets.example.com"},
    "spec": {**CRD["spec"], "names": {"plural": "gadgets", "kind": "Gadget"}},
}
SCALE: Json = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": META, "spec": {"replicas": 3}}
BINDING: Json = {"metadata": META, "target": {"apiVersion": "v1", "kind": "Node", "name": "n"}}
OPTIONS: Json = {"propagationPolicy": "Orphan", "preconditions": {"uid": "x"}, "gracePeriodSeconds": 1}
REVIEW: Json = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
PATCHES: list[t.Any] = [
    [{"op": "replace", "path": "/metadata/labels/a", "value": "c"}, {"op": "test", "path": "/a", "value": 1}],
    {"metadata": {"labels": {"a": None}, "$patch": "merge"}},
    {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x", "$patch": "delete"}]}}}},
    {"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "main"}], "containers": []}}}},
]
NAMESPACED = "/{root}/namespaces/{namespace}/{plural}"
KINDS: dict[str, tuple[str, str, Json]] = {
    "pods": ("api/v1", "pods", POD),
    "services": ("api/v1", "services", SERVICE),
    "configmaps": ("api/v1", "configmaps", CONFIG_MAP),
    "deployments": ("apis/apps/v1", "deployments", DEPLOYMENT),
    "widgets": ("apis/example.com/v1", "widgets", WIDGET),
}
PATCH_TYPES = [
    f"application/{kind}".encode()
    for kind in ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
]
Drawn = tuple[str, str, dict[str, str], list[t.Any]]


def requests() -> st.SearchStrategy[Request]:
    """Requests with one hostile part to kinds of every sort, their subresources and the server's own documents."""
    known: list[Drawn] = []
    for root, plural, body in KINDS.values():
        names = {"root": root, "namespace": "default", "plural": plural, "name": "one"}
        one = NAMESPACED + "/{name}"
        known += [
            ("GET", NAMESPACED, names, []),
            ("GET", one, names, []),
            ("POST", NAMESPACED, names, [body]),
            ("PUT", one, names, [body]),
            ("PATCH", one, names, [body, *PATCHES]),
            ("PUT", one + "/status", names, [body]),
            ("PATCH", one + "/status", names, [body, *PATCHES]),
            ("DELETE", one, {**names, "name": "none"}, [OPTIONS]),
        ]
    pod = {"root": "api/v1", "namespace": "default", "plural": "pods", "name": "one"}
    deployment = {**pod, "root": "apis/apps/v1", "plural": "deployments"}
    many = NAMESPACED + "/{name}"
    definitions = {"name": "gadgets.example.com"}
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    known += [
        ("GET", many + "/log", pod, []),
        ("POST", many + "/binding", pod, [BINDING]),
        ("POST", many + "/eviction", pod, [{"metadata": META, "deleteOptions": OPTIONS}]),
        ("GET", many + "/scale", deployment, []),
        ("PUT", many + "/scale", deployment, [SCALE]),
        ("PATCH", many + "/scale", deployment, [SCALE, *PATCHES]),
        ("POST", crds, {}, [GADGETS]),
        ("PUT", crds + "/{name}", definitions, [GADGETS]),
        ("PATCH", crds + "/{name}", definitions, [GADGETS, *PATCHES]),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, [REVIEW]),
        ("GET", "/{root}", {"root": "apis"}, []),
        ("GET", "/openapi/v3/{path}", {"path": "apis/apps/v1"}, []),
    ]
    return st.sampled_from(known).flatmap(_request)


def _request(drawn: Drawn) -> st.SearchStrategy[Request]:
    method, template, names, seeds = drawn
    token = ("Authorization", f"Bearer {TOKEN}".encode())
    types = st.sampled_from(PATCH_TYPES if method == "PATCH" else [b"application/json", b"application/yaml"])
    good = types.map(lambda kind: (token, ("Content-Type", kind)))
    plain = st.sampled_from([json.dumps(seed).encode() for seed in seeds] or [b""])
    usual = st.just(hostile.path(template, names))
    queried = st.tuples(usual, hostile.PARAMETERS).map(lambda drawn: hostile.with_query(*drawn))
    request = functools.partial(st.builds, Request, st.just(method))
    kinds = [
        request(hostile.paths(template, names) if names else usual, good, plain),
        request(queried, good, plain),
        request(usual, hostile.HEADERS.map(lambda header: (token, header)), plain),
        request(usual, hostile.BEARERS.map(lambda text: (("Authorization", text),)), plain),
    ]
    if seeds:
        forced = usual.map(lambda path: f"{path}?fieldManager=m&force=true")
        kinds += [request(usual, good, hostile.bodies(seeds))] * 5 + [request(forced, good, hostile.bodies(seeds))] * 5
    return st.one_of(*kinds)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ssl.SSLContext]]:
    """(port, trust) of a server that has one of each kind."""
    directory = tmp_path_factory.mktemp("hostile")
    server = ApiServer(name="hostile", host="127.99.0.12", port=0, token=TOKEN, version="1.34.1", directory=directory)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
    trust = ssl.create_default_context(cadata=server.access.ca_pem)
    port = int(server.access.endpoint.partition(":")[2])
    headers = (("Authorization", f"Bearer {TOKEN}".encode()), ("Content-Type", b"application/json"))
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    wanted = [
        (crds, CRD),
        (crds, GADGETS),
        *((f"/{root}/namespaces/default/{plural}", body) for root, plural, body in KINDS.values()),
    ]
    for path, body in wanted:
        answer = hostile.send("127.99.0.12", port, Request("POST", path, headers, json.dumps(body).encode()), trust)
        assert answer.status == 201, answer.body
    yield port, trust
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_every_answer_is_kubernetes(town: tuple[int, ssl.SSLContext]) -> None:
    port, trust = town

    @hostile.examples
    @given(requests())
    def check(request: Request) -> None:
        judge(hostile.send("127.99.0.12", port, request, trust))

    check()


def judge(answer: hostile.Answer) -> None:
    """No failure of the server's own, and every refusal a Status."""
    if answer.status < 400:
        return
    status = answer.json
    # kube-apiserver, too, answers 504 Timeout to a resourceVersion that is yet to come.
    assert answer.status < 500 or status["reason"] == "Timeout", answer.body
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status)
    assert isinstance(status["message"], str) and status["message"]
