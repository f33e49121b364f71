# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a cluster is found and asked: credentials, certificates, errors, paging."""

from __future__ import annotations

import base64
import json
import types
import typing as t
from pathlib import Path

import pytest
import urllib3
import yaml
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    ApiError,
    Conflict,
    InvalidOption,
    NotFound,
)
from ansible_collections.aiserving.gke.plugins.module_utils._kube import connection as kube
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Clock

Json = dict[str, t.Any]

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ENCODED = base64.b64encode(PEM.encode()).decode()
NAME = "projects/p/locations/us-east5-a/clusters/c"


class Pool:
    """Answers in the order given; remembers what was asked."""

    def __init__(self, *answers: tuple[int, t.Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}

    def request(self, method: str, url: str, headers: dict[str, str], **_options: t.Any) -> types.SimpleNamespace:
        self.asked.append((method, url))
        self.headers = headers
        status, body = self.answers.pop(0)
        return types.SimpleNamespace(status=status, data=body if isinstance(body, bytes) else json.dumps(body).encode())


class Gcp:
    """Google as connect() sees it: one cluster, a token that is renewed."""

    project = "p"

    def __init__(self, cluster: Json | Exception) -> None:
        self.cluster = cluster
        self.tokens = iter(("first", "second"))

    def rest(self, service: str) -> Gcp:
        assert service == "container"
        return self

    def get(self, path: str) -> Json:
        assert path == f"v1/{NAME}"
        if isinstance(self.cluster, Exception):
            raise self.cluster
        return self.cluster

    def token(self) -> str:
        return next(self.tokens)

    def is_absent(self, error: Exception) -> bool:
        return isinstance(error, NotFound)


@pytest.fixture(autouse=True)
def no_open_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "_open", {})


def module(**params: t.Any) -> t.Any:
    names = ("project", "cluster", "location", "connection", "kubeconfig", "context")
    return types.SimpleNamespace(params={**dict.fromkeys(names), **params})


def connect(monkeypatch: pytest.MonkeyPatch, cluster: Json | Exception, **params: t.Any) -> kube.Connection:
    gcp = Gcp(cluster)
    monkeypatch.setattr(kube, "google", lambda _call: gcp)
    return kube.connect(module(**(params or {"cluster": "c", "location": "us-east5-a"})))


@pytest.mark.parametrize("certificate", [PEM, ENCODED])
def test_a_cluster_by_name(monkeypatch: pytest.MonkeyPatch, certificate: str) -> None:
    cluster = {"endpoint": "127.0.0.9:6443", "masterAuth": {"clusterCaCertificate": certificate}}
    found = connect(monkeypatch, cluster)
    assert found._url == "https://127.0.0.9:6443"
    assert found._pool.connection_pool_kw["ca_cert_data"] == PEM
    assert [found._headers(), found._headers()] == [
        {"authorization": "Bearer first"},
        {"authorization": "Bearer second"},
    ]
    assert kube.connect(module(cluster="c", location="us-east5-a")) is found


def test_a_cluster_without_ip_endpoint_is_reached_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    access = {"ipEndpointsConfig": {"enabled": False}, "dnsEndpointConfig": {"endpoint": "gke-1.example.com"}}
    found = connect(monkeypatch, {"endpoint": "10.0.0.2", "controlPlaneEndpointsConfig": access})
    assert found._url == "https://gke-1.example.com"
    assert not found._pool.connection_pool_kw.get("ca_cert_data")


@pytest.mark.parametrize(
    ("cluster", "message"),
    [(NotFound("404", code=404), f"no cluster {NAME}"), ({"status": "PROVISIONING"}, "no endpoint yet: it is PROVIS")],
)
def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch, cluster: Json | Exception, message: str) -> None:
    with pytest.raises(kube.ClusterMissing, match=message):
        connect(monkeypatch, cluster)


def test_a_refusal_of_google_is_no_missing_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError, match="denied"):
        connect(monkeypatch, ApiError("denied", code=403))


def test_a_certificate_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOption, match=r"connection\.ca_certificate"):
        connect(monkeypatch, {}, connection={"endpoint": "e", "ca_certificate": "no base64!"})


def test_a_kubeconfig_with_contexts(tmp_path: Path) -> None:
    def entry(name: str, **content: t.Any) -> Json:
        return {"name": name, **content}

    file = tmp_path / "config"
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [
            entry(name, cluster={"server": f"https://127.0.0.1:{port}", "certificate-authority-data": ENCODED})
            for name, port in (("one", 1), ("two", 2))
        ],
        "users": [entry("me", user={"token": "secret"})],
        "contexts": [entry(name, context={"cluster": name, "user": "me"}) for name in ("one", "two")],
    }
    file.write_text(yaml.safe_dump(text))
    assert kube.connect(module(kubeconfig=str(file)))._url == "https://127.0.0.1:1"
    second = kube.connect(module(kubeconfig=str(file), context="two"))
    assert second._url == "https://127.0.0.1:2"
    assert second._headers() == {"authorization": "Bearer secret"}
    with pytest.raises(InvalidOption, match="three"):
        kube.connect(module(kubeconfig=str(file), context="three"))


