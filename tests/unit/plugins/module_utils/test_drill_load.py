# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every scheduled request has exactly one record, whatever a gateway sends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import typing as t
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._drill import load, statistics
from ansible_collections.aiserving.gke.plugins.module_utils._drill.answer import Answer
from ansible_collections.aiserving.gke.plugins.module_utils._drill.records import Record, read, read_file
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError
from hypothesis import given, settings
from hypothesis import strategies as st

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DONE = b"data: [DONE]\n\n"


def event(document: t.Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def token(text: t.Any = "word") -> bytes:
    return event({"choices": [{"delta": {"content": text}}]})


def answer(body: bytes, status: str = "200 OK", *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"x-serving-region: a", *headers, b"Connection: close", b"", b""]
    return b"\r\n".join(lines) + body


class Gateway:
    """Answers each request with the next of ``replies``, raw bytes or a coroutine function, and then hangs up."""

    def __init__(self) -> None:
        self.replies: Iterator[bytes | Reply] = iter(())
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            reply = next(self.replies)
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(reader, writer)
        writer.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """One for all the tests here, in a thread."""
    found, loop = Gateway(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(found.serve, "127.0.0.1", 0), loop).result(30)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield found
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


def send(gateway: Gateway, folder: Path, replies: list[bytes | Reply], timeout: float = 5.0) -> list[Record]:
    """The records of one request per reply, read back from their file."""
    gateway.replies = iter(replies)
    targets = [load.Target("a", gateway.url)]
    wanted = load.Load(
        targets, "m", rate=200, duration=len(replies) / 200, prompt="x", max_tokens=4, request_timeout=timeout
    )
    path = folder / "records.jsonl"
    path.write_text("")
    returned = asyncio.run(load.run(wanted, path, lambda: False))
    found = read_file(path)
    assert sorted(found, key=lambda r: r.number) == sorted(returned, key=lambda r: r.number)
    return found


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(token()))
    await reader.read()  # until the client hangs up


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b""))
    while not reader.at_eof():
        writer.write(b": still here\n\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(token()))
    await writer.drain()
    writer.transport.abort()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All of it, and then no end of the connection."""
    writer.write(answer(token() + DONE))
    await reader.read()


DEEP = b"[" * 100_000 + b"]" * 100_000

LOST = {
    "503 in Latin-1": (answer("Störung".encode("latin-1"), "503 Service Unavailable"), "St?rung"),
    "503 in no charset of this world": (
        answer(b"down", "503 Service Unavailable", b"Content-Type: text/plain; charset=klingon"),
        "down",
    ),
    "a body that is said to be gzip": (answer(b"no gzip", "503 Service Unavailable", b"Content-Encoding: gzip"), ""),
    "a stream that is said to be gzip": (answer(token() + DONE, "200 OK", b"Content-Encoding: gzip"), ""),
    "an event that is a list": (answer(event([1]) + DONE), "an event that is no object: [1]"),
    "a choice that is a number": (answer(event({"choices": [5]}) + DONE), "another shape"),
    "choices that are a number": (answer(event({"choices": 5}) + DONE), "another shape"),
    "a delta that is a text": (answer(event({"choices": [{"delta": "x"}]}) + DONE), "another shape"),
    "a content that is a number": (answer(token(5) + DONE), "another shape"),
    "deep JSON": (answer(b"data: " + DEEP + b"\n\n" + DONE), "an event that is no JSON"),
    "no JSON": (answer(token() + b"data: {half\n\n" + DONE), "an event that is no JSON: {half"),
    "an error inside of the stream": (
        answer(token() + event({"error": {"message": "engine is dead"}}) + DONE),
        "engine is dead",
    ),
    "no token": (answer(token("") + DONE), "the answer ended without a token"),
    "nothing at all": (answer(b""), "the stream was cut off"),
    "cut off": (answer(token()), "the stream was cut off"),
    "cut off in a chunk": (
        answer(b"ff\r\n" + token(), "200 OK", b"Transfer-Encoding: chunked"),
        "ClientPayloadError",
    ),
    "a line without end": (answer(b"data: " + b"x" * (2 << 20)), "a line of more than"),
    "a redirect": (answer(b"", "302 Found", b"Location: http://[half"), "no body"),
    "a status that is no number": (answer(token() + DONE, "OK 200"), ""),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01", ""),
    "no answer": (hang_up, "ServerDisconnectedError"),
    "reset": (reset, ""),
    "stalled": (stall, "no complete answer within 0.5 s"),
    "dripping": (drip, "no complete answer within 0.5 s"),
}

SERVED = {
    "as it should be": answer(token() + DONE),
    "a line of 600 kB": answer(token("x" * 600_000) + DONE),
    "a reasoning model": answer(event({"choices": [{"delta": {"content": None, "reasoning_content": "hm"}}]}) + DONE),
    "usage behind the last token": answer(token() + event({"choices": [], "usage": {"total_tokens": 9}}) + DONE),
    "comments and other fields": answer(b": ping\n\nevent: x\nid: 7\n" + token() + DONE),
    "lines that end as on Windows": answer((token() + DONE).replace(b"\n", b"\r\n")),
    "garbage behind the end": answer(token() + DONE + b"\xff\xfe{"),
    "an end that is not hung up": linger,
}


@pytest.mark.parametrize(("reply", "error"), LOST.values(), ids=LOST.keys())
def test_what_no_client_can_use_is_one_lost_record(
    gateway: Gateway, tmp_path: Path, reply: bytes | Reply, error: str
) -> None:
    [record] = send(gateway, tmp_path, [reply], timeout=0.5)
    assert not record.ok and record.error and error in record.error.replace("\ufffd", "?")


@pytest.mark.parametrize("reply", SERVED.values(), ids=SERVED.keys())
def test_what_a_client_can_use_is_one_good_record(gateway: Gateway, tmp_path: Path, reply: bytes | Reply) -> None:
    [record] = send(gateway, tmp_path, [reply])
    assert record.ok, record.error
    assert (record.tokens, record.region) == (1, "a")
    assert record.first_token is not None and record.first_token <= record.latency < 0.9


def test_a_region_and_a_text_that_no_file_could_hold_are_made_readable(gateway: Gateway, tmp_path: Path) -> None:
    head = answer(token("\ud800") + DONE).replace(b"region: a", b"region: \xff\x01b")
    [record] = send(gateway, tmp_path, [head])
    assert record.ok and record.region == "??b"
    gateway.replies = iter([head])
    wanted = load.Load([load.Target("a", gateway.url)], "m", 1, 1, "x", 4, request_timeout=5)
    [(_unused, text)] = asyncio.run(load.ask(wanted))
    assert text == "?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("choices", "delta", "content", "error", "object")), inner, max_size=3)
    ),
    max_leaves=8,
)
LINES = st.one_of(
    st.binary(max_size=40),
    JSON.map(event),
    st.sampled_from([token(), token(""), DONE, b"data:", b"\r\n", event({"error": "x"}), event({"choices": [{}]})]),
)
BODIES = st.lists(LINES, max_size=6).map(b"".join)
HEADERS = st.lists(
    st.sampled_from(
        [
            b"Content-Encoding: gzip",
            b"Transfer-Encoding: chunked",
            b"Content-Length: 7",
            b"Content-Type: a; charset=\xff",
        ]
    )
    | st.binary(max_size=20).map(lambda value: b"x-serving-region: " + value),
    max_size=2,
)
STATUSES = st.sampled_from(["200 OK", "200", "204 None", "404 No", "503 \xff", "999 X", "100 Continue", "OK"])
REPLIES = st.builds(lambda body, status, headers: answer(body, status, *headers), BODIES, STATUSES, HEADERS)


@settings(max_examples=60, deadline=None)
@given(replies=st.lists(REPLIES | st.binary(max_size=60), min_size=1, max_size=6))
def test_any_bytes_give_one_record_per_request(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, replies: list[bytes]
) -> None:
    """The load, its file and the report take whatever came."""
    records = send(gateway, tmp_path_factory.mktemp("load"), list(replies), timeout=1)
    assert sorted(record.number for record in records) == list(range(len(replies)))
    assert all(record.ok == (record.status == 200 and record.tokens > 0 and not record.error) for record in records)
    summary = statistics.summarize(records, statistics.Events(records[0].start), "a", statistics.Objectives())
    json.dumps([summary, *map(dataclasses.asdict, records)], ensure_ascii=False).encode("utf-8")
    assert sum(summary["errors"].values()) <= summary["lost"] == sum(not record.ok for record in records)


@given(data=st.data(), pieces=st.lists(LINES, max_size=8))
def test_how_an_answer_is_cut_into_pieces_says_nothing(data: st.DataObject, pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    whole = Answer()
    whole.feed(body)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=8)))
    parts = Answer()
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        if not parts.over:
            parts.feed(body[begin:end])
    assert (parts.verdict(), parts.tokens, parts.text) == (whole.verdict(), whole.tokens, whole.text)


@dataclasses.dataclass(frozen=True)
class Known:
    """An event whose meaning is known because it was made so."""

    line: bytes
    tokens: int
    bad: bool = False


EVENTS = st.one_of(
    st.text(min_size=1, max_size=5).map(lambda text: Known(token(text), 1)),
    st.sampled_from([Known(token(""), 0), Known(token(None), 0), Known(b": ping\n\n", 0), Known(event({}), 0)]),
    st.sampled_from([Known(event({"error": "x"}), 0, True), Known(event([]), 0, True), Known(b"data: {\n\n", 0, True)]),
)


@given(events=st.lists(EVENTS, max_size=6), done=st.booleans())
def test_an_answer_is_whole_when_it_has_a_token_an_end_and_nothing_bad(events: list[Known], done: bool) -> None:
    seen = Answer()
    seen.feed(b"".join(item.line for item in events) + DONE * done)
    good = done and any(item.tokens for item in events) and not any(item.bad for item in events)
    assert (seen.verdict() == "") == good, seen.verdict()
    if good:
        assert seen.tokens == sum(item.tokens for item in events)


def test_a_load_that_is_cancelled_has_a_record_of_every_request_too(gateway: Gateway, tmp_path: Path) -> None:
    path, begun = tmp_path / "records.jsonl", 0

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        await stall(reader, writer)

    async def cancel() -> None:
        wanted = load.Load([load.Target("a", gateway.url)], "m", 50, 60, "x", 4, request_timeout=0.5)
        running = asyncio.create_task(load.run(wanted, path, lambda: False))
        while begun < 5:
            await asyncio.sleep(0.01)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    gateway.replies = iter([reply] * 1000)
    path.write_text("")
    asyncio.run(cancel())
    numbers = sorted(record.number for record in read_file(path))
    assert numbers == list(range(len(numbers))) and len(numbers) >= begun


def test_a_load_whose_records_were_replaced_ends(gateway: Gateway, tmp_path: Path) -> None:
    """The next drill has made its own file of the same name: this load must not go on beside its load."""
    path = tmp_path / "records.jsonl"
    path.write_text("")
    wanted = load.Load([load.Target("a", gateway.url)], "m", 50, 600, "x", 4, request_timeout=5)

    async def replace() -> list[Record]:
        running = asyncio.create_task(load.run(wanted, path, lambda: False))
        while not path.read_text():
            await asyncio.sleep(0.01)
        path.rename(tmp_path / "earlier")
        path.write_text("")
        return await asyncio.wait_for(running, 60)

    gateway.replies = iter([answer(token() + DONE)] * 10_000)
    assert 0 < len(asyncio.run(replace())) < 3000
    assert path.read_text() == ""


RECORD = Record("a", 1, 1.0, 1.0, 0.1, 0.05, 200, "a", 4).line()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PASSED\n", "line 2: no record of a load"),
        ("[]\n", "an object was wanted, not a list"),
        ("{}\n", "key 'target' is missing"),
        (RECORD.replace('"number":1', '"number":"1"'), "number: int was wanted, not '1'"),
        (RECORD.replace('"number":1', '"number":true'), "number: int was wanted, not True"),
        (RECORD.replace('"latency":0.1', '"latency":NaN'), "latency: float was wanted, not nan"),
        (RECORD.replace('"latency":0.1', '"latency":1' + "0" * 400), "latency: float was wanted, not 1000"),
        (RECORD.replace('"tokens"', '"colour"'), "it has no key 'colour'"),
        ("[" * 100_000 + "\n", "line 2: no record of a load"),
    ],
)
def test_a_file_that_holds_something_else_is_told(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(RECORD + line)
    with pytest.raises(CollectionError, match="no record of a load") as failed:
        read_file(path)
    assert told in failed.value.message and str(path) in failed.value.message


@given(text=st.text(), region=st.text(), numbers=st.tuples(st.integers(), st.integers()))
def test_a_record_is_read_as_it_was_written(text: str, region: str, numbers: tuple[int, int]) -> None:
    record = Record("a", numbers[0], 1.0, 2.0, 0.5, None, numbers[1], region, 3, text)
    assert list(read([record.line()])) == [record]
