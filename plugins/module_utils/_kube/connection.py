# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""One connection per process and cluster to a Kubernetes API: JSON in, JSON out, errors of ours."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import ipaddress
import json
import re
import ssl
import threading
import typing as t
from urllib.parse import quote, urlencode, urlsplit

from .._call import Call
from .._errors import ApiError, CollectionError, Conflict, InvalidOption, MissingLibrary, NotFound, WaitTimeout
from .._gcp.connect import AGENT
from .._gcp.connect import connect as google
from .._secrets import check_header_secret
from .._wait import Backoff, Clock, wait_for

try:
    import urllib3
    from kubernetes import client as kubernetes_client
    from kubernetes import config as kubernetes_config
    from urllib3 import exceptions as http_errors
except ImportError:
    HAS_KUBERNETES = False
else:
    HAS_KUBERNETES = True

Json = dict[str, t.Any]
Headers = t.Callable[[], dict[str, str]]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

# Seconds to connect and to wait for an answer; an admission webhook may take 30.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60

# Seconds without a useful answer after which an API server is reported: of all requests together, not of each.
PATIENCE = 60.0
PAUSES = Backoff(first=0.2, factor=2.0, cap=10.0)

# Too many requests, or the control plane is being restarted.
_PASSING = frozenset({429, 502, 503, 504})


class ClusterMissing(CollectionError):
    """There is no such cluster, or it has no Kubernetes API yet."""


class Unreachable(CollectionError):
    """No answer from the Kubernetes API (a zonal control plane is away while it is upgraded)."""


class UnknownKind(CollectionError):
    """The API server does not know this kind: its CustomResourceDefinition is not installed."""