def ask(pool: Pool) -> kube.Connection:
    return kube.Connection(pool, "https://k", lambda: {"authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("status", "body", "family", "message"),
    [
        (404, {"reason": "NotFound", "message": "gone"}, NotFound, "404 to GET /x: gone"),
        (409, {"reason": "Conflict", "message": "busy"}, Conflict, "busy"),
        (422, {"reason": "Invalid", "message": "bad", "details": {"causes": [{"field": "a"}]}}, ApiError, "bad"),
        (401, {"message": "Unauthorized"}, ApiError, "credentials are not accepted"),
        (500, b"<html>", ApiError, "<html>"),
    ],
)
def test_errors(status: int, body: t.Any, family: type[ApiError], message: str) -> None:
    with pytest.raises(family, match=message) as found:
        ask(Pool((status, body))).request("GET", "/x")
    assert found.value.code == status
    assert isinstance(found.value, (NotFound, Conflict)) == (family is not ApiError)


def test_lists_are_read_to_their_end_and_know_their_kind() -> None:
    pool = Pool(
        (200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}),
        (200, {"items": [{"metadata": {"name": "b"}}], "metadata": {}}),
    )
    pods = kube.Resource("v1", "Pod", "pods", True)
    found = ask(pool).list(pods, "n", labelSelector="app=x")
    assert [(o["kind"], o["apiVersion"], o["metadata"]["name"]) for o in found] == [
        ("Pod", "v1", "a"),
        ("Pod", "v1", "b"),
    ]
    assert pool.asked[1][1] == "https://k/api/v1/namespaces/n/pods?labelSelector=app%3Dx&limit=500&continue=more"


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (kube.Resource("v1", "Pod", "pods", True), ("n", "p", "log"), "/api/v1/namespaces/n/pods/p/log"),
        (kube.Resource("v1", "Node", "nodes", False), (None, "a b"), "/api/v1/nodes/a%20b"),
        (kube.Resource("apps/v1", "Deployment", "deployments", True), (), "/apis/apps/v1/deployments"),
    ],
)
def test_paths(resource: kube.Resource, arguments: tuple[str, ...], path: str) -> None:
    assert resource.path(*arguments) == path


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=lambda seconds: setattr(self, "now", self.now + seconds))


class Dead:
    """Refuses every connection while ``down``; each attempt takes ``cost`` seconds."""

    def __init__(self, time: Time, cost: float = 0.0) -> None:
        self.time, self.cost, self.attempts, self.down = time, cost, 0, True

    def request(self, *_args: t.Any, **_options: t.Any) -> types.SimpleNamespace:
        self.attempts += 1
        self.time.now += self.cost
        if self.down:
            raise urllib3.exceptions.NewConnectionError(t.cast(t.Any, None), "Connection refused")
        return types.SimpleNamespace(status=200, data=b"{}")


@pytest.mark.parametrize("cost", [0.0, 10.0])
def test_a_dead_server_is_reported_after_one_minute_however_many_requests_there_are(cost: float) -> None:
    time = Time()
    server = Dead(time, cost)
    connection = kube.Connection(server, "https://k", dict, time.clock())
    with pytest.raises(kube.Unreachable, match=r"no answer from the Kubernetes API https://k: .*Connection refused"):
        connection.request("GET", "/x")
    assert 60 <= time.now <= 60 + cost
    known = server.attempts
    assert known > 4
    for _again in range(5):
        with pytest.raises(kube.Unreachable):
            connection.request("GET", "/y")
    assert server.attempts == known + 5
    assert 60 + 5 * cost <= time.now <= 60 + 6 * cost

    server.down = False
    connection.request("GET", "/x")
    server.down, start = True, time.now
    with pytest.raises(kube.Unreachable):
        connection.request("GET", "/x")
    assert time.now - start >= 60  # what was heard in between counts


def test_a_server_that_only_says_later_is_not_asked_for_ever() -> None:
    time = Time()
    answers: t.Any = Pool(*[(503, {"message": "starting"})] * 100)
    with pytest.raises(ApiError, match="503 to GET /x: starting"):
        kube.Connection(answers, "https://k", dict, time.clock()).request("GET", "/x")
    assert 60 <= time.now < 61


BUSY: Json = {"reason": "Conflict", "message": "the object has been modified"}
MADE: Json = {"reason": "AlreadyExists", "message": 'configmaps "c" already exists'}
OWNED: Json = {"reason": "Conflict", "message": "x", "details": {"causes": [{"reason": "FieldManagerConflict"}]}}


@pytest.mark.parametrize(
    ("method", "refusal", "attempts"),
    [("PATCH", BUSY, 2), ("PATCH", MADE, 2), ("PATCH", OWNED, 1), ("DELETE", BUSY, 1)],
)
def test_who_comes_second_finds_what_the_first_made(method: str, refusal: Json, attempts: int) -> None:
    pool = Pool((409, refusal), (200, {"found": True}))
    connection = kube.Connection(pool, "https://k", dict, Time().clock())
    if attempts > 1:
        assert connection.request(method, "/x", body={}) == {"found": True}
    else:
        with pytest.raises(Conflict):
            connection.request(method, "/x", body={})
    assert len(pool.asked) == attempts


@pytest.mark.parametrize("token", ["hunter2\r", "hunter2\n", "hunter2\0x", "hunter2 x", "hunter2ł", "\rhunter2"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(tmp_path: Path, token: str) -> None:
    file = tmp_path / "config"
    access = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **access}))
    with pytest.raises(InvalidOption, match="^kubeconfig, the user's token: ") as found:
        kube.connect(module(kubeconfig=str(file))).request("GET", "/x")
    assert "hunter2" not in f"{found.value}{found.value.details}"
