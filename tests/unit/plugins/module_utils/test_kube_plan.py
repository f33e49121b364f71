# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans, their execution and the waits, against a few lines that answer like an API server."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing as t
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import (
    ApiError,
    CollectionError,
    Conflict,
    ImmutableField,
    InvalidOption,
    WaitTimeout,
)
from ansible_collections.aiserving.gke.plugins.module_utils._kube import apply
from ansible_collections.aiserving.gke.plugins.module_utils._kube.connection import Connection, UnknownKind
from ansible_collections.aiserving.gke.plugins.module_utils._kube.manage import telling_of_changes
from ansible_collections.aiserving.gke.plugins.module_utils._kube.plan import MANAGER, Planner, Step, report
from ansible_collections.aiserving.gke.plugins.module_utils._kube.readiness import NeverReady

Json = dict[str, t.Any]
Reply = tuple[int, Json]


@dataclasses.dataclass
class Answer:
    status: int
    data: bytes


class Server:
    """Keeps objects by path; an apply merges at the top level. Good enough to see what is asked of it."""

    def __init__(self) -> None:
        self.kinds: dict[str, list[Json]] = {
            "v1": [
                {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
                {"name": "secrets", "kind": "Secret", "namespaced": True},
                {"name": "namespaces", "kind": "Namespace", "namespaced": False},
                {"name": "pods", "kind": "Pod", "namespaced": True},
                {"name": "pods/log", "kind": "Pod", "namespaced": True},
            ],
            "batch/v1": [{"name": "jobs", "kind": "Job", "namespaced": True}],
            "apiextensions.k8s.io/v1": [
                {"name": "customresourcedefinitions", "kind": "CustomResourceDefinition", "namespaced": False}
            ],
        }
        self.objects: dict[str, Json] = {"/api/v1/namespaces/default": namespace("default")}
        self.writes: list[tuple[str, str]] = []
        self.version = 0
        self.refuse: t.Callable[[str, Json, dict[str, str]], Reply | None] = lambda path, body, query: None
        self.on_write: t.Callable[[str, Json], None] = lambda path, obj: None
        self.lists: dict[str, list[Json]] = {}

    def request(self, method: str, url: str, body: bytes | None = None, **_ignored: t.Any) -> Answer:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, answer = self._answer(method, parts.path, json.loads(body) if body else {}, query)
        return Answer(status, json.dumps(answer).encode())

    def _answer(self, method: str, path: str, body: Json, query: dict[str, str]) -> Reply:
        group_version = path.removeprefix("/apis/").removeprefix("/api/")
        if method == "GET":
            if group_version in self.kinds:
                return 200, {"resources": self.kinds[group_version]}
            if path in self.lists:
                return 200, {"items": self.lists[path], "metadata": {}}
            return (200, self.objects[path]) if path in self.objects else missing(path)
        if method == "DELETE":
            self.writes.append((method, path))
            return (200, {}) if self.objects.pop(path, None) else missing(path)
        return self._apply(path, body, query)

    def _apply(self, path: str, body: Json, query: dict[str, str]) -> Reply:
        assert query["fieldValidation"] == "Strict"
        home = path.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in path else None
        if home and path.count("/") > 4 and f"/api/v1/namespaces/{home}" not in self.objects:
            return missing(f"namespaces {home}")
        if refused := self.refuse(path, body, query):
            return refused
        live = copy.deepcopy(self.objects.get(path, {"metadata": {"uid": f"u{len(self.writes)}"}}))
        live.update({field: value for field, value in body.items() if field != "metadata"})
        live["metadata"].update(body["metadata"])
        claim: Json = {f"f:{field}": {} for field in body}
        live["metadata"]["managedFields"] = [
            {"manager": query["fieldManager"], "operation": "Apply", "fieldsV1": claim}
        ]
        if "dryRun" not in query:
            self.version += 1
            live["metadata"]["resourceVersion"] = str(self.version)
            self.objects[path] = live
            self.writes.append(("APPLY", path))
            self.on_write(path, live)
        return 200, live


def missing(what: str) -> Reply:
    return 404, {"reason": "NotFound", "message": f"{what} not found"}


def namespace(name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": name},
        "status": {"phase": "Active"},
    }


def config_map(name: str = "c", home: str | None = None, **data: str) -> Json:
    made: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    if home:
        made["metadata"]["namespace"] = home
    return made


WIDGETS: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "served": True}, {"name": "v2", "served": False}],
    },
}
WIDGET: Json = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}

MAP = "/api/v1/namespaces/default/configmaps/c"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def connection(server: Server) -> Connection:
    return Connection(server, "https://k", dict)


@pytest.fixture
def planner(connection: Connection) -> Planner:
    return Planner(connection)


