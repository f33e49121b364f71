# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing that was planted is in the evidence, wherever it stood; what a replay needs is."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proof.redact import HIDDEN, Redactor

PROJECT, NUMBER, RUN = "acme-serving-prod", "918273645546", "0a1b2c3d"
NAME = f"gkeproof-{RUN}"
TOKEN = "Zq8vT1w2x3y4z5A6b7C8d9E0f1G2h3J4"
CERTIFICATE = "MIIELDCCApSgAwIBAgIQ" + "Qk1KZ0FBQUE5Zz09" * 12

SECRETS = (
    PROJECT,
    NUMBER,
    TOKEN,
    CERTIFICATE,
    "ya29.a0AfH6SMBx_y-z",
    "hf_AbCdEfGhIjKl",
    "AIzaSyA1234567890123456789012",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "jane.doe@acme.example",
    "ops+alerts@mail.acme.example",
    "robot@other-project-77.iam.gserviceaccount.com",
    "34.86.12.7",
    "10.128.0.17",
    "172.16.254.3/28",
    "2600:1900:4080:1b::7",
    "fe80:0:0:0:4001:aff:fe80:2",
    "42:01:0a:80:00:11",
    "organizations/445566778899",
    "billingAccounts/01AB23-CD45EF-67GH89",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----",
)
# What stands for one secret only as part of another does not count as planted text.
CORE = {"172.16.254.3/28": "172.16.254.3", "organizations/445566778899": "445566778899"}


def redactor(prefix: str = "10.64") -> Redactor:
    made = Redactor(project=PROJECT, number=NUMBER, run=RUN, name=NAME, prefix=prefix)
    made.hide(TOKEN)
    return made


def exchange(request: t.Any, response: t.Any, url: str = "https://compute.googleapis.com/compute/v1/x") -> t.Any:
    record = {"method": "GET", "url": url, "status": 200, "at": "2026-01-01T00:00:00Z", "seconds": 0.1}
    return redactor().exchange({**record, "request": request, "response": response})


secret = st.sampled_from(SECRETS)
beside = st.text(st.characters(codec="utf-8"), max_size=8)
planted = st.builds(lambda before, middle, after: before + middle + after, beside, secret, beside)
leaf = planted | st.text(max_size=12) | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
document = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(planted | st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(document, document, planted)
def test_what_was_planted_never_appears(request: t.Any, response: t.Any, place: str) -> None:
    found = exchange(request, response, f"https://iam.googleapis.com/v1/projects/{place}")
    text = json.dumps(found, ensure_ascii=False)
    for planted_secret in SECRETS:
        core = CORE.get(planted_secret, planted_secret)
        assert json.dumps(core, ensure_ascii=False).strip('"') not in text, core


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clusterCaCertificate", "LS0tLS1CRUdJTg=="),
        ("accessToken", "short"),
        ("clientKey", "k"),
        ("password", "p"),
        ("privateKeyData", "x"),
        ("nextPageToken", "CAI="),
        ("continue", "eyJ2"),
        ("secretData", {"a": ["b"]}),
    ],
)
def test_keys_that_name_secrets_hide_whatever_they_hold(key: str, value: t.Any) -> None:
    found = exchange(None, {key: value})["response"][key]
    assert type(found) is type(value)
    assert json.dumps(value).strip('"[]{}') not in json.dumps(found)


def test_the_run_can_be_played_again_under_another_name() -> None:
    url = f"https://container.googleapis.com/v1/projects/{PROJECT}/locations/us-east5-b/clusters/{NAME}-us-east5"
    found = exchange({"name": f"{NAME}-us-east5"}, {"id": f"x{NUMBER}"}, url)
    assert found["url"].endswith(
        "/v1/projects/${projectId}/locations/us-east5-b/clusters/gkeproof-${uniqueId}-us-east5"
    )
    assert found["request"] == {"name": "gkeproof-${uniqueId}-us-east5"}
    assert found["response"] == {"id": "x${projectNumber}"}


def test_ranges_are_those_of_every_run() -> None:
    answer = redactor("127.20").document(
        {"ipCidrRange": "127.20.2.0/24", "sourceRanges": ["35.191.0.0/16", "0.0.0.0/0"], "address": "127.20.2.5"}
    )
    assert answer["ipCidrRange"] == "10.64.2.0/24"
    assert answer["sourceRanges"] == ["35.191.0.0/16", "0.0.0.0/0"]
    assert answer["address"].startswith("192.0.2.")


def test_one_address_is_one_stand_in() -> None:
    one, other, again = redactor().document(["34.86.12.7", "34.86.12.8", "34.86.12.7"])
    assert one == again != other


def test_times_versions_and_paths_stay() -> None:
    operation = "operation-1764040526-" + "9f8e7d6c-" * 4
    kept = [
        f"/zones/us-east5-b/instanceGroupManagers/operations/{operation}grp",
        "2026-11-25T03:04:05.678Z",
        "1.35.6-gke.1127000",
        "12:34:56",
        "https://www.googleapis.com/compute/v1/",
    ]
    assert redactor().document(kept) == kept


def test_lists_have_only_what_is_the_runs_own() -> None:
    answer = {"items": [{"name": NAME}, {"name": "somebody-elses"}], "kind": "compute#networkList"}
    assert exchange(None, answer)["response"] == {
        "items": [{"name": "gkeproof-${uniqueId}"}],
        "kind": "compute#networkList",
    }
    scopes = {"items": {"regions/us-east5": {"routers": [{"name": NAME}]}, "regions/asia-east1": {"routers": []}}}
    assert list(exchange(None, scopes)["response"]["items"]) == ["regions/us-east5"]


def test_policies_have_only_the_run_and_googles_agents() -> None:
    agent = f"serviceAccount:service-{NUMBER}@container-engine-robot.iam.gserviceaccount.com"
    own = f"serviceAccount:{NAME}@{PROJECT}.iam.gserviceaccount.com"
    pool = f"serviceAccount:{PROJECT}.svc.id.goog[gke-mcs/gke-mcs-importer]"
    policy = {
        "etag": "BwX=",
        "bindings": [
            {"role": "roles/owner", "members": ["user:jane@acme.example", "group:all@acme.example"]},
            {"role": "roles/viewer", "members": [agent, "user:jane@acme.example", own, pool]},
            {"role": "roles/editor", "members": [agent], "condition": {"expression": "secret plan"}},
        ],
    }
    found = exchange({"policy": policy}, policy)
    assert found["request"]["policy"] == found["response"]
    assert [binding["role"] for binding in found["response"]["bindings"]] == ["roles/viewer"]
    assert len(found["response"]["bindings"][0]["members"]) == 3
    assert found["response"]["etag"] == "BwX="


def test_what_was_hidden_is_no_enum() -> None:
    """A replay compares what is written in capitals word by word."""
    assert HIDDEN.islower()
