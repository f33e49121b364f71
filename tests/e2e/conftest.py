# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Estates: the reference one, built once for the tests that look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.estate import ROOT, Estate, started


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Two regions, as `make demo` has them: checked while empty, built, and gone afterwards."""
    with started(tmp_path_factory.mktemp("estate")) as estate:
        yield estate


@pytest.fixture(scope="session")
def built(estate: Estate) -> Estate:
    check = estate.play("site.yml", "--check", "--diff")
    assert check.code == 0, check.output
    assert check.changed() > 20, "a first run in check mode must announce what it would build"
    assert estate.status()["clusters"] == {}, "check mode must build nothing"
    estate.build()
    return estate


@pytest.fixture
def one_region(tmp_path: Path) -> Iterator[Estate]:
    """A single region: nothing in the roles may need two. Its sandbox is started by site.yml, as a user's is."""
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / "sandbox", inventory)
    (inventory / "europe-west4.yml").unlink()
    estate = Estate(tmp_path, inventory)
    yield estate
    assert estate.sandbox("stop").code == 0
