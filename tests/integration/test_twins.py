# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task, two ways: in the controller's process and as a module. Users must not be able to tell them apart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.clouds import TOKEN, Running, running_cloud
from tests.integration.kube_fixtures import Cluster, cluster

__all__ = ["cluster"]

Json = dict[str, t.Any]

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
BIN = Path(sys.executable).parent

VPC: Json = {"name": "vpc", "mtu": 8896}
SUBNET: Json = {"name": "nodes", "region": "us-east5", "network": "vpc", "ip_cidr_range": "10.0.1.0/24"}
SECRET: Json = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "stringData": {"token": "hf_very_secret"},
}


# It judges what only the controller knows, so there is no module to be a twin of.
CONTROLLER_ONLY = {"inventory_judge"}


def names(folder: str) -> set[str]:
    return {path.stem for path in (PLUGINS / folder).glob("*.py")}


class Playbook:
    """Tasks of the collection, each registered; what they returned, and what was printed."""

    def __init__(self, folder: Path, cloud: Running, tasks: list[Json], **play: t.Any) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        steps = [
            {"name": f"number {index}", "ignore_errors": True, "register": f"result_{index}", **task}
            for index, task in enumerate(tasks)
        ]
        results = ", ".join(f"result_{index}" for index in range(len(tasks)))
        dump = {"dest": str(folder / "results.json"), "content": f"{{{{ [{results}] | to_json }}}}"}
        steps.append({"ansible.builtin.copy": dump, "diff": False})
        plays = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "module_defaults": {"group/aiserving.gke.gcp": cloud.args},
                "vars": {"ansible_python_interpreter": sys.executable},
                "tasks": steps,
                **play,
            }
        ]
        (folder / "play.yml").write_text(yaml.safe_dump(plays))

    def run(self, *arguments: str, code: int = 0, **variables: t.Any) -> list[Json]:
        """What the tasks returned (nothing when the play was to end with an error, ``code``).

        ``output`` is what was printed; ``modules`` tells of each task whether it ran as a module.
        """
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection_plugins"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv", "play.yml"]
        done = subprocess.run(
            [*command, "-e", json.dumps(variables), *arguments],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, done.stdout
        self.output = done.stdout
        if code:
            return []
        told = re.split(r"^TASK \[number \d+\]", done.stdout, flags=re.MULTILINE)[1:]
        self.modules = ["/aiserving/gke/plugins/modules/" in text for text in told]
        return t.cast(list[Json], json.loads((self._folder / "results.json").read_text()))


def same_for_all(results: list[Json]) -> list[Json]:
    """Without what differs from one run to the next on any way: ids, times, addresses of the cloud."""
    text = json.dumps([{k: v for k, v in result.items() if k != "invocation"} for result in results])
    text = re.sub(r"http://127\.0\.0\.1:\d+", "CLOUD", text)
    text = re.sub(r"operation-[0-9a-z-]+|20\d\d-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", "NOW", text)
    text = re.sub(r'"(\w*id|uid|etag|fingerprint|resourceVersion|\w*fingerprint)": "[^"]*"', r'"\1": "ID"', text)
    return t.cast(list[Json], json.loads(text))


def test_every_module_has_its_twin_and_no_twin_is_alone() -> None:
    assert names("action") == names("modules") != set()
    for name in names("action") - CONTROLLER_ONLY:
        assert f"modules.{name} import MODULE" in (PLUGINS / "action" / f"{name}.py").read_text()


def test_nothing_is_opened_when_the_twins_are_loaded() -> None:
    """Workers are forks of the process that loads them: a socket or a thread from before would be shared or lost."""
    script = f"""
import importlib, os, pathlib, stat, threading
for name in {sorted(names("action"))!r}:
    importlib.import_module("ansible_collections.aiserving.gke.plugins.action." + name)
from ansible_collections.aiserving.gke.plugins.module_utils._gcp.connect import _logins
from ansible_collections.aiserving.gke.plugins.module_utils._kube.connection import _open
assert not _logins and not _open, (_logins, _open)
assert threading.active_count() == 1, threading.enumerate()
def is_socket(name):
    try:
        return stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    except OSError:
        return False
assert not any(is_socket(name) for name in os.listdir("/proc/self/fd") if int(name) > 2)
"""
    path = os.pathsep.join([str(ROOT / ".venv" / "collections"), str(ROOT)])
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=True, timeout=120)