def actions(steps: t.Iterable[Step]) -> list[tuple[str, str]]:
    return [(step.definition["kind"], step.action) for step in steps]


def converge(planner: Planner, *definitions: Json, timeout: float = 5) -> list[Step]:
    steps = planner.present(definitions)
    apply.execute(planner, steps, apply.Deadline(timeout))
    return steps


def test_a_plan_writes_nothing_and_a_second_run_neither(server: Server, planner: Planner) -> None:
    assert actions(planner.present([config_map(a="1")])) == [("ConfigMap", "create")]
    assert server.writes == []
    converge(planner, config_map(a="1"))
    assert server.writes == [("APPLY", MAP)]
    assert actions(converge(planner, config_map(a="1"))) == [("ConfigMap", "none")]
    assert server.writes == [("APPLY", MAP)]
    changed = converge(planner, config_map(a="2"))
    assert actions(changed) == [("ConfigMap", "update")]
    assert report(changed, diff=False)["plan"]["changes"][0]["fields"] == [".data.a"]


def test_a_mistake_in_the_last_object_stops_the_first(server: Server, planner: Planner) -> None:
    def refuse(path: str, body: Json, query: dict[str, str]) -> Reply | None:
        bad = path.endswith("/bad")
        return (400, {"reason": "BadRequest", "message": 'unknown field "spec.x"'}) if bad else None

    server.refuse = refuse
    with pytest.raises(ApiError, match=r'unknown field "spec\.x"'):
        converge(planner, config_map("good"), config_map("bad"))
    assert server.writes == []


def test_objects_of_a_new_kind_in_a_new_namespace(server: Server, planner: Planner) -> None:
    def install(path: str, obj: Json) -> None:
        if obj["kind"] == "CustomResourceDefinition":
            server.kinds["example.com/v1"] = [{"name": "widgets", "kind": "Widget", "namespaced": True}]
            obj["status"] = {"conditions": [{"type": "Established", "status": "True"}]}

    server.on_write = install
    place = namespace("new")
    widget = {**WIDGET, "metadata": {"name": "w", "namespace": "new"}}
    given = [widget, config_map(home="new"), place, WIDGETS]
    plan = planner.present(given)
    assert actions(plan) == [
        ("CustomResourceDefinition", "create"),
        ("Namespace", "create"),
        ("Widget", "create"),
        ("ConfigMap", "create"),
    ]
    converge(planner, *given)
    assert [path.rsplit("/", 1)[1] for _verb, path in server.writes] == ["widgets.example.com", "new", "w", "c"]
    assert {action for _kind, action in actions(planner.present(given))} == {"none"}


def test_a_kind_that_was_installed_meanwhile_is_found(server: Server, connection: Connection) -> None:
    with pytest.raises(UnknownKind, match="Widget of example.com/v1"):
        connection.resource("example.com/v1", "Widget")
    server.kinds["example.com/v1"] = [{"name": "widgets", "kind": "Widget", "namespaced": True}]
    assert connection.resource("example.com/v1", "Widget").plural == "widgets"


@pytest.mark.parametrize("obj", [WIDGET, config_map(home="nowhere")], ids=["kind", "namespace"])
def test_what_is_missing_fails_a_real_run_and_is_planned_in_check_mode(connection: Connection, obj: Json) -> None:
    with pytest.raises(CollectionError, match=r"Widget of example\.com/v1|no namespace nowhere"):
        Planner(connection).present([obj])
    assert actions(Planner(connection, lenient=True).present([obj])) == [(obj["kind"], "create")]


def conflict(manager: str) -> Reply:
    cause = {
        "reason": "FieldManagerConflict",
        "field": ".spec.replicas",
        "message": f'conflict with "{manager}" with subresource "scale" using apps/v1',
    }
    return 409, {"reason": "Conflict", "message": "Apply failed with 1 conflict", "details": {"causes": [cause]}}


def test_a_conflict_names_manager_field_and_remedy(server: Server, planner: Planner) -> None:
    server.refuse = lambda path, body, query: conflict("helm") if query["force"] == "false" else None
    told = r"ConfigMap default/c: \.spec\.replicas is set by helm.*force_conflicts"
    with pytest.raises(Conflict, match=told) as found:
        planner.present([config_map()])
    assert found.value.details["managers"] == ["helm"]
    planner.force = True
    assert actions(planner.present([config_map()])) == [("ConfigMap", "create")]


def test_our_own_scaling_is_no_foreigners(server: Server, planner: Planner) -> None:
    server.refuse = lambda path, body, query: conflict(MANAGER) if query["force"] == "false" else None
    assert actions(converge(planner, config_map())) == [("ConfigMap", "create")]


