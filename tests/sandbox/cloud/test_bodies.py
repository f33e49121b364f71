# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How bodies are read: Google's words for what is wrong, and etags in any spelling of base64."""

from __future__ import annotations

import base64
import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud import bodies
from sandbox.cloud.errors import Refusal
from tests.sandbox.cloud.running import PROJECT, Running

Json = dict[str, t.Any]

SHAPE: bodies.Shape = {
    "name": bodies.STRING,
    "mtu": bodies.INT32,
    "size": bodies.INT64,
    "share": bodies.DOUBLE,
    "enabled": bodies.BOOL,
    "labels": bodies.STRING_MAP,
    "logConfig": {"metadataFields": bodies.STRINGS},
    "rules": [{"ruleNumber": bodies.INT32}],
    "etag": bodies.BYTES,
}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (
            {"mtu": "8896", "size": 7, "share": 1, "enabled": "true"},
            {"mtu": 8896, "size": "7", "share": 1.0, "enabled": True},
        ),
        ({"mtu": 8896.0, "name": None}, {"mtu": 8896}),
        ({"labels": {"a": "b"}, "rules": [{"ruleNumber": "1"}]}, {"labels": {"a": "b"}, "rules": [{"ruleNumber": 1}]}),
        ({"etag": "_-8="}, {"etag": "_-8="}),
    ],
)
def test_values_are_taken_as_googles_parser_takes_them(given: Json, taken: Json) -> None:
    assert bodies.read(given, SHAPE) == taken


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"nom": 1}, "Invalid JSON payload received. Unknown name \"nom\" at 'resource': Cannot find field."),
        ({"name": 7}, "Invalid value at 'resource.name' (TYPE_STRING), 7"),
        ({"mtu": "many"}, "Invalid value at 'resource.mtu' (TYPE_INT32), \"many\""),
        ({"mtu": 2**31}, "Invalid value at 'resource.mtu' (TYPE_INT32), 2147483648"),
        ({"mtu": True}, "Invalid value at 'resource.mtu' (TYPE_INT32), true"),
        ({"size": 2**63}, "Invalid value at 'resource.size' (TYPE_INT64), 9223372036854775808"),
        ({"enabled": 1}, "Invalid value at 'resource.enabled' (TYPE_BOOL), 1"),
        ({"name": {}}, "Invalid value at 'resource.name' (TYPE_STRING), Starting an object on a scalar field"),
        (
            {"labels": []},
            "Invalid JSON payload received. Unknown name \"labels\" at 'resource': Proto field is not repeating, "
            "cannot start list.",
        ),
        ({"logConfig": 5}, "Invalid value at 'resource.log_config', 5"),
        ({"logConfig": {"metadataFields": "x"}}, "Invalid value at 'resource.log_config.metadata_fields', \"x\""),
        ({"rules": [None]}, "Invalid value at 'resource.rules[0]', null"),
        ({"etag": "not base64!"}, "Invalid value at 'resource.etag' (TYPE_BYTES), \"not base64!\""),
    ],
)
def test_what_is_wrong_is_said_in_googles_words(given: Json, why: str) -> None:
    with pytest.raises(Refusal) as refused:
        bodies.read(given, SHAPE, "resource")
    assert (refused.value.code, refused.value.message) == (400, why)


@pytest.mark.parametrize("text", [b"\xff", b'"\\ud800"', b"[]", b"{", b'{"a": NaN}', b'{"a": 1e999}', b'{"a":' * 101])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        bodies.decode(text)
    assert refused.value.code == 400


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_etags_are_compared_as_bytes(one: bytes, other: bytes) -> None:
    spellings = [encode(one) for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    for mine in (*spellings, spellings[1].rstrip(b"=")):
        assert bodies.same_bytes(mine.decode(), spellings[0].decode())
        assert bodies.same_bytes(mine.decode(), base64.b64encode(other).decode()) == (one == other)


@dataclasses.dataclass(frozen=True)
class Guarded:
    """What is changed under an etag: how it is read, how written, where the etag stands."""

    look: tuple[str, str]
    write: tuple[str, str]
    body: t.Callable[[str], Json]
    field: str = "etag"


def policy(etag: str, role: str = "roles/viewer") -> Json:
    return {"bindings": [{"role": role, "members": ["user:a@example.com"]}], "etag": etag}


PROJECTS = f"cloudresourcemanager/v1/projects/{PROJECT}"
ACCOUNT = f"iam/v1/projects/{PROJECT}/serviceAccounts/writer@{PROJECT}.iam.gserviceaccount.com"
REGION = f"compute/v1/projects/{PROJECT}/regions/us-east5"
NODES, VIP = f"{REGION}/subnetworks/nodes", f"{REGION}/addresses/vip"
BUCKET = "storage/v1/b/weights-1/iam"
GUARDED = {
    "project policy": Guarded(
        ("POST", f"{PROJECTS}:getIamPolicy"),
        ("POST", f"{PROJECTS}:setIamPolicy"),
        lambda etag: {"policy": policy(etag)},
    ),
    "account policy": Guarded(
        ("POST", f"{ACCOUNT}:getIamPolicy"), ("POST", f"{ACCOUNT}:setIamPolicy"), lambda etag: {"policy": policy(etag)}
    ),
    "bucket policy": Guarded(("GET", BUCKET), ("PUT", BUCKET), lambda etag: policy(etag, "roles/storage.objectViewer")),
    "account": Guarded(("GET", ACCOUNT), ("PUT", ACCOUNT), lambda etag: {"displayName": etag, "etag": etag}),
    "subnetwork": Guarded(
        ("GET", NODES),
        ("PATCH", NODES),
        lambda etag: {"logConfig": {"enable": True, "filterExpr": etag}, "fingerprint": etag},
        "fingerprint",
    ),
    "labels": Guarded(
        ("GET", VIP),
        ("POST", f"{VIP}/setLabels"),
        lambda etag: {"labels": {"a": etag.lower().strip("=")}, "labelFingerprint": etag},
        "labelFingerprint",
    ),
}


@pytest.fixture
def town(cloud: Running) -> Running:
    """A cloud that has one of each."""
    cloud.ok("POST", f"iam/v1/projects/{PROJECT}/serviceAccounts", {"accountId": "writer"})
    cloud.ok("POST", f"storage/v1/b?project={PROJECT}", {"name": "weights-1"})
    nodes = {"name": "nodes", "network": "global/networks/default", "ipCidrRange": "10.0.1.0/24"}
    cloud.done(cloud.ok("POST", f"{REGION}/subnetworks", nodes))
    cloud.done(cloud.ok("POST", f"{REGION}/addresses", {"name": "vip"}))
    return cloud


@pytest.mark.parametrize("thing", GUARDED.values(), ids=GUARDED)
def test_etags_in_the_url_safe_alphabet_are_the_same(town: Running, thing: Guarded) -> None:
    """As gcloud sends them; until there was one that the two alphabets spell apart."""
    assert town.call(*thing.write, thing.body("AAAAAAAAAAA="))[0] in (409, 412)
    for _unused in range(100):
        etag = town.ok(*thing.look)[thing.field]
        given = etag.replace("+", "-").replace("/", "_").rstrip("=")
        answer = town.ok(*thing.write, thing.body(given))
        if "operationType" in answer:
            town.done(answer)
        if set("+/") & set(etag):
            return
    raise AssertionError("no etag had a + or a /")
