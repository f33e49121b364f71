# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""JSON over HTTP with Google's error shape: reads are repeated, a write that may have landed is looked up first."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from collections.abc import Callable, Iterator, Mapping

try:
    import google.auth.exceptions as auth_exceptions
    import requests
except ImportError:  # connect() reports it
    pass

from .._errors import ApiError, CollectionError, Conflict, NotFound, WaitTimeout
from .._wait import Backoff, Clock, wait_for
from .remedies import remedy_for

T = t.TypeVar("T")
Json = dict[str, t.Any]

TIMEOUT = (10.0, 90.0)  # connect, read; seconds of one request
RETRY_FOR = 60.0  # seconds after which a failing service is reported
BACKOFF = Backoff(first=0.5, factor=2.0, cap=15.0, jitter=0.5)

# compute answers without the canonical status.
CANONICAL = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
DISABLED_REASONS = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})


class Unreachable(CollectionError):
    """No answer came. ``sent``: the request may have reached the service."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def api_error(code: int, body: t.Any, what: str) -> ApiError:
    """The error for an answer in Google's shape {"error": {code, message, status, errors, details}}."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ApiError(
            f"{what}: HTTP {code}, and the answer is not one of Google's; check api_endpoints",
            code=code,
            status=CANONICAL.get(code, ""),
        )
    reasons = [part.get("reason", "") for key in ("details", "errors") for part in error.get(key) or ()]
    reason = next(filter(None, reasons), "")
    status = error.get("status") or CANONICAL.get(code, "")
    text = str(error.get("message") or "no message")
    kind = {404: NotFound, 409: Conflict, 412: Conflict}.get(code, ApiError)
    remedy = remedy_for(text, status=status, reason=reason)
    label = f"{code} {status}".strip()
    return kind(
        f"{what}: {label}: {text}" + (f" -- {remedy}" if remedy else ""),
        code=code,
        status=status,
        reason=reason,
        **({"remedy": remedy} if remedy else {}),
    )


def is_rate_limit(error: Exception) -> bool:
    return isinstance(error, ApiError) and (error.code == 429 or error.reason in RATE_REASONS)


def is_disabled(error: Exception) -> bool:
    """The service is not enabled in the project."""
    return isinstance(error, ApiError) and error.code == 403 and error.reason in DISABLED_REASONS


def is_busy(error: Exception) -> bool:
    """Another operation holds the object: the request was refused and may be repeated later.

    GKE says 400 FAILED_PRECONDITION "...running incompatible operation..."; compute says resourceNotReady.
    """
    if not isinstance(error, ApiError):
        return False
    if error.reason == "resourceNotReady":
        return True
    return error.status == "FAILED_PRECONDITION" and "incompatible operation" in error.message


def is_stale(error: Exception) -> bool:
    """Somebody changed the object between a read and the write built on it: read again.

    GKE says FAILED_PRECONDITION "Labels could not be set due to fingerprint mismatch".
    """
    if isinstance(error, Conflict):
        return error.code == 412 or error.status == "ABORTED"
    return (
        isinstance(error, ApiError)
        and error.status == "FAILED_PRECONDITION"
        and "fingerprint mismatch" in error.message
    )


def may_have_landed(error: Exception) -> bool:
    """After this failure of a write nobody knows whether it was carried out."""
    return (isinstance(error, ApiError) and error.code >= 500) or (isinstance(error, Unreachable) and error.sent)


def _passing(error: Exception) -> bool:
    return is_rate_limit(error) or isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.code >= 500)


@dataclasses.dataclass(frozen=True)
class Persistence:
    """How stubbornly a request is repeated; tests pass their own."""

    retry_for: float = RETRY_FOR
    backoff: Backoff = BACKOFF
    clock: Clock = Clock()


