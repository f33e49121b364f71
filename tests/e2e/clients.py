# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients in every region that ask all the time, and what became of each request."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import typing as t
import urllib.error
import urllib.request

PAUSE = 0.1  # seconds between two requests of one region's clients


@dataclasses.dataclass(frozen=True)
class Asked:
    """``served_by``: the region that answered, or "" and then ``lost`` says what came instead."""

    region: str
    at: float
    served_by: str
    lost: str = ""


class Clients:
    """Ask every address (region -> base URL) while the context lasts."""

    def __init__(self, addresses: dict[str, str], model: str = "gemma-3-27b-it") -> None:
        self.asked: list[Asked] = []
        self._body = json.dumps({"model": model, "prompt": "A region is", "max_tokens": 2}).encode()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=item) for item in addresses.items()]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_unused: t.Any) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def since(self, moment: float, region: str) -> list[Asked]:
        return [one for one in self.asked if one.at >= moment and one.region == region]

    def lost(self, moment: float, region: str) -> list[Asked]:
        return [one for one in self.since(moment, region) if one.lost]

    def _ask(self, region: str, url: str) -> None:
        while not self._over.wait(PAUSE):
            self.asked.append(self._one(region, url))

    def _one(self, region: str, url: str) -> Asked:
        at = time.monotonic()
        request = urllib.request.Request(f"{url}/v1/completions", self._body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Asked(region, at, answer.headers.get("x-serving-region", ""))
        except (urllib.error.URLError, OSError) as error:
            return Asked(region, at, "", str(error))
