# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The APIs of a project: serviceusage v1."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Sequence

from .._errors import InvalidOption, having_changed
from .._reconcile import Change, Field, Json, Plan
from .compute import Params
from .connect import Gcp
from .operations import wait_operation

T = t.TypeVar("T")

BATCH_ENABLE = 20  # Google's limits per call
BATCH_GET = 30

# Where Google's name of a service agent does not follow from the API's name.
AGENT_DOMAINS = {"container.googleapis.com": "container-engine-robot", "compute.googleapis.com": "compute-system"}


def service_agent(api: str, number: str) -> str:
    """How Google names the service agent of an API in the project with this number."""
    domain = AGENT_DOMAINS.get(api, f"gcp-sa-{api.partition('.')[0]}")
    return f"service-{number}@{domain}.iam.gserviceaccount.com"


class Services:
    """Several APIs at once; ``run`` is the whole of the module."""

    def __init__(self, gcp: Gcp, params: Params) -> None:
        self.names: list[str] = list(dict.fromkeys(params["name"]))
        for name in self.names:
            if "." not in name or "/" in name:
                raise InvalidOption("name", name, "give the API's full name, such as container.googleapis.com")
        self._params = params
        self._plan_only = gcp.plan_only
        self._rest = gcp.rest("serviceusage")
        self._parent = f"projects/{gcp.project}"

    def run(self) -> Json:
        """The module's result: changed, plan, services, identities, operations (of what is not waited for)."""
        live = self._read()
        wanted = "ENABLED" if self._params["state"] == "present" else "DISABLED"
        differing = [name for name in self.names if live[name].get("state") != wanted]
        plan = self._plan(live, differing, wanted)
        operations: list[Json] = []
        if differing and not self._plan_only:
            operations = self._switch(differing, on=wanted == "ENABLED")
            with having_changed():
                live = self._read()
        elif self._plan_only:
            live = {name: {**service, "state": wanted} for name, service in live.items()}
        result: Json = {
            "changed": bool(differing),
            "plan": plan.as_dict(),
            "services": [{"name": name, "state": live[name].get("state")} for name in self.names],
            "identities": {},
            "diff": {
                "before": {change.field.path: change.before for change in plan.changes},
                "after": {change.field.path: change.after for change in plan.changes},
            },
        }
        if self._params["service_identity"] and wanted == "ENABLED":
            with having_changed(bool(differing)):
                result["identities"] = {name: self._identity(name, live[name]) for name in self.names}
        if operations:
            result["operations"] = operations
        return result

    def _read(self) -> dict[str, Json]:
        live: dict[str, Json] = {}
        for batch in batches(self.names, BATCH_GET):
            query = {"names": [f"{self._parent}/services/{name}" for name in batch]}
            for service in self._rest.get(f"v1/{self._parent}/services:batchGet", query).get("services") or ():
                live[service["name"].rpartition("/")[2]] = service
        return {name: live.get(name, {}) for name in self.names}

    @staticmethod
    def _plan(live: dict[str, Json], differing: list[str], wanted: str) -> Plan:
        call = "batchEnable" if wanted == "ENABLED" else "disable"
        changes = [Change(Field(name, call), live[name].get("state"), wanted) for name in differing]
        return Plan("update" if changes else "none", tuple(changes))

    def _switch(self, names: list[str], *, on: bool) -> list[Json]:
        """Enable or disable; the operations that are left to themselves when wait is false."""
        unfinished = []
        for done, batch in enumerate(batches(names, BATCH_ENABLE if on else 1)):
            if on:
                path, body = f"v1/{self._parent}/services:batchEnable", {"serviceIds": list(batch)}
            else:
                path = f"v1/{self._parent}/services/{batch[0]}:disable"
                body = {"disableDependentServices": self._params["disable_dependent_services"]}
            with having_changed(done > 0):
                # To enable (or disable) twice is to do it once: such a write may simply be repeated.
                operation = self._rest.post(path, body, read=True)
            what = f"{'enable' if on else 'disable'} {', '.join(batch)}"
            if self._params["wait"]:
                wait_operation(self._look, operation, timeout=self._params["wait_timeout"], what=what)
            elif not operation.get("done"):
                unfinished.append(operation)
        return unfinished

    def _identity(self, name: str, live: Json) -> str:
        """The address of the API's service agent, made if need be; in check mode as Google will name it."""
        if self._plan_only:
            number = str(live.get("parent") or live.get("name") or "").split("/")[1:2]
            return service_agent(name, number[0] if number else "NUMBER")
        path = f"v1beta1/{self._parent}/services/{name}:generateServiceIdentity"
        operation = self._rest.post(path, read=True)
        what = f"service identity of {name}"
        ended = wait_operation(self._look, operation, timeout=self._params["wait_timeout"], what=what)
        return str((ended.get("response") or {}).get("email", ""))

    def _look(self, operation: Json) -> Json:
        return self._rest.get(f"v1/{operation['name']}")


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
