# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two regions from nothing, once undisturbed to compare with; and the seed of all moments that are hit."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.census import Census, census
from tests.e2e.estate import Estate, started

SEED = int(os.environ.get("SEED") or secrets.randbelow(10**6))


def pytest_report_header() -> str:
    return f"seed: {SEED}"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    with started(tmp_path) as estate:
        yield estate


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Census, float]:
    """What one run builds when nothing comes between, and the seconds that it took."""
    with started(tmp_path_factory.mktemp("undisturbed")) as estate:
        build = estate.build()
        return census(estate), build.seconds
