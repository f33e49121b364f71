# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Google refuses is refused here, with its code, its status, its reason and its words."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib
import pkgutil
import re
import typing as t
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2

from tests.clouds import PROJECT, Running, running_cloud
from tests.truth import mistakes
from tests.truth.mistakes import Mistake

MOST_OF_A_KIND = 10
OPERATION = re.compile(r"(^|/)operation-\d")  # the last part of the name of every operation that is kept
TABLES: dict[str, tuple[Mistake, ...]] = {
    found.name: importlib.import_module(f"{mistakes.__name__}.{found.name}").MISTAKES
    for found in pkgutil.iter_modules(mistakes.__path__)
}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[t.Callable[[str], Running]]:
    """One cloud for each table, begun when it is first asked for."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def of(table: str) -> Running:
            directory = tmp_path_factory.mktemp(table)
            return stack.enter_context(running_cloud(directory, scale=0.0001, hostile=True))

        yield of


@pytest.mark.parametrize(
    ("table", "mistake"),
    [pytest.param(table, one, id=f"{table}: {one.name}") for table, all_of_it in TABLES.items() for one in all_of_it],
)
def test_a_mistake_costs_what_it_costs_on_google(
    clouds: t.Callable[[str], Running], table: str, mistake: Mistake
) -> None:
    cloud = clouds(table)
    *preparation, mistaken = filled(mistake)
    for step in preparation:
        answered = outcome(cloud, *step)
        assert 200 <= answered.code < 300, f"{step[:2]}: {answered}"
    found = outcome(cloud, *mistaken)
    assert found.code == mistake.code, found
    assert found.status == mistake.status or not mistake.status, found
    assert found.reason == mistake.reason or not mistake.reason, found
    assert re.search(mistake.message, found.message), found


def test_the_tables_are_not_padded() -> None:
    everything = [(table, one) for table, all_of_it in TABLES.items() for one in all_of_it]
    kinds = collections.Counter((table.partition("_")[0], one.kind) for table, one in everything)
    assert {kind: count for kind, count in kinds.items() if count > MOST_OF_A_KIND} == {}
    names = collections.Counter((table, one.name) for table, one in everything)
    assert [name for name, count in names.items() if count > 1] == []
    assert [one.name for _table, one in everything if not re.search(r"^https://|\(recorded\)$", one.source)] == []


def filled(mistake: Mistake) -> list[tuple[str, str, t.Any]]:
    """The steps with the project's name in them."""

    def fill(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: fill(part) for key, part in value.items()}
        if isinstance(value, list):
            return [fill(part) for part in value]
        return value.replace("{project}", PROJECT) if isinstance(value, str) else value

    return [(method, fill(path), fill(body)) for method, path, body in mistake.steps]


class Outcome(t.NamedTuple):
    """What a request has come to in the end; ``code`` is 0 when an operation ended in an error."""

    code: int
    status: str = ""
    reason: str = ""
    message: str = ""


def outcome(cloud: Running, method: str, path: str, body: object) -> Outcome:
    """Of the request itself, or of the operation that it began."""
    code, answer = cloud.call(method, path, body)
    if not isinstance(answer, dict):
        return Outcome(code)
    if code >= 300:
        error = answer["error"]
        return Outcome(code, error.get("status", ""), error.get("errors", [{}])[0].get("reason", ""), error["message"])
    if not OPERATION.search(str(answer.get("name"))):
        return Outcome(code)
    service = path.partition("/")[0]
    ended = cloud.done(answer, "" if "selfLink" in answer else f"{service}/v1/{answer['name']}")
    if "errors" in ended.get("error", {}):
        first = ended["error"]["errors"][0]
        return Outcome(0, "", first["code"], first["message"])
    if "error" in ended:
        return Outcome(0, code_pb2.Code.Name(ended["error"]["code"]), "", ended["error"]["message"])
    return Outcome(code)
