# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command line of the benchmark: measure, write JSON and Markdown, put the table into the README when asked to."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.markers import write_between

from . import build, load, report, rerun, tasks

PARTS = {"tasks": tasks.measure, "rerun": rerun.measure, "build": build.measure, "load": load.measure}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of everything but builds (default: %(default)s)")
    parser.add_argument("--regions", type=int, nargs="+", default=[2, 4, 8], help="sizes of builds (default: 2 4 8)")
    parser.add_argument("--builds", type=int, default=1, help="builds of each size (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("reports"), help="folder of bench.json and bench.md")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: parts are {', '.join(PARTS)}")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "bench.json"
    document = json.loads(path.read_text()) if options.parts and path.exists() else {}
    document["machine"] = report.machine()
    for part in options.parts or PARTS:
        print(f"bench: {part}", file=sys.stderr, flush=True)
        document[part] = PARTS[part](options)
        path.write_text(json.dumps(document, indent=2) + "\n")
    table = report.markdown(document)
    (options.output / "bench.md").write_text(table)
    print(table)
    if options.readme:
        write_between(report.README, "bench", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
