# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every test may rely on: the official reference material when it lies beside the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.official import COURT

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with recorded traffic and official schemas; tests that need it skip without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference material (../shared) is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def judged() -> Iterator[None]:
    """Whatever a test sends to an embedded cloud, and what comes back, is as Google describes it."""
    COURT.faults.clear()
    yield
    faults = list(dict.fromkeys(COURT.faults))
    COURT.faults.clear()
    assert not faults, "\n".join(faults)
