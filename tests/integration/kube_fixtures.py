# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded Kubernetes API server in a thread, and a client with which tests play the controllers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import typing as t
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.kubernetes import ApiServer
from sandbox.kubernetes.crds import config_cluster, shipped

Json = dict[str, t.Any]

VERSION = "1.34.1-gke.1829001"
TOKEN = "test-token"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Cluster:
    """One API server: its kubeconfig for the modules, raw requests for the test."""

    def __init__(self, server: ApiServer) -> None:
        self.kubeconfig = str(server.kubeconfig)
        self.endpoint = server.access.endpoint
        self.ca_pem = server.access.ca_pem
        self._url = f"https://{self.endpoint}"
        tls = ssl.create_default_context(cadata=self.ca_pem)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )

    def request(self, method: str, path: str, body: t.Any = None, content_type: str = "application/json") -> Json:
        """Raises urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with self._opener.open(request, timeout=30) as answer:
            return t.cast(Json, json.load(answer))

    def get(self, path: str) -> Json | None:
        try:
            return self.request("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def merge(self, path: str, patch: Json) -> Json:
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def set_status(self, path: str, **status: t.Any) -> Json:
        """As a controller writes it."""
        return self.merge(path + "/status", {"status": status})


@contextlib.contextmanager
def running(directory: Path, name: str, crds: list[Json]) -> Iterator[Cluster]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name)
    thread.start()

    def do(work: t.Coroutine[t.Any, t.Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(30)

    try:
        server = ApiServer(name=name, host="127.0.0.1", port=0, token=TOKEN, version=VERSION, directory=directory)
        do(server.start())
        try:
            cluster = Cluster(server)
            for crd in crds:
                cluster.request("POST", CRDS, crd)
            yield cluster
        finally:
            do(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with what GKE brings; one per test module, so tests use namespaces or names of their own."""
    with running(tmp_path_factory.mktemp("cluster"), "us-east5", shipped(VERSION)) as found:
        yield found


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The fleet's config cluster, which knows imports besides."""
    crds = shipped(VERSION) + config_cluster()
    with running(tmp_path_factory.mktemp("config"), "config", crds) as found:
        yield found


@contextlib.contextmanager
def controller(step: t.Callable[[], bool]) -> Iterator[None]:
    """Repeat ``step`` in a thread until it returns True, as a controller would; the test fails if it never does.

    A module that does not wait for the controller may end before the thread has had its turn on a busy machine:
    at the end of the block the step gets a while longer.
    """
    done, stop = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        while not stop.is_set():
            try:
                if step():
                    done.set()
                    return
            except urllib.error.HTTPError as error:
                failures.append(error)
            stop.wait(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
        assert done.wait(30), f"the controller's part was never asked for {failures[-1:]}"
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """A namespace for one test alone."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:50].strip("-")
    cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name
