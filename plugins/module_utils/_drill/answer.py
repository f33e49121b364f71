# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A streamed chat completion as its client reads it: bytes in, tokens and a verdict out; no input and output."""

from __future__ import annotations

import json
import typing as t

# A line that is longer is not kept, so that no gateway can fill the memory of the load.
LONGEST_LINE = 1 << 20

# Where servers put a token: the answer itself, and what reasoning models say before it (vLLM has had both names).
TEXTS = ("content", "reasoning_content", "reasoning")


class BadAnswer(Exception):
    """No client could go on with this answer."""


class Answer:
    """Fed piece by piece; ``over`` once nothing that follows could matter.

    An answer is whole when at least one token came and the end was told by [DONE].
    An error told inside of the stream, an event that is not of vLLM's shape, an end
    without [DONE] and an end without a token are all failures: ``verdict()``.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.text = ""
        self.over = False
        self._error = ""
        self._pieces: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> None:
        """Takes any bytes in pieces of any size; raises nothing."""
        *lines, rest = data.split(b"\n")
        try:
            for line in lines:
                self._read_line(b"".join([*self._pieces, line]))
                self._pieces, self._length = [], 0
                if self.over:
                    return
            self._pieces.append(rest)
            self._length += len(rest)
            if self._length > LONGEST_LINE:
                raise BadAnswer(f"a line of more than {LONGEST_LINE} bytes")
        except BadAnswer as cause:
            self._error, self.over = printable(str(cause)), True

    def verdict(self) -> str:
        """ "" for a whole answer, else what is wrong with it, after all that came was fed."""
        if self._error:
            return self._error
        if not self.over:
            return "the stream was cut off"
        return "" if self.tokens else "the answer ended without a token"

    def _read_line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return  # a comment, another field, or the blank line between events
        data = line[5:].strip()
        if data == b"[DONE]":
            self.over = True
        elif text := read_event(data):
            self.tokens += 1
            self.text += text


def read_event(data: bytes) -> str:
    """The text that an event of a chat completion brings, often none. Raises BadAnswer."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise BadAnswer(f"an event that is no JSON: {shown(data)}") from cause
    if not isinstance(event, dict):
        raise BadAnswer(f"an event that is no object: {shown(data)}")
    if event.get("error") or event.get("object") == "error":
        raise BadAnswer(f"an error inside of the stream: {shown(data)}")
    choices = event.get("choices")
    if not choices:
        return ""  # the usage, which comes last
    first = choices[0] if isinstance(choices, list) else None
    delta = (first.get("delta") or {}) if isinstance(first, dict) else None
    if not isinstance(delta, dict):
        raise BadAnswer(f"an event of another shape: {shown(data)}")
    texts = [text for name in TEXTS if (text := delta.get(name))]
    if not all(isinstance(text, str) for text in texts):
        raise BadAnswer(f"an event of another shape: {shown(data)}")
    return "".join(texts)


def shown(data: bytes) -> str:
    return printable(data[:200].decode("utf-8", errors="replace"))


def printable(text: t.Any, limit: int = 200) -> str:
    """One line of what any terminal and file can take: gateways send control characters and half surrogates too."""
    line = " ".join(str(text).split())[:limit]
    return "".join(letter if letter.isprintable() else "?" for letter in line)
