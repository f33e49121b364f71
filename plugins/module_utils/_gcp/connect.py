# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""From a module's options to Google's services: credentials, endpoints, one session per process."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import os
import typing as t
import urllib.parse

try:
    import google.auth
    import google.auth.compute_engine
    import google.auth.exceptions
    import google.auth.impersonated_credentials
    import google.oauth2.credentials
    import google.oauth2.service_account
    from google.auth.transport.requests import AuthorizedSession, Request
except ImportError:
    HAS_GOOGLE_AUTH = False
else:
    HAS_GOOGLE_AUTH = True

from .._call import Call
from .._errors import ApiError, InvalidOption, MissingLibrary, NotFound
from .._secrets import HIDDEN, check_header_secret
from .transport import Rest, is_disabled, translated

if t.TYPE_CHECKING:
    from google.cloud.container_v1 import ClusterManagerClient

DEFAULT_UNIVERSE = "googleapis.com"

# How Google's and Kubernetes' audit logs name us.
AGENT = "aiserving.gke"

# Service -> path of its base URL; requests go to https://SERVICE.UNIVERSE + this path + "v1/..." and the like.
BASE_PATHS = {
    "cloudresourcemanager": "/",
    "compute": "/compute/v1/",
    "container": "/",
    "gkehub": "/",
    "iam": "/",
    "serviceusage": "/",
    "storage": "/storage/v1/",
}
# What the credentials depend on; together with their values it names a session.
AUTH_OPTIONS = (
    "auth_kind",
    "service_account_file",
    "service_account_contents",
    "service_account_email",
    "access_token",
    "scopes",
    "impersonate_service_account",
    "quota_project",
    "universe_domain",
)
# An option that only one auth_kind reads: stating it with another kind is a mistake worth telling.
KIND_OF_OPTION = {
    "service_account_file": "serviceaccount",
    "service_account_contents": "serviceaccount",
    "service_account_email": "machineaccount",
    "access_token": "accesstoken",
}


@dataclasses.dataclass(frozen=True)
class Login:
    """Credentials with the session that uses them; ``project`` is the one they name, "" when none."""

    credentials: t.Any
    session: t.Any
    project: str


_logins: dict[str, Login] = {}


class Gcp:
    """Google Cloud as one module call sees it."""

    def __init__(
        self,
        login: Login,
        *,
        project: str,
        endpoints: dict[str, str],
        universe: str,
        plan_only: bool,
        warn: t.Callable[[str], None],
    ) -> None:
        self.project = project
        self.plan_only = plan_only  # check mode
        self.warn = warn  # tells the user without failing
        self._login = login
        self._endpoints = endpoints
        self._universe = universe

    def base(self, service: str) -> str:
        """The base URL of a service, with a trailing slash."""
        return self._endpoints.get(service) or f"https://{service}.{self._domain()}{BASE_PATHS[service]}"

    def rest(self, service: str) -> Rest:
        """``service``: compute, storage, gkehub, serviceusage, iam, cloudresourcemanager (or container)."""
        return Rest(self._login.session, self.base(service), plan_only=self.plan_only)

    def container(self) -> ClusterManagerClient:
        """The GKE API; wrap its calls in transport.translated() and persist()."""
        try:
            from google.api_core.client_options import ClientOptions
            from google.api_core.gapic_v1.client_info import ClientInfo
            from google.cloud.container_v1 import ClusterManagerClient
        except ImportError as error:
            raise MissingLibrary("google-cloud-container") from error
        # The REST transport puts the request's path behind whatever path the endpoint has.
        options = ClientOptions(api_endpoint=self.base("container").rstrip("/"))
        return ClusterManagerClient(
            credentials=self._login.credentials,
            transport="rest",
            client_options=options,
            client_info=ClientInfo(user_agent=AGENT),
        )

    def token(self) -> str:
        """An access token that is valid now; on GKE it is the bearer token of the Kubernetes API too."""
        credentials = self._login.credentials
        if not credentials.valid:
            with translated("access token"):
                credentials.refresh(Request())
        return str(credentials.token)

    def is_absent(self, error: Exception) -> bool:
        """Whether this answer to a read means "not there": 404, or in check mode a service not enabled yet."""
        return isinstance(error, NotFound) or (self.plan_only and isinstance(error, ApiError) and is_disabled(error))

    def _domain(self) -> str:
        return self._universe or getattr(self._login.credentials, "universe_domain", "") or DEFAULT_UNIVERSE


def connect(call: Call) -> Gcp:
    """Build from a module's options (spec.GCP_SPEC). Raises InvalidOption, and CollectionError without credentials."""
    if not HAS_GOOGLE_AUTH:
        raise MissingLibrary("google-auth and requests")
    params = call.params
    endpoints = check_endpoints(params["api_endpoints"] or {})
    _check_auth(params)
    if any(url.startswith("http:") for url in endpoints.values()):
        _never_proxy_loopback()
    login = _login(params)
    project = params["project"] or login.project
    if not project:
        raise InvalidOption("project", None, "name the project; the credentials do not name one")
    return Gcp(
        login,
        project=project,
        endpoints=endpoints,
        universe=params["universe_domain"] or "",
        plan_only=call.check_mode,
        warn=call.warn,
    )


