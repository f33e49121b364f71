# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When GKE refuses a node pool at once: every rule by itself, in the order in which they are asked.

Each rule names where it is known from. Words without a page or a thread of their own are ours.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from ...catalogue import accelerators, machines, tpus, versions
from ...catalogue.machines import Machine
from ...interfaces import Json
from ..compute import LINK, lookup, nodes_of, reservation
from ..errors import Refusal, invalid, not_found
from ..store import Project
from .networking import check_zones, secondary

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 39
TERRAFORM = "https://github.com/hashicorp/terraform-provider-google/issues/"
# Labels of nodes that GKE sets by itself.
MANAGED_LABELS = frozenset(
    {
        "sandbox.gke.io/runtime",
        *(
            f"cloud.google.com/{name}"
            for name in (
                *("gke-accelerator", "gke-boot-disk", "gke-container-runtime", "gke-flex-start", "gke-nodepool"),
                *("gke-os-distribution", "gke-preemptible", "gke-provisioning", "gke-spot", "gke-tpu-accelerator"),
                *("gke-tpu-topology", "machine-family"),
            )
        ),
    }
)
MANAGED_TAINTS = frozenset({"sandbox.gke.io/runtime", "cloud.google.com/gke-queued"})
KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")
ALLOWED_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
RESERVATION_KEY = "compute.googleapis.com/reservation-name"
LONGEST_RUN = 7 * 24 * 3600  # seconds of a flex-start node
MOST_PODS = 256
MOST_NODES = 1000


@dataclasses.dataclass(frozen=True)
class Asked:
    """A pool as it would be: ``pool`` is its document with all defaults, ``stated`` what the request says of it."""

    project: Project
    cluster: Json
    pool: Json
    stated: Json

    @property
    def config(self) -> Json:
        return dict(self.pool["config"])

    @property
    def machine(self) -> Machine:
        return machines.named(self.pool["config"]["machineType"])

    @property
    def topology(self) -> str:
        return str(self.pool.get("placementPolicy", {}).get("tpuTopology", ""))

    @property
    def autoscaling(self) -> Json:
        """{} unless it is on."""
        given = self.pool.get("autoscaling", {})
        return dict(given) if given.get("enabled") else {}

    @property
    def affinity(self) -> Json:
        return dict(self.pool["config"].get("reservationAffinity", {}))


def check(asked: Asked) -> None:
    """Raises the Refusal of the first rule that the pool breaks."""
    for rule in RULES:
        rule(asked)


def check_name(name: str) -> None:
    """Words: public reports, e.g. in CloudVLab's and others' Terraform."""
    if len(name) > LONGEST_NAME:
        raise invalid("Node_pool.name must be less than 40 characters.")
    if not NAME.fullmatch(name):
        raise invalid(f'Invalid value for field "node_pool.name": "{name}".')


def pod_range(project: Project, subnetwork: str, name: str) -> str:
    """The secondary range of a subnetwork that a pool names. Raises Refusal 400."""
    return secondary(lookup(project, f"{LINK}{subnetwork}", "subnetwork"), name, "Pod")


def _locations(asked: Asked) -> None:
    check_zones(asked.cluster["location"], asked.pool["locations"])


def _machine(asked: Asked) -> None:
    """Words: github.com/keras-team/kinetic issue 305; public reports for the small ones."""
    name, found = asked.config["machineType"], machines.find(asked.config["machineType"])
    if name in machines.TOO_SMALL:
        raise invalid(f"Node pools of {name} machines are not supported due to insufficient memory.")
    for zone in asked.pool["locations"]:
        if found is None or not found.is_in(zone):
            raise invalid(f'Invalid machine type "{name}" in zone "{zone}": GCE_NOT_FOUND')


def _accelerators(asked: Asked) -> None:
    """Words: TERRAFORM 8387; GoogleCloudPlatform/k8s-config-connector pull 1902; Compute Engine's "not compatible"."""
    machine = asked.machine
    for given in asked.config.get("accelerators", []):
        model, count = given.get("acceleratorType", ""), int(given.get("acceleratorCount", 0))
        if machine.name == machines.DEFAULT:
            raise invalid(
                f"Cannot use default machine type ({machine.name}) with GPUs; choose a different machine type."
            )
        for zone in asked.pool["locations"]:
            if model not in accelerators.in_zone(zone):
                raise invalid(f'Accelerator type "{model}" does not exist in zone {zone}.')
        built_in = (model, count) == (machine.gpu, machine.gpus)
        room = accelerators.GPUS[model].attaches if machine.family == "n1" else {}
        if not built_in and not machine.cpus <= room.get(count, 0):
            raise invalid(f"[{machine.name}, {model}] features are not compatible for creating instance.")


