# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How memberships and features are compared, and when a feature is ready."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ImmutableField, InvalidOption
from ansible_collections.aiserving.gke.plugins.module_utils._fleet import names
from ansible_collections.aiserving.gke.plugins.module_utils._fleet.features import feature_fields, unmet
from ansible_collections.aiserving.gke.plugins.module_utils._fleet.hub import patch
from ansible_collections.aiserving.gke.plugins.module_utils._fleet.memberships import (
    has_lost_connection,
    membership_fields,
)
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import Json, Plan, make_plan

NUMBERS = {"p": "123", "q": "456"}


def same_project(one: str, other: str) -> bool:
    """As Google would tell."""
    return NUMBERS.get(one, one) == NUMBERS.get(other, other)


FEATURE_FIELDS, MEMBERSHIP_FIELDS = feature_fields(same_project), membership_fields(same_project)


class Thing:
    """A resource that is only planned."""

    kind, name = "thing", "x"
    identity: t.ClassVar[Json] = {}

    def __init__(self, fields: t.Any) -> None:
        self.fields = fields

    def get(self) -> Json | None:
        raise NotImplementedError

    create = update = delete = t.cast(t.Any, get)


def plan(fields: t.Any, desired: Json, live: Json, recreate: bool = False) -> Plan:
    return make_plan(Thing(fields), desired, live, state="present", recreate=recreate)


LINK = "//container.googleapis.com/projects/{}/{}/us-east5-a/clusters/c"


@pytest.mark.parametrize(
    ("desired", "live", "same"),
    [
        (LINK.format("p", "locations"), LINK.format("p", "zones"), True),
        (LINK.format("p", "locations"), LINK.format("123", "locations"), True),
        (LINK.format("p", "locations"), LINK.format("456", "locations"), False),
        (LINK.format("456", "locations"), LINK.format("p", "zones"), False),
        (LINK.format("p", "locations"), LINK.format("q", "locations"), False),
        (LINK.format("1", "locations"), LINK.format("2", "locations"), False),
        (LINK.format("p", "locations"), LINK.format("p", "locations").replace("east5-a", "east5-b"), False),
        (LINK.format("p", "locations"), None, False),
    ],
)
def test_links_to_one_cluster(desired: str, live: str | None, same: bool) -> None:
    assert names.same_cluster(desired, live, same_project) is same


PATH = "projects/{}/locations/{}/memberships/{}"


@pytest.mark.parametrize(
    ("desired", "live", "same"),
    [
        ("m", PATH.format("123", "global", "m"), True),
        ("m", PATH.format("123", "us-east5", "m"), True),
        ("m", PATH.format("123", "global", "xm"), False),
        ("locations/global/memberships/m", PATH.format("123", "global", "m"), True),
        ("locations/us-east5/memberships/m", PATH.format("123", "global", "m"), False),
        (PATH.format("p", "global", "m"), PATH.format("123", "global", "m"), True),
        (PATH.format("p", "global", "m"), PATH.format("456", "global", "m"), False),
        (PATH.format("p", "global", "m"), PATH.format("q", "global", "m"), False),
        (PATH.format("p", "global", "m"), None, False),
    ],
)
def test_names_of_one_membership(desired: str, live: str | None, same: bool) -> None:
    assert names.same_membership(desired, live, same_project) is same


@pytest.mark.parametrize("given", ["m", "locations/global/memberships/m", "projects/p/locations/global/memberships/m"])
def test_the_full_path_of_a_membership(given: str) -> None:
    assert names.membership_path("p", given) == "projects/p/locations/global/memberships/m"


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 64])
def test_bad_ids_are_refused(name: str) -> None:
    with pytest.raises(InvalidOption):
        names.check_id("name", name)


def recorded(shared: Path, name: str) -> list[Json]:
    file = shared / "recorded" / "gkehub" / f"{name}.json"
    if not file.is_file():
        pytest.skip(f"no recorded traffic {file}")
    return t.cast(list[Json], json.loads(file.read_text()))


@pytest.mark.parametrize(
    ("name", "collection", "fields"),
    [
        ("membership", "memberships", MEMBERSHIP_FIELDS),
        ("feature-multiclusteringress", "memberships", MEMBERSHIP_FIELDS),
        ("feature-multiclusteringress", "features", FEATURE_FIELDS),
    ],
)
def test_recorded_answers_show_no_difference(shared: Path, name: str, collection: str, fields: t.Any) -> None:
    seen = 0
    wanted: dict[str, Json] = {}
    live: Json = {}
    for entry in recorded(shared, name):
        if "gkehub" not in entry["url"] or f"/{collection}" not in entry["url"]:
            continue
        if entry["method"] == "POST":
            wanted[entry["request"]["name"]] = entry["request"]
        elif entry["method"] == "PATCH":
            target = next(reversed(wanted))
            assert plan(fields, entry["request"], live).action == "update"
            wanted[target] = {**wanted[target], **entry["request"]}
        elif entry["method"] == "GET" and entry["response"].get("name") in wanted:
            live = entry["response"]
            assert plan(fields, wanted[live["name"]], live).action == "none"
            seen += 1
    assert seen


