# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of faults, as data: what each breaks and takes, what clients see of it, and how that is known."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping

from ..interfaces import Place

PLACE_FIELDS = tuple(field.name for field in dataclasses.fields(Place))
SERVICES = (
    *("compute", "container", "gkehub", "iam", "storage", "serviceusage", "cloudresourcemanager"),
    "kubernetes",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOCATION = re.compile(r"[a-z]+-[a-z]+\d+(-[a-z])?|global")


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way in which things break.

    ``text``: what breaks; ``seen``: what clients see; ``cleared``: what comes when it is cleared; ``source``: how that
    is known; ``example``: arguments of `fault add`. ``place``: the fields of a place that it looks at, ``needs``: those
    that must be given; ``counts``: what ``times`` and ``share`` are of, "" when there is nothing to count.
    ``settings``: name -> default, which also gives the type; ``parts``: the kinds that it consists of.
    """

    text: str
    seen: str
    cleared: str
    source: str
    example: str
    place: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    counts: str = ""
    settings: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)


HOW = {"how": ("silent", "refused")}
SOURCE_503 = "public issues that quote Google's clients; the words of google.rpc's codes"

REQUESTS = {
    "error": Kind(
        "the API answers an error and does nothing; retry_after in seconds, 0 for no such header",
        "the status and the words of that API: Google's JSON, or a Kubernetes Status; 429 comes as Google's quota of "
        "requests (rateLimitExceeded) and as Kubernetes' TooManyRequests",
        "the next request is served",
        SOURCE_503,
        "error code=429 retry_after=2 --service compute --times 3",
        PLACE_FIELDS,
        counts="requests",
        settings={"code": 503, "retry_after": 0},
        limits={"code": (400, 599)},
    ),
    "reset": Kind(
        "the connection breaks without an answer, before the work was done or after it",
        "connection reset by peer; whether a write has landed only a look can tell",
        "the next request is served",
        "TCP",
        "reset when=after --method POST --share 0.1 --seed 7",
        PLACE_FIELDS,
        counts="requests",
        settings={"when": "before"},
        choices={"when": ("before", "after")},
    ),
    "slow": Kind(
        "the API takes its time to answer",
        "the same answer, so many seconds later",
        "the next request is served at once",
        "-",
        "slow seconds=3 --service container --method GET",
        PLACE_FIELDS,
        counts="requests",
        settings={"seconds": 5.0},
    ),
    "api-away": Kind(
        "a cluster's Kubernetes API (resource: the cluster's name) is not there: connections are taken and never "
        "answered (silent) or refused, those of its own controllers and kubelets too; its Pods run on",
        "time-outs while connecting, or connection refused",
        "the next connection is served; controllers and kubelets take up their work by themselves",
        "Kubernetes: nodes run their Pods on without a control plane",
        "api-away how=refused --resource gke-us-east5",
        ("resource", "location"),
        settings={"how": "silent"},
        choices=HOW,
    ),
}

OPERATIONS = {
    "operation-slow": Kind(
        "an operation takes longer than usual, by this factor",
        "PENDING or RUNNING for longer",
        "operations that run already stay slow",
        "-",
        "operation-slow factor=10 --service container --resource '*/clusters/gke-us-east5'",
        PLACE_FIELDS,
        counts="operations",
        settings={"factor": 5.0},
    ),
    "operation-stuck": Kind(
        "an operation goes on without an end until the fault is cleared",
        "RUNNING; what needs the same cluster is refused as incompatible, as with any operation",
        "it ends as it would have",
        "public issues about GKE operations of hours",
        "operation-stuck --service container --times 1",
        PLACE_FIELDS,
        counts="operations",
    ),
    "operation-error": Kind(
        "an operation ends in an error",
        "DONE with error; a cluster or node pool stays in state ERROR with statusMessage and conditions",
        "what failed stays failed: delete it and make it anew",
        "public issues that quote GKE (quota, permission); recorded traffic shows the shape",
        "operation-error reason=quota --service container --resource '*/nodePools/*' --times 1",
        PLACE_FIELDS,
        counts="operations",
        settings={"reason": "internal"},
        choices={"reason": ("internal", "quota", "permission")},
    ),
    "stockout": Kind(
        "a zone is out of a machine type (machine, any when empty): creating a node pool there ends in GCE_STOCKOUT "
        "after so many minutes of Google's time, and until then the pool cannot be deleted",
        "`[GCE_STOCKOUT]: Instance ... creation failed: The zone ... does not have enough resources available to "
        "fulfill the request.`; the pool stays in state ERROR",
        "a creation under way gets its machines; a pool that has failed stays so",
        "terraform-provider-google #6287, #10121",
        "stockout machine=ct6e-standard-4t --location us-east5-b --seconds 60",
        ("resource", "location"),
        counts="node pools",
        settings={"machine": "", "minutes": 35.0},
    ),
    "identity-late": Kind(
        "an identity (resource: its address or pool) comes so many seconds after Google has said that it is there: a "
        "service agent after its API, a service account after its creation, the workload identity pool after its "
        "cluster",
        "400 `Service account ... does not exist.` or `Identity Pool does not exist (PROJECT.svc.id.goog)` where it is "
        "given a role, or a node pool",
        "those that are late already come when their time is over",
        "IAM's documentation: a new service account may take 60 seconds or more to be usable; public issues",
        "identity-late seconds=20 --resource '*.svc.id.goog'",
        ("resource",),
        counts="identities",
        settings={"seconds": 60.0},
    ),
    "fleet-lost": Kind(
        "the fleet has lost its connection to a cluster (resource: the membership's full name)",
        "membershipStates of every feature: code ERROR, `Lost connection`; the membership itself stays READY",
        "code OK again",
        "not confirmed: [unproven.md](unproven.md)",
        "fleet-lost --resource '*/memberships/gke-us-east5'",
        ("resource", "location"),
        counts="memberships",
    ),
}

WORKLOADS = {
    "pod-no-image": Kind(
        "a Pod (resource: namespace/name) cannot pull its images, whether its node has had them or not",
        "ErrImagePull, then ImagePullBackOff with containerd's words for an image that is not there (not-found) or "
        "not allowed (denied)",
        "the next try pulls them, after at most the back-off",
        "public issues that quote kubelets with containerd 2",
        "pod-no-image why=denied --resource 'inference/*' --location us-east5-b",
        ("resource", "location"),
        counts="runs of containers",
        settings={"why": "not-found"},
        choices={"why": ("not-found", "denied")},
    ),
    "pod-oom": Kind(
        "a container is killed for its memory, so many seconds after each start",
        "terminated: OOMKilled, exit code 137; restarts with CrashLoopBackOff between them",
        "the next start lives",
        "Kubernetes: Assign Memory Resources to Containers and Pods",
        "pod-oom after=2 --resource 'inference/gemma-*' --times 3",
        ("resource", "location"),
        counts="runs of containers",
        settings={"after": 1.0},
    ),
    "pod-crash": Kind(
        "a container ends with this exit code, so many seconds after each start",
        "terminated: Error; restarts with CrashLoopBackOff between them",
        "the next start lives",
        "Kubernetes: Pod Lifecycle, container restart policy",
        "pod-crash exit_code=139 --resource 'inference/gemma-*' --times 1",
        ("resource", "location"),
        counts="runs of containers",
        settings={"after": 1.0, "exit_code": 1},
        limits={"exit_code": (1, 255)},
    ),
    "pod-hang": Kind(
        "a container's processes stand still: connections are taken, nothing is answered",
        "requests and probes time out; a liveness probe ends the container, and so does its grace period",
        "they go on where they stood",
        "what SIGSTOP does",
        "pod-hang --resource 'inference/gemma-*' --location europe-west4-a --times 1",
        ("resource", "location"),
        counts="runs of containers",
    ),
    "pod-slow": Kind(
        "a model server answers late: seconds before the first byte, and between the pieces of a stream",
        "slow answers from a server whose health and metrics are as ever",
        "the next piece comes at once",
        "-",
        "pod-slow first=8 between=0.5 --resource 'inference/gemma-*' --location us-east5",
        ("resource", "location"),
        counts="runs of containers",
        settings={"first": 5.0, "between": 0.0},
    ),
    "pod-cut": Kind(
        "a model server breaks the connection in the middle of an answer: after so many pieces of a stream, or in the "
        "middle of a whole one",
        "an answer without its end, from a server whose health and metrics are as ever",
        "the next answer is whole",
        "llm-d-router #2345: streams that are cut midway",
        "pod-cut pieces=3 --resource 'inference/gemma-*'",
        ("resource", "location"),
        counts="runs of containers",
        settings={"pieces": 3},
        limits={"pieces": (1, float("inf"))},
    ),
    "nic-missing": Kind(
        "the interfaces of a Pod's ResourceClaims are not injected: its driver cannot prepare them",
        "Pending, ContainerCreating, and the event FailedPrepareDynamicResources; the claim stays allocated",
        "the next try prepares them",
        "kubernetes #118578 (the event); kubernetes-sigs/dranet #221 (the driver's words)",
        "nic-missing --resource 'inference/gemma-*'",
        ("resource", "location"),
        counts="Pods",
    ),
    "node-dead": Kind(
        "a node (resource: its name) is gone without a word: its processes stand still, its kubelet tells nothing",
        "Ready Unknown (NodeStatusUnknown) after 50 s, taints unreachable, its Pods not ready; evicted after their "
        "tolerationSeconds (300), Terminating until the node is back or gone; after ten minutes GKE makes it anew "
        "where the pool has autoRepair. All at the sandbox's pace",
        "the node is back with all that ran on it; one that was made anew stays",
        "Kubernetes: Nodes, Taint-based Evictions; GKE: Auto-repair nodes",
        "node-dead --resource 'gke-tpu-*' --location us-east5-b --times 1",
        ("resource", "location"),
        counts="nodes",
    ),
}

TRAFFIC = {
    "health-checks-lost": Kind(
        "health checkers do not reach the endpoints of a region, although the Pods live (resource: the pool's "
        "namespace/name)",
        "the next region serves; where no endpoint is left, 503 `no healthy upstream`",
        "they are healthy again after as many checks as the policy asks for",
        "Google: health checks come from ranges of their own, which a firewall rule must admit",
        "health-checks-lost --location us-east5 --seconds 60",
        ("resource", "location"),
    ),
    "programming-slow": Kind(
        "a change of what the load balancer of a region serves (Gateway, HTTPRoute, endpoints) is in force so many "
        "seconds late; what comes meanwhile goes with it",
        "statuses say Programmed; the region goes on as before",
        "the change is in force at once",
        "GKE: a change of a Gateway takes minutes",
        "programming-slow seconds=20 --location europe-west4",
        ("location",),
        counts="changes",
        settings={"seconds": 30.0},
    ),
    "envoy-down": Kind(
        "the load balancer of a region is not there",
        "its address refuses connections, or takes them and says nothing",
        "the address serves, with all that was changed meanwhile",
        "-",
        "envoy-down how=refused --location us-east5",
        ("location",),
        settings={"how": "silent"},
        choices=HOW,
    ),
    "region-down": Kind(
        "a whole region is gone: its APIs, its clusters' Kubernetes APIs, nodes and Pods, its load balancer's address",
        "503 for what lies in the region (of compute, container and regional memberships), operations there go on and "
        "on, lists of all locations name it in missingZones; kubectl times out; other regions' load balancers lose its "
        "endpoints by their health checks",
        "everything is there again and takes up its work by itself; nothing has forgotten anything",
        "Google's reports of regional incidents; the discovery document of container v1 (missingZones)",
        "region-down --location us-east5 --seconds 120",
        ("location",),
        ("location",),
        settings={"how": "silent"},
        choices=HOW,
        parts={"error": {"code": 503}, "operation-stuck": {}, "api-away": {}, "node-dead": {}, "envoy-down": {}},
    ),
}

KINDS: dict[str, Kind] = {**REQUESTS, **OPERATIONS, **WORKLOADS, **TRAFFIC}
