# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Desired against live: what is a difference, and what is done about it."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ImmutableField
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import (
    Change,
    Field,
    Json,
    make_plan,
    reconcile,
    same_link,
    same_set,
    same_stated,
    same_value,
)


@pytest.mark.parametrize(
    ("same", "desired", "live", "equal"),
    [
        (same_value, False, None, True),
        (same_value, 0, None, True),
        (same_value, "", None, True),
        (same_value, True, None, False),
        (same_value, 100, "100", True),
        (same_value, 100, "101", False),
        (same_value, "a", "b", False),
        (same_set, ["a", "b"], ["b", "a"], True),
        (same_set, ["a"], ["a", "b"], False),
        (same_set, [], None, True),
        (same_stated, {"a": 1}, {"a": 1, "added": 2}, True),
        (same_stated, {"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        (same_stated, {"a": {"b": 1}}, {"a": {}}, False),
        (same_stated, {"a": 1}, None, False),
        (same_stated, {}, None, True),
        (same_stated, [{"a": 1}], [{"a": 1, "added": 2}], True),
        (same_stated, [{"a": 1}], [{"a": 1}, {"a": 2}], False),
        (same_link, "vpc", "https://www.googleapis.com/compute/v1/projects/p/global/networks/vpc", True),
        (same_link, "projects/p/global/networks/vpc", "https://x/compute/v1/projects/p/global/networks/vpc", True),
        (same_link, "projects/q/global/networks/vpc", "https://x/compute/v1/projects/p/global/networks/vpc", False),
        (same_link, "vpc", "projects/p/global/networks/other-vpc", False),
        (same_link, "vpc", None, False),
    ],
)
def test_comparisons(same: t.Callable[[t.Any, t.Any], bool], desired: t.Any, live: t.Any, equal: bool) -> None:
    assert same(desired, live) is equal


class Thing:
    """An object whose world is one variable."""

    kind = "thing"
    name = "it"
    fields: Sequence[Field] = (
        Field("size", "resize"),
        Field("colour", "patch"),
        Field("shape.edge_count", "patch"),
        Field("place"),
    )

    def __init__(self, live: Json | None) -> None:
        self.live = live
        self.calls: list[str] = []

    def get(self) -> Json | None:
        return None if self.live is None else dict(self.live)

    def create(self, desired: Json) -> None:
        self.calls.append("create")
        self.live = dict(desired)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> None:
        self.calls.append(f"{call}({','.join(c.field.path for c in changes)})")
        self.live = {**live, **desired}

    def delete(self, live: Json) -> None:
        self.calls.append("delete")
        self.live = None


LIVE = {"size": 1, "colour": "red", "shape": {"edgeCount": 4}, "place": "here", "etag": "x"}


@pytest.mark.parametrize(
    ("live", "desired", "state", "action", "calls"),
    [
        (None, {"size": 1}, "present", "create", ["create"]),
        (None, {"size": 1}, "absent", "none", []),
        (LIVE, {"size": 1}, "present", "none", []),
        (LIVE, {}, "present", "none", []),
        (LIVE, {"size": 2}, "present", "update", ["resize(size)"]),
        (LIVE, {"colour": "blue", "size": 2}, "present", "update", ["resize(size)", "patch(colour)"]),
        (
            LIVE,
            {"colour": "blue", "shape": {"edgeCount": 3}},
            "present",
            "update",
            ["patch(colour,shape.edge_count)"],
        ),
        (LIVE, {"size": 2}, "absent", "delete", ["delete"]),
    ],
)
def test_plan_and_what_is_done(live: Json | None, desired: Json, state: str, action: str, calls: list[str]) -> None:
    planned = Thing(live)
    result = reconcile(planned, desired, state=state, check_mode=True)
    assert (result.plan.action, result.changed) == (action, action != "none")
    assert planned.calls == []

    thing = Thing(live)
    assert reconcile(thing, desired, state=state).plan.action == action
    assert thing.calls == calls

    again = Thing(thing.live)
    assert reconcile(again, desired, state=state).changed is False


def test_what_cannot_change_fails_and_is_named() -> None:
    thing = Thing(LIVE)
    with pytest.raises(ImmutableField, match=r"thing it: cannot change in place: place is 'here', wanted 'there'") as e:
        reconcile(thing, {"place": "there", "size": 2})
    assert e.value.details == {"fields": ["place"]}
    assert thing.calls == []


def test_recreate_is_the_users_word() -> None:
    thing = Thing(LIVE)
    result = reconcile(thing, {"place": "there"}, recreate=True)
    assert result.plan.action == "recreate"
    assert thing.calls == ["delete", "create"]


def test_diff_shows_only_what_changes_in_the_modules_spelling() -> None:
    result = reconcile(Thing(LIVE), {"shape": {"edgeCount": 3}, "colour": "red"}, check_mode=True)
    assert (result.before, result.after) == ({"shape.edge_count": 4}, {"shape.edge_count": 3})
    assert result.plan.as_dict() == {
        "action": "update",
        "changes": [{"field": "shape.edge_count", "before": 4, "after": 3, "call": "patch"}],
    }


def test_check_mode_shows_the_object_that_would_be_there() -> None:
    assert reconcile(Thing(None), {"size": 1}, check_mode=True).live == {"size": 1}
    assert reconcile(Thing(LIVE), {}, state="absent", check_mode=True).live is None


def test_calls_keep_the_order_of_the_table() -> None:
    plan = make_plan(Thing(LIVE), {"shape": {"edgeCount": 3}, "colour": "blue", "size": 2}, LIVE, state="present")
    assert list(plan.calls) == ["resize", "patch"]
