# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors in Google's shape, and what is repeated, looked up or given up."""

from __future__ import annotations

import json
import typing as t

import google.api_core.exceptions as sdk
import pytest
import requests
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    ApiError,
    CollectionError,
    Conflict,
    NotFound,
)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import (
    Persistence,
    Rest,
    Unreachable,
    api_error,
    is_busy,
    is_disabled,
    is_stale,
    persist,
    translated,
)
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff, Clock
from google.auth.exceptions import RefreshError, TransportError
from urllib3.exceptions import MaxRetryError, NewConnectionError

Json = dict[str, t.Any]


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def quick() -> Persistence:
    time = FakeTime()
    clock = Clock(now=lambda: time.now, sleep=time.sleep)
    return Persistence(retry_for=10, backoff=Backoff(first=1, factor=2, cap=4, jitter=0), clock=clock)


def google(code: int, message: str, status: str = "", **more: t.Any) -> Json:
    return {"error": {"code": code, "message": message, **({"status": status} if status else {}), **more}}


NEVER_SENT = requests.exceptions.ConnectionError(
    MaxRetryError(t.cast(t.Any, None), "/", NewConnectionError(t.cast(t.Any, None), "refused"))
)
RESET = requests.exceptions.ConnectionError("Connection reset by peer")


class Session:
    """Answers from a script: (status, body) or an exception, in order."""

    def __init__(self, *script: t.Any) -> None:
        self.script = list(script)
        self.sent: list[tuple[str, str, t.Any]] = []

    def request(self, method: str, url: str, **given: t.Any) -> requests.Response:
        self.sent.append((method, url, given.get("json")))
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        response = requests.Response()
        response.status_code, body = step
        response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return response


def rest(*script: t.Any, plan_only: bool = False) -> tuple[Rest, Session]:
    session = Session(*script)
    return Rest(session, "https://api.example/v9", plan_only=plan_only, how=quick()), session


@pytest.mark.parametrize(
    ("code", "body", "kind", "status", "reason"),
    [
        (404, google(404, "gone", errors=[{"reason": "notFound"}]), NotFound, "NOT_FOUND", "notFound"),
        (409, google(409, "there", "ABORTED"), Conflict, "ABORTED", ""),
        (409, google(409, "there"), Conflict, "ALREADY_EXISTS", ""),
        (412, google(412, "old", errors=[{"reason": "stale"}]), Conflict, "FAILED_PRECONDITION", "stale"),
        (403, google(403, "no", details=[{"reason": "DISABLED"}]), ApiError, "PERMISSION_DENIED", "DISABLED"),
        (400, google(400, "bad"), ApiError, "INVALID_ARGUMENT", ""),
    ],
)
def test_errors_in_googles_shape(code: int, body: Json, kind: type[ApiError], status: str, reason: str) -> None:
    error = api_error(code, body, "GET x")
    assert error.__class__ is kind
    assert (error.code, error.status, error.reason) == (code, status, reason)
    assert body["error"]["message"] in error.message


@pytest.mark.parametrize("body", [None, "<html>", {"detail": "not found"}, {"error": "not_found"}])
def test_a_404_that_is_not_googles_does_not_mean_absent(body: t.Any) -> None:
    error = api_error(404, body, "GET x")
    assert not isinstance(error, NotFound)
    assert "api_endpoints" in error.message


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("[GCE_STOCKOUT]: no capacity", "another zone"),
        ("Quota 'TPUS_PER_TPU_FAMILY' exceeded. Limit: 0.0", "quota"),
        ('Insufficient regional quota to satisfy request: resource "CPUS"', "quota"),
        ("Identity Pool does not exist (p.svc.id.goog)", "run again"),
    ],
)
def test_errors_come_with_a_remedy(message: str, remedy: str) -> None:
    error = api_error(403, google(403, message), "POST x")
    assert remedy in error.details["remedy"]
    assert remedy in error.message


BUSY = google(400, "Cluster is running incompatible operation operation-1.", "FAILED_PRECONDITION")


def test_kinds_of_refusal() -> None:
    assert is_busy(api_error(400, BUSY, "x"))
    assert is_busy(api_error(400, google(400, "not ready", errors=[{"reason": "resourceNotReady"}]), "x"))
    assert not is_busy(api_error(400, google(400, "other", "FAILED_PRECONDITION"), "x"))
    assert is_stale(api_error(412, google(412, "x"), "x"))
    assert is_stale(api_error(409, google(409, "x", "ABORTED"), "x"))
    assert not is_stale(api_error(409, google(409, "x", "ALREADY_EXISTS"), "x"))
    assert is_disabled(api_error(403, google(403, "x", errors=[{"reason": "accessNotConfigured"}]), "x"))


PASSING: list[t.Any] = [
    (429, google(429, "slow down", "RESOURCE_EXHAUSTED")),
    (403, google(403, "slow down", errors=[{"reason": "rateLimitExceeded"}])),
    (500, google(500, "oops", "INTERNAL")),
    (503, google(503, "later", "UNAVAILABLE")),
    (502, b"<html>Bad Gateway</html>"),
    RESET,
    NEVER_SENT,
    requests.exceptions.ReadTimeout("slow"),
    TransportError("metadata server"),
]


@pytest.mark.parametrize("trouble", PASSING, ids=str)
def test_reads_are_repeated(trouble: t.Any) -> None:
    service, session = rest(trouble, trouble, (200, {"name": "x"}))
    assert service.get("things/x") == {"name": "x"}
    assert session.sent == [("GET", "https://api.example/v9/things/x", None)] * 3


