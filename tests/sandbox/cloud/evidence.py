# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m tests.sandbox.cloud.evidence FOLDER`: how the sandbox differs from what `make google` wrote down."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from proof.evidence import read, replayable
from proof.google import services_of_role
from tests.clouds import running_cloud
from tests.sandbox.cloud.replay import Difference, Replay

NOTHING = re.compile(r"(?!)")


def differences(folder: Path, directory: Path) -> list[Difference]:
    """What replaying a run's evidence on a cloud in ``directory`` finds."""
    records = replayable(read(folder))
    found: list[Difference] = []
    # A run begins only where these are on.
    with running_cloud(directory, scale=0.0001, services=services_of_role()) as cloud:
        found = list(Replay(cloud, records).run(NOTHING))
    return found


def main(folder: str) -> int:
    with tempfile.TemporaryDirectory() as directory:
        found = differences(Path(folder), Path(directory))
    print("\n".join(map(str, found)) or "no difference")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
