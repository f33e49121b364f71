# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""serviceusage v1: which APIs are on, and Google's service agents."""

from __future__ import annotations

from collections.abc import Sequence

from ...catalogue.apis import AGENT_NAMES, AGENTS, DEPENDENCIES, TITLES
from ...interfaces import Json
from .. import apis, policies
from ..bodies import BOOL, STRING, STRINGS, Shape
from ..compute import Compute
from ..engine import Work, compute_name
from ..errors import Refusal, invalid, not_found, precondition
from ..store import Project, page
from ..web import Call, Platform, Route, Service

DISABLE: Shape = {"disableDependentServices": BOOL, "checkIfServiceHasUsage": STRING}
TYPES = "type.googleapis.com/google.api.serviceusage.v1"


class ServiceUsage(Service):
    name = "serviceusage.googleapis.com"
    base = "serviceusage/"

    def __init__(self, platform: Platform, *, compute: Compute) -> None:
        super().__init__(platform)
        self._compute = compute

    def routes(self) -> Sequence[Route]:
        root = "{version:v1\\w*}"
        services = f"{root}/projects/{{project}}/services"
        one = services + "/{service:[^/:]+}"
        return (
            ("POST", f"{services}:batchEnable", self._batch_enable),
            ("GET", f"{services}:batchGet", self._batch_get),
            ("POST", f"{one}:enable", self._enable),
            ("POST", f"{one}:disable", self._disable),
            ("POST", f"{one}:generateServiceIdentity", self._identity),
            ("GET", one, self._get),
            ("GET", services, self._list),
            ("GET", f"{root}/operations/{{operation}}", self._operation),
        )

    async def _get(self, call: Call) -> Json:
        return describe(call.project, service_name(call.params["service"]))

    async def _batch_get(self, call: Call) -> Json:
        names = [name.rpartition("/")[2] for name in call.request.query.getall("names", [])]
        return {"services": [describe(call.project, service_name(name)) for name in names]}

    async def _list(self, call: Call) -> Json:
        wanted = call.query.get("filter", "").replace(" ", "")
        if wanted not in ("", "state:ENABLED", "state:DISABLED"):
            raise invalid("Invalid filter. Only state:ENABLED and state:DISABLED are supported.")
        names = sorted(call.project.services | (set(TITLES) if wanted != "state:ENABLED" else set()))
        items = [describe(call.project, name) for name in names]
        if wanted:
            items = [item for item in items if item["state"] == wanted.partition(":")[2]]
        chosen, token = page(items, call.query, size="pageSize", default=50)
        return {**({"services": chosen} if chosen else {}), **({"nextPageToken": token} if token else {})}

    async def _enable(self, call: Call) -> Json:
        name = service_name(call.params["service"])
        return self._switch_on(call.project, [name], single=True)

    async def _batch_enable(self, call: Call) -> Json:
        names = call.read({"serviceIds": STRINGS}).get("serviceIds", [])
        if not names or len(names) > 20:
            raise invalid("A batch must name between 1 and 20 services.")
        return self._switch_on(call.project, [service_name(name) for name in names], single=False)

    def _switch_on(self, project: Project, names: list[str], *, single: bool) -> Json:
        def answer() -> Json:
            found = [describe(project, name) for name in names]
            if single:
                return {"@type": f"{TYPES}.EnableServiceResponse", "service": found[0]}
            return {"@type": f"{TYPES}.BatchEnableServicesResponse", "services": found}

        async def enable() -> Json:
            for name in names:
                self._turn_on(project, name)
            return answer()

        if all(name in project.services for name in names):
            # Google answers an enabled API with an operation that it does not keep.
            return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": answer()}
        seconds = self.latency.of("service_enable")
        return render(self.engine.start(self._work(project, "enable", seconds, single), enable))

    def _turn_on(self, project: Project, name: str) -> None:
        for service in (name, *DEPENDENCIES.get(name, ())):
            if service in project.services:
                continue
            project.services.add(service)
            if service == "compute.googleapis.com":
                self._bring(project, f"{project.number}-compute@developer.gserviceaccount.com")
                self._bring(project, f"{project.number}@cloudservices.gserviceaccount.com")
                self._compute.add_default_network(project)
            if service in AGENTS:
                role = f"roles/{service.partition('.')[0]}.serviceAgent"
                self._bring(project, agent(project, service), role)
        self.store.changed()

    def _bring(self, project: Project, email: str, role: str = "") -> None:
        """Have a service agent appear, with its role on the project."""

        def appear() -> None:
            project.agents.add(email)
            if role:
                policies.grant(self.store, f"project/{project.id}", role, f"serviceAccount:{email}")
            self.store.changed()

        if email not in project.agents and (late := self.late(email)):
            self.engine.later(late, appear)
        else:
            appear()

    async def _disable(self, call: Call) -> Json:
        project, name = call.project, service_name(call.params["service"])
        dependants = [user for user, used in DEPENDENCIES.items() if name in used and user in project.services]
        body = call.read(DISABLE)
        if dependants and not body.get("disableDependentServices"):
            raise precondition(
                f"The service {name} is depended on by the following active service(s): {','.join(dependants)}; "
                "Please specify disable_dependent_services=true if you want to proceed with disabling all services."
            )
        used = next((one for one in (name, *dependants) if one in project.called), None)
        if used and body.get("checkIfServiceHasUsage") == "CHECK":
            raise has_usage(used)

        async def disable() -> Json:
            project.services -= {name, *dependants}
            return {"@type": f"{TYPES}.DisableServiceResponse", "service": describe(project, name)}

        work = self._work(project, "disable", self.latency.of("service_enable"), True)
        return render(self.engine.start(work, disable))

    async def _identity(self, call: Call) -> Json:
        project, name = call.project, service_name(call.params["service"])
        email = agent(project, name)
        self._bring(project, email)
        result = {
            "@type": "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity",
            "email": email,
            "uniqueId": self.store.unique_id(),
        }
        return render(self.engine.completed(self._work(project, "identity", 0, True, metadata=False), result))

    def _work(self, project: Project, kind: str, seconds: float, single: bool, *, metadata: bool = True) -> Work:
        extra: Json = {}
        if metadata:
            empty = {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}
            extra["metadata"] = empty if single else {"@type": f"{TYPES}.OperationMetadata"}
        return Work(compute_name(), self.name, project.id, "global", kind, "", seconds, extra)

    async def _operation(self, call: Call) -> Json:
        work = self.engine.find(self.name, call.params["operation"])
        if work is None:
            raise not_found(f"Operation not found: operations/{call.params['operation']}")
        return render(work)


