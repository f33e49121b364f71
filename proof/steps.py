# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a run: what each makes, how long it takes, what it costs, and what is looked at afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclasses.dataclass(frozen=True)
class Step:
    """``minutes``: what Google is expected to take. ``costs``: items of the price file, how many of each, by the hour.

    ``looks``: paths of the first cluster's Kubernetes API whose answers become evidence.
    ``again``: whether a second run must find nothing to change. ``asked``: only when it is named. ``arguments``: of
    ansible-playbook.
    """

    text: str
    minutes: float
    needs: tuple[str, ...] = ()
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    looks: tuple[str, ...] = ()
    again: bool = True
    asked: bool = False
    arguments: tuple[str, ...] = ()


STEPS: dict[str, Step] = {
    "network": Step(
        text="a VPC, two subnets, an internal address, Cloud NAT, firewall rules",
        minutes=5,
        costs={"nat-gateway": 1, "external-address": 1},
    ),
    "bucket": Step(
        text="an empty bucket, a service account, what it may do there",
        minutes=1,
    ),
    "cluster": Step(
        text="a zonal cluster with one e2-standard-8 node, Dataplane V2, Gateway API, Workload Identity",
        minutes=15,
        needs=("network",),
        costs={"cluster": 1, "e2-standard-8": 1, "disk-100gb": 1},
        looks=(
            "/version",
            "/api/v1/nodes",
            f"{CRDS}/gateways.gateway.networking.k8s.io",
            f"{CRDS}/inferencepools.inference.networking.k8s.io",
            f"{CRDS}/autoscalingmetrics.autoscaling.gke.io",
            f"{CRDS}/healthcheckpolicies.networking.gke.io",
            f"{CRDS}/gcpbackendpolicies.networking.gke.io",
        ),
    ),
    "changes": Step(
        text="changes in place: a subnet's range, a rule's ports, labels; a second pool made, resized, deleted",
        minutes=20,
        needs=("bucket", "cluster"),
        costs={"e2-small": 2, "disk-100gb": 2},
        again=False,
    ),
    "refusals": Step(
        text="mistakes that Google refuses, for its words; nothing is made",
        minutes=2,
        needs=("bucket", "cluster"),
        again=False,
    ),
    "fleet": Step(
        text="the cluster in the project's fleet, multi-cluster services and gateways, grants of their service agents",
        minutes=10,
        needs=("cluster",),
        looks=(
            "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
            f"{CRDS}/gcpinferencepoolimports.networking.gke.io",
        ),
    ),
    "gateway": Step(
        text="an exported InferencePool without servers, and the Gateway that leads to it",
        minutes=15,
        needs=("fleet",),
        costs={"internal-load-balancer": 1, "multi-cluster-backend-pod": 1},
        looks=(
            "/apis/gateway.networking.k8s.io/v1/namespaces/inference/gateways",
            "/apis/gateway.networking.k8s.io/v1/namespaces/inference/httproutes",
            "/apis/inference.networking.k8s.io/v1/namespaces/inference/inferencepools",
            "/apis/networking.gke.io/v1/namespaces/inference/gcpinferencepoolimports",
            "/apis/networking.gke.io/v1/namespaces/inference/healthcheckpolicies",
            "/apis/networking.gke.io/v1/namespaces/inference/gcpbackendpolicies",
            "/apis/autoscaling.gke.io/v1beta1/namespaces/inference/autoscalingmetrics",
        ),
    ),
    "dranet": Step(
        text="managed DRANET on the smallest machine that has it: ct6e-standard-1t, one TPU chip, for one Pod",
        minutes=15,
        needs=("cluster",),
        costs={"tpu-v6e-chip": 1, "disk-100gb": 1},
        looks=(
            "/api/v1/nodes",
            "/apis/resource.k8s.io/v1/deviceclasses",
            "/apis/resource.k8s.io/v1/resourceslices",
            "/apis/resource.k8s.io/v1/namespaces/inference/resourceclaims",
            "/api/v1/namespaces/inference/pods",
            "/apis/apps/v1/namespaces/gke-managed-networking-dra-driver/daemonsets",
        ),
        asked=True,
    ),
    "service": Step(
        text="the whole service in two regions on 2 x 4 TPU chips, asked from within, with one region's servers gone",
        minutes=75,
        costs={
            "tpu-v6e-chip": 8,
            "cluster": 2,
            "e2-standard-8": 2,
            "disk-100gb": 4,
            "nat-gateway": 2,
            "external-address": 2,
            "internal-load-balancer": 2,
            "multi-cluster-backend-pod": 2,
        },
        looks=(
            "/api/v1/nodes",
            "/api/v1/namespaces/inference/pods",
            "/apis/networking.gke.io/v1/namespaces/inference/gcpinferencepoolimports",
            "/apis/gateway.networking.k8s.io/v1/namespaces/inference/gateways",
            "/apis/batch/v1/namespaces/inference/jobs",
        ),
        again=False,
        asked=True,
        # The run's addresses cannot be reached from here, so that role gateway's last look would see nothing.
        arguments=("--skip-tags", "gateway"),
    ),
}

DEFAULT = tuple(name for name, step in STEPS.items() if not step.asked)
# Steps that turn on what the whole project's fleet has.
OF_THE_FLEET = ("fleet", "gateway", "service")


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The steps of these names with what they need, in the order of the table; none means the default, "all" all."""
    wanted = set(names) or set(DEFAULT)
    if "all" in wanted:
        wanted = set(STEPS)
    while more := {need for name in wanted for need in STEPS[name].needs} - wanted:
        wanted |= more
    return tuple(name for name in STEPS if name in wanted)
