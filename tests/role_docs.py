# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of variables in the roles' READMEs, made from their argument specs and defaults.

`python -m tests.role_docs` writes them; a test compares, so that they cannot drift.
"""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
BEGIN, END = "<!-- variables: begin -->", "<!-- variables: end -->"


def load(path: Path) -> dict[str, t.Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def table(role: Path) -> str:
    """The section between the markers: the entry points, and a table for each set of variables."""
    defaults = load(role / "defaults/main.yml")
    parts: list[str] = []
    known: dict[int, str] = {}
    for entry, spec in load(role / "meta/argument_specs.yml")["argument_specs"].items():
        # An alias in the YAML: the very same options.
        if same := known.get(id(spec["options"])):
            told = " ".join(sentence(spec["description"]).split())
            parts.append(f"Entry point `{entry}`: {spec['short_description']}. {told} Variables as of `{same}`.")
            continue
        known[id(spec["options"])] = entry
        rows = [
            f"Entry point `{entry}`: {spec['short_description']}.",
            "",
            "| variable | default | meaning |",
            "| --- | --- | --- |",
        ]
        for name, option in spec["options"].items():
            rows.append(f"| `{name}` | {default(name, option, defaults)} | {sentence(option['description'])} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def default(name: str, option: dict[str, t.Any], defaults: dict[str, t.Any]) -> str:
    if name not in defaults:
        return "required"
    value = defaults[name]
    text = value if isinstance(value, str) and value else json.dumps(value)
    if len(text) > 60:
        return "see defaults"
    return f"`{text}`" + (" (required)" if option.get("required") else "")


def sentence(description: str | list[str]) -> str:
    """One text, Ansible's markup as Markdown's."""
    text = description if isinstance(description, str) else " ".join(description)
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"`\1`", text)


def rendered(role: Path) -> str:
    """The README as it should be."""
    text = (role / "README.md").read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table(role)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    for role in sorted(ROLES.iterdir()):
        (role / "README.md").write_text(rendered(role), encoding="utf-8")


if __name__ == "__main__":
    main()
