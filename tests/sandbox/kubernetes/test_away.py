# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API server that is away, as a client that is not ours sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import requests

from tests.sandbox.kubernetes.conftest import TOKEN, Running


def be_away(running: Running, how: str) -> None:
    asyncio.run_coroutine_threadsafe(running.server.be_away(how), running.loop).result(10)


@pytest.mark.parametrize(("how", "seen"), [("refused", requests.ConnectionError), ("silent", requests.Timeout)])
def test_nobody_is_there_until_it_is_back(
    running: Running, tmp_path: Path, how: str, seen: type[requests.RequestException]
) -> None:
    trust = tmp_path / "ca.pem"
    trust.write_text(running.server.access.ca_pem)

    def ask(session: requests.Session) -> int:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return session.get(f"{running.url}/api/v1/nodes", headers=headers, verify=str(trust), timeout=1).status_code

    with requests.Session() as session:
        assert ask(session) == 200
        be_away(running, how)
        try:
            with pytest.raises(seen):
                ask(session)  # the connection that it had is gone, too
        finally:
            be_away(running, "")
        assert ask(session) == 200