def test_reads_give_up_with_the_last_error() -> None:
    service, session = rest(*[(503, google(503, "later", "UNAVAILABLE"))] * 20)
    with pytest.raises(ApiError, match="503 UNAVAILABLE: later") as failure:
        service.get("x")
    assert failure.value.code == 503
    assert 4 <= len(session.sent) <= 6


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409])
def test_refusals_are_not_repeated(code: int) -> None:
    service, session = rest((code, google(code, "no")))
    with pytest.raises(ApiError):
        service.get("x")
    assert len(session.sent) == 1


@pytest.mark.parametrize("trouble", [PASSING[0], PASSING[1], NEVER_SENT], ids=["429", "rate", "never sent"])
def test_a_write_that_was_not_carried_out_is_repeated(trouble: t.Any) -> None:
    service, session = rest(trouble, (200, {"name": "op"}))
    assert service.post("things", {"name": "x"}) == {"name": "op"}
    assert len(session.sent) == 2


DOUBTFUL: list[t.Any] = [(503, google(503, "later")), (500, google(500, "oops")), RESET]


@pytest.mark.parametrize("trouble", DOUBTFUL, ids=str)
def test_a_write_that_may_have_landed_is_not_just_repeated(trouble: t.Any) -> None:
    service, session = rest(trouble)
    with pytest.raises(CollectionError):
        service.post("things", {"name": "x"})
    assert len(session.sent) == 1


@pytest.mark.parametrize("trouble", DOUBTFUL, ids=str)
def test_a_write_that_landed_is_found(trouble: t.Any) -> None:
    service, session = rest(trouble)
    assert service.post("things", {"name": "x"}, landed=lambda: {"found": True}) == {"found": True}
    assert len(session.sent) == 1


@pytest.mark.parametrize("trouble", DOUBTFUL, ids=str)
def test_a_write_that_did_not_land_is_repeated(trouble: t.Any) -> None:
    service, session = rest(trouble, (200, {"name": "op"}))
    assert service.post("things", {"name": "x"}, landed=lambda: None) == {"name": "op"}
    assert len(session.sent) == 2


def test_a_write_that_lands_between_look_and_repetition() -> None:
    looks: list[Json | None] = [None, {"found": True}]
    service, _session = rest(RESET, (409, google(409, "there already", "ALREADY_EXISTS")))
    assert service.post("things", {"name": "x"}, landed=lambda: looks.pop(0)) == {"found": True}


def test_a_conflict_without_doubt_is_one() -> None:
    service, _session = rest((409, google(409, "there already", "ALREADY_EXISTS")))
    with pytest.raises(Conflict):
        service.post("things", {"name": "x"}, landed=lambda: {"found": True})


def test_find_tells_absent_from_trouble() -> None:
    assert rest((404, google(404, "no")))[0].find("x") is None
    disabled = (403, google(403, "API not enabled", errors=[{"reason": "accessNotConfigured"}]))
    assert rest(disabled, plan_only=True)[0].find("x") is None
    with pytest.raises(ApiError, match=r"aiserving\.gke\.service"):
        rest(disabled)[0].find("x")


def test_pages() -> None:
    service, session = rest((200, {"items": [{"n": 1}, {"n": 2}], "nextPageToken": "t"}), (200, {}))
    assert list(service.pages("things", "items")) == [{"n": 1}, {"n": 2}]
    assert len(session.sent) == 2


def test_success_must_be_json() -> None:
    assert rest((204, b""))[0].delete("x") == {}
    with pytest.raises(ApiError, match="api_endpoints"):
        rest((200, b"<html>welcome</html>"))[0].get("x")


def test_credentials_that_are_refused() -> None:
    service, session = rest(RefreshError("access_token was not accepted"))
    with pytest.raises(CollectionError, match="access_token was not accepted"):
        service.get("x")
    assert len(session.sent) == 1


def _sdk_error(code: int, body: Json) -> Exception:
    response = requests.Response()
    response.status_code = code
    response._content = json.dumps(body).encode()
    response.request = requests.Request("GET", "https://api.example").prepare()
    return t.cast(Exception, sdk.from_http_response(response))


@pytest.mark.parametrize(
    ("raised", "expected", "code"),
    [
        (_sdk_error(404, google(404, "Not found: c", "NOT_FOUND")), NotFound, 404),
        (_sdk_error(400, BUSY), ApiError, 400),
        (sdk.ServiceUnavailable("later"), ApiError, 503),
        (sdk.RetryError("deadline", cause=sdk.ServiceUnavailable("later")), ApiError, 503),
        (sdk.RetryError("deadline", cause=None), Unreachable, None),
        (RESET, Unreachable, None),
    ],
)
def test_errors_of_the_sdk_become_ours(raised: Exception, expected: type[Exception], code: int | None) -> None:
    with pytest.raises(expected) as failure, translated("get cluster c"):
        raise raised
    assert getattr(failure.value, "code", None) == code
    assert "get cluster c" in str(failure.value)


def test_busy_survives_the_sdk() -> None:
    with pytest.raises(ApiError) as failure, translated("update"):
        raise _sdk_error(400, BUSY)
    assert is_busy(failure.value)


def test_programming_errors_stay_what_they_are() -> None:
    with pytest.raises(KeyError), translated("x"):
        raise KeyError("bug")


def test_persist_serves_calls_of_an_sdk() -> None:
    troubles = [Unreachable("reset", sent=True)]

    def send() -> str:
        if troubles:
            raise troubles.pop()
        return "answer"

    assert persist(send, read=True, how=quick()) == "answer"
