# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`vllm serve MODEL OPTIONS`."""

from __future__ import annotations

import sys

from ... import __version__
from ...server import options, serve


def main(argv: list[str]) -> None:
    if argv in (["--version"], ["-v"]):
        print(__version__)
    elif argv and argv[0] == "serve":
        serve.run(options.parse(argv[1:], positional_model=True))
    else:
        sys.exit("usage: vllm serve MODEL [options]")


if __name__ == "__main__":
    main(sys.argv[1:])
