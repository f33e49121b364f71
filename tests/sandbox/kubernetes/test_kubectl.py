# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real kubectl works here as it does on GKE."""

from __future__ import annotations

import json
import typing as t

Json = dict[str, t.Any]


def test_version_and_api_resources(kubectl: t.Any, widgets: Json) -> None:
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.34.1-gke.1829001"
    rows = {line.split()[0]: line.split() for line in kubectl("api-resources", "--no-headers").splitlines()}
    assert rows["deployments"] == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    assert rows["widgets"] == ["widgets", "wi", "example.com/v1", "true", "Widget"]


def test_client_side_apply_creates_updates_and_leaves_alone(kubectl: t.Any, build: t.Any) -> None:
    desired = build.deployment()
    assert kubectl("apply", "-f", "-", given=desired) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", given=desired) == "deployment.apps/web unchanged\n"
    desired["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "busybox:1"})
    assert kubectl("apply", "-f", "-", given=desired) == "deployment.apps/web configured\n"
    desired["spec"]["template"]["spec"]["containers"].pop(0)
    kubectl("apply", "-f", "-", given=desired)
    live = json.loads(kubectl("get", "deploy", "web", "-o", "json"))
    assert [one["name"] for one in live["spec"]["template"]["spec"]["containers"]] == ["side"]
    assert "configured" in kubectl("apply", "-f", "-", "--dry-run=server", given=build.deployment(replicas=7))
    desired["spec"]["replica"] = 1
    assert 'unknown field "spec.replica"' in kubectl.fails("apply", "-f", "-", given=desired)


def test_server_side_apply_and_its_conflicts(kubectl: t.Any, build: t.Any) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, given=build.deployment()) == "deployment.apps/web serverside-applied\n"
    kubectl("scale", "deployment/web", "--replicas=5")
    told = kubectl.fails(*apply, given=build.deployment())
    assert "conflict" in told and ".spec.replicas" in told
    kubectl(*apply, "--force-conflicts", given=build.deployment())
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    diff = kubectl.run("diff", "--server-side", "-f", "-", given=build.deployment(replicas=2))
    assert diff.returncode == 0, diff.stdout + diff.stderr


def test_custom_resources_in_apply_get_and_explain(kubectl: t.Any, widgets: Json) -> None:
    given: Json = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}
    assert kubectl("apply", "-f", "-", given=given) == "widget.example.com/w created\n"
    given["spec"]["size"] = 4
    assert kubectl("apply", "-f", "-", given=given) == "widget.example.com/w configured\n"
    kubectl("patch", "widget", "w", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Ready"}}')
    heading, row = kubectl("get", "widgets").splitlines()
    assert heading.split() == ["NAME", "SIZE", "PHASE", "AGE"] and row.split()[:3] == ["w", "4", "Ready"]
    assert "color\t<string>" in kubectl("explain", "widget.spec")
    assert kubectl("scale", "widget/w", "--replicas=2") == "widget.example.com/w scaled\n"


def test_get_tables_selectors_and_names(kubectl: t.Any, build: t.Any, running: t.Any) -> None:
    kubectl("create", "-f", "-", given=build.pod("first"))
    kubectl("create", "-f", "-", given=build.pod("second", nodeName="n1"))
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "main", "ready": False, "restartCount": 3, "state": state, "image": "i", "imageID": ""}
    status = {"status": {"phase": "Running", "podIP": "127.1.2.3", "containerStatuses": [container]}}
    kubectl("patch", "pod", "second", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    heading, first, second = kubectl("get", "pods").splitlines()
    assert heading.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert first.split()[:4] == ["first", "0/1", "Pending", "0"]
    assert second.split()[:4] == ["second", "0/1", "CrashLoopBackOff", "3"]
    assert kubectl("get", "pods", "-o", "wide").splitlines()[2].split()[5:7] == ["127.1.2.3", "n1"]
    assert kubectl("get", "pods", "-l", "app=second", "-o", "name") == "pod/second\n"
    assert kubectl("get", "pods", "--field-selector", "spec.nodeName=n1", "-o", "name") == "pod/second\n"
    assert kubectl.fails("get", "pod", "third") == 'Error from server (NotFound): pods "third" not found\n'
    both = json.loads(kubectl("get", "pods", "-o", "json"))
    assert [one["kind"] for one in both["items"]] == ["Pod", "Pod"]


def test_every_builtin_kind_has_a_table(kubectl: t.Any) -> None:
    names = kubectl("api-resources", "--verbs=list", "-o", "name", "--cached=false").split()
    assert len(names) > 40
    kubectl("get", ",".join(names), "-A")


def test_wait_for_a_condition_and_for_deletion(kubectl: t.Any, build: t.Any) -> None:
    kubectl("create", "-f", "-", given=build.deployment())
    waiting = kubectl.start("wait", "deployment/web", "--for=condition=Available", "--timeout=20s")
    condition = {"type": "Available", "status": "True", "reason": "r", "message": "m"}
    report = json.dumps({"status": {"conditions": [condition]}})
    kubectl("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", report)
    output, trouble = waiting.communicate(timeout=30)
    assert output == "deployment.apps/web condition met\n", trouble
    waiting = kubectl.start("wait", "deployment/web", "--for=delete", "--timeout=20s")
    assert kubectl("delete", "deploy", "web").startswith('deployment.apps "web" deleted')
    output, trouble = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, trouble


def test_logs(kubectl: t.Any, build: t.Any, running: t.Any, eventually: t.Any) -> None:
    kubectl("create", "-f", "-", given=build.pod(nodeName="n1"))
    assert "waiting to start: ContainerCreating" in kubectl.fails("logs", "one")
    log = running.directory / "logs" / kubectl.namespace / "one" / "main.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\nsecond\n")
    assert kubectl("logs", "one") == "first\nsecond\n"
    assert kubectl("logs", "one", "--tail=1", "-c", "main") == "second\n"
    following = kubectl.start("logs", "-f", "one")
    assert following.stdout and following.stdout.readline() == "first\n"
    with log.open("a") as file:
        file.write("third\n")
    assert [following.stdout.readline() for _unused in range(2)] == ["second\n", "third\n"]
    kubectl("patch", "pod", "one", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Succeeded"}}')
    assert following.wait(20) == 0
    assert "not valid for pod" in kubectl.fails("logs", "one", "-c", "other")


def test_rollout_and_expose(kubectl: t.Any, build: t.Any) -> None:
    kubectl("create", "-f", "-", given=build.deployment())
    assert "restarted" in kubectl("rollout", "restart", "deployment/web")
    assert "exposed" in kubectl("expose", "deployment", "web", "--port=80")
    assert "image updated" in kubectl("set", "image", "deployment/web", "main=nginx:2")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.metadata.generation}") == "3"


def test_label_annotate_describe_and_run(kubectl: t.Any, build: t.Any) -> None:
    kubectl("create", "-f", "-", given=build.deployment())
    assert kubectl("label", "deployment/web", "tier=front") == "deployment.apps/web labeled\n"
    assert kubectl("annotate", "deployment/web", "who=me") == "deployment.apps/web annotated\n"
    told = kubectl("describe", "deployment/web")
    assert "tier=front" in told and "who: me" in told.replace("who:  ", "who: ")
    assert kubectl("run", "alone", "--image=busybox:1") == "pod/alone created\n"
