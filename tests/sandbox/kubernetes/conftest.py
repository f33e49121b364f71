# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One API server in a thread, driven by clients that are not ours: kubectl and the kubernetes package."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import typing as t
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from kubernetes import client, config, dynamic

from sandbox.kubernetes import ApiServer

Json = dict[str, t.Any]
TOKEN = "token-of-the-tests"


@dataclasses.dataclass
class Running:
    """A server that serves in its own thread."""

    server: ApiServer
    directory: Path
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"https://{self.server.access.endpoint}"

    def within(self, work: Callable[[], t.Any]) -> t.Any:
        """Run ``work`` in the server's loop."""

        async def call() -> t.Any:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("cluster")
    server = ApiServer(
        name="tested", host="127.99.0.11", port=0, token=TOKEN, version="1.34.1-gke.1829001", directory=directory
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
    yield Running(server, directory, loop)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


class Raw:
    """Plain HTTP, for what the clients hide: headers, codes, bodies that their models refuse."""

    def __init__(self, running: Running, token: str | None = TOKEN) -> None:
        trust = ssl.create_default_context(cadata=running.server.access.ca_pem)
        self._pool = urllib3.PoolManager(ssl_context=trust, retries=False, timeout=20)
        self._url = running.url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(
        self, method: str, path: str, body: t.Any = None, content: str = "application/json", accept: str = "*/*"
    ) -> urllib3.BaseHTTPResponse:
        headers = {**self._headers, "Content-Type": content, "Accept": accept}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self._pool.request(method, self._url + path, body=data, headers=headers)


@pytest.fixture(scope="session")
def raw(running: Running) -> Raw:
    return Raw(running)


@pytest.fixture(scope="session")
def anonymous(running: Running) -> Callable[..., Raw]:
    return lambda token=None: Raw(running, token)


@pytest.fixture(scope="session")
def api_client(running: Running) -> Iterator[client.ApiClient]:
    made = config.new_client_from_config(str(running.server.kubeconfig))
    yield made
    made.close()


@pytest.fixture(scope="session")
def core(api_client: client.ApiClient) -> t.Any:
    """Without its types: it takes dicts for bodies and fills in what the server answers, and they deny both."""
    return client.CoreV1Api(api_client)


@pytest.fixture(scope="session")
def apps(api_client: client.ApiClient) -> t.Any:
    return client.AppsV1Api(api_client)


@pytest.fixture
def dynamic_client(api_client: client.ApiClient, tmp_path: Path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(api_client, cache_file=str(tmp_path / "discovery.json"))


@pytest.fixture
def namespace(core: t.Any) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


class Kubectl:
    """The real kubectl, in a namespace, with its caches in a directory of its own."""

    def __init__(self, kubeconfig: Path, home: Path, namespace: str) -> None:
        self._command = [str(Path(sys.executable).parent / "kubectl"), "--kubeconfig", str(kubeconfig), "-n", namespace]
        self.namespace = namespace
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def run(self, *arguments: str, given: t.Any = None) -> subprocess.CompletedProcess[str]:
        """``given`` goes to standard input: JSON of an object, or text."""
        text = given if isinstance(given, str) else json.dumps(given)
        return subprocess.run(
            [*self._command, *arguments],
            input=text if given is not None else None,
            capture_output=True,
            text=True,
            timeout=60,
            env=self._environment,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def __call__(self, *arguments: str, given: t.Any = None) -> str:
        done = self.run(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *arguments: str, given: t.Any = None) -> str:
        done = self.run(*arguments, given=given)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} should have failed: {done.stdout}"
        return done.stderr


@pytest.fixture
def kubectl(running: Running, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home = tmp_path_factory.getbasetemp() / "kubectl-home"
    home.mkdir(exist_ok=True)
    return Kubectl(running.server.kubeconfig, home, namespace)


def eventually(look: Callable[[], t.Any], what: str, seconds: float = 15) -> t.Any:
    """The first true answer of ``look``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., t.Any]:
    return eventually


def deployment(name: str = "web", replicas: int = 2) -> Json:
    labels = {"app": name}
    container = {"name": "main", "image": "nginx:1.29", "ports": [{"containerPort": 80}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def pod(name: str = "one", **spec: t.Any) -> Json:
    container = {"name": "main", "image": "busybox:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], **spec},
    }


def crd(plural: str = "widgets", group: str = "example.com", kind: str = "Widget", **version: t.Any) -> Json:
    """A CustomResourceDefinition with status and scale."""
    spec = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1},
            "color": {"type": "string", "default": "green", "enum": ["green", "red"]},
            "replicas": {"type": "integer"},
        },
    }
    status = {
        "type": "object",
        "properties": {
            "replicas": {"type": "integer"},
            "phase": {"type": "string"},
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status"],
                    "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                },
            },
        },
    }
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    one = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        **version,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "shortNames": [plural[:2]]},
            "versions": [one],
        },
    }


class Build:
    """Objects to send."""

    deployment = staticmethod(deployment)
    pod = staticmethod(pod)
    crd = staticmethod(crd)


@pytest.fixture(scope="session")
def build() -> type[Build]:
    return Build


@pytest.fixture(scope="session")
def widgets(api_client: client.ApiClient) -> Json:
    """The CustomResourceDefinition of widgets, installed."""
    extensions: t.Any = client.ApiextensionsV1Api(api_client)
    made = extensions.create_custom_resource_definition(crd())
    return t.cast(Json, api_client.sanitize_for_serialization(made))
