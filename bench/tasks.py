# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one task costs: in the controller's process, as a module, and what kubernetes.core takes for the same."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t

from tests.e2e.estate import ROOT, Estate

from .estates import play, running
from .report import spread

HOSTS, TASKS, OBJECTS = 8, 5, 10
Json = dict[str, t.Any]

# Where `make bench` has put the collections of the PyPI package "ansible".
PEERS = ROOT / ".cache" / "bench"


def measure(options: argparse.Namespace) -> Json:
    """Seconds of a task: of ``HOSTS`` x ``TASKS`` of them, less what the same play takes without any."""
    with running(1, 0.01) as found:
        built = play(found, "site.yml")
        print(f"bench: estate of one region built in {built.seconds:.1f} s", file=sys.stderr, flush=True)
        rows: Json = {}
        for name, ours, peer in _subjects(found):
            rows[name] = _compare(found, ours, peer, options.repeat)
        return rows


def _subjects(found: Estate) -> t.Iterator[tuple[str, Json, Json | None]]:
    """(name, a converged task of ours, the peer's task for the same or None)."""
    [(key, cluster)] = found.status()["clusters"].items()
    location, name = key.split("/")
    yield (
        "subnetwork",
        {
            "aiserving.gke.subnetwork": {
                "name": "nodes-us-east5",
                "region": "us-east5",
                "network": "serving",
                "ip_cidr_range": f"{found.status()['prefix']}.1.0/24",
            }
        },
        None,
    )
    pool = {"machine_type": "ct6e-standard-4t"}
    yield (
        "node_pool",
        {
            "aiserving.gke.node_pool": {
                "cluster": name,
                "location": location,
                "name": "tpu-v6e",
                "dranet": True,
                "config": pool,
            }
        },
        None,
    )
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"bench-{number}", "namespace": "default"},
            "data": {"number": str(number)},
        }
        for number in range(OBJECTS)
    ]
    peer = None
    if (PEERS / "ansible_collections" / "kubernetes" / "core").is_dir():
        peer = {"kubernetes.core.k8s": {"kubeconfig": cluster["kubeconfig"], "apply": True, "definition": objects}}
    yield "manifests", {"aiserving.gke.manifests": {"kubeconfig": cluster["kubeconfig"], "definitions": objects}}, peer


def _compare(found: Estate, ours: Json, peer: Json | None, repeat: int) -> Json:
    ways: dict[str, tuple[Json, Json]] = {
        "twin": (ours, {"aiserving_in_process": True}),
        "module": (ours, {"aiserving_in_process": False}),
    }
    if peer:
        ways["peer"] = (peer, {})
    for task, variables in ways.values():
        _run(found, task, variables, 1)  # makes the objects, and what files the interpreters cache
    costs: dict[str, list[float]] = {way: [] for way in ways}
    for _unused in range(repeat):
        for way, (task, variables) in ways.items():
            empty = _run(found, task, variables, 0)
            full = _run(found, task, variables, TASKS)
            costs[way].append((full - empty) / (HOSTS * TASKS))
    row: Json = {way: spread(values) for way, values in costs.items()}
    for way in ("module", "peer"):
        if way in costs:
            ratios = [slow / fast for slow, fast in zip(costs[way], costs["twin"], strict=True)]
            row[f"{way}_by_twin"] = spread(ratios)
    return row


def _run(found: Estate, task: Json, variables: Json, count: int) -> float:
    """Wall time of a play with ``count`` such tasks on each of ``HOSTS`` hosts."""
    folder = found.directory / "tasks"
    folder.mkdir(exist_ok=True)
    status = found.status()
    hosts: Json = {f"host{number}": {} for number in range(HOSTS)}
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        **variables,
    }
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    credentials = {
        "project": status["project"],
        "auth_kind": "accesstoken",
        "access_token": status["token"],
        "api_endpoints": status["endpoints"],
    }
    document = {
        "hosts": "all",
        "gather_facts": False,
        "module_defaults": {"group/aiserving.gke.gcp": credentials},
        # Something to run also when there are none of them: the play's own cost.
        "tasks": [{"ansible.builtin.debug": {"msg": "begin"}}, *([task] * count)],
    }
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([document]))
    paths = f"{ROOT / '.venv' / 'collections'}:{PEERS}"
    many = Estate(found.directory, folder / "hosts.yml")
    return play(many, playbook, ANSIBLE_COLLECTIONS_PATH=paths).seconds
