# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of bad input reads as English, wherever in the collection it is said."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"

# The advice goes on from "OPTION: 'VALUE' is not valid:", so its first clause has a verb: one of these.
IMPERATIVES = {
    "add",
    "choose",
    "enable",
    "give",
    "leave",
    "list",
    "make",
    "name",
    "remove",
    "set",
    "state",
    "take",
    "use",
}
FINITE = {"are", "has", "have", "is", "needs", "runs"}


def advices() -> Iterator[tuple[str, str]]:
    """Where an InvalidOption is raised, and its text as far as it stands in the source."""
    for path in sorted(PLUGINS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InvalidOption":
                advice = node.args[2] if len(node.args) > 2 else node.keywords[-1].value
                if isinstance(advice, ast.Constant):
                    yield f"{path.name}:{node.lineno}", str(advice.value)
                elif isinstance(advice, ast.JoinedStr):
                    parts = (str(part.value) if isinstance(part, ast.Constant) else "X" for part in advice.values)
                    yield f"{path.name}:{node.lineno}", "".join(parts)


@pytest.mark.parametrize(("where", "advice"), list(advices()))
def test_an_advice_is_a_clause_with_a_verb(where: str, advice: str) -> None:
    first, *others = advice.partition(":")[0].replace(",", " ").split()
    assert first in IMPERATIVES or FINITE & {first, *others}, f"{where}: {advice}"


def test_there_are_advices() -> None:
    assert len(list(advices())) > 40


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("x", "zone: 'x' is not valid: give a zone"),
        (None, "zone: is not set: give a zone"),
        (0, "zone: 0 is not valid"),
    ],
)
def test_the_sentence(given: object, says: str) -> None:
    error = InvalidOption("zone", given, "give a zone")
    assert error.message.startswith(says) and error.details == {"option": "zone"}
