# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The highest rate at which the drill's load starts its requests on time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import sys
import tempfile
import typing as t
from multiprocessing.connection import Connection
from pathlib import Path

from ansible_collections.aiserving.gke.plugins.module_utils._drill import load as drill

from .report import spread

RATES = (125, 250, 500, 750, 1000, 1250, 1500, 2000)
SECONDS = 8.0
LATE = 0.005
SHARE = 0.99

_EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-serving-region: bench\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + _CHUNK * 16 + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


class Canned(asyncio.Protocol):
    """The cheapest model server: one whole streamed answer per request, so that the load is what is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = t.cast(asyncio.Transport, transport)
        self._wanted = 0
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self._data) < end + 4 + size:
                return
            self._data = self._data[end + 4 + size :]
            self._transport.write(ANSWER)


def serve(tell: Connection) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


def measure(options: argparse.Namespace) -> dict[str, t.Any]:
    """Seconds late: 99th percentile, at rates of which the first that is missed ends the search."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        reached, rows = 0, {}
        for rate in RATES:
            late = [_lateness(url, rate) for _unused in range(options.repeat)]
            rows[str(rate)] = spread(late)
            print(f"bench: {rate} requests/s, p99 {rows[str(rate)]['median'] * 1000:.2f} ms late", file=sys.stderr)
            if rows[str(rate)]["median"] > LATE:
                break
            reached = rate
    finally:
        server.terminate()
        server.join()
    return {"requests_per_second": reached, "highest_tried": RATES[-1], "late_seconds_p99": rows}


def _lateness(url: str, rate: int) -> float:
    wanted = drill.Load(
        targets=[drill.Target("bench", url)],
        model="bench",
        rate=rate,
        duration=SECONDS,
        prompt="x",
        max_tokens=16,
        request_timeout=30,
    )
    with tempfile.TemporaryDirectory() as folder:
        records = asyncio.run(drill.run(wanted, Path(folder) / "records.jsonl", lambda: False))
    lost = [record for record in records if not record.ok]
    if lost:
        raise RuntimeError(f"{len(lost)} requests were lost, the first by: {lost[0].error or lost[0].status}")
    late = sorted(record.start - record.scheduled for record in records)
    return late[int(SHARE * len(late))]
