# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong, by the hands of a user: kubectl, a request to Google, a signal to a process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import typing as t
from collections.abc import Callable
from pathlib import Path

from tests import waiting
from tests.e2e.estate import Estate

CONFIG, OTHER = "us-east5", "europe-west4"
BOTH = frozenset({CONFIG, OTHER})
ZONES = {CONFIG: "us-east5-b", OTHER: "europe-west4-a"}
MODEL = "gemma-3-27b-it"
PROJECT = "projects/sandbox-project"
WEIGHTS = "sandbox-project-gemma-3-weights"
DEADLINE = 90.0
until = functools.partial(waiting.until, seconds=DEADLINE)


@dataclasses.dataclass(frozen=True)
class Incident:
    """One thing that goes wrong, and what must come of it."""

    name: str
    done: str  # what was done, as the table says it
    inject: Callable[[Estate], None]
    # The regions whose clients may lose requests; the others' must not lose one.
    hurts: frozenset[str] = frozenset()
    # Whether `site.yml --check` must fail or announce a change.
    noticed: bool = True
    # Who repairs it: site.yml, site.yml with the variable that its message names, or nobody of ours.
    repair: t.Literal["site", "told", "nobody"] = "site"
    # What somebody else does in the end when it is not ours to repair.
    undo: Callable[[Estate], None] | None = None
    # Variables of the runs while the incident lasts.
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    # What the failing run must say.
    says: str = ""


def cluster(region: str) -> str:
    return f"{ZONES[region]}/gke-{region}"


def kubectl(estate: Estate, region: str, *arguments: str) -> str:
    done = estate.kubectl(cluster(region), *arguments)
    assert done.code == 0, done.output
    return done.output


def servers(estate: Estate, region: str) -> list[int]:
    """The processes of the region's model servers."""
    return [
        load["pid"]
        for load in estate.status()["workloads"]
        if load["cluster"] == cluster(region) and load["container"] == "vllm" and load["pid"]
    ]


def envoys(estate: Estate, region: str) -> list[int]:
    """The processes of the region's load balancer; nobody else works in its directory."""
    directory = estate.directory / "sandbox" / "envoy" / region
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == directory:
                found.append(int(entry.name))
    assert found, f"no process works in {directory}"
    return found


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def crash(estate: Estate) -> None:
    def loops() -> bool:
        send(signal.SIGKILL, servers(estate, CONFIG))
        pods = kubectl(estate, CONFIG, "get", "pods", "-l", "app.kubernetes.io/component=model-server", "-o", "json")
        states = [
            status.get("state", {}).get("waiting", {}).get("reason")
            for pod in json.loads(pods)["items"]
            for status in pod["status"].get("containerStatuses") or []
        ]
        return "CrashLoopBackOff" in states

    until(loops, "the model server is in CrashLoopBackOff")


def lose_load_balancers(estate: Estate) -> None:
    send(signal.SIGKILL, envoys(estate, CONFIG))
    send(signal.SIGSTOP, envoys(estate, OTHER))


def continue_load_balancer(estate: Estate) -> None:
    send(signal.SIGCONT, envoys(estate, OTHER))


def hang(estate: Estate) -> None:
    send(signal.SIGSTOP, servers(estate, CONFIG))


def delete_picker(estate: Estate) -> None:
    kubectl(estate, CONFIG, "delete", "deployment", f"{MODEL}-epp")


def delete_pool(estate: Estate) -> None:
    kubectl(estate, CONFIG, "delete", "inferencepool", MODEL)


def delete_node_pool(estate: Estate) -> None:
    estate.google(
        "container", f"v1/{PROJECT}/locations/{ZONES[OTHER]}/clusters/gke-{OTHER}/nodePools/tpu-v6e", "DELETE"
    )
    until(lambda: not servers(estate, OTHER), "the node is gone")


def delete_routing(estate: Estate) -> None:
    kubectl(estate, CONFIG, "delete", "gateway,httproute,healthcheckpolicy,gcpbackendpolicy", "--all")


