# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Google itself answered to a creation shows no difference to what was asked for."""

from __future__ import annotations

import json
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._gcp import iam, nat, network, storage
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import Field, Json, make_plan

FOLDERS = {
    "networks": ("network", network.Network),
    "subnetworks": ("subnetwork", network.Subnetwork),
    "firewalls": ("firewall", network.FirewallRule),
    "addresses": ("address", network.Address),
}


def recorded(shared: Path, *names: str) -> list[Json]:
    files = [path for name in names for path in sorted((shared / "recorded").glob(name))]
    return [call for path in files for call in json.loads(path.read_text(encoding="utf-8"))]


def fields_of(kind: type) -> tuple[Field, ...]:
    """The table of a kind; a network's is made with the object, since it depends on what is wanted."""
    if kind is network.Network:
        gcp = types.SimpleNamespace(project="p", plan_only=False, rest=lambda service: None, warn=print)
        params = {"name": "n", "auto_create_subnetworks": False, "wait": True, "wait_timeout": 1}
        return tuple(network.Network(t.cast(t.Any, gcp), params).fields)
    return tuple(kind.fields)  # type: ignore[attr-defined]


def differences(fields: tuple[Field, ...], desired: Json, live: Json) -> Json:
    """The plan, were nothing immutable."""
    loose = [Field(field.path, field.call or "immutable", field.same) for field in fields]
    thing = types.SimpleNamespace(kind="recorded", name="it", fields=loose)
    return make_plan(t.cast(t.Any, thing), desired, live, state="present").as_dict()


@pytest.mark.parametrize("collection", sorted(FOLDERS))
def test_compute(collection: str, shared: Path) -> None:
    calls = recorded(shared, "compute/*.json")
    _file, kind = FOLDERS[collection]
    compared = 0
    for position, call in enumerate(calls):
        if call["method"] != "POST" or not call["url"].endswith(f"/{collection}"):
            continue
        link = f"{call['url']}/{call['request']['name']}"
        live = next(c["response"] for c in calls[position:] if c["method"] == "GET" and c["url"] == link)
        assert differences(fields_of(kind), call["request"], live) == {"action": "none", "changes": []}
        compared += 1
    assert compared


def test_changes_are_seen_until_they_are_there(shared: Path) -> None:
    """The recorded update of a firewall: different before it, equal after it."""
    calls = [call for call in recorded(shared, "compute/firewall.json") if "/firewalls/" in call["url"]]
    patch = next(position for position, call in enumerate(calls) if call["method"] == "PATCH")
    before, after = calls[patch - 1]["response"], calls[patch + 1]["response"]
    fields = fields_of(network.FirewallRule)
    changes = differences(fields, calls[patch]["request"], before)["changes"]
    assert [change["field"] for change in changes] == ["allowed", "disabled"]
    assert differences(fields, calls[patch]["request"], after)["action"] == "none"


def test_nat(shared: Path) -> None:
    calls = [call for call in recorded(shared, "compute/router-nat.json") if "/routers/" in call["url"]]
    patch = next(position for position, call in enumerate(calls) if (call["request"] or {}).get("nats"))
    live = calls[patch + 1]["response"]["nats"][0]
    fields = tuple(nat.RouterNat.fields)
    desired = calls[patch]["request"]["nats"][0]
    assert differences(fields, desired, live)["action"] == "none"
    bare = {**desired, "natIps": [link.rpartition("/")[2] for link in desired["natIps"]]}
    assert differences(fields, bare, live)["action"] == "none"
    assert differences(fields, {**desired, "natIps": ["another"]}, live)["action"] == "update"


@pytest.mark.parametrize("name", ["bucket", "bucket-autoclass"])
def test_bucket(name: str, shared: Path) -> None:
    calls = recorded(shared, f"storage/{name}.json")
    created = next(position for position, call in enumerate(calls) if call["method"] == "POST")
    fields = tuple(storage.Bucket.fields)
    assert differences(fields, calls[created]["request"], calls[created + 1]["response"])["action"] == "none"
    patch = next(call for call in calls if call["method"] == "PATCH")
    last = [call["response"] for call in calls if call["method"] == "GET" and call["status"] == 200][-2]
    assert differences(fields, patch["request"], last)["action"] == "none"


def test_service_account(shared: Path) -> None:
    calls = recorded(shared, "iam/service-account.json")
    fields = tuple(iam.ServiceAccount.fields)
    create, seen = (next(c for c in calls if c["method"] == "POST"), [c for c in calls if c["method"] == "GET"])
    assert differences(fields, create["request"]["serviceAccount"], seen[1]["response"])["action"] == "none"
    patch = next(call for call in calls if call["method"] == "PATCH")
    wanted = patch["request"]["serviceAccount"]
    assert differences(fields, wanted, seen[1]["response"])["action"] == "update"
    assert differences(fields, wanted, seen[2]["response"])["action"] == "none"


@pytest.mark.parametrize("name", ["policy-project", "policy-project-conditions"])
def test_policies(name: str, shared: Path) -> None:
    """Every member that a recorded request sets is found in the answer; what we would send is what was sent."""
    calls = recorded(shared, f"iam/{name}.json")
    policies: list[Json] = [{"etag": "abcdef0123A="}]
    compared = 0
    for call in calls:
        if not call["url"].endswith(":setIamPolicy"):
            continue
        for binding in call["request"]["policy"].get("bindings", []):
            condition = binding.get("condition")
            for who in binding["members"]:
                assert iam.holds(call["response"], binding["role"], who, condition)
                assert not iam.holds(policies[0], binding["role"], who, condition)
                built = iam.with_member(policies[0], binding["role"], who, condition)
                assert built["bindings"][0]["members"] == [who]
                assert (built.get("version") == 3) is bool(condition)
                compared += 1
    assert compared
