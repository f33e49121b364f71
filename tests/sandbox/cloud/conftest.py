# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clouds to test: with nothing enabled, with the chain's APIs enabled, and one slow enough to watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import Running, running_cloud


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Running]:
    """A cloud whose project has nothing enabled yet; nearly no latency."""
    with running_cloud(tmp_path, scale=0.0001, services=()) as running:
        yield running


@pytest.fixture
def cloud(fresh: Running) -> Running:
    """A cloud whose project has all APIs of the chain enabled."""
    fresh.enable()
    return fresh


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Running]:
    """The same, slow enough to look at operations that run: a cluster takes over two seconds."""
    with running_cloud(tmp_path, scale=0.005) as running:
        yield running
