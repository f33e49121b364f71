# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What we ask Google ourselves, before a run and after it: is the project fit, what carries our name, what is left.

With the collection's own credentials and transport; none of it is evidence.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml
from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ApiError, CollectionError
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import Gcp, connect
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.spec import GCP_SPEC
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.transport import is_disabled

from .journal import NAME, OURS, Made
from .options import ROOT, Options, Refused, environment
from .steps import OF_THE_FLEET

Json = dict[str, t.Any]

FEATURES = ("multiclusteringress", "multiclusterservicediscovery")
# Beyond what the collection's own role enables: to ask what is enabled.
SERVICES = ("serviceusage.googleapis.com",)
# What every error says of a project that nobody pays for.
BILLING = "billing"


def options_of_modules(options: Options) -> Json:
    """A module's options for Google, taken from where a module takes them."""
    variables = environment(options)
    found = {}
    for name, spec in GCP_SPEC.items():
        value: t.Any = variables.get(f"GCP_{name.upper()}") or spec.get("default")
        found[name] = value.split(",") if spec["type"] == "list" and isinstance(value, str) else value
    found["project"] = options.project
    found["api_endpoints"] = options.elsewhere.endpoints if options.elsewhere else {}
    return found


class Google:
    """Raises Refused where the user can mend it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._project = options.project
        call = Call(options_of_modules(options), check_mode=False, diff=False, warn=lambda _text: None)
        try:
            self._gcp: Gcp = connect(call)
            self._gcp.token()
        except CollectionError as error:
            raise Refused("credentials", f"{error.message}; try gcloud auth application-default login") from error

    def number(self) -> str:
        """The project's number. Raises Refused when it cannot be read."""
        project = self._ask("cloudresourcemanager", f"v1/projects/{self._project}")
        if project.get("lifecycleState") not in (None, "ACTIVE"):
            raise Refused("PROJECT", f"{self._project} is {project['lifecycleState']}")
        return str(project["projectNumber"])

    def check_services(self) -> None:
        """Raises Refused that names what is not enabled. We enable nothing: to take it back might hurt others."""
        names = [*services_of_role(), *SERVICES]
        path = f"v1/projects/{self._project}/services:batchGet"
        query = {"names": [f"projects/{self._project}/services/{name}" for name in names]}
        listed = self._ask("serviceusage", path, query).get("services") or []
        on = {service["name"].rpartition("/")[2] for service in listed if service.get("state") == "ENABLED"}
        if missing := sorted(set(names) - on):
            raise Refused(
                "PROJECT",
                f"these APIs are off in {self._project}, and a run turns none on for good: "
                f"gcloud services enable {' '.join(missing)} --project {self._project}",
            )

    def check_fleet(self, mine: Iterable[Made]) -> None:
        """Raises Refused when somebody else uses the project's fleet, for which features count as a whole."""
        if not set(self._options.steps) & set(OF_THE_FLEET):
            return
        own = {made.name for made in mine if made.kind == "features"}
        parent = f"v1/projects/{self._project}/locations"
        others = [
            member["name"]
            for member in self._pages("gkehub", f"{parent}/-/memberships", "resources")
            if not OURS.search(member["name"])
        ]
        others += [
            feature["name"]
            for feature in self._pages("gkehub", f"{parent}/global/features", "resources")
            if (name := feature["name"].rpartition("/")[2]) in FEATURES and name not in own
        ]
        if others:
            raise Refused(
                "STEPS", f"{', '.join(others)} is there, which a run would touch; leave out fleet and what needs it"
            )

    def named(self, run: str = "") -> list[Made]:
        """Everything that is called after a run, or after any. Raises Refused for a project without billing."""
        return [made for made in self._everything() if (found := OURS.search(made.name)) and run in ("", found[1])]

    def in_networks_of(self, run: str) -> list[Made]:
        """Firewall rules that Google's controllers have made in a run's own network: nobody else can need them."""
        rules = self._pages("compute", f"projects/{self._project}/global/firewalls", "items")
        network = f"/networks/{NAME}-{run}"
        return [Made("firewalls", "", rule["name"]) for rule in rules if rule.get("network", "").endswith(network)]

    def left(self, run: str, made: Iterable[Made]) -> list[Made]:
        """What there still is of a run: by its name, and of its journal what does not carry it."""
        wanted = set(made)
        policy = self._ask("cloudresourcemanager", f"v1/projects/{self._project}:getIamPolicy", method="POST")
        grants = {
            Made("grants", "", f"{binding['role']} {member}")
            for binding in policy.get("bindings") or []
            for member in binding.get("members") or []
        }
        path = f"v1/projects/{self._project}/locations/global/features"
        features = {
            Made("features", "global", feature["name"].rpartition("/")[2])
            for feature in self._pages("gkehub", path, "resources")
        }
        return [*self.named(run), *sorted(wanted & (grants | features))]

    def _everything(self) -> Iterator[Made]:
        root = f"projects/{self._project}"
        for kind in ("networks", "firewalls"):
            for item in self._pages("compute", f"{root}/global/{kind}", "items"):
                yield Made(kind, "", item["name"])
        for kind in ("subnetworks", "addresses", "routers"):
            for scope, listed in self._aggregated(f"{root}/aggregated/{kind}"):
                for item in listed.get(kind) or []:
                    yield Made(kind, scope.rpartition("/")[2], item["name"])
        for cluster in self._ask("container", f"v1/{root}/locations/-/clusters").get("clusters") or []:
            yield Made("clusters", cluster["location"], cluster["name"])
        for bucket in self._pages("storage", "b", "items", {"project": self._project}):
            yield Made("b", "", bucket["name"])
        for account in self._pages("iam", f"v1/{root}/serviceAccounts", "accounts"):
            yield Made("serviceAccounts", "", account["email"].partition("@")[0])
        for member in self._pages("gkehub", f"v1/{root}/locations/-/memberships", "resources"):
            yield Made("memberships", member["name"].split("/")[3], member["name"].rpartition("/")[2])

    def _aggregated(self, path: str) -> Iterator[tuple[str, Json]]:
        query: Json = {}
        while True:
            page = self._ask("compute", path, query)
            yield from (page.get("items") or {}).items()
            if not page.get("nextPageToken"):
                return
            query = {"pageToken": page["nextPageToken"]}

    def _pages(self, service: str, path: str, key: str, query: Json | None = None) -> list[Json]:
        return self._refusing(lambda: list(self._gcp.rest(service).pages(path, key, query)))

    def _ask(self, service: str, path: str, query: Json | None = None, method: str = "GET") -> Json:
        body: Json | None = {} if method == "POST" else None
        return self._refusing(lambda: self._gcp.rest(service).request(method, path, params=query, body=body, read=True))

    def _refusing(self, ask: t.Callable[[], t.Any]) -> t.Any:
        try:
            return ask()
        except ApiError as error:
            if error.code == 401:
                raise Refused("credentials", error.message) from error
            if BILLING in error.message.lower():
                raise Refused("PROJECT", f"billing is off in {self._project}: {error.message}") from error
            if is_disabled(error):
                raise Refused("PROJECT", f"an API is off in {self._project}: {error.message}") from error
            raise Refused("PROJECT", f"{self._project} cannot be read: {error.message}") from error
        except CollectionError as error:
            option = "credentials" if error.details.get("api_status") == "UNAUTHENTICATED" else "PROJECT"
            raise Refused(option, error.message) from error


def services_of_role() -> list[str]:
    """The APIs that the collection's role network enables."""
    path = ROOT / "roles" / "network" / "defaults" / "main.yml"
    defaults: Mapping[str, t.Any] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return [str(name) for name in defaults["network_services"]]


def variables_of_credentials(options: Options) -> Json:
    """Playbook variables for the credentials in the environment; secrets stay there, and are looked up."""
    names = ("auth_kind", "service_account_file", "access_token", "impersonate_service_account", "quota_project")
    given = environment(options)
    return {
        f"gcp_{name}": f"{{{{ lookup('ansible.builtin.env', 'GCP_{name.upper()}') }}}}"
        for name in names
        if given.get(f"GCP_{name.upper()}")
    }