def check_endpoints(given: dict[str, t.Any]) -> dict[str, str]:
    """The base URLs with a trailing slash. Raises InvalidOption."""
    checked = {}
    for service, url in given.items():
        option = f"api_endpoints.{service}"
        if service not in BASE_PATHS:
            raise InvalidOption("api_endpoints", service, f"name one of {', '.join(sorted(BASE_PATHS))}")
        try:
            parts = urllib.parse.urlsplit(str(url))
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidOption(option, url, f"give a base URL ({error})") from error
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
            raise InvalidOption(option, url, "give a base URL such as https://HOST/PATH/")
        if parts.scheme == "http" and not _is_loopback(host):
            raise InvalidOption(option, url, "use https: plain http is for loopback addresses only")
        checked[service] = str(url).rstrip("/") + "/"
    return checked


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _never_proxy_loopback() -> None:
    """A proxy of the environment must not see the token that is meant for this machine."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    wanted = [host for host in ("127.0.0.0/8", "localhost", "::1") if host not in known.split(",")]
    if wanted:
        os.environ["no_proxy"] = ",".join(filter(None, [known, *wanted]))


def _check_auth(params: dict[str, t.Any]) -> None:
    kind = params["auth_kind"]
    for option, needs in KIND_OF_OPTION.items():
        if params[option] and kind != needs and not _from_environment(option):
            given = HIDDEN if option in ("access_token", "service_account_contents") else params[option]
            raise InvalidOption(option, given, f"it needs auth_kind: {needs}, which is {kind}")
    if kind == "accesstoken":
        if not params["access_token"]:
            raise InvalidOption("access_token", None, "auth_kind accesstoken needs it")
        check_header_secret("access_token", params["access_token"])
    if kind == "serviceaccount" and bool(params["service_account_file"]) == bool(params["service_account_contents"]):
        raise InvalidOption(
            "service_account_file",
            params["service_account_file"],
            "auth_kind serviceaccount needs exactly one of service_account_file and service_account_contents",
        )


def _from_environment(option: str) -> bool:
    """Variables are exported for many tools at once; one that this auth_kind does not read is no mistake."""
    return os.environ.get(f"GCP_{option.upper()}") is not None


def _login(params: dict[str, t.Any]) -> Login:
    options = {name: params[name] for name in AUTH_OPTIONS}
    # A digest, so that no secret is held as a key.
    key = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    if key not in _logins:
        with translated("credentials"):
            credentials, project = _credentials(options)
            session = AuthorizedSession(credentials)
            session.headers["User-Agent"] = AGENT
            _logins[key] = Login(credentials, session, project or "")
    return _logins[key]


def _credentials(options: dict[str, t.Any]) -> tuple[t.Any, str | None]:
    credentials, project = _SOURCES[options["auth_kind"]](options)
    universe = options["universe_domain"]
    if universe and hasattr(credentials, "with_universe_domain"):
        credentials = credentials.with_universe_domain(universe)
    target = options["impersonate_service_account"]
    if target:
        credentials = google.auth.impersonated_credentials.Credentials(
            source_credentials=credentials, target_principal=target, target_scopes=options["scopes"]
        )
    if options["quota_project"]:
        credentials = credentials.with_quota_project(options["quota_project"])
    return credentials, project


def _application(options: dict[str, t.Any]) -> tuple[t.Any, str | None]:
    credentials, project = google.auth.default(scopes=options["scopes"])
    return credentials, project


def _service_account(options: dict[str, t.Any]) -> tuple[t.Any, str | None]:
    option = "service_account_file" if options["service_account_file"] else "service_account_contents"
    try:
        if option == "service_account_file":
            with open(options[option], encoding="utf-8") as file:
                info = json.load(file)
        else:
            info = json.loads(options[option])
        credentials = google.oauth2.service_account.Credentials.from_service_account_info(info)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        # The text of a key never reaches an error: json's and google-auth's messages quote none of it.
        given = options[option] if option == "service_account_file" else HIDDEN
        raise InvalidOption(option, given, f"give a service account's JSON key ({error})") from None
    return credentials.with_scopes(options["scopes"]), info.get("project_id")


def _machine_account(options: dict[str, t.Any]) -> tuple[t.Any, str | None]:
    email = options["service_account_email"] or "default"
    return google.auth.compute_engine.Credentials(email, scopes=options["scopes"]), None


def _access_token(options: dict[str, t.Any]) -> tuple[t.Any, str | None]:
    def refuse(request: t.Any, scopes: t.Any) -> t.NoReturn:
        raise google.auth.exceptions.RefreshError("access_token was not accepted: it is wrong or has expired")

    return google.oauth2.credentials.Credentials(options["access_token"], refresh_handler=refuse), None


_SOURCES: dict[str, t.Callable[[dict[str, t.Any]], tuple[t.Any, str | None]]] = {
    "application": _application,
    "serviceaccount": _service_account,
    "machineaccount": _machine_account,
    "accesstoken": _access_token,
}
