# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Desired against live: what is a difference, and what is done about it."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Sequence

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    ApiError,
    Conflict,
    ImmutableField,
    NotFound,
    WaitTimeout,
    having_changed,
)
from ansible_collections.aiserving.gke.plugins.module_utils._reconcile import (
    Change,
    Field,
    Json,
    Labels,
    make_plan,
    reconcile,
    same_link,
    same_set,
    same_stated,
    same_value,
)
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Clock
from hypothesis import given
from hypothesis import strategies as st


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


NAME = st.sampled_from(["vpc", "vpc-2", "projects", "global"])
RESOURCE = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["global/networks", "regions/r/subnetworks"]), NAME)


def spellings(project: str, collection: str, name: str) -> list[str]:
    path = f"projects/{project}/{collection}/{name}"
    hosts = ("https://www.googleapis.com/compute/v1/", "https://compute.googleapis.com/compute/beta/", "//x/")
    return [path, *(host + path for host in hosts)]


@given(one=RESOURCE, other=RESOURCE, data=st.data())
def test_links_are_the_same_where_the_resource_is(
    one: tuple[str, str, str], other: tuple[str, str, str], data: st.DataObject
) -> None:
    desired = data.draw(st.sampled_from(spellings(*one)))
    live = data.draw(st.sampled_from(spellings(*other)))
    assert same_link(desired, live) is (one == other)
    assert same_link(one[2], live) is (one[2] == other[2])


class Thing:
    """An object whose world is one variable."""

    kind = "thing"
    name = "it"
    fields: Sequence[Field] = (
        Field("size", "resize"),
        Field("colour", "patch"),
        Field("shape.edge_count", "patch"),
        Field("place"),
        Labels("labels", "set_labels"),
    )
    identity: t.ClassVar[Json] = {"name": "things/it"}

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
        self.live = copy.deepcopy(self.live or {})
        for change in changes:
            if isinstance(change.after, dict) and not isinstance(change.field, Labels):
                change.field.read(self.live).update(change.after)  # such a call leaves alone what it is not sent
            else:
                change.field.write(self.live, change.after)

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
    assert reconcile(Thing(None), {"size": 1}, check_mode=True).live == {"size": 1, "name": "things/it"}
    assert reconcile(Thing(LIVE), {}, state="absent", check_mode=True).live is None
    anew = reconcile(Thing(LIVE), {"place": "there"}, check_mode=True, recreate=True)
    assert anew.live == {"place": "there", "name": "things/it"}


LABELS = st.dictionaries(st.sampled_from(["a", "b", "goog-x", "cloud.google.com/y"]), st.sampled_from(["", "1", "2"]))
WANTED = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 3),
        "colour": st.sampled_from(["red", "blue"]),
        "shape": st.fixed_dictionaries({}, optional={"edgeCount": st.integers(3, 5), "round": st.booleans()}),
        "labels": LABELS,
    },
)


@given(desired=WANTED, labels=st.none() | LABELS, purge=st.booleans())
def test_check_mode_predicts_what_then_happens(desired: Json, labels: Json | None, purge: bool) -> None:
    """The object, the plan and the diff of check mode are those of the change; and a second run changes nothing."""
    live = {**LIVE, **({} if labels is None else {"labels": labels})}
    planned = reconcile(Thing(live), desired, check_mode=True, purge_labels=purge)
    thing = Thing(live)
    done = reconcile(thing, desired, purge_labels=purge)
    assert planned.live == done.live == thing.live
    assert (planned.plan, planned.before, planned.after) == (done.plan, done.before, done.after)
    assert not reconcile(Thing(thing.live), desired, purge_labels=purge).changed
    if "labels" in done.after:
        assert done.after["labels"] == (done.live or {})["labels"]


@given(stated=LABELS, live=st.none() | LABELS, purge=st.booleans())
def test_labels_that_are_not_stated_stay_or_go(stated: Json, live: Json | None, purge: bool) -> None:
    there = {} if live is None else {"labels": live}
    result = reconcile(Thing({**LIVE, **there}), {"labels": stated}, purge_labels=purge)
    after = (result.live or {}).get("labels") or {}
    assert stated.items() <= after.items()
    others = {key: value for key, value in (live or {}).items() if key not in stated}
    googles = {key: value for key, value in others.items() if key.startswith(("goog-", "cloud.google.com/"))}
    assert {key: value for key, value in after.items() if key not in stated} == (googles if purge else others)
    assert result.changed is (after != (live or {}))