def _boot(asked: Asked) -> None:
    """Words: Compute Engine's, in many public logs of GKE. Size: discovery document, NodeConfig.diskSizeGb."""
    disk, image = asked.config["diskType"], asked.config["imageType"]
    if disk not in machines.DISK_TYPES:
        raise invalid(f'Invalid disk type "{disk}": it must be one of {", ".join(machines.DISK_TYPES)}.')
    if disk not in machines.disk_types(asked.machine):
        raise invalid(f"{disk} disk type cannot be used by {asked.machine.name} machine type.")
    if int(asked.config["diskSizeGb"]) < machines.SMALLEST_DISK:
        raise invalid(f"Disk size ({asked.config['diskSizeGb']} GB) must be at least {machines.SMALLEST_DISK} GB.")
    if image.upper() not in machines.IMAGE_TYPES:
        raise invalid(f'Image type "{image}" is not supported: it must be one of {", ".join(machines.IMAGE_TYPES)}.')
    if asked.machine.tpu and image.upper() != "COS_CONTAINERD":
        raise invalid(f'Image type "{image}" is not supported for TPU machine type "{asked.machine.name}".')


def _topology(asked: Asked) -> None:
    """Words: AI-Hypercomputer/xpk pull 825, vllm-project/ci-infra pull 545; topologies: plan-tpus."""
    machine, topology = asked.machine, asked.topology
    if not topology:
        return
    if not machine.tpu:
        raise invalid(f'TPU topology "{topology}" cannot be used with machine type "{machine.name}": it has no TPU.')
    if topology == machine.topology:
        raise invalid(
            "TPU topology can't be specified with single-host TPU slice pool; please remove the tpu_topology from the "
            "node pool creation request if the node pool is intented to run with single-host TPU slice nodes."
        )
    if machine.chips != tpus.CHIPS_PER_HOST or not tpus.is_slice(tpus.GENERATIONS[machine.family], topology):
        raise invalid(f'TPU topology "{topology}" is not valid for machine type "{machine.name}".')
    hosts, first = tpus.hosts(topology), int(asked.pool["initialNodeCount"])
    size = f'is not a valid size of TPU pod slice with topology "{topology}"'
    if asked.autoscaling and int(asked.autoscaling.get("maxNodeCount", 0)) != hosts:
        raise invalid(f"Maximum node count {asked.autoscaling.get('maxNodeCount', 0)} {size}.")
    if first != hosts and not (first == 0 and asked.autoscaling):
        raise invalid(f"Initial node count {first} {size}.")


def _autoscaling(asked: Asked) -> None:
    """https://cloud.google.com/kubernetes-engine/docs/concepts/cluster-autoscaler; NodePoolAutoscaling's fields."""
    given = asked.autoscaling
    total = {name: int(given.get(name, 0)) for name in ("totalMinNodeCount", "totalMaxNodeCount")}
    least, most = int(given.get("minNodeCount", 0)), int(given.get("maxNodeCount", 0))
    if not given:
        return
    if any(total.values()) and (least or most):
        raise invalid("Total node count limits and per-zone node count limits of autoscaling are mutually exclusive.")
    least, most = (total["totalMinNodeCount"], total["totalMaxNodeCount"]) if any(total.values()) else (least, most)
    if most < 1:
        raise invalid("Autoscaling max_node_count must be greater than zero.")
    if least > most:
        raise invalid(f"Autoscaling min_node_count ({least}) must not be greater than max_node_count ({most}).")
    first = int(asked.stated.get("initialNodeCount", 0)) * (len(asked.pool["locations"]) if any(total.values()) else 1)
    if first and not least <= first <= most:
        raise invalid(
            f"Initial node count ({first}) must be between min_node_count ({least}) and max_node_count ({most})."
        )