def test_what_cannot_change_in_place_is_named_or_made_anew(server: Server, planner: Planner) -> None:
    job: Json = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"a": 1}}
    path = "/apis/batch/v1/namespaces/default/jobs/j"
    converge(planner, job)

    def refuse(where: str, body: Json, query: dict[str, str]) -> Reply | None:
        if where not in server.objects or server.objects[where]["spec"] == body["spec"]:
            return None
        causes = [{"field": "spec.template", "message": "field is immutable"}]
        message = 'Job.batch "j" is invalid: spec.template: field is immutable'
        return 422, {"reason": "Invalid", "message": message, "details": {"causes": causes}}

    server.refuse = refuse
    job["spec"] = {"a": 2}
    with pytest.raises(ImmutableField, match="recreate: true") as found:
        converge(planner, job)
    assert found.value.details["fields"] == ["spec.template"]
    planner.recreate = True
    server.objects[path]["spec"]["parallelism"] = 1  # a default of the server's
    planned = report(planner.present([job]), diff=True)
    assert planned["plan"]["changes"][0]["fields"] == [".spec.a"]
    assert [planned["diff"][side]["Job default/j"]["spec"] for side in ("before", "after")] == [{"a": 1}, {"a": 2}]
    assert actions(converge(planner, job)) == [("Job", "recreate")]
    assert server.writes[-2:] == [("DELETE", path), ("APPLY", path)]


def test_what_a_controller_writes_between_look_and_dry_run_is_no_change(server: Server, planner: Planner) -> None:
    converge(planner, config_map(a="1"))
    answer, looks = server._answer, []

    def busy(method: str, path: str, body: Json, query: dict[str, str]) -> Reply:
        """Somebody annotates the object after each of the first two looks."""
        found = copy.deepcopy(answer(method, path, body, query))
        if (method, path) == ("GET", MAP):
            looks.append(path)
            if len(looks) <= 2:
                server.objects[MAP]["metadata"].setdefault("annotations", {})[f"look-{len(looks)}"] = "seen"
        return found

    server._answer = busy  # type: ignore[method-assign]
    assert actions(planner.present([config_map(a="1")])) == [("ConfigMap", "none")]
    assert len(looks) == 3
    [step] = planner.present([config_map(a="2")])
    assert (step.action, len(looks)) == ("update", 3 + 2)  # the second look confirms it
    assert report([step], diff=False)["plan"]["changes"][0]["fields"] == [".data.a"]


def test_a_change_of_owner_alone_is_written_and_no_change(server: Server, planner: Planner) -> None:
    converge(planner, config_map(a="1"))
    server.objects[MAP]["metadata"]["managedFields"] = [{"manager": "helm", "operation": "Apply", "fieldsV1": {}}]
    server.writes.clear()
    [step] = planner.present([config_map(a="1")])
    assert (step.action, step.claims, server.writes) == ("none", True, [])
    steps = converge(planner, config_map(a="1"))
    assert (report(steps, diff=True)["changed"], server.writes) == (False, [("APPLY", MAP)])
    assert not steps[0].written  # nothing that a failure would have to tell
    assert not planner.present([config_map(a="1")])[0].claims


def test_a_failure_after_a_write_says_so(server: Server, connection: Connection) -> None:
    def refuse(path: str, body: Json, query: dict[str, str]) -> Reply | None:
        late = path.endswith("/late") and "dryRun" not in query
        return (403, {"reason": "Forbidden", "message": "no quota"}) if late else None

    def run(*names: str) -> Json:
        planner = Planner(connection)
        steps = planner.present([config_map(name) for name in names])
        with pytest.raises(CollectionError) as failure, telling_of_changes(steps):
            apply.execute(planner, steps, apply.Deadline(5))
        return failure.value.details

    server.refuse = refuse
    assert run("first", "late")["changed"] is True
    assert "changed" not in run("late")