@dataclasses.dataclass(frozen=True)
class Resource:
    """A kind as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        root = "/apis/" if "/" in self.api_version else "/api/"
        parts = [root + self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [self.plural, *(quote(part, safe="") for part in (name, subresource) if part)]
        return "/".join(parts)


class Connection:
    """Requests to one API server. Every request that the collection makes may be repeated, so lost ones are."""

    def __init__(self, pool: t.Any, url: str, headers: Headers, clock: Clock | None = None) -> None:
        self._pool = pool
        self._url = url.rstrip("/")
        self._headers = headers
        self._clock = clock or Clock()
        self._silent_since: float | None = None
        self._kinds: dict[str, dict[str, Resource]] = {}
        self._lock = threading.RLock()  # callers may send requests side by side

    def request(
        self,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, t.Any] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
    ) -> Json:
        """Returns the answer's JSON. Raises NotFound, Conflict, ApiError (``api_reason``: the Status' reason)."""
        answer = self._send(method, path, query, body, content_type)
        return t.cast(Json, json.loads(answer)) if answer else {}

    def text(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> str:
        """An answer that is no JSON: a container's log."""
        return self._send("GET", path, query, None, "").decode(errors="replace")

    def resource(self, api_version: str, kind: str) -> Resource:
        """Raises UnknownKind. Only group-versions in use are asked for, each once."""
        with self._lock:
            if api_version not in self._kinds:
                root = "/apis/" if "/" in api_version else "/api/"
                try:
                    listed = self.request("GET", root + api_version)
                except NotFound:
                    listed = {}
                self._kinds[api_version] = {
                    entry["kind"]: Resource(api_version, entry["kind"], entry["name"], entry["namespaced"])
                    for entry in listed.get("resources", [])
                    if "/" not in entry["name"]
                }
            found = self._kinds[api_version].get(kind)
            if found is None:
                del self._kinds[api_version]  # its CRD may be there by the time of the next question
                raise UnknownKind(
                    f"the cluster at {self._url} does not know {kind} of {api_version}; "
                    "install its CustomResourceDefinition, or turn on the feature of GKE that brings it"
                )
            return found

    def get(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        try:
            return self.request("GET", resource.path(namespace, name))
        except NotFound:
            return None

    def list(self, resource: Resource, namespace: str | None = None, **query: t.Any) -> list[Json]:
        """All objects, page by page, with the kind and apiVersion that lists leave out."""
        found: list[Json] = []
        query.setdefault("limit", 500)
        while True:
            page = self.request("GET", resource.path(namespace), query=query)
            found += page.get("items") or []
            follow = page.get("metadata", {}).get("continue")
            if not follow:
                break
            query["continue"] = follow
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in found]

    def _send(
        self, method: str, path: str, query: t.Mapping[str, t.Any] | None, body: t.Any, content_type: str
    ) -> bytes:
        """Raises ApiError for a refusal, Unreachable once the server has been silent for PATIENCE."""
        url = self._url + path + ("?" + urlencode(query) if query else "")
        headers = {"Content-Type": content_type} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        failures: list[CollectionError] = []

        def attempt() -> bytes | None:
            begun = self._clock.now()
            try:
                answer = self._once(method, url, content, headers)
            except Unreachable as error:
                failures.append(error)
            else:
                if answer.status < 400:
                    self._silent_since = None
                    return t.cast(bytes, answer.data)
                refusal = _api_error(f"{method} {path}", answer.status, answer.data)
                if not _passes(method, refusal):
                    self._silent_since = None
                    raise refusal
                failures.append(refusal)
            if self._silent_since is None:
                self._silent_since = begun
            return None

        silent = 0.0 if self._silent_since is None else self._clock.now() - self._silent_since
        what = f"an answer of the Kubernetes API {self._url}"
        try:
            data = wait_for(
                attempt,
                lambda data: data is not None,
                timeout=PATIENCE - silent,
                what=what,
                why=lambda _unused: failures[-1].message,
                backoff=PAUSES,
                clock=self._clock,
            )
        except WaitTimeout:
            raise failures[-1] from None
        return data or b""

    def _once(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> t.Any:
        """One attempt. Raises Unreachable, and CollectionError for what no repetition mends."""
        with self._lock:  # a token that has run out is renewed once
            headers = {"Accept": "application/json, */*", "User-Agent": AGENT, **headers, **self._headers()}
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
        try:
            return self._pool.request(method, url, body=content, headers=headers, retries=False, timeout=timeout)
        except http_errors.HTTPError as error:
            message = f"no answer from the Kubernetes API {self._url}: {error}"
            if _is_distrust(error):
                raise CollectionError(message) from error
            raise Unreachable(f"{message}; see that the cluster runs and lets this host reach its endpoint") from error


def _is_distrust(error: Exception) -> bool:
    """Whether the server's certificate was refused: it does not become trusted by asking again."""
    return any(isinstance(part, ssl.SSLCertVerificationError) for part in (error, *error.args))


def _passes(method: str, refusal: ApiError) -> bool:
    """Whether the same request may well succeed in a moment.

    A patch that carries no resourceVersion, as all of ours, meets a 409 when somebody creates or writes the
    object at that very moment; then it finds what they made. Who owns a field does not change by itself.
    """
    if refusal.code in _PASSING:
        return True
    return method == "PATCH" and isinstance(refusal, Conflict) and not conflicts(refusal)


def _api_error(what: str, code: int, body: bytes) -> ApiError:
    try:
        status = json.loads(body)
    except ValueError:
        status = {"message": body.decode(errors="replace")[:500]}
    family = {404: NotFound, 409: Conflict}.get(code, ApiError)
    message = status.get("message") or status.get("reason") or "no reason given"
    if code == 401:
        message += " (the credentials are not accepted by the cluster)"
    return family(
        f"Kubernetes answers {code} to {what}: {message}",
        code=code,
        reason=status.get("reason", ""),
        causes=(status.get("details") or {}).get("causes", []),
    )


# How an API server names who owns a field.
_OTHER_MANAGER = re.compile(r'conflict with "([^"]*)"')


def conflicts(error: Conflict) -> list[tuple[str, str]]:
    """(manager, field) of each field that another manager owns; empty for another kind of conflict."""
    found = []
    for cause in error.details.get("causes", []):
        if cause.get("reason") == "FieldManagerConflict":
            owner = _OTHER_MANAGER.search(cause.get("message", ""))
            found.append((owner.group(1) if owner else "?", cause.get("field", "?")))
    return found


_open: dict[tuple[t.Any, ...], Connection] = {}


def connect(call: Call, prefix: str = "") -> Connection:
    """The connection that the module's options name (``prefix``: "import_" for the second cluster).

    Raises ClusterMissing, InvalidOption.
    """
    if not HAS_KUBERNETES:
        raise MissingLibrary("kubernetes")
    given = {name: call.params[prefix + name] for name in ("cluster", "location", "connection", "kubeconfig")}
    key = (call.params.get("project"), call.params[prefix + "context"], repr(given))
    if key not in _open:
        if given["kubeconfig"]:
            _open[key] = _from_kubeconfig(prefix, given["kubeconfig"], call.params[prefix + "context"])
        else:
            _open[key] = _from_google(call, prefix, given)
    return _open[key]


def named(call: Call, prefix: str = "") -> bool:
    """Whether the options name a cluster at all."""
    return any(call.params[prefix + name] is not None for name in ("cluster", "connection", "kubeconfig"))


def _from_kubeconfig(prefix: str, path: str, context: str | None) -> Connection:
    try:
        config = type.__call__(kubernetes_client.Configuration)
        kubernetes_config.load_kube_config(
            config_file=path, context=context, client_configuration=config, persist_config=False
        )
    except (kubernetes_config.ConfigException, OSError) as error:
        raise InvalidOption(
            f"{prefix}kubeconfig", path, f"give a kubeconfig with the wanted context ({error})"
        ) from error

    def headers() -> dict[str, str]:
        # Asked for each time: an exec plugin's token is renewed here when it runs out.
        found = {entry["key"]: entry["value"] for entry in config.auth_settings().values() if entry["in"] == "header"}
        for value in found.values():
            check_header_secret(f"{prefix}kubeconfig, the user's token", value.partition(" ")[2] or value)
        return found

    return Connection(_pool(config), config.host, headers)


def _pool(config: t.Any) -> t.Any:
    """The client's own connection pool: TLS, client certificates and proxies are its business."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(urlsplit(config.host).hostname or "").is_loopback:
            config.proxy = None  # a proxy of the environment must not see a token meant for this machine
    return kubernetes_client.ApiClient(configuration=config).rest_client.pool_manager


def _from_google(call: Call, prefix: str, given: Json) -> Connection:
    gcp = google(call)
    if given["cluster"]:
        name = f"projects/{gcp.project}/locations/{given['location']}/clusters/{given['cluster']}"
        endpoint, certificate = _look_up(gcp, name)
    else:
        endpoint, certificate = given["connection"].get("endpoint"), given["connection"].get("ca_certificate")
        if not endpoint:
            raise ClusterMissing(f"{prefix}connection names no endpoint: the cluster does not exist yet")
    config = type.__call__(kubernetes_client.Configuration)
    config.host = f"https://{endpoint}"
    pool = _pool(config)
    if certificate:
        # In memory: no file to protect, none to leave behind. Without one, the public authorities decide.
        pool.connection_pool_kw["ca_cert_data"] = _pem(f"{prefix}connection.ca_certificate", certificate)

    def headers() -> dict[str, str]:
        return {"authorization": f"Bearer {check_header_secret('access_token', gcp.token())}"}

    return Connection(pool, config.host, headers)


def _look_up(gcp: t.Any, name: str) -> tuple[str, str]:
    """The endpoint of a cluster of GKE, and its CA (base64); "" where the DNS endpoint has a public certificate."""
    try:
        cluster = gcp.rest("container").get(f"v1/{name}")
    except ApiError as error:
        if not gcp.is_absent(error):
            raise
        raise ClusterMissing(f"there is no cluster {name}") from error
    access = cluster.get("controlPlaneEndpointsConfig", {})
    endpoint = cluster.get("endpoint")
    if not endpoint or access.get("ipEndpointsConfig", {}).get("enabled") is False:
        endpoint = access.get("dnsEndpointConfig", {}).get("endpoint")
        if not endpoint:
            raise ClusterMissing(f"cluster {name} has no endpoint yet: it is {cluster.get('status')}")
        return endpoint, ""
    return endpoint, cluster.get("masterAuth", {}).get("clusterCaCertificate", "")


def _pem(option: str, certificate: str) -> str:
    if "-----BEGIN" in certificate:
        return certificate
    try:
        return base64.b64decode(certificate, validate=True).decode("ascii")
    except ValueError as error:
        raise InvalidOption(option, certificate[:20] + "...", "give a PEM certificate, plain or in base64") from error