def test_both_ways_give_the_same_results(tmp_path: Path, cluster: Cluster) -> None:
    at = {"kubeconfig": cluster.kubeconfig}

    def tasks(namespace: str) -> list[Json]:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        manifests = {"definitions": [space, SECRET], "namespace": namespace, **at}
        return [
            {"aiserving.gke.network": VPC, "check_mode": True, "diff": True},
            {"aiserving.gke.network": VPC},
            {"aiserving.gke.network": VPC},
            {"aiserving.gke.network": {**VPC, "mtu": 1460}, "check_mode": True, "diff": True},
            {"aiserving.gke.network": {**VPC, "mtu": 1460}, "diff": True},
            {"aiserving.gke.network": {**VPC, "mtu": 1460, "auto_create_subnetworks": True}},  # cannot change
            {"aiserving.gke.subnetwork": SUBNET},
            {"aiserving.gke.subnetwork": {**SUBNET, "wait_timeout": "soon"}},  # no number
            {"aiserving.gke.subnetwork": {**SUBNET, "colour": "red"}},  # no such option
            {"aiserving.gke.subnetwork": {"name": "nodes"}},  # not enough options
            {"aiserving.gke.subnetwork": {**SUBNET, "state": "absent"}, "vars": {"why": "{{ 1 + 1 }}"}},
            {"aiserving.gke.network": {**VPC, "state": "absent"}},
            {"aiserving.gke.cluster_info": {}},
            {"aiserving.gke.node_pool": {"name": "tpu", "cluster": "none", "location": "us-east5-b"}},
            {"aiserving.gke.manifests": manifests, "diff": True},
            {"aiserving.gke.manifests": manifests},
            {"aiserving.gke.manifests": {**manifests, "definitions": [{"kind": "Pod"}]}},
        ]

    found = []
    for way in (True, False):
        with running_cloud(tmp_path / f"cloud-{way}") as cloud:
            playbook = Playbook(tmp_path / f"play-{way}", cloud, tasks(f"way-{way}".lower()))
            results = playbook.run(aiserving_in_process=way)
            assert playbook.modules == [not way] * len(results)
            text = json.dumps(same_for_all(results)).replace(f"way-{way}".lower(), "way")
            found.append(json.loads(text))
            assert TOKEN not in playbook.output + text
            assert "hf_very_secret" not in json.dumps(results)
    here, there = found
    assert len(here) == len(there) == 17
    for index, (one, other) in enumerate(zip(here, there, strict=True)):
        assert one == other, index
    assert [bool(result.get("changed")) for result in here][:5] == [True, True, False, True, True]
    assert [index for index, result in enumerate(here) if result["failed"]] == [5, 7, 8, 9, 13, 16]


@pytest.mark.parametrize("way", [True, False])
def test_a_secret_that_an_api_repeats_is_hidden_on_both_ways(tmp_path: Path, cloud_server: Running, way: bool) -> None:
    """The token as a description: it comes back from the API, in the result and in the diff."""
    name = f"loud-{way}".lower()
    tasks: list[Json] = [
        {"aiserving.gke.network": {"name": name, "description": TOKEN}, "diff": True},
        {"aiserving.gke.network": {"name": name, "description": f"not {TOKEN}"}},  # an error that names it
    ]
    playbook = Playbook(tmp_path / "play", cloud_server, tasks)
    made, refused = playbook.run(aiserving_in_process=way)
    assert made["changed"] and refused["failed"] and "description" in refused["msg"]
    assert TOKEN not in json.dumps([made, refused]) + playbook.output
    live = cloud_server.find("compute", f"projects/{cloud_server.args['project']}/global/networks/{name}")
    assert live is not None and live["description"] == TOKEN


@pytest.mark.parametrize("way", [True, False])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\u00fc"])
def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path: Path, cloud_server: Running, way: bool, end: str) -> None:
    """What an HTTP library says of a header quotes it, with line breaks spelled out, where nothing masks it."""
    secret = "ya29.a0AfB_very-secret"
    task: Json = {"aiserving.gke.cluster_info": {"access_token": secret + end}}
    (result,) = Playbook(tmp_path / "play", cloud_server, [task]).run(aiserving_in_process=way)
    assert result["failed"] and result["msg"].startswith("access_token: '(hidden)' is not valid: ")
    assert secret not in json.dumps({key: value for key, value in result.items() if key != "invocation"})


def test_what_needs_a_process_of_its_own_gets_one(tmp_path: Path, cloud_server: Running) -> None:
    ways: list[tuple[Json, bool]] = [
        ({}, False),
        ({"async": 60, "poll": 1}, True),
        ({"connection": "bastion"}, True),
        ({"environment": {"GCP_QUOTA_PROJECT": "other"}}, True),
        ({"vars": {"aiserving_in_process": "{{ 1 > 2 }}"}}, True),
    ]
    if os.geteuid() == 0:  # others would be asked for a password
        ways.append(({"become": True, "become_method": "ansible.builtin.su"}, True))
    playbook = Playbook(
        tmp_path / "play", cloud_server, [{"aiserving.gke.cluster_info": {}, **keywords} for keywords, _unused in ways]
    )
    results = playbook.run()
    assert [(result["failed"], result["clusters"]) for result in results] == [(False, [])] * len(ways)
    assert playbook.modules == [module for _unused, module in ways]
