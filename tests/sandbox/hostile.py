# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hostile or careless clients send: well-formed HTTP around headers, paths and bodies that nobody should send.

Requests go over a bare socket: no client library sends most of them.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import socket
import ssl
import typing as t
from urllib.parse import quote

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMEOUT = 20.0
# The same requests in every run; with $HOSTILE_EXAMPLES, that many others for each service.
MORE = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
examples = settings(
    max_examples=MORE or 200,
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = "x" * 300

TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "-", ".", "..", "../..", "a\x00b", "\r\n", LONG, "ü", "日本", "\x7f", "%", "%00", "*", "/"]
    ),
    st.sampled_from(["0", "-1", "1e999", "NaN", "null", "true", "9" * 50, "10.0.0.0/8", "10.0.0.1/8", "::/0", "1.34"]),
    st.sampled_from(["global/networks/default", "projects/p/global/networks/n", "regions/x/y", "roles/", "user:", "("]),
    st.text(max_size=12),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from([0, -1, 7, 5.5, 2**31, 2**63, 2**70, -(2**70), 1e300]), TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)
# Bodies that are no JSON, or none that a server should try to understand.
RAW = st.sampled_from(
    [
        b"{",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b'{"mtu": Infinity}',
        b'{"mtu": 1e999}',
        b'{"mtu": ' + b"9" * 5000 + b"}",
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"labels":' * 400 + b"1" + b"}" * 400,
        b"[" * 100_000,
        b"name: [unclosed",
        b"a: &a [*a]",
        b"--x\r\n\r\n--x--",
        b"--x\r\nContent-Type: application/json\r\n--x\r\n--x--",
        b"--x\r\n\r\n[]\r\n--x\r\n\r\nd\r\n--x--",
        b"\x1f\x8b\x08",
    ]
)
HEADERS = st.sampled_from(
    [
        ("Content-Type", b"application/json; charset=\xff"),
        ("Content-Type", b"application/json; charset=klingon"),
        ("Content-Type", b"application/json; charset=utf-16"),
        ("Content-Type", b"multipart/related; boundary=x"),
        ("Content-Type", b"multipart/related; boundary="),
        ("Content-Type", b"multipart/form-data"),
        ("Content-Type", b"text/plain"),
        ("Content-Type", b"\xff"),
        ("Content-Type", b"application/apply-patch+yaml"),
        ("Content-Type", b"application/json-patch+json"),
        ("Content-Type", b"application/strategic-merge-patch+json"),
        ("Content-Type", b"application/merge-patch+json"),
        ("Content-Encoding", b"gzip"),
        ("User-Agent", b"\xff\xfe"),
        ("User-Agent", b""),
        ("x-goog-api-client", b"\xf0\x9f"),
        ("Accept", b"\xff;q=x"),
        ("Accept", b"application/json;as=Table;g=meta.k8s.io;v=v9"),
        ("Range", b"bytes=9-1"),
        ("Range", b"lines=\xff"),
        ("If-Modified-Since", b"yesterday"),
        ("X-HTTP-Method-Override", b"BREW"),
    ]
)
BEARERS = st.sampled_from([b"Bearer \xff\xfe", "Bearer ünïcode".encode(), b"Bearer", b"Basic Og==", b"\xff", b""])
QUERIES = {
    "alt": ["media", "json", "x"],
    "fields": ["name", "a(b", "a)b", "items(name),items/x", "kind/x/y", "(" * 200, "name/x(y)"],
    "filter": ["name=x", "name eq (", "(((", "state:ENABLED", 'a.b.c != "d"'],
    "maxResults": ["-1", "0", "x", "9" * 30, "１"],
    "pageSize": ["-1", "0", "x", "1_0"],
    "pageToken": ["-5", "x", "99999"],
    "updateMask": ["", ",", "labels", "labels.x.y", "spec.a.b", "authority.issuer", "state", "_", "__"],
    "membershipId": ["", "m2", "M", LONG],
    "featureId": ["", "multiclusteringress", "x"],
    "uploadType": ["media", "multipart", "resumable", "x"],
    "name": ["", "a/b", "o/below", "x" * 1100, "a\x00b", "a\nb", "..", ".", "/abs", "é" * 200, "a//b", "a/./b"],
    "prefix": ["", "o", "\x00"],
    "delimiter": ["", "/", "o"],
    "projection": ["full", "x"],
    "project": ["", "-", "nobody", LONG],
    "ifMetagenerationMatch": ["x", "1"],
    "permissions": ["", "x"],
    "force": ["true", "x"],
    "names": ["", "x/y"],
    "limit": ["-1", "1", "x", "9" * 30],
    "continue": ["x", "bnVsbA==", "W10=", "WzEsMl0=", "/w==", "ü"],
    "labelSelector": ["a in (", "!", "a=b=c", "a in (b),", "x>y", "\x00"],
    "fieldSelector": ["a", "metadata.name=x", "=", "a!=b,"],
    "resourceVersion": ["x", "-1", "0", "9" * 30, "１"],
    "dryRun": ["All", "x"],
    "fieldManager": ["", "m", LONG],
    "fieldValidation": ["Strict", "x"],
    "propagationPolicy": ["Orphan", "x"],
    "gracePeriodSeconds": ["-1", "x", "1", "9" * 30],
    "timeoutSeconds": ["0", "x", "-1"],
    "includeObject": ["x", "Object"],
}
PARAMETERS = st.dictionaries(st.sampled_from(sorted(QUERIES)), st.integers(0, 20), max_size=2).map(
    lambda chosen: [(name, QUERIES[name][number % len(QUERIES[name])]) for name, number in sorted(chosen.items())]
)