def test_a_deletion_of_what_was_made_anew_meanwhile_is_told(
    server: Server, planner: Planner, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(planner, config_map())
    steps, answer = planner.absent([config_map()]), server._answer
    refusal = (
        409,
        {"reason": "Conflict", "message": "Precondition failed: UID in precondition: a, UID in object meta: b"},
    )
    monkeypatch.setattr(
        server, "_answer", lambda method, *rest: refusal if method == "DELETE" else answer(method, *rest)
    )
    with pytest.raises(Conflict, match="ConfigMap default/c was deleted and made anew by somebody else meanwhile"):
        apply.delete(connection, steps, apply.Deadline(5), wait=True)


def test_one_object_given_twice_is_refused(planner: Planner) -> None:
    with pytest.raises(InvalidOption, match="ConfigMap default/c.*twice"):
        planner.present([config_map(), config_map(home="default")])


def test_deletion_goes_the_other_way_round(server: Server, planner: Planner, connection: Connection) -> None:
    given = [namespace("new"), config_map("a", "new"), config_map("b", "new"), config_map("gone", "new")]
    converge(planner, *given[:3])
    server.writes.clear()
    steps = planner.absent([*given, WIDGET])
    assert actions(steps) == [
        ("Widget", "none"),
        ("ConfigMap", "none"),
        ("ConfigMap", "delete"),
        ("ConfigMap", "delete"),
        ("Namespace", "delete"),
    ]
    apply.delete(connection, steps, apply.Deadline(5), wait=True)
    assert [path.rsplit("/", 1)[1] for _verb, path in server.writes] == ["b", "a", "new"]
    assert report(steps, diff=True)["diff"]["before"].keys() == {
        "ConfigMap new/b",
        "ConfigMap new/a",
        "Namespace new",
    }


def test_a_deletion_that_hangs_names_the_finalizers(
    server: Server, planner: Planner, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(planner, config_map())
    server.objects[MAP]["metadata"]["finalizers"] = ["example.com/keep"]
    monkeypatch.setattr(server, "_answer", _undeletable(server))
    with pytest.raises(WaitTimeout, match=r"ConfigMap default/c is still there \(finalizers: example\.com/keep\)"):
        apply.delete(connection, planner.absent([config_map()]), apply.Deadline(0), wait=True)


def _undeletable(server: Server) -> t.Callable[..., Reply]:
    answer = server._answer
    return lambda method, *rest: (200, {}) if method == "DELETE" else answer(method, *rest)


def failing_pod(uid: str) -> Json:
    owner = {"kind": "Job", "uid": uid, "controller": True}
    died = {"exitCode": 1, "reason": "Error"}
    return {
        "metadata": {"name": "j-1", "namespace": "default", "uid": "p1", "ownerReferences": [owner]},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no TPU"}],
            "containerStatuses": [
                {
                    "name": "main",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    "lastState": {"terminated": died},
                }
            ],
        },
    }


def warning(reason: str, message: str, uid: str) -> Json:
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": {"uid": uid}, "metadata": {}}


def test_a_wait_that_fails_says_why(server: Server, planner: Planner, connection: Connection) -> None:
    job: Json = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
    job["spec"] = {"template": {}, "selector": {"matchLabels": {"job": "j"}}}
    steps = converge(planner, job)
    server.lists["/api/v1/namespaces/default/pods"] = [failing_pod(steps[0].after["metadata"]["uid"])]  # type: ignore[index]
    server.lists["/api/v1/namespaces/default/events"] = [
        warning("FailedMount", "denied", "p1"),
        warning("Foreign", "other", "o"),
    ]
    server.objects["/api/v1/namespaces/default/pods/j-1/log"] = {"log": "GatedRepoError"}
    with pytest.raises(WaitTimeout) as found:
        apply.wait_ready(connection, steps, apply.Deadline(0))
    for said in (
        "Job default/j: the Job is not complete",
        "Pod default/j-1 is Unschedulable: no TPU",
        "container main is CrashLoopBackOff: back-off 10s",
        "container main: Error, exit code 1",
        "GatedRepoError",
        "event FailedMount: denied",
    ):
        assert said in found.value.message
    assert "Foreign" not in found.value.message
    json.dumps(found.value.details)  # it becomes the task's result

    del server.lists["/api/v1/namespaces/default/events"]
    server.objects["/api/v1/namespaces/default/pods/j-1/log"] = {}
    with pytest.raises(WaitTimeout, match=r"its events could not be read: Kubernetes answers 404"):
        apply.wait_ready(connection, steps, apply.Deadline(0))
    del server.lists["/api/v1/namespaces/default/pods"]
    with pytest.raises(WaitTimeout, match=r"what its Pods say could not be read: Kubernetes answers 404"):
        apply.wait_ready(connection, steps, apply.Deadline(0))

    path = "/apis/batch/v1/namespaces/default/jobs/j"
    server.objects[path]["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "Backoff"}]}
    with pytest.raises(NeverReady, match="the Job failed"):
        apply.wait_ready(connection, steps, apply.Deadline(60))


def test_a_plans_report_keeps_secrets(server: Server, planner: Planner) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"token": "aHVudGVy"}}
    created = report(converge(planner, secret), diff=True)
    secret["data"] = {"token": "bmV3"}
    updated = report(converge(planner, secret), diff=True)
    assert "aHVudGVy" not in json.dumps([created, updated])
    assert "bmV3" not in json.dumps([created, updated])
    assert updated["plan"]["changes"] == [{"object": "Secret default/s", "action": "update", "fields": [".data.token"]}]
