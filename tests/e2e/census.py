# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is in a project and in its clusters, by name: two estates of one inventory must not differ."""

from __future__ import annotations

import collections
import json
import re
import time
import typing as t

from tests.e2e.estate import Estate

Json = dict[str, t.Any]
Census = dict[str, list[str]]

PROJECT = "projects/sandbox-project"
# Kinds that tell what happened, or who leads, and not what was built.
PASSING = ("events", "leases")
# What GKE and Kubernetes make up in names: hashes of eight digits, and their random endings of five.
MADE_UP = re.compile(r"-(?:[0-9a-f]{8}|[0-9a-f]{5}|[bcdfghjklmnpqrstvwxz2456789]{5})(?=-|$)")


def census(estate: Estate) -> Census:
    """Kind -> names, sorted, each as often as it is there."""
    found = {**_compute(estate), **_identities(estate), **_fleet(estate)}
    for location, name, pool in _pools(estate):
        found.setdefault("clusters", []).append(f"{location}/{name}")
        found.setdefault("node pools", []).append(f"{location}/{name}/{pool}")
    found["clusters"] = sorted(set(found.get("clusters", [])))
    for cluster in estate.status()["clusters"]:
        for kind, names in _objects(estate, cluster).items():
            found[f"{kind} of {cluster}"] = names
    return {kind: sorted(MADE_UP.sub("-*", name) for name in names) for kind, names in found.items()}


def differences(wanted: Census, found: Census) -> list[str]:
    """What one has and the other has not, a line each; [] when they are the same."""
    lines = []
    for kind in sorted({*wanted, *found}):
        one, other = collections.Counter(wanted.get(kind)), collections.Counter(found.get(kind))
        lines += [f"{kind}: {name} is missing" for name in (one - other).elements()]
        lines += [f"{kind}: {name} is too many" for name in (other - one).elements()]
    return lines


def assert_same(estate: Estate, wanted: Census) -> None:
    """The estate is, or soon is, what another one was: Pods need a moment to go."""
    deadline = time.monotonic() + 60
    while found := differences(wanted, census(estate)):
        assert time.monotonic() < deadline, "\n".join(found)


def _compute(estate: Estate) -> Census:
    found: Census = {}
    for collection in ("networks", "firewalls"):
        listed = estate.google("compute", f"{PROJECT}/global/{collection}").get("items") or []
        found[collection] = [item["name"] for item in listed]
    for collection in ("subnetworks", "addresses", "routers"):
        scopes = estate.google("compute", f"{PROJECT}/aggregated/{collection}")["items"]
        for scope, listed in scopes.items():
            for item in listed.get(collection) or []:
                found.setdefault(collection, []).append(f"{scope}/{item['name']}")
                for nat in item.get("nats") or []:
                    found.setdefault("nats", []).append(f"{scope}/{item['name']}/{nat['name']}")
    return found


def _pools(estate: Estate) -> list[tuple[str, str, str]]:
    clusters = estate.google("container", f"v1/{PROJECT}/locations/-/clusters").get("clusters") or []
    return [
        (cluster["location"], cluster["name"], f"{pool['name']} of {pool['initialNodeCount']}")
        for cluster in clusters
        for pool in cluster["nodePools"]
    ]


def _fleet(estate: Estate) -> Census:
    parent = f"v1/{PROJECT}/locations/-"
    return {
        collection: [item["name"] for item in estate.google("gkehub", f"{parent}/{collection}").get("resources") or []]
        for collection in ("memberships", "features")
    }


def _identities(estate: Estate) -> Census:
    accounts = estate.google("iam", f"v1/{PROJECT}/serviceAccounts").get("accounts") or []
    buckets = estate.google("storage", "b?project=sandbox-project").get("items") or []
    services = estate.google("serviceusage", f"v1/{PROJECT}/services?filter=state:ENABLED&pageSize=200")["services"]
    policies = {
        "project": estate.google("cloudresourcemanager", f"v1/{PROJECT}:getIamPolicy", "POST"),
        **{f"account {a['email']}": estate.google("iam", f"v1/{a['name']}:getIamPolicy", "POST") for a in accounts},
        **{f"bucket {b['name']}": estate.google("storage", f"b/{b['name']}/iam") for b in buckets},
    }
    found: Census = {
        "service accounts": [account["email"] for account in accounts],
        "services": [service["config"]["name"] for service in services],
        "buckets": [bucket["name"] for bucket in buckets],
        "weights": [
            item["name"]
            for bucket in buckets
            for item in estate.google("storage", f"b/{bucket['name']}/o").get("items") or []
        ],
    }
    for resource, policy in policies.items():
        found[f"grants on {resource}"] = [
            f"{binding['role']} to {member}"
            for binding in policy.get("bindings") or []
            for member in binding["members"]
        ]
    return found


def _objects(estate: Estate, cluster: str) -> Census:
    listed = estate.kubectl(cluster, "api-resources", "--verbs=list", "-o", "name").output.split()
    kinds = [name for name in listed if name.split(".")[0] not in PASSING]
    answer = estate.kubectl(cluster, "get", ",".join(kinds), "--all-namespaces", "-o", "json")
    assert answer.code == 0, answer.output
    found: Census = {}
    for item in json.loads(answer.output)["items"]:
        found.setdefault(item["kind"], []).append(_name(item))
    return found


def _name(item: Json) -> str:
    meta = item["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])
