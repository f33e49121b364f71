# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m tests.judged start|stop|...`: the sandbox as `python -m sandbox` has it, under the eyes of the judge.

Its cloud writes down what is not of Google's types; `stop` prints that, and fails when there is any.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

from sandbox import cli

PROGRAM = "tests.judged"
VIOLATIONS = "violations.log"


def main(arguments: list[str]) -> int:
    options = cli.parser(PROGRAM).parse_args(arguments)
    if options.command is cli.serve:
        _bring_in_the_judge()
    code = cli.main(arguments, PROGRAM)
    log = options.state_dir / VIOLATIONS
    if options.command is not cli.stop or not log.exists():
        return code
    print(f"not of Google's types:\n{log.read_text(encoding='utf-8')}")
    log.unlink()
    return code or 1


def _bring_in_the_judge() -> None:
    """Before the sandbox makes its cloud. What only the server needs is imported here: other commands are short."""
    from sandbox import world
    from tests.judge import Judge

    class JudgedCloud(world.Cloud):
        def __init__(self, *, directory: Path, **more: t.Any) -> None:
            super().__init__(directory=directory, **more)
            log = directory.parent / VIOLATIONS
            log.unlink(missing_ok=True)

            def tell(side: str, violation: str) -> None:
                with log.open("a", encoding="utf-8") as found:
                    found.write(f"{side}: {violation}\n")

            self.app.middlewares.append(Judge(tell).middleware())

    world.Cloud = JudgedCloud  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
