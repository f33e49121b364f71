# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What surrounds a container's process, as tables: paths, expansion, images, addresses, the downward API, status."""

from __future__ import annotations

import sys
import typing as t

import pytest

from sandbox.dataplane import environment, images, status
from sandbox.dataplane.addresses import AddressPool, NoAddress
from sandbox.dataplane.paths import Translator, expand

MOUNTS = {"/data": "/h/w", "/data/cache": "/h/c", "/etc/serving": "/h/s", "/": "/h/root"}


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("/data", "/h/w"),
        ("/data/", "/h/w/"),
        ("/data/model/config.json", "/h/w/model/config.json"),
        ("/data/cache/x", "/h/c/x"),
        ("--model=/data/google/gemma", "--model=/h/w/google/gemma"),
        ("/etc/serving:/data", "/h/s:/h/w"),
        ("cp -r '/data/a' \"/data/b\" && ls /data;echo", "cp -r '/h/w/a' \"/h/w/b\" && ls /h/w;echo"),
        ("local_dir='/data/x'", "local_dir='/h/w/x'"),
        ("/database", "/database"),
        ("/data-old", "/data-old"),
        ("/data.bak", "/data.bak"),
        ("/var/data", "/var/data"),
        ("gs://bucket/data", "gs://bucket/data"),
        ("http://127.0.0.1:8000/data", "http://127.0.0.1:8000/data"),
        ("${HOME}/data", "${HOME}/data"),
        ("data", "data"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_paths_below_mounts_are_translated_and_no_others(text: str, translated: str) -> None:
    assert Translator(MOUNTS)(text) == translated


def test_without_mounts_nothing_is_translated() -> None:
    assert Translator({})("/data a.b") == "/data a.b"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)/x", "1/x"),
        ("$(A)$(B)", "12"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$A ${A}", "$A ${A}"),
    ],
)
def test_variables_in_commands_are_expanded_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@pytest.mark.parametrize(
    ("reference", "directories"),
    [
        ("vllm/vllm-tpu:v0.11.1", ("vllm", "python")),
        ("vllm/vllm-openai@sha256:00", ("vllm", "python")),
        ("docker.io/vllm/vllm-tpu", ("vllm", "python")),
        ("python:3.12-slim", ("python",)),
        ("python", ("python",)),
        ("docker.io/library/python:3", ("python",)),
        ("registry.k8s.io/gateway-api-inference-extension/epp:v1.1.0", ("epp",)),
        ("pythonista:1", None),
        ("example.com/vllm/vllm-tpu", None),
        ("localhost:5000/python", None),
        ("busybox", None),
    ],
)
def test_images_by_reference(reference: str, directories: tuple[str, ...] | None) -> None:
    found = images.find(reference)
    assert (found.directories if found else None) == directories


def test_programs_of_images() -> None:
    vllm, epp = (
        images.find("vllm/vllm-openai:v1"),
        images.find("registry.k8s.io/gateway-api-inference-extension/epp:v1"),
    )
    assert vllm is not None and epp is not None
    for python in ("python", "python3", "/usr/bin/python3.12"):
        assert vllm.program(python) == sys.executable
    assert vllm.program("vllm").endswith("images/vllm/bin/vllm")
    assert epp.program("/epp").endswith("images/epp/bin/epp")
    assert vllm.program("/bin/sh") == "/bin/sh"
    assert vllm.entrypoint == ("vllm", "serve")


def test_addresses_are_distinct_and_not_used_again_at_once() -> None:
    pool = AddressPool("127.250.8.0/24")
    first = pool.take()
    pool.give_back(first)
    others = [pool.take() for _unused in range(252)]
    assert first not in others and len(set(others)) == 252
    assert not {"127.250.8.0", "127.250.8.1", "127.250.8.255"} & set(others)
    assert pool.take() == first
    with pytest.raises(NoAddress, match="in use"):
        pool.take()


@pytest.mark.parametrize("cidr", ["10.0.0.0/14", "", "127.0.0.0/99"])
def test_a_range_that_cannot_carry_traffic_is_refused(cidr: str) -> None:
    with pytest.raises(NoAddress):
        AddressPool(cidr)


POD: dict[str, t.Any] = {
    "metadata": {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "labels": {"a/b": "1", "c": "2"},
        "annotations": {"x": "y"},
    },
    "spec": {"nodeName": "node-1", "serviceAccountName": "sa"},
    "status": {"podIP": "127.0.0.9", "podIPs": [{"ip": "127.0.0.9"}], "hostIP": "127.0.0.1"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u"),
        ("metadata.labels['a/b']", "1"),
        ("metadata.annotations['x']", "y"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'a/b="1"\nc="2"'),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "127.0.0.9"),
        ("status.podIPs", "127.0.0.9"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields_of_the_downward_api(path: str, value: str) -> None:
    assert environment.field(POD, path) == value


def test_other_fields_are_refused() -> None:
    with pytest.raises(environment.ConfigError, match="spec.containers"):
        environment.field(POD, "spec.containers")


RUNNING: dict[str, t.Any] = {"state": {"running": {}}, "lastState": {}}
WAITING: dict[str, t.Any] = {"state": {"waiting": {}}, "lastState": {}}
CRASHING = {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
DONE = {"state": {"terminated": {"exitCode": 0}}, "lastState": {}}
FAILED = {"state": {"terminated": {"exitCode": 1}}, "lastState": {}}


@pytest.mark.parametrize(
    ("policy", "containers", "phase"),
    [
        ("Always", [WAITING], "Pending"),
        ("Always", [RUNNING, WAITING], "Pending"),
        ("Always", [RUNNING], "Running"),
        ("Always", [CRASHING], "Running"),
        ("Always", [DONE], "Running"),
        ("OnFailure", [DONE, DONE], "Succeeded"),
        ("OnFailure", [DONE, CRASHING], "Running"),
        ("OnFailure", [FAILED], "Running"),
        ("Never", [DONE, RUNNING], "Running"),
        ("Never", [DONE], "Succeeded"),
        ("Never", [DONE, FAILED], "Failed"),
    ],
)
def test_phase(policy: str, containers: list[dict[str, t.Any]], phase: str) -> None:
    assert status.phase(policy, True, False, containers) == phase
    assert status.phase(policy, False, False, containers) == "Pending"
    assert status.phase(policy, False, True, containers) == "Failed"


def test_conditions_keep_others_and_the_time_of_the_last_change() -> None:
    known = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "t0"},
        {"type": "Ready", "status": "False", "lastTransitionTime": "t1"},
        {"type": "cloud.google.com/custom", "status": "True", "lastTransitionTime": "t2"},
    ]
    unready = {"name": "main", "ready": False}
    found = {c["type"]: c for c in status.conditions(known, "Running", True, True, [unready])}
    assert found["Ready"]["lastTransitionTime"] == "t1"
    assert found["Ready"]["message"] == "containers with unready status: [main]"
    assert found["PodScheduled"] == known[0] and found["cloud.google.com/custom"] == known[2]
    ready = {"name": "main", "ready": True}
    found = {c["type"]: c for c in status.conditions(known, "Running", True, True, [ready])}
    assert found["Ready"]["status"] == "True" and found["Ready"]["lastTransitionTime"] != "t1"
    found = {c["type"]: c for c in status.conditions(known, "Succeeded", True, True, [unready])}
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "PodCompleted")
