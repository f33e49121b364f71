# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the models of the ``kubernetes`` package do not say about Kubernetes' own kinds.

Rows are named by model and JSON field, without the version ("Container.ports"): the versions of a kind agree.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ListRule:
    """How a list merges: by server-side apply (``kind`` map, set or atomic; ``keys``) and by strategic patches."""

    kind: str
    keys: tuple[str, ...] = ()
    patch_key: str = ""
    patch: str = ""  # patch strategy: "merge", "merge,retainKeys" or empty for replace


def _by(*keys: str, patch: str = "merge") -> ListRule:
    return ListRule("map", keys, keys[0] if patch else "", patch)


_SET = ListRule("set", patch="merge")
_PLAIN_SET = ListRule("set")

LISTS: Mapping[str, ListRule] = {
    "ObjectMeta.finalizers": _SET,
    "ObjectMeta.ownerReferences": _by("uid"),
    "PodSpec.containers": _by("name"),
    "PodSpec.initContainers": _by("name"),
    "PodSpec.ephemeralContainers": _by("name"),
    "PodSpec.volumes": _by("name", patch="merge,retainKeys"),
    "PodSpec.imagePullSecrets": _by("name"),
    "PodSpec.hostAliases": _by("ip"),
    "PodSpec.resourceClaims": _by("name", patch="merge,retainKeys"),
    "PodSpec.schedulingGates": _by("name"),
    "PodSpec.topologySpreadConstraints": _by("topologyKey", "whenUnsatisfiable"),
    "Container.env": _by("name"),
    "Container.ports": _by("containerPort", "protocol"),
    "Container.volumeMounts": _by("mountPath"),
    "Container.volumeDevices": _by("devicePath"),
    "EphemeralContainer.env": _by("name"),
    "EphemeralContainer.ports": _by("containerPort", "protocol"),
    "EphemeralContainer.volumeMounts": _by("mountPath"),
    "EphemeralContainer.volumeDevices": _by("devicePath"),
    "ContainerStatus.volumeMounts": _by("mountPath"),
    "ResourceRequirements.claims": _by("name", patch=""),
    "PodStatus.podIPs": _by("ip"),
    "PodStatus.hostIPs": ListRule("atomic", patch_key="ip", patch="merge"),
    "PodStatus.resourceClaimStatuses": _by("name", patch="merge,retainKeys"),
    "ServiceSpec.ports": _by("port", "protocol"),
    "ServiceAccount.secrets": _by("name"),
    "NodeSpec.podCIDRs": _SET,
    "NodeStatus.addresses": _by("type"),
    "JobStatus.conditions": ListRule("atomic", patch_key="type", patch="merge"),
    "ResourceClaimStatus.reservedFor": _by("uid"),
    "ResourceClaimStatus.devices": _by("driver", "device", "pool", patch=""),
    "CSINodeSpec.drivers": _by("name"),
    "ValidatingWebhookConfiguration.webhooks": _by("name"),
    "MutatingWebhookConfiguration.webhooks": _by("name"),
    "CSIDriverSpec.volumeLifecycleModes": _PLAIN_SET,
}

# Structs and maps that one manager owns as a whole.
ATOMIC_MODELS = frozenset(
    {
        "ConfigMapKeySelector",
        "FileKeySelector",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "ResourceFieldSelector",
        "RoleRef",
        "ScopeSelector",
        "SecretKeySelector",
        "SecretReference",
        "Subject",
        "TopologySelectorTerm",
        "TypedLocalObjectReference",
    }
)
ATOMIC_FIELDS = frozenset(
    {
        "PodSpec.nodeSelector",
        "ReplicationControllerSpec.selector",
        "ServiceSpec.selector",
        "Scheduling.nodeSelector",
        "CSIPersistentVolumeSource.volumeAttributes",
    }
)
# A strategic patch that names the struct keeps none of the fields that it does not state.
RETAIN_KEYS = frozenset({"DeploymentSpec.strategy"})

QUANTITIES = frozenset(
    {
        "ResourceRequirements.limits",
        "ResourceRequirements.requests",
        "VolumeResourceRequirements.limits",
        "VolumeResourceRequirements.requests",
        "EmptyDirVolumeSource.sizeLimit",
        "ResourceFieldSelector.divisor",
        "PodSpec.overhead",
        "Overhead.podFixed",
        "ContainerStatus.allocatedResources",
        "NodeStatus.allocatable",
        "NodeStatus.capacity",
        "PersistentVolumeSpec.capacity",
        "PersistentVolumeClaimStatus.allocatedResources",
        "PersistentVolumeClaimStatus.capacity",
        "ResourceQuotaSpec.hard",
        "ResourceQuotaStatus.hard",
        "ResourceQuotaStatus.used",
        "LimitRangeItem.default",
        "LimitRangeItem.defaultRequest",
        "LimitRangeItem.max",
        "LimitRangeItem.maxLimitRequestRatio",
        "LimitRangeItem.min",
        "MetricTarget.averageValue",
        "MetricTarget.value",
        "MetricValueStatus.averageValue",
        "MetricValueStatus.value",
        "DeviceCapacity.value",
        "Counter.value",
        "CapacityRequirements.requests",
        "CSIStorageCapacity.capacity",
        "CSIStorageCapacity.maximumVolumeSize",
    }
)