def test_the_recorded_patch_is_ours(shared: Path) -> None:
    traffic = [e for e in recorded(shared, "feature-multiclusteringress") if "/features/" in e["url"]]
    change = next(e for e in traffic if e["method"] == "PATCH")
    live = next(e["response"] for e in traffic if e["method"] == "GET" and "spec" in e["response"])
    made = plan(FEATURE_FIELDS, change["request"], live)
    body, mask = patch(made.changes)
    assert body == change["request"]
    assert sorted(mask) == ["labels", "spec"]


def test_another_cluster_or_a_missing_one_needs_a_new_registration() -> None:
    live = {"endpoint": {"gkeCluster": {"resourceLink": LINK.format("p", "locations")}}}
    other = {"endpoint": {"gkeCluster": {"resourceLink": LINK.format("p", "locations") + "2"}}}
    with pytest.raises(ImmutableField) as caught:
        plan(MEMBERSHIP_FIELDS, other, live)
    assert caught.value.details["fields"] == ["endpoint.gke_cluster.resource_link"]
    assert plan(MEMBERSHIP_FIELDS, other, live, recreate=True).action == "recreate"
    gone = {"endpoint": {"gkeCluster": {**live["endpoint"]["gkeCluster"], "clusterMissing": True}}}
    assert plan(MEMBERSHIP_FIELDS, live, gone, recreate=True).action == "recreate"
    assert plan(MEMBERSHIP_FIELDS, live, live, recreate=True).action == "none"


LOST = {"code": "ERROR", "description": "Lost connection", "updateTime": "2026-01-02T00:00:00.123456789Z"}


@pytest.mark.parametrize(
    ("state", "created", "lost"),
    [
        (LOST, "2026-01-01T00:00:00Z", True),
        (LOST, "2026-01-02T00:00:00.123456788Z", True),
        (LOST, "2026-01-03T00:00:00Z", False),  # said of the registration before this one
        ({**LOST, "updateTime": ""}, "2026-01-03T00:00:00Z", True),
        ({**LOST, "description": "no Gateway API"}, "2026-01-01T00:00:00Z", False),
        ({**LOST, "code": "OK"}, "2026-01-01T00:00:00Z", False),
    ],
)
def test_a_lost_connection_is_replaced_on_demand(state: Json, created: str, lost: bool) -> None:
    """``recreate: true`` is what the feature's message advises, so it must plan something."""
    registered = {"endpoint": {"gkeCluster": {"resourceLink": LINK.format("p", "locations")}}}
    live = {"name": PATH.format("p", "global", "m"), "createTime": created, **registered}
    for member, expected in (("m", lost), ("other", False)):
        features = [feature(), feature(**t.cast(t.Any, {member: state}))]
        assert has_lost_connection(live, features, same_project) is expected
        fields = membership_fields(same_project, lost=expected)
        assert plan(fields, registered, live, recreate=True).action == ("recreate" if expected else "none")


def feature(own: str | None = "OK", active: str = "ACTIVE", **members: Json) -> Json:
    document: Json = {"resourceState": {"state": active}}
    if own:
        document["state"] = {"state": {"code": own, "description": "Ready to use"}}
    document["membershipStates"] = {
        PATH.format("123", "global", name): {"state": state} for name, state in members.items()
    }
    return document


@pytest.mark.parametrize(
    ("seen", "memberships", "says"),
    [
        (feature(), [], []),
        (feature(own=None), [], []),
        (feature(a={"code": "OK"}, b={"code": "ERROR"}), ["a"], []),
        (feature(a={"code": "OK"}), [PATH.format("p", "global", "a")], []),
        (None, [], ["not there"]),
        (feature(active="ENABLING"), [], ["ENABLING"]),
        (feature(own="ERROR"), [], ["ERROR: Ready to use"]),
        (feature(a={"code": "OK"}), ["a", "b"], ["b has no state yet"]),
        (
            feature(a={"code": "ERROR", "description": "Lost connection"}),
            ["a"],
            ["a is ERROR: Lost connection -- register the cluster anew"],
        ),
        (
            feature(a={"code": "ERROR", "description": "Permission denied"}, b={"code": "WARNING"}),
            ["a", "b"],
            ["roles/container.admin", "b is WARNING"],
        ),
    ],
)
def test_what_keeps_a_feature_from_working(seen: Json | None, memberships: list[str], says: list[str]) -> None:
    found = unmet(seen, memberships, same_project)
    assert len(found) == len(says)
    for text, part in zip(found, says, strict=True):
        assert part in text
