# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a model of some ten billion parameters takes to answer, and how many it answers at once."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections.abc import AsyncGenerator

from . import text
from .metrics import Metrics

# Seconds; a model server on one accelerator host under light load.
_FIRST_TOKEN = (0.020, 0.040)
_PER_PROMPT_TOKEN = 0.000_01
_PER_TOKEN = (0.002, 0.004)
# What every further running request adds to the time per token, as a share of it.
_SLOWDOWN = 0.01

_KV_CACHE_TOKENS = 131_072
_KV_BLOCK = 16


@dataclasses.dataclass(frozen=True)
class Request:
    """One prompt to answer; ``step`` is how many tokens come at a time (1 when they are streamed)."""

    prompt: str
    prompt_tokens: int
    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    seed: int = 0
    step: int = 16


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some more of an answer; ``finish`` is set on the last: "stop" or "length"."""

    text: str
    tokens: int
    finish: str | None = None
    stopped_by: str | None = None


class Engine:
    """Answers at most ``max_num_seqs`` requests at once; the others wait in line."""

    def __init__(self, metrics: Metrics, max_num_seqs: int) -> None:
        self.metrics = metrics
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._cached_tokens = 0

    async def generate(self, request: Request) -> AsyncGenerator[Piece, None]:
        """The answer piece by piece. Closing the iterator (or cancelling it) counts as an abort."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        finish = "abort"
        generated = 0
        self.metrics.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.metrics.waiting -= 1
        self.metrics.running += 1
        self.metrics.observe("request_queue_time_seconds", clock() - begin)
        self._cache(request.prompt_tokens)
        try:
            due = clock() + random.uniform(*_FIRST_TOKEN) + request.prompt_tokens * _PER_PROMPT_TOKEN
            await asyncio.sleep(due - clock())
            self.metrics.observe("time_to_first_token_seconds", clock() - begin)
            self.metrics.prompt_tokens += request.prompt_tokens
            for piece in _pieces(request):
                pause = random.uniform(*_PER_TOKEN) * (1 + _SLOWDOWN * (self.metrics.running - 1))
                further = piece.tokens if generated else piece.tokens - 1
                if further > 0:
                    # Due times are absolute, so that a busy machine does not slow the model down on top.
                    due += further * pause
                    await asyncio.sleep(max(0.0, due - clock()))
                    self.metrics.observe("inter_token_latency_seconds", pause)
                generated += piece.tokens
                self._cache(piece.tokens)
                self.metrics.generation_tokens += piece.tokens
                self.metrics.observe("iteration_tokens_total", piece.tokens)
                finish = piece.finish or finish
                yield piece
        finally:
            self._slots.release()
            self._cache(-request.prompt_tokens - generated)
            self.metrics.running -= 1
            self.metrics.finished[finish] += 1
            self.metrics.observe("e2e_request_latency_seconds", clock() - begin)
            self.metrics.observe("request_prompt_tokens", request.prompt_tokens)
            self.metrics.observe("request_generation_tokens", generated)

    def _cache(self, tokens: int) -> None:
        self._cached_tokens += tokens
        blocks = -(-self._cached_tokens // _KV_BLOCK)
        self.metrics.kv_cache_usage = min(1.0, blocks * _KV_BLOCK / _KV_CACHE_TOKENS)


def _pieces(request: Request) -> list[Piece]:
    """The whole answer cut into pieces; a stop string ends it and is not part of it."""
    natural = max(text.natural_length(request.prompt, request.seed), request.min_tokens)
    length = request.max_tokens if request.ignore_eos else min(natural, request.max_tokens)
    words = list(itertools.islice(text.answer(request.prompt, request.seed), length))
    finish = "length" if length == request.max_tokens and (request.ignore_eos or natural > length) else "stop"
    whole = "".join(words)
    found = [(at, stop) for stop in request.stop if (at := whole.find(stop)) >= 0]
    stopped_by = None
    if found:
        at, stopped_by = min(found)
        words, finish = text.tokens(whole[:at]) or [""], "stop"
    batches = [words[at : at + request.step] for at in range(0, len(words), request.step)]
    pieces = [Piece("".join(batch), len(batch)) for batch in batches]
    pieces[-1] = dataclasses.replace(pieces[-1], finish=finish, stopped_by=stopped_by)
    return pieces
