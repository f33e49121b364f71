# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clouds to test: with nothing enabled, with the chain's APIs enabled, and one slow enough to watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.cloud.running import Running, enable_all, serve


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Running]:
    """A cloud whose project has nothing enabled yet; nearly no latency."""
    yield from serve(tmp_path, 0.0001)


@pytest.fixture
def cloud(fresh: Running) -> Running:
    """A cloud whose project has all APIs of the chain enabled."""
    enable_all(fresh)
    return fresh


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Running]:
    """The same, slow enough to look at operations that run: a cluster takes over two seconds."""
    for running in serve(tmp_path, 0.005):
        enable_all(running)
        yield running
