# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The codelab as an operator types it: commands.txt, which says how it is written, and the files that it names."""

from __future__ import annotations

import dataclasses
import re
import string
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TIMEOUT = 120.0


@dataclasses.dataclass(frozen=True)
class Command:
    """One command. ``refused``: it must fail; ``changed``, ``untried``: why it is not as in the codelab, or ""."""

    step: str
    text: str
    refused: bool = False
    shows: str = ""
    changed: str = ""
    untried: str = ""

    @property
    def tool(self) -> str:
        """The program that is tried."""
        found = re.search(r"\b(gcloud|kubectl|curl|helm)\b", self.text)
        assert found, self.text
        return found[1]

    @property
    def name(self) -> str:
        """Its words up to the first option or name of the user's: "gcloud compute networks create"."""
        words = self.text[self.text.index(self.tool) :].split()
        names = [word for word in words[:5] if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
        return " ".join(names if self.tool == "gcloud" else names[:2])


def commands(text: str) -> Iterator[Command]:
    """Raises AssertionError for a line that belongs to nothing."""
    step, open_command = "", None
    for line in text.splitlines():
        if line.startswith("    "):
            assert open_command is not None, line
            open_command = _with(open_command, line.strip())
        elif line and not line.startswith("#"):
            if open_command is not None:
                yield open_command
            open_command = None
            if heading := re.fullmatch(r"\[(.+)\]", line):
                step = heading[1]
            else:
                open_command = Command(step, line.removeprefix("! "), refused=line.startswith("! "))
    if open_command is not None:
        yield open_command


def _with(command: Command, more: str) -> Command:
    sign, said = more[:2], more[2:]
    if sign == "> ":
        return dataclasses.replace(command, shows=said)
    if sign == "~ ":
        return dataclasses.replace(command, changed=said)
    if sign == "- ":
        return dataclasses.replace(command, untried=said)
    return dataclasses.replace(command, text=f"{command.text} {more}")


class Shell:
    """Runs commands in ``folder``, where the codelab's files lie with their variables filled in."""

    def __init__(self, folder: Path, environment: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**environment, **variables, "STATE": str(folder / "state")}
        (folder / "state").touch(0o600)
        for source in FOLDER.iterdir():
            # What holds several documents is called .template: ansible-test takes a .yaml for one.
            if source.suffix in (".yaml", ".json", ".template"):
                text = string.Template(source.read_text(encoding="utf-8")).safe_substitute(variables)
                (folder / source.name.removesuffix(".template")).write_text(text, encoding="utf-8")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """One command, after those before: what it sets is there for the next."""
        script = f'set -aeo pipefail; . "$STATE"; {command}\nexport -p > "$STATE"'
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
