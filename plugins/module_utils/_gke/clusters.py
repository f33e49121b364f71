# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A GKE cluster as a resource to reconcile."""

from __future__ import annotations

import base64
import typing as t

from .._errors import CollectionError, ImmutableField, InvalidOption
from .._gcp.projects import SameProject
from .._reconcile import Change, Field, Json
from .api import Gke
from .explain import broken
from .fields import BROKEN, cluster_fields
from .names import ClusterName, Version, at_least
from .updates import cluster_update, resource_labels


class Cluster:
    """``patient``: wait until what is under way has ended (neither in check mode nor with wait: false)."""

    kind = "cluster"

    def __init__(
        self,
        gke: Gke,
        path: ClusterName,
        *,
        same_project: SameProject,
        state: str,
        check_mode: bool,
        min_version: str | None = None,
    ) -> None:
        self.name = path.cluster
        self.fields: t.Sequence[Field] = cluster_fields(same_project)
        self.identity: Json = {"name": path.cluster, "location": path.location}
        self._gke = gke
        self._path = path
        self._state = state
        self._check_mode = check_mode
        self._min_version = min_version

    def get(self) -> Json | None:
        what = f"cluster {self.name}"
        patient = self._gke.wait and not self._check_mode
        live = self._gke.settled(self._look, target=str(self._path), what=what) if patient else self._look()
        if live is None or self._state == "absent":
            return None if live is not None and live.get("status") == "STOPPING" else live
        if live.get("status") == "STOPPING":
            if self._check_mode:
                return None
            raise CollectionError(f"{what} is being deleted: run again with wait: true to create it anew after that")
        if live.get("status") in BROKEN:
            raise broken(what, live, "or delete it with state: absent, and create it again")
        return live

    def create(self, desired: Json) -> Json:
        cluster = {key: value for key, value in desired.items() if key != "masterVersion"}
        if not (cluster.get("autopilot") or {}).get("enabled"):
            cluster.setdefault("initialNodeCount", 1)
        if version := self._version(desired):
            cluster["initialClusterVersion"] = version
        body = {"parent": self._path.parent, "cluster": {"name": self.name, **cluster}}
        return self._gke.write(
            "create_cluster",
            lambda: body,
            target=str(self._path),
            what=f"create cluster {self.name}",
            landed=lambda: self._look() is not None,
        )

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        method, _unused, group = call.partition(".")

        def body() -> Json:
            if method == "set_labels":
                # The labels and fingerprint of now: an operation that was waited for may have moved them on.
                now = self._look() or live
                return {
                    "name": str(self._path),
                    **resource_labels([change.anew(desired, now) for change in changes], now),
                }
            return {"name": str(self._path), "update": cluster_update(group, changes)}

        what = f"update {', '.join(change.field.path for change in changes)} of cluster {self.name}"
        return self._gke.write(method, body, target=str(self._path), what=what)

    def delete(self, live: Json) -> Json:
        return self._gke.write(
            "delete_cluster",
            lambda: {"name": str(self._path)},
            target=str(self._path),
            what=f"delete cluster {self.name}",
            landed=lambda: self._look() is None,
        )

    def _look(self) -> Json | None:
        found = self._gke.find("get_cluster", str(self._path))
        return without_secrets(found) if found else None

    def _version(self, desired: Json) -> str | None:
        """What to create with: what was asked for, else the channel's default unless that is below the floor."""
        stated = desired.get("initialClusterVersion") or desired.get("masterVersion")
        if stated or not self._min_version:
            return stated
        config = self._gke.find("get_server_config", self._path.parent)
        channel = (desired.get("releaseChannel") or {}).get("channel", "REGULAR")
        return pick_version(config or {}, channel, self._min_version)


def without_secrets(cluster: Json) -> Json:
    """The cluster without the keys that old clusters still answer with."""
    auth = cluster.get("masterAuth")
    if not auth:
        return cluster
    return {**cluster, "masterAuth": {key: auth[key] for key in auth if key not in ("clientKey", "password")}}


def pick_version(config: Json, channel: str, floor: str) -> str | None:
    """The lowest version of the channel that meets the floor; None when its default does, or nothing is known.

    Raises InvalidOption when the channel has no such version.
    """
    found = next((one for one in config.get("channels") or [] if one.get("channel") == channel), None)
    if found is None or not found.get("validVersions"):
        return None
    default = found.get("defaultVersion")
    if default and at_least(default, floor):
        return None
    enough = sorted((one for one in found["validVersions"] if at_least(one, floor)), key=Version.parse)
    if not enough:
        newest = max(found["validVersions"], key=Version.parse)
        raise InvalidOption("min_version", floor, f"channel {channel} has none so new: its newest version is {newest}")
    return t.cast(str, enough[0])


def check_versions(desired: Json, floor: str | None) -> None:
    """The stated versions against each other. Raises InvalidOption."""
    least = Version.parse(floor, "min_version") if floor else None
    if wanted := desired.get("masterVersion"):
        _check_stated("master_version", wanted, least)
    stated = desired.get("initialClusterVersion")
    if stated and stated not in ("-", "latest"):
        _check_stated("initial_cluster_version", stated, least)


def _check_stated(option: str, stated: str, least: Version | None) -> None:
    given = Version.parse(stated, option)
    # A prefix such as 1.34 stands for the newest version that it matches.
    size = sum(part is not None for part in given.parts)
    if least and given < Version(t.cast(t.Any, (*least.parts[:size], *(None,) * (4 - size)))):
        raise InvalidOption(option, stated, "it is below min_version")


def explain_immutable(error: ImmutableField) -> ImmutableField:
    """Adds the ways there are for a cluster."""
    fields = error.details.get("fields") or []
    if fields and all(field.startswith("node_config.") for field in fields):
        advice = "node_config describes the cluster's default-pool: change that with aiserving.gke.node_pool"
    else:
        advice = "create a cluster under another name beside it, move the service there, then delete this one"
    return ImmutableField(f"{error.message.split('. Delete it first')[0]}. {advice}", **error.details)


def connection_of(cluster: Json | None) -> Json:
    """How to reach the cluster's Kubernetes API: ``endpoint`` (host or host:port) and ``ca_certificate`` (PEM).

    The certificate is None where the DNS endpoint's is signed by a public authority. Empty while there is no endpoint.
    """
    access = (cluster or {}).get("controlPlaneEndpointsConfig") or {}
    endpoint = (cluster or {}).get("endpoint")
    if not endpoint or (access.get("ipEndpointsConfig") or {}).get("enabled") is False:
        endpoint = (access.get("dnsEndpointConfig") or {}).get("endpoint")
        return {"endpoint": endpoint, "ca_certificate": None} if endpoint else {}
    certificate = ((cluster or {}).get("masterAuth") or {}).get("clusterCaCertificate")
    return {
        "endpoint": endpoint,
        "ca_certificate": base64.b64decode(certificate).decode("ascii") if certificate else None,
    }