def lose_weights(estate: Estate) -> None:
    objects = estate.google("storage", f"b/{WEIGHTS}/o")["items"]
    shard = next(item["name"] for item in objects if item["name"].endswith(".safetensors"))
    estate.google("storage", f"b/{WEIGHTS}/o/{shard.replace('/', '%2F')}", "DELETE")
    # Who holds the model in memory does not miss it; who starts does.
    kubectl(estate, OTHER, "delete", "pods", "-l", "app.kubernetes.io/component=model-server")


def lose_config_cluster(estate: Estate) -> None:
    estate.google("container", f"v1/{PROJECT}/locations/{ZONES[CONFIG]}/clusters/gke-{CONFIG}", "DELETE")
    until(lambda: cluster(CONFIG) not in estate.status()["clusters"], "the config cluster is gone")


def set_wrong_image(estate: Estate) -> None:
    kubectl(estate, OTHER, "set", "image", f"deployment/{MODEL}", "vllm=registry.example/vllm:nothing")


def delete_membership(estate: Estate) -> None:
    path = f"v1/{PROJECT}/locations/global/memberships/gke-{OTHER}"
    estate.google("gkehub", path, "DELETE")
    until(lambda: path not in json.dumps(estate.google("gkehub", path.rpartition("/")[0])), "the membership is gone")


def delete_firewall_rule(estate: Estate) -> None:
    estate.google("compute", f"{PROJECT}/global/firewalls/serving-allow-health-checks", "DELETE")


def nothing(_estate: Estate) -> None:
    """Nothing happens to the service."""


INCIDENTS = (
    Incident(
        "crash loop",
        f"the model server of {CONFIG} is killed until Kubernetes backs off",
        crash,
        hurts=frozenset({CONFIG}),
        noticed=False,  # Kubernetes may have started it again by then
    ),
    Incident(
        "load balancer",
        f"Envoy of {CONFIG} is killed, that of {OTHER} stopped (Google's part of the estate)",
        lose_load_balancers,
        hurts=BOTH,
        repair="nobody",
        undo=continue_load_balancer,
        says=OTHER,
    ),
    Incident("hung server", f"the model server of {CONFIG} is stopped, not ended", hang, hurts=frozenset({CONFIG})),
    Incident("picker", f"`kubectl delete deployment` of the endpoint picker in {CONFIG}", delete_picker),
    Incident("pool", f"`kubectl delete inferencepool` in {CONFIG}", delete_pool, hurts=frozenset({CONFIG})),
    Incident(
        "node pool",
        f"`gcloud container node-pools delete` of the accelerators of {OTHER}",
        delete_node_pool,
        hurts=frozenset({OTHER}),
    ),
    Incident(
        "routing objects",
        f"`kubectl delete` of Gateway, HTTPRoute and policies in {CONFIG}",
        delete_routing,
        hurts=BOTH,
    ),
    Incident(
        "weights",
        f"a shard is deleted from the bucket and the model server of {OTHER} starts anew",
        lose_weights,
        hurts=frozenset({OTHER}),
    ),
    Incident(
        "config cluster",
        f"`gcloud container clusters delete` of {CONFIG}",
        lose_config_cluster,
        hurts=frozenset({CONFIG}),
        repair="told",
    ),
    Incident(
        "wrong image",
        f"`kubectl set image` in {OTHER} to one that is not there",
        set_wrong_image,
        hurts=frozenset({OTHER}),
        repair="told",
        says="force_conflicts",
    ),
    Incident(
        "membership",
        f"`gcloud container fleet memberships delete` of {OTHER}",
        delete_membership,
        hurts=frozenset({OTHER}),
    ),
    Incident(
        "firewall rule",
        "`gcloud compute firewall-rules delete` of the health checkers' rule",
        delete_firewall_rule,
        hurts=BOTH,
    ),
    Incident(
        "wrong token",
        "the operator's credentials are no longer valid",
        nothing,
        variables={"gcp_access_token": "no-such-token"},
        repair="nobody",
        undo=nothing,
        says="credentials|401|UNAUTHENTICATED",
    ),
)
