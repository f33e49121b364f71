# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded cloud in a thread; modules run against it over HTTP, as they would against Google."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.interfaces import Json
from tests.clouds import Running, running_cloud


@pytest.fixture(scope="module")
def cloud_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One cloud for a module of tests, all APIs enabled."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as server:
        yield server


@pytest.fixture
def cloud(cloud_server: Running) -> Json:
    """The options with which a module reaches the cloud."""
    return cloud_server.args
