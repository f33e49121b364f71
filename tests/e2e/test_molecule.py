# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The molecule scenario, as a contributor runs it."""

from __future__ import annotations

import os

from tests.e2e.estate import BIN, ROOT, run


def test_default_scenario() -> None:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done = run([str(BIN / "molecule"), "test"], cwd=ROOT, env=environment)
    assert done.code == 0, done.output[-8000:]
