# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seams between the sandbox's parts: cloud, kubernetes, controllers, dataplane.

``sandbox/world.py`` puts the parts together; no part imports another's inside.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class ClusterKey:
    """Names a GKE cluster within the sandbox's project; ``location`` is a zone or a region."""

    location: str
    name: str

    @property
    def region(self) -> str:
        parts = self.location.split("-")
        return "-".join(parts[:2])

    def place(self, resource: str) -> Place:
        """Where faults meet what the cluster has: a node's name, or "namespace/name"."""
        return Place("kubernetes", resource=resource, location=self.location)

    def __str__(self) -> str:
        return f"{self.location}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Place:
    """What a fault is asked about, or is restricted to: patterns of fnmatch, "" for any.

    ``service``: compute, container, gkehub, iam, storage, serviceusage, cloudresourcemanager or kubernetes;
    ``method``: the HTTP verb; ``resource``: the path below the service's base, the target of an operation, or a name
    ("namespace/name" of a Pod or pool, a node, a cluster, an identity); ``location``: a region (which takes in its
    zones) or a zone.
    """

    service: str = ""
    method: str = ""
    resource: str = ""
    location: str = ""

    def holds(self, here: Place) -> bool:
        """Whether ``here`` is within this place."""
        plain = all(
            fnmatch.fnmatchcase(getattr(here, name), getattr(self, name) or "*")
            for name in ("service", "method", "resource")
        )
        region_of_it = self.location.count("-") == 1 and here.location.startswith(f"{self.location}-")
        return plain and (self.location in ("", here.location) or region_of_it)


@dataclasses.dataclass(frozen=True)
class Hit:
    """A fault that is in force where it was asked for: its name in the book, the kind and its settings."""

    fault: str
    kind: str
    settings: Mapping[str, t.Any]


class FaultView(t.Protocol):
    """The faults in force, as the parts see them that break by themselves."""

    def afflicts(self, kind: str, here: Place, turn: str = "", **only: str) -> Hit | None:
        """The fault of this kind that is upon what stands here; asking again changes nothing."""

    def mend(self, hit: Hit, here: Place, turn: str = "") -> None:
        """What was broken here has been replaced: this fault does not strike it again."""

    def changes(self) -> t.AsyncGenerator[None, None]:
        """Once at the beginning, and again whenever a fault has come, gone or run out."""


@dataclasses.dataclass(frozen=True)
class ClusterAccess:
    """How to reach a cluster's Kubernetes API: https://``endpoint`` ("127.20.0.11:6443"), CA and bearer token."""

    endpoint: str
    ca_pem: str
    token: str


class ClusterRuntime(t.Protocol):
    """What the container API needs done to make a cluster real."""

    async def start_cluster(self, key: ClusterKey, version: str) -> ClusterAccess:
        """Start the cluster's API server and controllers; returns when it serves. ``version``: "1.34.1-gke.1829001"."""

    async def stop_cluster(self, key: ClusterKey) -> None: ...


class CloudView(t.Protocol):
    """The cloud's state as Google's own controllers see it: read-only, documents as the REST API answers them."""

    project: str
    project_number: str

    def cluster(self, key: ClusterKey) -> Json | None:
        """The cluster with its nodePools, as GET container/v1 answers."""

    def feature(self, feature_id: str) -> Json | None: ...

    def memberships(self) -> Sequence[Json]: ...

    def subnetworks(self, network: str) -> Sequence[Json]:
        """The subnetworks of the network with this short name."""

    def firewalls(self, network: str) -> Sequence[Json]: ...

    def address(self, region: str, name: str) -> Json | None: ...

    def bucket(self, name: str) -> Path | None:
        """The directory that holds the bucket's objects, or None when there is no such bucket."""

    def bindings(self, resource: str) -> Sequence[Json]:
        """IAM bindings ({role, members}) of "project", "bucket/NAME" or "serviceAccount/EMAIL"."""

    def service_enabled(self, name: str) -> bool: ...

    async def wait_change(self, seen: int) -> int:
        """Return the version of the cloud's state once it is above ``seen`` (pass 0 first)."""


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """Active health checking of a backend; times in seconds."""

    path: str = "/"
    port: int | None = None  # None: the serving port
    interval: float = 5.0
    timeout: float = 5.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One Pod behind a backend."""

    address: str
    port: int
    region: str
    zone: str


@dataclasses.dataclass(frozen=True)
class Backend:
    """What an HTTPRoute's backendRef points at: the endpoints of all regions and how to judge them."""

    name: str
    endpoints: tuple[Endpoint, ...]
    health_check: HealthCheck = HealthCheck()
    timeout: float = 30.0


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of an HTTPRoute: any of ``path_prefixes`` -> weighted backends."""

    backends: tuple[tuple[str, int], ...]  # (backend name, weight)
    path_prefixes: tuple[str, ...] = ("/",)
    hostnames: tuple[str, ...] = ("*",)


@dataclasses.dataclass(frozen=True)
class Listener:
    """A gateway's listener in one region: bound to the region's VIP."""

    gateway: str  # "namespace/name"
    name: str
    region: str
    address: str
    port: int
    rules: tuple[Rule, ...] = ()


class DataPlane(t.Protocol):
    """Real traffic: one Envoy per region that has a listener."""

    async def program(self, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> Mapping[Listener, str]:
        """Make the Envoys serve exactly this; returns when the configuration is in force.

        What cannot be served is in the answer, with the reason; the other listeners serve all the same.
        """

    async def stop(self) -> None: ...


class LoadBalancers(t.Protocol):
    """Where the fleet's controllers tell what they have programmed: compute shows it to users."""

    def publish(self, network: str, listeners: Sequence[Listener], backends: Mapping[str, Backend]) -> None:
        """These load balancers, in the VPC network of this short name, are all that there are now."""
