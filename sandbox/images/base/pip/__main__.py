# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`pip install NAME`: done when the image has it, refused otherwise; nothing is ever installed here."""

from __future__ import annotations

import importlib.util
import re
import sys


def main(argv: list[str]) -> None:
    if not argv or argv[0] != "install":
        sys.exit(f"ERROR: unknown command {argv[0]!r}" if argv else "usage: pip install NAME")
    for requirement in (word for word in argv[1:] if not word.startswith("-")):
        name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
        if importlib.util.find_spec(name.replace("-", "_")) is None:
            sys.exit(f"ERROR: No matching distribution found for {requirement}")
        print(f"Requirement already satisfied: {requirement}")


main(sys.argv[1:])
