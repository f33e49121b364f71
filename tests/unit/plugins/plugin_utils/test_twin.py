# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The twin's own decisions; that both ways give the same is tests/integration/test_twins.py."""

from __future__ import annotations

import datetime
import types
import typing as t

import pytest
from ansible.template import Templar
from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ApiError, MissingLibrary
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Clock, wait_for
from ansible_collections.aiserving.gke.plugins.plugin_utils._twin import Twin, plain

Json = dict[str, t.Any]

SPEC: Json = {"name": {"type": "str"}, "token": {"type": "str", "no_log": True}}


def twin(core: t.Callable[[Call], Json], **args: t.Any) -> Twin:
    """A twin around ``core``, in a task with these arguments; as a module it says so."""

    class Made(Twin):
        module = Module(core, SPEC)

        def _execute_module(self, *args: t.Any, **kwargs: t.Any) -> Json:
            return {"ran": "as a module"}

    task = types.SimpleNamespace(
        args=args,
        action="made",
        resolved_action="a.b.made",
        check_mode=True,
        diff=False,
        no_log=False,
        get_name=lambda: "Make it",
        async_val=0,
        environment=[{}],
        delegate_to=None,
    )
    connection = types.SimpleNamespace(transport="local", become=None, _shell=types.SimpleNamespace(tmpdir=None))
    return Made(task, connection, None, None, Templar(None), None)


def test_the_core_sees_the_task_and_its_answer_is_what_json_makes_of_it() -> None:
    def core(call: Call) -> Json:
        assert (call.params, call.check_mode, call.diff) == ({"name": "x", "token": None}, True, False)
        return {"changed": True, "pair": ("a", 1), "when": datetime.date(2026, 1, 2)}

    result = twin(core, name="x").run(task_vars={})
    assert result["pair"] == ["a", 1] and result["when"] == "2026-01-02"


def test_errors_become_failures_with_their_details_and_without_secrets() -> None:
    def core(call: Call) -> Json:
        raise ApiError(f"the token {call.params['token']} is wrong", code=401, status="UNAUTHENTICATED")

    result = twin(core, token="hunter2").run(task_vars={})
    assert result["failed"] and result["api_code"] == 401 and "is wrong" in result["msg"]
    assert "hunter2" not in str(result)


def test_warnings_are_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("ansible.utils.display.Display.warning", lambda self, text, *a, **k: told.append(text))

    def core(call: Call) -> Json:
        call.warn(f"beware of {call.params['token']}")
        return {}

    twin(core, token="hunter2").run(task_vars={})
    assert len(told) == 1 and told[0].startswith("beware") and "hunter2" not in told[0]


def test_what_is_waited_for_is_seen_at_once_scrubbed_and_with_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("ansible.utils.display.Display.display", lambda self, text, *a, **k: told.append(text))
    now = [0.0]

    def core(call: Call) -> Json:
        clock = Clock(now=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
        wait_for(lambda: now[0], lambda seen: seen > 40, timeout=60, what=f"{call.params['token']}", clock=clock)
        return {"told": list(told)}

    result = twin(core, token="hunter2").run(task_vars={"inventory_hostname": "us-east5"})
    assert len(result["told"]) == 1 and result["told"][0].startswith("[us-east5] Make it: waited 3")
    assert "hunter2" not in str(told)

    told.clear()
    now[0] = 0.0
    silent = twin(core, token="hunter2")
    silent._task.no_log = True
    silent.run(task_vars={"inventory_hostname": "us-east5"})
    assert told == []


def test_a_library_that_the_controller_lacks_may_be_there_for_the_module() -> None:
    def core(call: Call) -> Json:
        raise MissingLibrary("kubernetes")

    assert twin(core).run(task_vars={})["ran"] == "as a module"


def test_plain_values_only() -> None:
    class Text(str):
        __slots__ = ()

    class Number(int):
        pass

    given = {Text("key"): [Text("a"), Number(1), True, None, 1.5, (Text("b"),)]}
    made = plain(given)
    assert made == {"key": ["a", 1, True, None, 1.5, ["b"]]}
    [(key, values)] = made.items()
    assert [type(one) for one in (key, *values[:3])] == [str, str, int, bool]
