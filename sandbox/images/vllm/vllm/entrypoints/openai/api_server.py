# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python3 -m vllm.entrypoints.openai.api_server OPTIONS`."""

from __future__ import annotations

import sys

from ...server import options, serve


def main(argv: list[str]) -> None:
    serve.run(options.parse(argv))


if __name__ == "__main__":
    main(sys.argv[1:])
