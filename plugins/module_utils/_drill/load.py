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
import json
import time
import typing as t
from collections.abc import Sequence
from pathlib import Path

from .records import Record

try:
    import aiohttp
except ImportError:
    HAS_AIOHTTP = False
else:
    HAS_AIOHTTP = True


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


async def run(load: Load, records: Path, stop_file: Path | None) -> list[Record]:
    """Send the load until ``duration`` is over or ``stop_file`` exists; append every record to ``records``.

    When ``records`` is gone, nobody is left to read it: a load that outlived its
    drill ends when the next one clears up.
    """
    done: list[Record] = []
    pending: set[asyncio.Task[Record]] = set()
    timeout = aiohttp.ClientTimeout(total=load.request_timeout)
    connector = aiohttp.TCPConnector(limit=0)

    def unwanted() -> bool:
        return not records.exists() or bool(stop_file and stop_file.exists())

    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        with open(records, "a", encoding="utf-8", buffering=1) as output:

            def keep(task: asyncio.Task[Record]) -> None:
                pending.discard(task)
                if not task.cancelled():
                    done.append(task.result())
                    output.write(done[-1].line())

            async for target, number, scheduled in schedule(load, unwanted):
                task = asyncio.create_task(send(session, load, target, number, scheduled))
                pending.add(task)
                task.add_done_callback(keep)
            if pending:
                await asyncio.wait(pending)
                await asyncio.sleep(0)  # lets the last callbacks write
    return done


async def schedule(load: Load, unwanted: t.Callable[[], bool]) -> t.AsyncIterator[tuple[Target, int, float]]:
    """Yields each request at its time; targets are interleaved so that they do not fire together."""
    began_clock, began = time.monotonic(), time.time()
    step = 1 / (load.rate * len(load.targets))
    next_look = 0.0
    for number in range(int(load.duration / step)):
        due = number * step
        if due >= next_look:
            if unwanted():
                return
            next_look = due + 0.25
        if (left := began_clock + due - time.monotonic()) > 0:
            await asyncio.sleep(left)
        turn, position = divmod(number, len(load.targets))
        yield load.targets[position], turn, began + due


async def send(session: aiohttp.ClientSession, load: Load, target: Target, number: int, scheduled: float) -> Record:
    """One streamed chat completion; whatever goes wrong becomes part of its record."""
    body = {
        "model": load.model,
        "messages": [{"role": "user", "content": load.prompt}],
        "max_tokens": load.max_tokens,
        "temperature": 0,
        "stream": True,
    }
    status, region, error, tokens = 0, "", "", 0
    first: float | None = None
    start, clock = time.time(), time.monotonic()
    try:
        async with session.post(f"{target.url}/v1/chat/completions", json=body) as answer:
            status = answer.status
            region = answer.headers.get("x-serving-region", "")
            if status == 200:
                first, tokens, error = await read_stream(answer.content, clock)
            else:
                error = " ".join((await answer.text()).split())[:200]
    except TimeoutError:
        error = f"no complete answer within {load.request_timeout:g} s"
    except (aiohttp.ClientError, OSError) as cause:
        error = f"{type(cause).__name__}: {cause}"[:200]
    return Record(
        target=target.name,
        number=number,
        scheduled=round(scheduled, 4),
        start=round(start, 4),
        latency=round(time.monotonic() - clock, 4),
        first_token=round(first, 4) if first is not None else None,
        status=status,
        region=region,
        tokens=tokens,
        error=error,
    )


async def read_stream(lines: t.AsyncIterable[bytes], clock: float) -> tuple[float | None, int, str]:
    """(seconds to the first token, tokens, error): a stream that ends without [DONE] was cut off."""
    first: float | None = None
    tokens, complete = 0, False
    async for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            complete = True
            continue
        with contextlib.suppress(ValueError):
            choices = json.loads(data).get("choices") or [{}]
            if (choices[0].get("delta") or {}).get("content"):
                tokens += 1
                first = first if first is not None else time.monotonic() - clock
    return first, tokens, "" if complete else "the stream was cut off"