def service_name(name: str) -> str:
    """Raises Refusal as Google does for what is not an API's name."""
    if not apis.exists(name):
        raise Refusal(
            "PERMISSION_DENIED",
            f"Not found or permission denied for service(s): {name}.",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
                    "violations": [
                        {"type": "googleapis.com", "subject": f"?error_code=220002&services={name}"},
                    ],
                },
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
                    "domain": "serviceusage.googleapis.com",
                    "metadata": {"services": name},
                },
            ],
        )
    return name


def has_usage(name: str) -> Refusal:
    """Whoever asks for the check, as gcloud does without --force, does not disable what was called."""
    return Refusal(
        "FAILED_PRECONDITION",
        f"The service {name} has usage in the last 30 days. Please specify check_if_service_has_usage=SKIP if you want "
        "to proceed with disabling the service.",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
                "violations": [{"type": "googleapis.com", "subject": f"?error_code=100002&service_name={name}"}],
            },
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "COMMON_SU_SERVICE_HAS_USAGE",
                "domain": "serviceusage.googleapis.com",
                "metadata": {"service_name": name},
            },
        ],
    )


def describe(project: Project, name: str) -> Json:
    state = "ENABLED" if name in project.services else "DISABLED"
    parent = f"projects/{project.number}"
    answer = {
        "name": f"{parent}/services/{name}",
        "config": {"name": name, "title": TITLES.get(name, name)},
        "state": state,
        "parent": parent,
    }
    return answer


def agent(project: Project, service: str) -> str:
    """The address of the service agent of this API."""
    name = service.partition(".")[0]
    label = AGENTS.get(service) or f"gcp-sa-{AGENT_NAMES.get(name, name)}"
    return f"service-{project.number}@{label}.iam.gserviceaccount.com"


def render(work: Work) -> Json:
    """A Work in the shape of google.longrunning.Operation as serviceusage writes it."""
    answer: Json = {"name": f"operations/{work.name}"}
    if work.done or work.kind == "disable":
        answer |= work.extra
    if work.done:
        answer["done"] = True
        answer |= {"error": work.error.rpc_status()} if work.error else {"response": work.result}
    return answer