def _labels(asked: Asked) -> None:
    """Words: TERRAFORM 6003, bitpoke/stack issue 86, GoogleCloudPlatform/magic-modules pull 11878, public logs."""
    for key, value in asked.stated.get("config", {}).get("labels", {}).items():
        domain = key.rpartition("/")[0]
        if key in MANAGED_LABELS:
            raise invalid(f'Node labels with key "{key}" are managed by GKE and must not be manually specified.')
        ours = any(domain == one or domain.endswith(f".{one}") for one in KUBERNETES_DOMAINS)
        if ours and not any(domain == one or domain.endswith(f".{one}") for one in ALLOWED_DOMAINS):
            raise invalid(f"Applying kubernetes label is not allowed: {key}.")
        if not LABEL_VALUE.fullmatch(value):
            raise invalid(
                f"Invalid field 'cluster.node_config.labels.value': \"{value}\". It must begin and end with an "
                "alphanumeric character ([a-z0-9A-Z]) with dashes (-), underscores (_), dots (.), and alphanumerics "
                "between."
            )
    for taint in asked.stated.get("config", {}).get("taints", []):
        if taint.get("key", "") in MANAGED_TAINTS:
            raise invalid(f"Node taints with key {taint['key']} are managed by GKE and must not be manually specified.")
        if not taint.get("key") or taint.get("effect", "EFFECT_UNSPECIFIED") == "EFFECT_UNSPECIFIED":
            raise invalid("A node taint must have a key and an effect.")


def _capacity(asked: Asked) -> None:
    """How the machines are got. Flex-start: public logs of 2026, docs .../concepts/dws; queued: TERRAFORM 18341."""
    config, kind = asked.config, asked.affinity.get("consumeReservationType", "")
    if config.get("spot") and config.get("preemptible"):
        raise invalid("Spot and preemptible are mutually exclusive.")
    if config.get("flexStart"):
        _flex_start(asked, kind)
    elif config.get("maxRunDuration") and not config.get("spot") and not asked.pool.get("queuedProvisioning"):
        raise invalid("Max run duration is supported for flex start, queued provisioning and Spot node pools only.")
    if asked.pool.get("queuedProvisioning", {}).get("enabled"):
        if kind != "NO_RESERVATION":
            raise invalid("Queued_provisioning requires reservation affinity to be set to none.")
        if not asked.autoscaling:
            raise invalid("Queued_provisioning requires autoscaling enabled.")


def _flex_start(asked: Asked, affinity: str) -> None:
    if asked.config.get("spot") or asked.config.get("preemptible"):
        raise invalid("Flex start node pools don't support Spot VMs.")
    if not asked.autoscaling:
        raise invalid("Flex start node pools require autoscaling enabled.")
    if int(asked.pool["initialNodeCount"]):
        raise invalid("Flex start node pools require initial node count to be set to 0.")
    if affinity != "NO_RESERVATION":
        raise invalid("Flex start node pools don't support reservations.")
    if float(str(asked.config.get("maxRunDuration", "0s")).removesuffix("s")) > LONGEST_RUN:
        raise invalid(f"Max run duration must not be longer than {LONGEST_RUN}s.")
    places = tpus.GENERATIONS[asked.machine.family].flex_start_zones if asked.machine.tpu else ()
    for zone in asked.pool["locations"] if places else ():
        if zone not in places:
            raise invalid(f'Flex start is not available for machine type "{asked.machine.name}" in zone "{zone}".')


def _reservation(asked: Asked) -> None:
    """Words: GoogleCloudPlatform/cluster-toolkit pull 5043, GoogleCloudPlatform/gsutil issue 1000.

    Spot: https://cloud.google.com/compute/docs/instances/reservations-overview#restrictions
    """
    kind, values = asked.affinity.get("consumeReservationType", ""), asked.affinity.get("values", [])
    if kind != "SPECIFIC_RESERVATION":
        if values:
            raise invalid("Reservation names can only be given for a specific reservation affinity.")
        return
    if asked.config.get("spot") or asked.config.get("preemptible"):
        raise invalid("Spot VMs cannot consume a reservation: reservation affinity must be none.")
    if not asked.affinity.get("key") or not values:
        raise invalid("A specific reservation affinity needs a key and at least one value.")
    for zone in asked.pool["locations"]:
        _enough_reserved(asked, zone, values[0])


def _enough_reserved(asked: Asked, zone: str, name: str) -> None:
    pool, kind = asked.pool["name"], asked.machine.name
    found = reservation(asked.project, zone, name)
    if found is None:
        raise not_found(
            f'Google Compute Engine: reservation "{name}" not found for node pool "{pool}" at zone "{zone}".'
        )
    specific = found["specificReservation"]
    right = specific["instanceProperties"]["machineType"] == kind
    taken = nodes_of(asked.project, zone, found["name"], without=asked.pool["selfLink"])
    wanted = int(asked.pool["initialNodeCount"])
    short = wanted - max(int(specific["count"]) - taken, 0) if right else wanted
    if short > 0:
        raise Refusal(
            "RESOURCE_EXHAUSTED",
            f'Reservation does not have enough resources for the request: specific reservation "{name}" is '
            f'insufficient for node pool "{pool}" at zone "{zone}": required {wanted} and short of {short} VM count of '
            f"machine type {kind}.",
        )


