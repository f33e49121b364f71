# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge of all clouds of the tests: what goes in and out must be of Google's own types.

Two know them: the discovery documents (official.py), and for GKE google-cloud-container's messages (messages.py).
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import typing as t
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from tests import messages, official

# Parameters besides those of the documents: Google's front end takes the one for every method, gcloud 528 sends the
# other also to lists that today's documents know without it.
_EVERYWHERE = {"$alt", "returnPartialSuccess"}
_ERROR = {"code", "message", "errors", "status", "details"}

# Google's upload server refuses chunks in plain words, and says without any that a session was cancelled.
_PLAIN = {400: ("text/plain",), 499: ("application/octet-stream",), 503: ("text/plain",)}

# The recordings of gkehub were made with v1beta1, which puts operations below their object and has one field more.
_EXCUSED = (
    r"GET /gkehub/v1\w*/projects/[^/]+/locations/[^/]+/(memberships|features)/[^/]+/operations/.*",
    r"gkehub\.projects\.locations\.memberships\.\w+: [\w.\[\]]+\.infrastructureType: there is no such field",
)


class Judge:
    """Install ``middleware()`` in a cloud's application, read ``violations()`` and ``judged``.

    ``tell`` hears each violation when it is first found: ("request" or "answer", what).
    """

    def __init__(self, tell: Callable[[str, str], None] = lambda side, violation: None) -> None:
        self.judged: collections.Counter[str] = collections.Counter()  # methods
        self._tell = tell
        self._found: dict[str, set[str]] = {"request": set(), "answer": set()}

    def violations(self, *, requests: bool = True) -> list[str]:
        """Those of answers and, where clients mean to do it right, of ``requests``."""
        return sorted(self._found["answer"] | (self._found["request"] if requests else set()))

    def middleware(self) -> t.Any:
        @web.middleware
        async def judge(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            answer = await handler(request)
            cut_off = request.transport is None or request.transport.is_closing()
            if isinstance(answer, web.Response) and not cut_off:
                try:
                    given = await request.read()
                except web.RequestPayloadError:  # of another Content-Encoding than it says
                    given = b""
                self._note("answer", self._answered(request, answer))
                if answer.status != 400:  # which says that the request is not of its type
                    self._note("request", self._asked(request, answer, given))
            return answer

        return judge

    def _note(self, side: str, found: Iterator[str]) -> None:
        for violation in found:
            if violation not in self._found[side] and not any(re.fullmatch(known, violation) for known in _EXCUSED):
                self._found[side].add(violation)
                self._tell(side, violation)

    def _answered(self, request: web.Request, answer: web.Response) -> Iterator[str]:
        body = answer.body if isinstance(answer.body, bytes) else b""
        where = _Where.of(request)
        if where is None or (where.upload and answer.content_type in _PLAIN.get(answer.status, ())):
            return
        if answer.status >= 400:
            yield from (f"{request.method} {request.path}: {fault}" for fault in _error(answer.status, body))
        elif where.method is not None:
            self.judged[where.method.id] += 1
            yield from where.judge("answer", json.loads(body) if body else None)

    def _asked(self, request: web.Request, answer: web.Response, given: bytes) -> Iterator[str]:
        where = _Where.of(request)
        if where is None or where.upload:
            return
        if where.method is not None:
            unknown = set(request.query) - where.method.query - _EVERYWHERE
            yield from (f"{where.method.id}: there is no parameter {name}" for name in sorted(unknown))
            try:
                sent = json.loads(given) if given else None
            except ValueError:
                yield f"{where.method.id}: a body that is no JSON"
            else:
                yield from where.judge("request", _stated(sent))
        elif answer.status < 400:
            yield f"{request.method} {request.path}: Google has no such method"


@dataclasses.dataclass(frozen=True)
class _Where:
    """Which method of which API a request is of, as either judge knows it; ``upload``: its body is an object's."""

    api: official.Api | None
    method: official.Method | None
    message: messages.Method | None
    upload: bool

    @classmethod
    def of(cls, request: web.Request) -> _Where | None:
        """None for downloads, and for what is the sandbox's own."""
        parts = re.fullmatch(r"((?:/resumable)?/upload)?/(\w+)/(v\d\w*)/(.*)", request.rel_url.raw_path)
        if parts is None or request.query.get("alt") == "media":
            return None
        upload, service, version, path = parts.groups()
        try:
            api = official.api(service, version)
        except LookupError:
            return cls(None, None, None, False)
        # An upload may end with a PUT; two documents have the version in their base already.
        verb, own = "POST" if upload else request.method, service in ("compute", "storage")
        known = service == "container" and version in messages.VERSIONS
        return cls(
            api,
            api.method(verb, path if own else f"{version}/{path}"),
            messages.method(version, verb, f"/{version}/{path}") if known else None,
            bool(upload),
        )

    def judge(self, side: t.Literal["request", "answer"], body: t.Any) -> Iterator[str]:
        if body is None or self.api is None or self.method is None:
            return
        yield from (f"{self.method.id}: {one}" for one in self.api.violations(getattr(self.method, side), body))
        message = getattr(self.message, side, None)
        if message is not None and (found := messages.violation(message, body)):
            yield f"{self.method.id}: {found}"


def _stated(value: t.Any) -> t.Any:
    """A request as Google's JSON parser takes it: null is absent."""
    if isinstance(value, dict):
        return {name: _stated(item) for name, item in value.items() if item is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _error(status: int, body: bytes) -> Iterator[str]:
    """An error is Google's own kind of document, too."""
    try:
        error = json.loads(body)["error"]
        wrong = error["code"] != status or not isinstance(error["message"], str) or set(error) - _ERROR
    except (ValueError, KeyError, TypeError):
        wrong = True
    if wrong:
        yield f"{status} with {body[:200]!r}"