def persist(
    send: Callable[[], T],
    *,
    read: bool,
    landed: Callable[[], T | None] | None = None,
    how: Persistence | None = None,
) -> T:
    """Send until an answer comes; 429, 5xx and broken connections pass.

    A write (``read=False``) after whose failure nobody knows whether it was carried out is never just
    repeated: ``landed()`` looks for its effect and returns the answer, or None when there is none
    and the write is due again. Without ``landed`` such a failure is raised at once.
    """
    how = how or Persistence()
    doubtful = False
    failure: CollectionError | None = None
    answers: list[T] = []

    def attempt() -> bool:
        nonlocal doubtful, failure
        try:
            if doubtful and landed is not None and (found := landed()) is not None:
                answers.append(found)
            else:
                answers.append(send())
        except CollectionError as error:
            failure = error
            # The first attempt may have landed after all, between the look and the repetition.
            raced = doubtful and isinstance(error, (Conflict, NotFound))
            if raced and landed is not None and (found := landed()) is not None:
                answers.append(found)
                return True
            if not _passing(error):
                raise
            if not read and may_have_landed(error):
                if landed is None:
                    raise
                doubtful = True
            return False
        return True

    try:
        wait_for(attempt, bool, timeout=how.retry_for, what="an answer", backoff=how.backoff, clock=how.clock)
    except WaitTimeout:
        if failure is not None:
            raise failure from None
        raise
    return answers[-1]


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever requests, google-auth and Google's SDKs raise into errors of ours."""
    try:
        yield
    except auth_exceptions.TransportError as error:
        raise Unreachable(f"{what}: no access token: {error}", sent=False) from error
    except auth_exceptions.GoogleAuthError as error:
        raise CollectionError(
            f"{what}: no access token: {error.args[0] if error.args else error}", api_status="UNAUTHENTICATED"
        ) from error
    except requests.exceptions.InvalidHeader:
        # Its text quotes the header, which holds the token.
        raise CollectionError(
            f"{what}: the credentials or quota_project hold characters that cannot be in an HTTP header"
        ) from None
    except requests.exceptions.RequestException as error:
        raise Unreachable(f"{what}: no answer: {error}", sent=not _never_sent(error)) from error
    except Exception as error:
        # google-api-core belongs to the SDK of the container API and is not there for every module.
        if type(error).__module__ != "google.api_core.exceptions":
            raise
        raise _of_sdk(error, what) from error


def _of_sdk(error: t.Any, what: str) -> CollectionError:
    code = getattr(error, "code", None)
    if code is None:  # RetryError: its cause is the last answer
        cause = getattr(error, "cause", None)
        if cause is not None and getattr(cause, "code", None) is not None:
            return _of_sdk(cause, what)
        return Unreachable(f"{what}: no answer: {error}", sent=True)
    body = None
    with contextlib.suppress(AttributeError, ValueError):
        body = error.response.json()
    if body is None:
        body = {"error": {"message": error.message, "status": getattr(error.grpc_status_code, "name", "")}}
    return api_error(int(code), body, what)


def _never_sent(error: Exception) -> bool:
    """Whether the connection was never made, so that the service cannot have seen the request."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    seen: t.Any = error
    for _depth in range(5):
        if type(seen).__name__ in ("NewConnectionError", "NameResolutionError"):
            return True
        seen = getattr(seen, "reason", None) or next(
            (a for a in getattr(seen, "args", ()) if isinstance(a, Exception)), None
        )
        if seen is None:
            break
    return False


class Rest:
    """One service: paths are relative to its base URL, bodies and answers are parsed JSON."""

    def __init__(self, session: t.Any, base: str, *, plan_only: bool = False, how: Persistence | None = None) -> None:
        """``session``: a requests session that authorises itself. ``plan_only``: see find()."""
        self._session = session
        self.base = base.rstrip("/") + "/"
        self._plan_only = plan_only
        self._how = how

    def get(self, path: str, params: Json | None = None) -> Json:
        return self.request("GET", path, params=params, read=True)

    def find(self, path: str, params: Json | None = None) -> Json | None:
        """The object, or None when it is not there.

        In check mode a service that is not enabled yet has no objects: the same play would enable it first.
        """
        try:
            return self.get(path, params)
        except NotFound:
            return None
        except ApiError as error:
            if self._plan_only and is_disabled(error):
                return None
            raise

    def pages(self, path: str, key: str, params: Json | None = None) -> Iterator[Json]:
        """Every item of a list that comes in pages."""
        query = dict(params or {})
        while True:
            page = self.get(path, query)
            yield from page.get(key) or ()
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def post(self, path: str, body: Json | None = None, **how: t.Any) -> Json:
        return self.request("POST", path, body=body or {}, **how)

    def put(self, path: str, body: Json, **how: t.Any) -> Json:
        return self.request("PUT", path, body=body, **how)

    def patch(self, path: str, body: Json, **how: t.Any) -> Json:
        return self.request("PATCH", path, body=body, **how)

    def delete(self, path: str, **how: t.Any) -> Json:
        return self.request("DELETE", path, **how)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        params: Json | None = None,
        read: bool = False,
        landed: Callable[[], Json | None] | None = None,
    ) -> Json:
        """One request, repeated as persist() says. Raises ApiError and its kin."""
        return persist(lambda: self._send(method, path, body, params), read=read, landed=landed, how=self._how)

    def _send(self, method: str, path: str, body: Json | None, params: Json | None) -> Json:
        url = self.base + path.lstrip("/")
        what = f"{method} {url}"
        with translated(what):
            # A redirect would turn a write into a read, and no API of Google's answers with one.
            answer = self._session.request(
                method, url, json=body, params=params, timeout=TIMEOUT, allow_redirects=False
            )
        try:
            parsed = answer.json() if answer.content else {}
        except ValueError:
            parsed = None
        if 200 <= answer.status_code < 300 and isinstance(parsed, dict):
            return parsed
        raise api_error(answer.status_code, parsed, what)
