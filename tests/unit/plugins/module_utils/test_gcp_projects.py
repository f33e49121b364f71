# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ids and numbers of projects, on a Google that knows some and lets us see fewer."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._errors import ApiError
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.projects import Projects
from hypothesis import given
from hypothesis import strategies as st

Json = dict[str, t.Any]

NUMBERS = {"own": "1", "friend": "2", "hidden": "3"}
NAMES = st.sampled_from([*NUMBERS, *NUMBERS.values()])


def projects(seen: set[str]) -> tuple[Projects, list[str]]:
    """Google shows the projects ``seen``; what was asked, and what was warned of."""
    told: list[str] = []

    def get(path: str) -> Json:
        name = path.rpartition("/")[2]
        told.append(name)
        if name not in seen:
            raise ApiError("403", code=403, status="PERMISSION_DENIED")
        return {"projectNumber": NUMBERS[name]}

    gcp = types.SimpleNamespace(
        project="own",
        plan_only=False,
        rest=lambda service: types.SimpleNamespace(get=get),
        warn=lambda message: told.append(f"warning: {message}"),
    )
    return Projects(t.cast(t.Any, gcp)), told


@given(left=NAMES, right=NAMES, seen=st.sets(st.sampled_from(list(NUMBERS))))
def test_never_two_where_there_is_one(left: str, right: str, seen: set[str]) -> None:
    """Names of one project always compare equal; names of two compare different wherever Google tells, or we warn."""
    known, told = projects(seen)
    truth = NUMBERS.get(left, left) == NUMBERS.get(right, right)
    said = known.same(left, right)
    assert said == truth or (said and any(line.startswith("warning: ") for line in told))
    if {*NUMBERS} == seen:
        assert said == truth
    assert known.same(right, left) == said
    asked = [line for line in told if not line.startswith("warning: ")]
    assert len(asked) == len(set(asked)), "each is asked for once"
    if left.isdigit() == right.isdigit():
        assert not asked, "there is nothing to ask"
