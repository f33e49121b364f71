# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients of every region's address, and what they got."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
import typing as t
from collections.abc import Mapping

import aiohttp

RATE = 5.0  # requests per second to each address
PATIENCE = 10.0  # seconds that a client waits for an answer
BODY = {"model": "gemma-3-27b-it", "prompt": "A region is", "max_tokens": 4}


@dataclasses.dataclass(frozen=True)
class Record:
    """One request: the region whose address was asked, the region that answered ("" when none did)."""

    target: str
    began: float  # time.monotonic()
    ended: float
    served_by: str


@dataclasses.dataclass(frozen=True)
class Loss:
    """What the clients of one address did not get; ``seconds``: from each first lost request to the next answered."""

    requests: int = 0
    seconds: float = 0.0


class Load:
    """Requests on schedule, however late the answers, as long as the context lasts."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.addresses = dict(addresses)
        self.records: list[Record] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), name="load")

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def at_home(self, since: float, count: int = 5) -> bool:
        """Whether every address has answered ``count`` requests sent since then, the last ones from its own region."""
        return all(
            [record.served_by for record in self._of(region, since)][-count:] == [region] * count
            for region in self.addresses
        )

    def last(self, region: str) -> str:
        """Who answered last at this address; "" when nobody did."""
        found = self._of(region, 0)
        return found[-1].served_by if found else ""

    def settled(self, since: float, seconds: float) -> bool:
        """Whether nobody has lost a request for so long; True at the soonest ``seconds`` after ``since``."""
        now = time.monotonic()
        lately = [record for record in list(self.records) if record.ended > max(since, now - seconds)]
        asked = {record.target for record in lately}
        return now > since + seconds and asked == set(self.addresses) and all(record.served_by for record in lately)

    def lost(self, region: str, since: float) -> Loss:
        requests, seconds, outage = 0, 0.0, None
        for record in self._of(region, since):
            if not record.served_by:
                requests += 1
                outage = record.began if outage is None else outage
            elif outage is not None:
                seconds, outage = seconds + record.began - outage, None
        if outage is not None:
            seconds += time.monotonic() - outage
        return Loss(requests, seconds)

    def _of(self, region: str, since: float) -> list[Record]:
        """Its answered and lost requests in the order in which they were sent."""
        found = [record for record in list(self.records) if record.target == region and record.began >= since]
        return sorted(found, key=lambda record: record.began)

    async def _send(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        # A connection for each request: a client must not profit from one that it happens to hold.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session,
            asyncio.TaskGroup() as requests,
        ):
            while not self._stop.is_set():
                for region, url in self.addresses.items():
                    requests.create_task(self._ask(session, region, url))
                await asyncio.sleep(1 / RATE)

    async def _ask(self, session: aiohttp.ClientSession, region: str, url: str) -> None:
        began, served_by = time.monotonic(), ""
        try:
            async with session.post(f"{url}/v1/completions", json=BODY) as answer:
                await answer.read()
                if answer.status == 200:
                    served_by = answer.headers.get("x-serving-region", "")
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.records.append(Record(region, began, time.monotonic(), served_by))