# Defaults that are part of a list's keys; all others are the API server's work.
DEFAULTS: Mapping[str, t.Any] = {
    "ContainerPort.protocol": "TCP",
    "ServicePort.protocol": "TCP",
}

_OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"]
_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_PROTOCOLS = ["SCTP", "TCP", "UDP"]
_ALLOCATION = ["All", "ExactCount"]

ENUMS: Mapping[str, list[str]] = {
    "Container.imagePullPolicy": ["Always", "IfNotPresent", "Never"],
    "Container.terminationMessagePolicy": ["FallbackToLogsOnError", "File"],
    "ContainerPort.protocol": _PROTOCOLS,
    "CronJobSpec.concurrencyPolicy": ["Allow", "Forbid", "Replace"],
    "DaemonSetUpdateStrategy.type": ["OnDelete", "RollingUpdate"],
    "DeploymentStrategy.type": ["Recreate", "RollingUpdate"],
    "DeviceSubRequest.allocationMode": _ALLOCATION,
    "EmptyDirVolumeSource.medium": ["", "HugePages", "Memory"],
    "ExactDeviceRequest.allocationMode": _ALLOCATION,
    "HTTPGetAction.scheme": ["HTTP", "HTTPS"],
    "JobSpec.completionMode": ["Indexed", "NonIndexed"],
    "JobSpec.podReplacementPolicy": ["Failed", "TerminatingOrFailed"],
    "LabelSelectorRequirement.operator": _OPERATORS,
    "NodeSelectorRequirement.operator": [*_OPERATORS, "Gt", "Lt"],
    "PersistentVolumeClaimSpec.volumeMode": ["Block", "Filesystem"],
    "PodSpec.dnsPolicy": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    "PodSpec.preemptionPolicy": ["Never", "PreemptLowerPriority"],
    "PodSpec.restartPolicy": ["Always", "OnFailure", "Never"],
    "PodStatus.phase": ["Failed", "Pending", "Running", "Succeeded", "Unknown"],
    "ServicePort.protocol": _PROTOCOLS,
    "ServiceSpec.externalTrafficPolicy": ["Cluster", "Local"],
    "ServiceSpec.internalTrafficPolicy": ["Cluster", "Local"],
    "ServiceSpec.sessionAffinity": ["ClientIP", "None"],
    "ServiceSpec.type": ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    "StatefulSetSpec.podManagementPolicy": ["OrderedReady", "Parallel"],
    "StatefulSetUpdateStrategy.type": ["OnDelete", "RollingUpdate"],
    "Taint.effect": _EFFECTS,
    "Toleration.effect": ["", *_EFFECTS],
    "Toleration.operator": ["", "Equal", "Exists"],
    "TopologySpreadConstraint.whenUnsatisfiable": ["DoNotSchedule", "ScheduleAnyway"],
    "Event.type": ["Normal", "Warning"],
}

_PORT = (1, 65535)
_NATURAL = (0, None)

LIMITS: Mapping[str, tuple[int, int | None]] = {
    "ContainerPort.containerPort": _PORT,
    "ContainerPort.hostPort": (0, 65535),
    "CronJobSpec.failedJobsHistoryLimit": _NATURAL,
    "CronJobSpec.successfulJobsHistoryLimit": _NATURAL,
    "DaemonSetSpec.minReadySeconds": _NATURAL,
    "DeploymentSpec.minReadySeconds": _NATURAL,
    "DeploymentSpec.progressDeadlineSeconds": _NATURAL,
    "DeploymentSpec.replicas": _NATURAL,
    "DeploymentSpec.revisionHistoryLimit": _NATURAL,
    "JobSpec.activeDeadlineSeconds": _NATURAL,
    "JobSpec.backoffLimit": _NATURAL,
    "JobSpec.completions": _NATURAL,
    "JobSpec.parallelism": _NATURAL,
    "JobSpec.ttlSecondsAfterFinished": _NATURAL,
    "PodSpec.activeDeadlineSeconds": (1, None),
    "PodSpec.terminationGracePeriodSeconds": _NATURAL,
    "Probe.failureThreshold": (1, None),
    "Probe.initialDelaySeconds": _NATURAL,
    "Probe.periodSeconds": (1, None),
    "Probe.successThreshold": (1, None),
    "Probe.timeoutSeconds": (1, None),
    "ReplicaSetSpec.replicas": _NATURAL,
    "ScaleSpec.replicas": _NATURAL,
    "ServicePort.nodePort": (0, 65535),
    "ServicePort.port": _PORT,
    "StatefulSetSpec.replicas": _NATURAL,
}

# Lists that must not be empty, as kube-apiserver insists ("Required value").
NOT_EMPTY = frozenset({"PodSpec.containers"})

# Required by the models, but absent (null) in what clients send and kube-apiserver takes.
OPTIONAL = frozenset({"CSINodeSpec.drivers", "EndpointSlice.endpoints", "TokenRequestSpec.audiences"})
