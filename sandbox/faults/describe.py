# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of faults in words: for the command line and for the documentation."""

from __future__ import annotations

import re
import textwrap

from .kinds import KINDS, Kind

COMMAND = "python -m sandbox fault add"


def takes(kind: Kind) -> str:
    """Its settings with their defaults, and the places that it looks at."""
    settings = [f"{name}={default}" for name, default in kind.settings.items()]
    places = [f"--{field}{' (needed)' if field in kind.needs else ''}" for field in kind.place]
    counted = [f"--times and --share of {kind.counts}"] if kind.counts else []
    return "; ".join(", ".join(part) for part in (settings, places, counted) if part)


def help_text() -> str:
    """All kinds, as the command's help prints them."""
    return "\n".join(
        "\n".join(
            [
                f"  {name}",
                *(textwrap.fill(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6) for text in texts),
            ]
        )
        for name, kind in KINDS.items()
        for texts in [(kind.text, f"takes {takes(kind)}")]
    )


def table() -> str:
    """All kinds with an example each, in Markdown."""
    rows = [
        f"| `{name}` | `{kind.example.partition(' ')[2] or '-'}` | {_short(kind.text)} |"
        for name, kind in KINDS.items()
    ]
    return "\n".join(["| kind | for example | what breaks |", "|---|---|---|", *rows, ""])


def manual() -> str:
    """All there is to know of each kind, in Markdown."""
    return "\n".join(_section(name, kind) for name, kind in KINDS.items())


def _section(name: str, kind: Kind) -> str:
    choices = [f"{setting} is one of {', '.join(values)}" for setting, values in kind.choices.items()]
    parts = [", ".join(f"`{part}`" for part in kind.parts)] if kind.parts else []
    rows = {
        "breaks": kind.text,
        "takes": "; ".join([takes(kind), *choices]),
        "clients see": kind.seen,
        "when it is cleared": kind.cleared,
        "consists of": "".join(parts),
        "known from": kind.source,
    }
    listed = [f"- **{title}**: {text}" for title, text in rows.items() if text]
    return "\n".join([f"### {name}", "", *listed, "", "```", f"{COMMAND} {kind.example}", "```", ""])


def _short(text: str) -> str:
    return re.split("[:;]", re.sub(r" \([^)]*\)", "", text))[0]
