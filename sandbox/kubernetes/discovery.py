# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is served, told to clients: /api, /apis and their aggregated form (apidiscovery.k8s.io)."""

from __future__ import annotations

import typing as t

from aiohttp import web

from sandbox.kubernetes.requests import not_served
from sandbox.kubernetes.resources import Registry, ResourceType, version_rank

Json = dict[str, t.Any]

# Subresource -> (group, version, kind, verbs) of what is exchanged there; "" means the parent's own kind.
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "status": ("", "", "", ("get", "patch", "update")),
    "finalize": ("", "", "", ("update",)),
    "log": ("", "", "", ("get",)),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
}


def wants_aggregated(request: web.Request) -> str | None:
    """The version ("v2", "v2beta1") of aggregated discovery that the Accept header prefers, if any."""
    for choice in request.headers.get("Accept", "").split(","):
        media, *pairs = [part.strip() for part in choice.split(";")]
        given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if media != "application/json":
            continue
        if given.get("g") != "apidiscovery.k8s.io":
            return None
        if given.get("v") in ("v2", "v2beta1"):
            return given["v"]
    return None


def aggregated(registry: Registry, version: str, *, core: bool) -> Json:
    """APIGroupDiscoveryList of /api (``core``) or /apis: everything in one answer."""
    items = []
    for group, versions in _ordered_groups(registry):
        if (group == "") != core:
            continue
        rows = [
            {
                "version": one,
                "freshness": "Current",
                "resources": [_discovered(rt) for rt in _of(registry, group, one)],
            }
            for one in versions
        ]
        items.append({"metadata": {"name": group, "creationTimestamp": None}, "versions": rows})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _discovered(rt: ResourceType) -> Json:
    found: Json = {
        "resource": rt.plural,
        "responseKind": {"group": rt.group, "version": rt.version, "kind": rt.kind},
        "scope": "Namespaced" if rt.namespaced else "Cluster",
        "singularResource": rt.singular,
        "verbs": list(rt.verbs),
    }
    if rt.short:
        found["shortNames"] = list(rt.short)
    if rt.categories:
        found["categories"] = list(rt.categories)
    if rt.subresources:
        found["subresources"] = [
            {
                "subresource": name,
                "responseKind": {"group": group, "version": version, "kind": kind},
                "verbs": list(verbs),
            }
            for name, group, version, kind, verbs in (_exchanged(rt, name) for name in rt.subresources)
        ]
    return found


def _exchanged(rt: ResourceType, name: str) -> tuple[str, str, str, str, tuple[str, ...]]:
    group, version, kind, verbs = _SUBRESOURCES[name]
    return (name, group, version, kind, verbs) if kind else (name, rt.group, rt.version, rt.kind, verbs)


def _of(registry: Registry, group: str, version: str) -> list[ResourceType]:
    return [rt for rt in registry.all() if rt.group == group and rt.version == version]


def _ordered_groups(registry: Registry) -> list[tuple[str, list[str]]]:
    groups = registry.groups()
    return [(group, groups[group]) for group in groups]


def api_versions(address: str) -> Json:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(registry: Registry) -> Json:
    groups = [_group(group, versions) for group, versions in _ordered_groups(registry) if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Json:
    """Raises ApiStatus 404 for a group that is not served."""
    versions = registry.groups().get(name)
    if not name or not versions:
        raise not_served()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Json:
    ordered = sorted(versions, key=version_rank, reverse=True)
    rows = [{"groupVersion": f"{name}/{version}", "version": version} for version in ordered]
    return {"name": name, "versions": rows, "preferredVersion": rows[0]}


def resource_list(registry: Registry, group: str, version: str) -> Json:
    """APIResourceList of one group version. Raises ApiStatus 404."""
    found = _of(registry, group, version)
    if not found:
        raise not_served()
    rows: list[Json] = []
    for rt in found:
        row: Json = {
            "name": rt.plural,
            "singularName": rt.singular,
            "namespaced": rt.namespaced,
            "kind": rt.kind,
            "verbs": list(rt.verbs),
        }
        if rt.short:
            row["shortNames"] = list(rt.short)
        if rt.categories:
            row["categories"] = list(rt.categories)
        rows.append(row)
        for name, sub_group, sub_version, kind, verbs in (_exchanged(rt, name) for name in rt.subresources):
            entry: Json = {
                "name": f"{rt.plural}/{name}",
                "singularName": "",
                "namespaced": rt.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if (sub_group, sub_version) != (rt.group, rt.version):
                entry |= {"group": sub_group, "version": sub_version}
            rows.append(entry)
    full = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": rows}
