# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options, credentials and endpoints, without any Google."""

from __future__ import annotations

import json
import threading
import typing as t
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import google.auth
import google.oauth2.credentials
import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import CollectionError, InvalidOption, NotFound
from ansible_collections.aiserving.gke.plugins.module_utils._gcp import connect as connect_module
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import check_endpoints, connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import CLOUD_PLATFORM
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import api_error, translated
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

DEFAULTS: dict[str, t.Any] = {
    "project": None,
    "auth_kind": "accesstoken",
    "service_account_file": None,
    "service_account_contents": None,
    "service_account_email": None,
    "access_token": None,
    "scopes": [CLOUD_PLATFORM],
    "impersonate_service_account": None,
    "quota_project": None,
    "universe_domain": None,
    "api_endpoints": {},
}


class FakeModule:
    """Of AnsibleModule what connect() reads."""

    def __init__(self, check_mode: bool = False, **params: t.Any) -> None:
        self.params = {**DEFAULTS, **params}
        self.check_mode = check_mode
        self.warn = print


def gcp(check_mode: bool = False, **params: t.Any) -> t.Any:
    return connect(t.cast(t.Any, FakeModule(check_mode, **params)))


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_module, "_logins", {})
    for option in connect_module.KIND_OF_OPTION:
        monkeypatch.delenv(f"GCP_{option.upper()}", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service account's key, made for this run."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "key-project",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@key-project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"compute": "http://127.0.0.1:80/compute/v1"}, {"compute": "http://127.0.0.1:80/compute/v1/"}),
        ({"iam": "http://localhost:1/iam/"}, {"iam": "http://localhost:1/iam/"}),
        ({"iam": "http://[::1]:1/iam/"}, {"iam": "http://[::1]:1/iam/"}),
        ({"storage": "https://storage.p.googleapis.com"}, {"storage": "https://storage.p.googleapis.com/"}),
    ],
)
def test_endpoints(given: dict[str, str], expected: dict[str, str]) -> None:
    assert check_endpoints(given) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"gke": "https://x/"}, "api_endpoints"),
        ({"compute": "http://example.com/"}, "api_endpoints.compute"),
        ({"compute": "http://10.0.0.1/"}, "api_endpoints.compute"),
        ({"compute": "http://127.0.0.1.example.com/"}, "api_endpoints.compute"),
        ({"compute": "ftp://127.0.0.1/"}, "api_endpoints.compute"),
        ({"compute": "127.0.0.1:80"}, "api_endpoints.compute"),
        ({"compute": "https://user:secret@x/"}, "api_endpoints.compute"),
        ({"compute": "https://x/?a=b"}, "api_endpoints.compute"),
        ({"compute": "https://x:port/"}, "api_endpoints.compute"),
        ({"compute": 7}, "api_endpoints.compute"),
    ],
)
def test_bad_endpoints(given: dict[str, t.Any], named: str) -> None:
    with pytest.raises(InvalidOption) as failure:
        check_endpoints(given)
    assert failure.value.details["option"] == named


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"auth_kind": "accesstoken"}, "access_token"),
        ({"auth_kind": "serviceaccount"}, "service_account_file"),
        (
            {"auth_kind": "serviceaccount", "service_account_file": "/x", "service_account_contents": "{}"},
            "service_account_file",
        ),
        ({"auth_kind": "application", "access_token": "s3cret"}, "access_token"),
        ({"auth_kind": "application", "service_account_contents": "s3cret"}, "service_account_contents"),
        (
            {"auth_kind": "accesstoken", "access_token": "s3cret", "service_account_email": "a@b"},
            "service_account_email",
        ),
        ({"auth_kind": "serviceaccount", "service_account_file": "/nowhere/key.json"}, "service_account_file"),
        ({"auth_kind": "serviceaccount", "service_account_contents": "s3cret"}, "service_account_contents"),
        ({"auth_kind": "serviceaccount", "service_account_contents": '["s3cret"]'}, "service_account_contents"),
        ({"auth_kind": "serviceaccount", "service_account_contents": '{"a": "s3cret"}'}, "service_account_contents"),
        ({"access_token": "s3cret"}, "project"),
    ],
)
def test_options_that_do_not_fit(params: dict[str, t.Any], named: str) -> None:
    with pytest.raises(InvalidOption) as failure:
        gcp(**params)
    assert failure.value.details["option"] == named
    assert "s3cret" not in failure.value.message


def test_an_exported_variable_of_another_kind_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_SERVICE_ACCOUNT_FILE", "/key.json")
    assert gcp(access_token="t", project="p", service_account_file="/key.json").token() == "t"