@dataclasses.dataclass(frozen=True)
class Request:
    """``path``: quoted, with its query; ``headers`` as bytes go out as they are."""

    method: str
    path: str
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> t.Any:
        return json.loads(self.body)


def with_query(path: str, query: t.Sequence[tuple[str, str]]) -> str:
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query if name)
    return f"{path}?{text}" if text else path


def path(template: str, names: t.Mapping[str, str]) -> str:
    """The route's path, "{placeholders}" replaced by their names."""
    return _filled(template, {key: quote(name, safe="/") for key, name in names.items()})


def paths(template: str, names: t.Mapping[str, str]) -> st.SearchStrategy[str]:
    """Paths of the route with hostile text for one placeholder; the last, which names the thing, most often."""
    keys = [part for index, part in enumerate(template.replace("}", "{").split("{")) if index % 2]
    text = TEXTS.map(lambda text: quote(text, safe="", errors="surrogatepass") or "x")
    last = keys[-1:] * 2
    return st.tuples(st.sampled_from([*keys, *last] or [""]), text).map(
        lambda drawn: _filled(
            template, {**{key: quote(name, safe="/") for key, name in names.items()}, drawn[0]: drawn[1]}
        )
    )


def _filled(template: str, names: t.Mapping[str, str]) -> str:
    parts = template.replace("}", "{").split("{")
    return "".join(names.get(part, "x") if index % 2 else part for index, part in enumerate(parts))


def bodies(seeds: t.Sequence[t.Any]) -> st.SearchStrategy[bytes]:
    """A good body with one to three values replaced, any JSON object, or no JSON at all."""
    objects = st.dictionaries(TEXTS, VALUES, max_size=3)
    shapes = [RAW, objects.map(_encoded)]
    if seeds:
        broken = st.tuples(
            st.sampled_from(list(seeds)), st.lists(st.tuples(st.integers(0, 2**20), VALUES), min_size=1, max_size=3)
        ).map(lambda drawn: _encoded(mutated(*drawn)))
        shapes += [broken, broken, broken]
    return st.one_of(*shapes)


def _encoded(value: t.Any) -> bytes:
    return json.dumps(value).encode()


def mutated(seed: t.Any, changes: list[tuple[int, t.Any]]) -> t.Any:
    """A copy of the seed in which each change replaces the value at a place that its number picks."""
    box = [copy.deepcopy(seed)]
    for number, value in changes:
        places = list(_places(box))[1:] or [(box, 0)]  # the whole body is replaced elsewhere
        parent, key = places[number % len(places)]
        parent[key] = copy.deepcopy(value)
    return box[0]


def _places(value: t.Any) -> t.Iterator[tuple[t.Any, t.Any]]:
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(part, (dict, list)):
            yield from _places(part)


def send(host: str, port: int, request: Request, context: ssl.SSLContext | None = None) -> Answer:
    """One request on a connection of its own."""
    lines = [f"{request.method} {request.path} HTTP/1.1".encode(), f"Host: {host}:{port}".encode()]
    lines += [name.encode() + b": " + value for name, value in request.headers]
    lines += [b"Connection: close", b"Content-Length: " + str(len(request.body)).encode(), b"", b""]
    with socket.create_connection((host, port), timeout=TIMEOUT) as plain:
        line = context.wrap_socket(plain, server_hostname=host) if context else plain
        with line:
            line.sendall(b"\r\n".join(lines) + request.body)
            received = b"".join(iter(lambda: line.recv(65536), b""))
    head, _unused, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in rest if ": " in line)
    return Answer(int(first.split(" ")[1]), headers, body)
