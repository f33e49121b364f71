# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small asynchronous Kubernetes client: all that controllers and kubelets know of an API server."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import hashlib
import json
import logging
import ssl
import typing as t
from collections.abc import AsyncIterator

import aiohttp

from sandbox.interfaces import ClusterAccess, Json

_log = logging.getLogger(__name__)

Objects = list[Json]  # a name of its own: KubeClient.list hides the built-in one

# A watch line may carry an object of any size, so lines are split here and not by aiohttp (64 KiB limit).
_RETRY_FIRST, _RETRY_MOST = 0.2, 5.0
_CONNECT = 5.0  # seconds; an API server that is away must not hold up what concerns others
_ABSENT_KIND_PAUSE = 0.5


@dataclasses.dataclass(frozen=True)
class Resource:
    """A kind as the API serves it; ``group`` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False)
NODES = Resource("", "v1", "nodes", "Node", False)
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
EVENTS = Resource("", "v1", "events", "Event")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
DEVICE_CLASSES = Resource("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", False)
RESOURCE_SLICES = Resource("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", False)
RESOURCE_CLAIMS = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
RESOURCE_CLAIM_TEMPLATES = Resource("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
GATEWAY_CLASSES = Resource("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", False)
GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
INFERENCE_POOLS = Resource("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool")
POOL_IMPORTS = Resource("networking.gke.io", "v1", "gcpinferencepoolimports", "GCPInferencePoolImport")
HEALTH_CHECK_POLICIES = Resource("networking.gke.io", "v1", "healthcheckpolicies", "HealthCheckPolicy")
BACKEND_POLICIES = Resource("networking.gke.io", "v1", "gcpbackendpolicies", "GCPBackendPolicy")


class KubeError(Exception):
    """An answer of the API server that is no success: ``code`` (HTTP), ``reason`` (as in Status), message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason


def now() -> str:
    """The time as Kubernetes writes it (UTC, seconds)."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_of(obj: Json) -> tuple[str, str]:
    """(namespace, name); the namespace of a cluster-scoped object is ""."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class KubeClient:
    """Talks to one cluster. Every call raises KubeError for a refusal and aiohttp.ClientError for a broken line.

    ``component`` is the field manager of writes and the source of events. Must be used in a running loop.
    """

    def __init__(self, access: ClusterAccess, component: str = "controller-manager") -> None:
        self.access = access
        self.component = component
        self._session: aiohttp.ClientSession | None = None

    async def list(self, resource: Resource, namespace: str | None = None) -> Objects:
        """All objects of the kind, of all namespaces unless one is given; kind and apiVersion are filled in."""
        return (await self._list(resource, namespace))[0]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        try:
            return await self._call("GET", resource.path(namespace, name))
        except KubeError as error:
            if error.code == 404:
                return None
            raise

    async def create(self, resource: Resource, obj: Json) -> Json:
        path = resource.path(obj["metadata"].get("namespace"))
        return await self._call("POST", path, body=_typed(resource, obj), params={"fieldManager": self.component})

    async def replace(self, resource: Resource, obj: Json, subresource: str = "") -> Json:
        """PUT; a resourceVersion in ``obj`` makes it optimistic (409 Conflict when the object has moved on)."""
        path = resource.path(*key_of(obj), subresource)
        return await self._call("PUT", path, body=_typed(resource, obj), params={"fieldManager": self.component})

    async def merge(self, resource: Resource, patch: Json, subresource: str = "") -> Json:
        """JSON merge patch of the object that the patch's own metadata names."""
        path = resource.path(*key_of(patch), subresource)
        return await self._call(
            "PATCH", path, body=patch, content="application/merge-patch+json", params={"fieldManager": self.component}
        )

    async def apply(self, resource: Resource, obj: Json, manager: str, subresource: str = "") -> Json:
        """Server-side apply, forced."""
        path = resource.path(*key_of(obj), subresource)
        params = {"fieldManager": manager, "force": "true"}
        return await self._call(
            "PATCH", path, body=_typed(resource, obj), content="application/apply-patch+yaml", params=params
        )

    async def bind(self, pod: Json, node: str) -> None:
        """Place the Pod on the Node, as a scheduler does. Raises KubeError 409 when it has a place already."""
        namespace, name = key_of(pod)
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        meta = {"namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": target}
        await self._call("POST", PODS.path(namespace, name, "binding"), body=body)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        grace_period: int | None = None,
        uid: str | None = None,
        propagation: str | None = None,
    ) -> bool:
        """Delete; False when it was not there (or, with ``uid``, was another object of that name)."""
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if propagation is not None:
            options["propagationPolicy"] = propagation
        try:
            await self._call("DELETE", resource.path(namespace, name), body=options)
        except KubeError as error:
            if error.code == 404 or (uid is not None and error.code == 409):
                return False
            raise
        return True

    async def event(self, obj: Json, type: str, reason: str, message: str) -> None:  # noqa: A002 - Kubernetes' own name
        """Record an Event ("Normal" or "Warning") about the object; a repetition raises its count.

        Failing to tell is never a reason to fail: errors are logged.
        """
        namespace, name = key_of(obj)
        namespace = namespace or "default"
        uid = obj["metadata"].get("uid", "")
        digest = hashlib.sha256(json.dumps([uid, type, reason, message, self.component]).encode()).hexdigest()[:16]
        time = now()
        event = {
            "metadata": {"namespace": namespace, "name": f"{name[:230]}.{digest}"},
            "involvedObject": {
                "kind": obj.get("kind", ""),
                "apiVersion": obj.get("apiVersion", ""),
                "namespace": namespace,
                "name": name,
                "uid": uid,
                "resourceVersion": obj["metadata"].get("resourceVersion", ""),
            },
            "type": type,
            "reason": reason,
            "message": message,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "reportingInstance": "",
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        try:
            await self._record(event)
        except (KubeError, aiohttp.ClientError) as error:
            _log.debug("event %s about %s/%s not recorded: %s", reason, namespace, name, error)

    async def _record(self, event: Json) -> None:
        try:
            await self.create(EVENTS, event)
        except KubeError as error:
            if error.code != 409:
                raise
            known = await self.get(EVENTS, *key_of(event)) or {}
            count = known.get("count", 1) + 1
            patch = {"metadata": event["metadata"], "count": count, "lastTimestamp": event["lastTimestamp"]}
            await self.merge(EVENTS, patch)

    async def watch(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[tuple[str, Json]]:
        """Every change of the kind, for ever: ("ADDED"|"MODIFIED"|"DELETED", object).

        Begins with the objects that are there, then ("SYNC", {}). Resumes after broken lines and expired
        versions, telling what was missed; a kind that is not served (a CRD not yet installed) is empty.
        """
        known: dict[tuple[str, str], Json] = {}
        version = ""
        synced = False
        pause = _RETRY_FIRST
        while True:
            try:
                if not version:
                    objects, version = await self._list(resource, namespace)
                    for change in _difference(known, objects):
                        yield change
                    known = {key_of(obj): obj for obj in objects}
                    if not synced:
                        synced = True
                        yield "SYNC", {}
                async for kind, obj in self._stream(resource, namespace, version):
                    version = obj["metadata"]["resourceVersion"]
                    pause = _RETRY_FIRST
                    if kind == "BOOKMARK":
                        continue
                    if kind == "DELETED":
                        known.pop(key_of(obj), None)
                    else:
                        known[key_of(obj)] = obj
                    yield kind, obj
                # The server ends a watch now and then; the small pause keeps a server that does so at once bearable.
                await asyncio.sleep(0.02)
            except KubeError as error:
                version = ""
                if error.code == 404:
                    for change in _difference(known, []):
                        yield change
                    known = {}
                    if not synced:
                        synced = True
                        yield "SYNC", {}
                    await asyncio.sleep(_ABSENT_KIND_PAUSE)
                elif error.code != 410:
                    _log.debug("watch of %s at %s: %s", resource.plural, self.access.endpoint, error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _RETRY_MOST)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.debug("watch of %s at %s: %s", resource.plural, self.access.endpoint, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _RETRY_MOST)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trust = ssl.create_default_context(cadata=self.access.ca_pem)
            self._session = aiohttp.ClientSession(
                f"https://{self.access.endpoint}",
                connector=aiohttp.TCPConnector(ssl=trust, limit=0),
                headers={"Authorization": f"Bearer {self.access.token}", "User-Agent": "sandbox"},
                timeout=aiohttp.ClientTimeout(total=30, sock_connect=_CONNECT),
                trust_env=False,
            )
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        content: str = "application/json",
        params: dict[str, str] | None = None,
    ) -> Json:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content} if body is not None else {}
        async with self._open().request(method, path, data=data, params=params, headers=headers) as response:
            await _check(response)
            answer: Json = await response.json(content_type=None)
            return answer

    async def _list(self, resource: Resource, namespace: str | None) -> tuple[Objects, str]:
        answer = await self._call("GET", resource.path(namespace))
        objects = [_typed(resource, item) for item in answer.get("items") or []]
        return objects, answer["metadata"]["resourceVersion"]

    async def _stream(self, resource: Resource, namespace: str | None, version: str) -> AsyncIterator[tuple[str, Json]]:
        params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        async with self._open().get(resource.path(namespace), params=params, timeout=timeout) as response:
            await _check(response)
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if not line.strip():
                        continue
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        status = change["object"]
                        raise KubeError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                    yield change["type"], _typed(resource, change["object"])


def _typed(resource: Resource, obj: Json) -> Json:
    return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}


def _difference(known: dict[tuple[str, str], Json], objects: t.Sequence[Json]) -> list[tuple[str, Json]]:
    """What a watcher that saw ``known`` has to be told so that it sees ``objects``."""
    changes: list[tuple[str, Json]] = []
    present = {key_of(obj): obj for obj in objects}
    for key, old in known.items():
        new = present.get(key)
        if new is None or new["metadata"].get("uid") != old["metadata"].get("uid"):
            changes.append(("DELETED", old))
    for key, obj in present.items():
        before = known.get(key)
        if before is None or before["metadata"].get("uid") != obj["metadata"].get("uid"):
            changes.append(("ADDED", obj))
        elif before["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            changes.append(("MODIFIED", obj))
    return changes


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    raise KubeError(response.status, status.get("reason") or "Unknown", status.get("message") or text[:300])
