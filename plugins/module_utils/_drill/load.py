# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Open-model load: requests start on schedule whatever happens to earlier ones.

A closed loop waits for the answer before it asks again, so an outage makes it
ask less, and its numbers hide the outage (coordinated omission).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import os
import time
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

from .._errors import CollectionError
from .answer import Answer, printable
from .records import Record

try:
    import aiohttp
except ImportError:
    HAS_AIOHTTP = False
else:
    HAS_AIOHTTP = True


# Bytes of an error's body that are read; seconds that an answer's connection may take to end behind [DONE].
ERROR_BODY = 2048
LAST_BYTES = 1.0


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the clients of one region send their requests."""

    name: str
    url: str  # base URL of the OpenAI-compatible API, e.g. http://10.0.1.2:80


@dataclasses.dataclass(frozen=True)
class Load:
    """``rate`` is requests per second to each target; times in seconds."""

    targets: Sequence[Target]
    model: str
    rate: float
    duration: float
    prompt: str
    max_tokens: int
    request_timeout: float


async def run(load: Load, records: Path, unwanted: Callable[[], bool]) -> list[Record]:
    """Send the load until ``duration`` is over or it is ``unwanted``; append every record to ``records``.

    Every scheduled request has exactly one record, also when the load is cancelled:
    it ends once the last one under way has its answer or its time-out. When the file
    is removed or moved away nobody is left to read it, and the load ends, too.
    Raises CollectionError when records cannot be written.
    """
    done: list[Record] = []
    broken: list[OSError] = []
    pending: set[asyncio.Task[None]] = set()

    async with session(load) as client:
        with open(records, "a", encoding="utf-8", buffering=1) as output:

            async def one(target: Target, number: int, scheduled: float) -> None:
                record, _unused = await send(client, load, target, number, scheduled)
                done.append(record)
                try:
                    output.write(record.line())
                except OSError as cause:
                    broken.append(cause)

            def enough() -> bool:
                return bool(broken) or not is_same(records, output) or unwanted()

            try:
                async for request in schedule(load, enough):
                    task = asyncio.create_task(one(*request))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
            finally:
                if pending:
                    await asyncio.wait(pending)
    if broken:
        raise CollectionError(f"records: cannot write {records}: {broken[0]}")
    return done


async def ask(load: Load) -> list[tuple[Record, str]]:
    """One request to each target, at once: its record and the beginning of the answer's text."""
    async with session(load) as client:
        return await asyncio.gather(*(send(client, load, target, 0, time.time()) for target in load.targets))


def session(load: Load) -> aiohttp.ClientSession:
    """Connections without limit, and without cookies: a gateway must not bind a client to a region by them."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=load.request_timeout),
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def is_same(path: Path, handle: t.IO[str]) -> bool:
    """Whether the open file is what stands under this name: another drill may have made a new one."""
    try:
        there, here = os.stat(path), os.fstat(handle.fileno())
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


async def schedule(load: Load, unwanted: Callable[[], bool]) -> t.AsyncIterator[tuple[Target, int, float]]:
    """Yields each request at its time; targets are interleaved so that they do not fire together."""
    began_clock, began = time.monotonic(), time.time()
    rate = load.rate * len(load.targets)
    next_look = 0.0
    for number in range(math.floor(load.duration * rate + 1e-6)):
        due = number / rate
        if due >= next_look:
            if unwanted():
                return
            next_look = due + 0.25
        while (left := began_clock + due - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.25))
            if left > 0.25 and unwanted():  # a slow load must not end late
                return
        turn, position = divmod(number, len(load.targets))
        yield load.targets[position], turn, began + due


async def send(
    client: aiohttp.ClientSession, load: Load, target: Target, number: int, scheduled: float
) -> tuple[Record, str]:
    """One streamed chat completion, and the text that came; whatever goes wrong becomes part of its record."""
    body = {
        "model": load.model,
        "messages": [{"role": "user", "content": load.prompt}],
        "max_tokens": load.max_tokens,
        "temperature": 0,
        "stream": True,
    }
    status, region, error, answer = 0, "", "", Answer()
    first: float | None = None
    latency: float | None = None  # None until the answer is judged: what comes after does not count
    start, clock = time.time(), time.monotonic()
    try:
        # A gateway of ours has nothing to redirect to; followed, it would be another one's answer.
        async with client.post(f"{target.url}/v1/chat/completions", json=body, allow_redirects=False) as response:
            status = response.status
            region = printable(response.headers.get("x-serving-region", ""), 63)
            if status == 200:
                async for piece in response.content.iter_any():
                    answer.feed(piece)
                    if first is None and answer.tokens:
                        first = time.monotonic() - clock
                    if answer.over:
                        break
                error = answer.verdict()
            else:
                error = printable((await beginning(response)).decode("utf-8", errors="replace")) or "no body"
            latency = time.monotonic() - clock
            if answer.over:
                await drain(response)
    except Exception as cause:  # whatever a gateway sends and a library makes of it: the request has its record
        if latency is None:
            late = f"no complete answer within {load.request_timeout:g} s"
            error = late if isinstance(cause, TimeoutError) else printable(f"{type(cause).__name__}: {cause}")
    record = Record(
        target=target.name,
        number=number,
        scheduled=round(scheduled, 4),
        start=round(start, 4),
        latency=round(time.monotonic() - clock if latency is None else latency, 4),
        first_token=round(first, 4) if first is not None else None,
        status=status,
        region=region,
        tokens=answer.tokens,
        error=error,
    )
    return record, printable(answer.text)


async def beginning(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= ERROR_BODY:
            break
    return body


async def drain(response: aiohttp.ClientResponse) -> None:
    """Read to the end, so that the connection serves the next request too. The answer is whole without it."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LAST_BYTES):
            async for _unused in response.content.iter_any():
                pass


async def models(client: aiohttp.ClientSession, url: str) -> list[str]:
    """The names under which the endpoint serves models; none where it does not list them."""
    with contextlib.suppress(Exception):
        async with client.get(f"{url}/v1/models", allow_redirects=False) as response:
            listed = await response.json(content_type=None)
            return [printable(item["id"]) for item in listed["data"]]
    return []
