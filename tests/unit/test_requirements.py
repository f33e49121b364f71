# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""requirements*.txt are the one place for packages and their floors; what says them too says the same."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = {"ansible_collections", "bench", "proof", "sandbox", "tests"}


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith(("#", "-r"))]


def package(line: str) -> str:
    return re.split(r"[ <>=;(]", line.strip(), maxsplit=1)[0].lower()


def declared(*names: str) -> set[str]:
    return {package(line) for name in names for line in lines(name)}


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Each file with the top-level packages that it imports."""
    images = ROOT / "sandbox" / "images"  # what runs in there is no part of the sandbox's own environment
    for path in sorted(file for file in (ROOT / folder).rglob("*.py") if images not in file.parents):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in names:
                yield str(path.relative_to(ROOT)), name.partition(".")[0]


CONTROLLER = ("requirements.txt",)
SANDBOX = (*CONTROLLER, "requirements-sandbox.txt")
EVERYTHING = (*SANDBOX, "requirements-dev.txt")


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("plugins", CONTROLLER),
        ("sandbox", SANDBOX),
        ("tests", EVERYTHING),
        ("bench", EVERYTHING),
        ("proof", EVERYTHING),
    ],
)
def test_what_is_imported_is_declared(folder: str, files: tuple[str, ...]) -> None:
    """The judge is what is installed: it knows which package brings a module."""
    brings = importlib.metadata.packages_distributions()
    known = declared(*files) | {"ansible-core"}
    missing = set()
    for path, name in imports(folder):
        if name in OWN or name in sys.stdlib_module_names:
            continue
        if not {dist.lower() for dist in brings.get(name, [name])} & known:
            missing.add(f"{path} imports {name}")
    assert not missing


def documented() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        block = re.search(r"^requirements:\n((?:  - .*\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        for line in block[1].splitlines() if block else ():
            found.append((path.name, line.removeprefix("  - ")))
    return found


@pytest.mark.parametrize(("file", "line"), [entry for entry in documented() if not entry[1].startswith("python ")])
def test_documented_floors_are_those_of_the_requirements(file: str, line: str) -> None:
    assert line.split(" (")[0].replace(" ", "") in lines("requirements.txt"), file


def test_execution_environments_get_the_same() -> None:
    assert lines("meta/ee-requirements.txt") == lines("requirements.txt")


def test_every_package_has_its_reason() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    told = [name.strip().lower() for row in rows for name in row.split(",")]
    for name in declared(*EVERYTHING):
        assert any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in told), name