def _management(asked: Asked) -> None:
    """Words: public release notes and logs; docs .../concepts/release-channels."""
    channel, given = asked.cluster["releaseChannel"].get("channel", ""), asked.pool["management"]
    if channel not in versions.VERSIONS:
        return
    if not given.get("autoUpgrade"):
        raise invalid(f"Auto_upgrade must be true when release_channel {channel} is set.")
    by_hand = asked.config.get("flexStart") or asked.pool.get("queuedProvisioning", {}).get("enabled")
    if not given.get("autoRepair") and not by_hand:
        raise invalid(f"Auto_repair cannot be false when release_channel {channel} is set.")


def _service_account(asked: Asked) -> None:
    """Words: midl-dev/tezos-on-gke issue 45, TERRAFORM 12677, public logs."""
    account, project = asked.config["serviceAccount"], asked.project
    if account == "default" or account in project.agents:
        return
    if project.sees(account):
        if project.accounts[account].get("disabled"):
            raise invalid(f'Service account "{account}" is disabled.')
        return
    if account.endswith(".iam.gserviceaccount.com") and not account.endswith(f"@{project.id}.iam.gserviceaccount.com"):
        raise invalid(
            f'The user does not have access to service account "{account}". Ask a project owner to grant you the '
            "iam.serviceAccountUser role on the service account."
        )
    raise invalid(f'Service account "{account}" does not exist.')


def _limits(asked: Asked) -> None:
    """https://cloud.google.com/kubernetes-engine/quotas"""
    most = int(asked.pool["maxPodsConstraint"]["maxPodsPerNode"])
    if not 8 <= most <= MOST_PODS:
        raise invalid(f"Max pods per node must be between 8 and {MOST_PODS}, got {most}.")
    if int(asked.pool["initialNodeCount"]) > MOST_NODES:
        raise invalid(f"Initial node count must not be greater than {MOST_NODES}.")
    settings = asked.pool["upgradeSettings"]
    surge = settings.get("strategy", "SURGE") == "SURGE"
    if surge and not int(settings.get("maxSurge", 0)) and not int(settings.get("maxUnavailable", 0)):
        raise invalid("Max_surge and max_unavailable cannot both be 0.")


def _confidential(asked: Asked) -> None:
    """Words: public logs; machines: docs .../how-to/confidential-gke-nodes."""
    given: Json = asked.config.get("confidentialNodes") or asked.cluster.get("confidentialNodes") or {}
    if given.get("enabled") and asked.machine.family not in machines.CONFIDENTIAL:
        raise invalid(f"Confidential nodes feature is not supported on machine type {asked.machine.name}.")


def _profile(asked: Asked) -> None:
    """networkConfig.acceleratorNetworkProfile: docs .../how-to/config-auto-net-for-accelerators and
    .../how-to/allocate-network-resources-dra; GoogleCloudPlatform/cluster-toolkit's preconditions."""
    network = asked.pool["networkConfig"]
    profile = network.get("acceleratorNetworkProfile")
    if not profile:
        return
    if profile != "auto":
        raise invalid(f'Accelerator network profile "{profile}" is invalid. The only valid value is "auto".')
    if asked.cluster["networkConfig"].get("datapathProvider") != "ADVANCED_DATAPATH":
        raise invalid("Accelerator network profile requires a cluster with GKE Dataplane V2 (ADVANCED_DATAPATH).")
    first = versions.FIRST["managed DRANET"]
    if versions.key(asked.pool["version"]) < versions.key(first):
        raise invalid(f"Accelerator network profile requires GKE version {first} or later.")
    if asked.machine.family not in machines.PROFILE_FAMILIES:
        raise invalid(f'Accelerator network profile is not supported for machine type "{asked.machine.name}".')
    if len(asked.pool["locations"]) != 1:
        raise invalid("Accelerator network profile requires a node pool in a single zone.")
    if asked.stated.get("networkConfig", {}).get("additionalNodeNetworkConfigs"):
        raise invalid("Accelerator network profile cannot be combined with additional node network configs.")


RULES: tuple[Callable[[Asked], None], ...] = (
    _locations,
    _machine,
    _accelerators,
    _boot,
    _topology,
    _autoscaling,
    _capacity,
    _reservation,
    _labels,
    _management,
    _service_account,
    _limits,
    _confidential,
    _profile,
)
