# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of one object: every writing module goes through the same steps."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest

from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]


def within(part: t.Any, whole: t.Any) -> bool:
    """Whether an object shows this; Google may add, leave out zero values, spell links out, write in capitals."""
    if isinstance(part, dict):
        return all(within(item, (whole or {}).get(key)) for key, item in part.items())
    if isinstance(part, list):
        return len(part) == len(whole or []) and all(map(within, part, whole or []))
    if isinstance(part, str):
        return str(whole or "").lower().endswith(part.lower())
    return bool(part == whole or not (part or whole))


def at(document: Json, path: str) -> t.Any:
    for part in path.split("."):
        document = (document or {}).get(part)  # type: ignore[assignment]
    return document


def prepare(cloud: Json, *steps: tuple[str, Json]) -> None:
    """Make what the object under test needs."""
    for module, args in steps:
        run_module(module, {**cloud, **args})


def live_through(
    module: str,
    cloud: Json,
    *,
    create: Json,
    change: Json,
    diff: tuple[Json, Json],
    look: Callable[[], Json | None],
) -> tuple[Json, Json]:
    """Missing arguments, then create, change and delete: predicted, done, done again.

    ``change``: the options that differ from ``create``; ``diff``: (before, after) that the change must show;
    ``look``: the object as the cloud has it, None when absent. Returns that after creation and after the change.
    """
    wanted, other = {**cloud, **create}, {**cloud, **create, **change}
    with pytest.raises(ModuleFailed, match="missing required arguments"):
        run_module(module, cloud)

    planned = run_module(module, wanted, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"], planned["diff"]["before"]) == (True, "create", {})
    assert look() is None
    made = run_module(module, wanted)
    assert (made["changed"], made["plan"]["action"]) == (True, "create")
    # What check mode has promised to the tasks behind it.
    promised = planned[module]
    assert promised["name"] == made[module]["name"]
    assert within(promised, made[module])
    created = look()
    assert created is not None
    again = run_module(module, wanted, diff=True)
    assert (again["changed"], again["plan"]["action"]) == (False, "none")
    assert again["diff"] == {"before": {}, "after": {}}
    assert again[module] == made[module] != {}

    planned = run_module(module, other, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"]) == (True, "update")
    assert (planned["diff"]["before"], planned["diff"]["after"]) == diff
    assert look() == created, "check mode has changed something"
    altered = run_module(module, other, diff=True)
    assert (altered["changed"], altered["plan"]) == (True, planned["plan"])
    assert altered["diff"] == planned["diff"]
    for path, after in planned["diff"]["after"].items():
        # The diff tells the truth: the object itself judges it.
        now = at(altered[module], path)
        assert within(after, now), path
        assert at(planned[module], path) == after, path
        before = planned["diff"]["before"][path]
        if isinstance(after, dict) and isinstance(before, dict):
            assert not (before.keys() - after.keys()) & now.keys(), f"{path}: what is shown as removed is still there"
    assert run_module(module, other)["changed"] is False
    changed = look()
    assert changed is not None
    assert run_module(module, {**other, "access_token": cloud["access_token"]}, check=True)["changed"] is False

    gone = {**other, "state": "absent"}
    planned = run_module(module, gone, check=True, diff=True)
    assert (planned["changed"], planned["plan"]["action"], planned["diff"]["after"]) == (True, "delete", {})
    assert look() == changed
    assert run_module(module, gone)["changed"] is True
    assert look() is None
    deleted = run_module(module, gone)
    assert (deleted["changed"], deleted[module]) == (False, {})
    return created, changed
