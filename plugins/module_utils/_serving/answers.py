# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""One completion asked for at a gateway's address, as one client sees it."""

from __future__ import annotations

import dataclasses
import time
import typing as t

try:
    import requests
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True

from .._errors import MissingLibrary

QUESTION = "Say in one sentence which service you are part of."
MAX_TOKENS = 24
EXCERPT = 200  # characters of a body that is no completion
CONNECTING = 10.0  # seconds; a model may think for long, a network that lets nobody through is known soon


@dataclasses.dataclass(frozen=True)
class Answer:
    """``status``: HTTP's, 0 when no answer came. ``served_by``: the region that the header names, "" without it.

    ``text`` is the completion, or the beginning of what came instead, or why nothing came.
    """

    status: int
    text: str
    served_by: str = ""
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return self.status == 200


def ask(url: str, model: str, *, header: str, timeout: float) -> Answer:
    """Never raises for what a server or a network does; an answer of 200 that is no completion has status 0."""
    if not HAS_REQUESTS:
        raise MissingLibrary("requests")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
    }
    began = time.monotonic()
    try:
        answer = requests.post(
            f"{url}/v1/chat/completions",
            json=body,
            timeout=(min(CONNECTING, timeout), timeout),
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        return Answer(0, _why(error, timeout), seconds=_since(began))
    served_by = answer.headers.get(header, "") if header else ""
    if answer.status_code != 200:
        return Answer(answer.status_code, " ".join(answer.text[:EXCERPT].split()), served_by, _since(began))
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        said = f"200, but no completion: {answer.text[:EXCERPT]}"
        return Answer(0, said, served_by, _since(began))
    return Answer(200, str(text), served_by, _since(began))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _why(error: t.Any, timeout: float) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {min(CONNECTING, timeout):g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout:g} s"
    if "refused" in str(error):
        return "connection refused"
    return f"{type(error).__name__}: {error}"