def test_calls_keep_the_order_of_the_table() -> None:
    plan = make_plan(Thing(LIVE), {"shape": {"edgeCount": 3}, "colour": "blue", "size": 2}, LIVE, state="present")
    assert list(plan.calls) == ["resize", "patch"]


class Raced(Thing):
    """Somebody else makes the object between our look and our creation; it is to be seen after ``late`` looks."""

    def __init__(self, theirs: Json | None, *, late: int = 0) -> None:
        super().__init__(None)
        self.theirs = theirs
        self.late = late

    def get(self) -> Json | None:
        if self.calls and self.live is None and self.theirs is not None:
            self.late -= 1
            self.live = self.theirs if self.late < 0 else None
        return super().get()

    def create(self, desired: Json) -> None:
        self.calls.append("create")
        raise Conflict("409 ALREADY_EXISTS: it exists", code=409, status="ALREADY_EXISTS")


def quick() -> Clock:
    """Time that passes only in pauses."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    return Clock(now=lambda: passed[0], sleep=sleep)


@pytest.mark.parametrize("late", [0, 3])
@pytest.mark.parametrize(
    ("desired", "calls", "action"),
    [
        ({"size": 1}, ["create"], "none"),
        ({"size": 2, "colour": "red"}, ["create", "resize(size)"], "update"),
    ],
)
def test_what_somebody_else_made_meanwhile_is_adopted(desired: Json, calls: list[str], action: str, late: int) -> None:
    thing = Raced(LIVE, late=late)
    result = reconcile(thing, desired, clock=quick())
    assert (thing.calls, result.plan.action, result.changed) == (calls, action, action != "none")
    assert result.live == {**LIVE, **desired}
    assert result.before == ({"size": 1} if action == "update" else {})


def test_what_cannot_be_adopted_is_said() -> None:
    with pytest.raises(ImmutableField, match="place is 'here', wanted 'there'"):
        reconcile(Raced(LIVE), {"place": "there"}, clock=quick())
    with pytest.raises(Conflict, match="it exists -- somebody else is making or deleting it at this moment"):
        reconcile(Raced(None), {"size": 1}, clock=quick())


class Failing(Thing):
    """Fails in one of its methods, at its last call."""

    def __init__(self, live: Json | None, method: str, *, after: int = 0) -> None:
        super().__init__(live)
        self.method, self.after = method, after

    def _fail(self, method: str) -> None:
        if method == self.method:
            self.after -= 1
            if self.after < 0:
                raise ApiError("403", code=403)

    def get(self) -> Json | None:
        self._fail("get")
        return super().get()

    def create(self, desired: Json) -> None:
        self._fail("create")
        super().create(desired)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> None:
        self._fail("update")
        super().update(call, changes, desired, live)


@pytest.mark.parametrize(
    ("thing", "desired", "changed"),
    [
        (Failing(None, "get"), {}, False),
        (Failing(None, "create"), {}, False),
        (Failing(None, "get", after=1), {"size": 1}, True),
        (Failing(LIVE, "update"), {"size": 2, "colour": "blue"}, False),
        (Failing(LIVE, "update", after=1), {"size": 2, "colour": "blue"}, True),
        (Failing(LIVE, "create"), {"place": "there"}, True),  # the old one is gone
        (Failing(LIVE, "get", after=1), {"size": 1}, False),
    ],
)
def test_a_failure_after_a_change_says_that_there_was_one(thing: Failing, desired: Json, changed: bool) -> None:
    try:
        result = reconcile(thing, desired, recreate=True)
    except ApiError as error:
        assert error.details.get("changed", False) is changed
    else:
        assert not result.changed and not changed


def test_having_changed_is_about_failures_of_ours() -> None:
    with pytest.raises(WaitTimeout) as caught, having_changed(False):
        raise WaitTimeout("waited")
    assert "changed" not in caught.value.details


def test_what_somebody_else_deleted_meanwhile_is_gone() -> None:
    class Gone(Thing):
        def delete(self, live: Json) -> None:
            super().delete(live)
            raise NotFound("404", code=404)

    assert reconcile(Gone(LIVE), {}, state="absent").changed
    anew = Gone(LIVE)
    assert reconcile(anew, {"place": "there"}, recreate=True).plan.action == "recreate"
    assert anew.calls == ["delete", "create"]
