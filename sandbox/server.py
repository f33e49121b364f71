# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The long-running process behind `python -m sandbox start`."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal

from .catalogue.quotas import Quotas
from .latency import Latency
from .state import StateDirectory
from .world import World


def serve(state: StateDirectory, project: str, scale: float, quotas: Quotas) -> None:
    """Serve until SIGTERM or SIGINT. Raises BlockingIOError when a server runs in this directory."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with state.lock():
        # The world lives in memory; what an earlier one left on disk would contradict the new one.
        for leftover in ("cloud", "clusters", "envoy"):
            shutil.rmtree(state.path / leftover, ignore_errors=True)
        asyncio.run(_serve(state, project, Latency(scale), quotas))


async def _serve(state: StateDirectory, project: str, latency: Latency, quotas: Quotas) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await World(state, project, latency, quotas).serve(stop)
