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
from tests.e2e.estate import Estate

SEED = int(os.environ.get("SEED") or secrets.randbelow(10**6))


def pytest_report_header() -> str:
    return f"seed: {SEED}"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    yield from started(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Census, float]:
    """What one run builds when nothing comes between, and the seconds that it took."""
    [found] = map(built, started(tmp_path_factory.mktemp("undisturbed")))
    return found


def built(estate: Estate) -> tuple[Census, float]:
    build = estate.play("site.yml")
    assert build.code == 0, build.output
    return census(estate), build.seconds


def started(directory: Path) -> Iterator[Estate]:
    """An estate's empty sandbox."""
    estate = Estate(directory)
    assert estate.sandbox("start").code == 0
    try:
        yield estate
    finally:
        assert estate.sandbox("stop").code == 0