def test_one_session_per_set_of_options() -> None:
    first = gcp(access_token="one", project="p")
    again = gcp(access_token="one", project="q")
    other = gcp(access_token="two", project="p")
    assert first._login is again._login
    assert first._login is not other._login
    assert (first.project, again.project) == ("p", "q")
    assert not any("one" in key for key in connect_module._logins)


@pytest.mark.parametrize("option", ["service_account_file", "service_account_contents"])
def test_service_account(option: str, key: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    options: dict[str, t.Any] = {option: str(path) if option == "service_account_file" else json.dumps(key)}
    cloud = gcp(auth_kind="serviceaccount", quota_project="payer", **options)
    credentials = cloud._login.credentials
    assert cloud.project == "key-project"
    assert credentials.service_account_email == key["client_email"]
    assert credentials.scopes == [CLOUD_PLATFORM]
    assert credentials.quota_project_id == "payer"


def test_machine_account() -> None:
    cloud = gcp(
        auth_kind="machineaccount", project="p", service_account_email="robot@p", universe_domain="example.cloud"
    )
    assert cloud._login.credentials._service_account_email == "robot@p"
    assert cloud.base("compute") == "https://compute.example.cloud/compute/v1/"


def test_application_default_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[t.Any] = []

    def default(scopes: list[str]) -> tuple[t.Any, str]:
        asked.append(scopes)
        return google.oauth2.credentials.Credentials("adc"), "adc-project"

    monkeypatch.setattr(google.auth, "default", default)
    cloud = gcp(auth_kind="application")
    assert (cloud.project, cloud.token(), asked) == ("adc-project", "adc", [[CLOUD_PLATFORM]])


def test_no_application_default_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(CollectionError, match="credentials: no access token"):
        gcp(auth_kind="application", project="p")


def test_impersonation(key: dict[str, str]) -> None:
    cloud = gcp(
        auth_kind="serviceaccount",
        service_account_contents=json.dumps(key),
        impersonate_service_account="boss@p.iam.gserviceaccount.com",
        quota_project="payer",
    )
    credentials = cloud._login.credentials
    assert credentials.service_account_email == "boss@p.iam.gserviceaccount.com"
    assert credentials.quota_project_id == "payer"


@pytest.mark.parametrize(
    ("service", "base"),
    [
        ("compute", "https://compute.googleapis.com/compute/v1/"),
        ("storage", "https://storage.googleapis.com/storage/v1/"),
        ("gkehub", "https://gkehub.googleapis.com/"),
        ("iam", "http://127.0.0.1:9/iam/"),
    ],
)
def test_base_urls(service: str, base: str) -> None:
    cloud = gcp(access_token="t", project="p", api_endpoints={"iam": "http://127.0.0.1:9/iam"})
    assert cloud.base(service) == cloud.rest(service).base == base


def test_a_loopback_endpoint_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    cloud = gcp(access_token="t", project="p", api_endpoints={"container": f"{server}/container"})
    assert cloud.rest("container").get("v1/x")["path"] == "/container/v1/x"


def test_what_absent_means_in_check_mode() -> None:
    disabled = api_error(403, {"error": {"message": "x", "details": [{"reason": "SERVICE_DISABLED"}]}}, "GET x")
    planning, doing = gcp(True, access_token="t", project="p"), gcp(access_token="t", project="p")
    assert planning.is_absent(disabled)
    assert not doing.is_absent(disabled)
    assert doing.is_absent(NotFound("x", code=404))


class Echo(BaseHTTPRequestHandler):
    """A cluster with what was asked; 404 for "missing", 401 for a wrong token."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        code, body = 200, {"name": "c", "path": path, "status": "RUNNING"}
        if self.headers["Authorization"] != "Bearer t":
            code, body = 401, {"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}  # type: ignore[dict-item]
        elif path.endswith("missing"):
            code, body = 404, {"error": {"code": 404, "message": "Not found: c", "status": "NOT_FOUND"}}  # type: ignore[dict-item]
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: t.Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_the_container_client_keeps_the_path_of_its_endpoint(server: str) -> None:
    client = gcp(access_token="t", project="p", api_endpoints={"container": f"{server}/container/"}).container()
    cluster = client.get_cluster(name="projects/p/locations/l/clusters/c")
    assert (cluster.name, cluster.status.name) == ("c", "RUNNING")
    with pytest.raises(NotFound), translated("get"):
        client.get_cluster(name="projects/p/locations/l/clusters/missing")


def test_a_refused_token_is_told_in_one_sentence(server: str) -> None:
    cloud = gcp(access_token="wrong", project="p", api_endpoints={"container": f"{server}/container/"})
    for ask in (
        lambda: cloud.rest("container").get("v1/x"),
        lambda: cloud.container().get_cluster(name="projects/p/locations/l/clusters/c"),
    ):
        with pytest.raises(CollectionError, match="not accepted: it is wrong or has expired"), translated("get"):
            ask()
