# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The defaults that the API server writes into builtin kinds (the ones that clients and controllers rely on)."""

from __future__ import annotations

import base64
import typing as t
from collections.abc import Callable

from sandbox.kubernetes.resources import ResourceType

Json = dict[str, t.Any]

_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_POD = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}


def set_defaults(rt: ResourceType, obj: Json) -> None:
    """Complete an object of a builtin kind in place; custom resources have their schema's defaults."""
    fill = None if rt.custom else _DEFAULTS.get((rt.group, rt.kind))
    if fill:
        fill(obj)


def _fill(target: Json, values: Json) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = dict(value) if isinstance(value, dict) else value


def _part(obj: Json, name: str) -> Json:
    value = obj.get(name)
    if not isinstance(value, dict):
        value = obj[name] = {} if value is None else value
    return value if isinstance(value, dict) else {}


def _rows(obj: Json, name: str) -> list[Json]:
    return [row for row in obj.get(name) or () if isinstance(row, dict)]


def pod_spec(spec: Json) -> None:
    _fill(spec, _POD)
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in _rows(spec, "containers") + _rows(spec, "initContainers"):
        _container(container)
    for volume in _rows(spec, "volumes"):
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                _fill(volume[source], {"defaultMode": 420})
        if not any(value is not None for name, value in volume.items() if name != "name"):
            volume["emptyDir"] = {}


def _container(container: Json) -> None:
    tag = str(container.get("image", "")).rpartition("/")[2]
    latest = tag.endswith(":latest") or (":" not in tag and "@" not in tag)
    _fill(
        container,
        {
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always" if latest else "IfNotPresent",
        },
    )
    for port in _rows(container, "ports"):
        _fill(port, {"protocol": "TCP"})
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            _fill(container[probe], _PROBE)
            if isinstance(container[probe].get("httpGet"), dict):
                _fill(container[probe]["httpGet"], {"path": "/", "scheme": "HTTP"})
    for variable in _rows(container, "env"):
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field:
            _fill(field, {"apiVersion": "v1"})
    limits = container["resources"].get("limits")
    if isinstance(limits, dict):
        container["resources"]["requests"] = {**limits, **(container["resources"].get("requests") or {})}


def _template(spec: Json) -> None:
    template = _part(spec, "template")
    pod_spec(_part(template, "spec"))


def _pod(obj: Json) -> None:
    spec = _part(obj, "spec")
    pod_spec(spec)
    _fill(spec, {"enableServiceLinks": True, "serviceAccountName": "default", "priority": 0})
    _fill(spec, {"serviceAccount": spec["serviceAccountName"], "preemptionPolicy": "PreemptLowerPriority"})
    _fill(_part(obj, "status"), {"phase": "Pending", "qosClass": _quality(spec)})


def _quality(spec: Json) -> str:
    """The QoS class: Guaranteed when every container's cpu and memory requests equal its limits."""
    containers = _rows(spec, "containers")
    resources = [container.get("resources") or {} for container in containers]
    pairs = [
        ((r.get("requests") or {}).get(n), (r.get("limits") or {}).get(n)) for r in resources for n in ("cpu", "memory")
    ]
    if all(request is None and limit is None for request, limit in pairs):
        return "BestEffort"
    return "Guaranteed" if all(limit is not None and request == limit for request, limit in pairs) else "Burstable"


def _deployment(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = _part(spec, "strategy")
    _fill(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), _ROLLING)
    _template(spec)


def _replicas(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"replicas": 1})
    _template(spec)
    _fill(_part(obj, "status"), {"replicas": 0})


def _statefulset(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"})
    strategy = _part(spec, "updateStrategy")
    _fill(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), {"partition": 0})
    _template(spec)


def _daemonset(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"revisionHistoryLimit": 10})
    strategy = _part(spec, "updateStrategy")
    _fill(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _fill(_part(strategy, "rollingUpdate"), {"maxUnavailable": 1, "maxSurge": 0})
    _template(spec)


def _job(obj: Json) -> None:
    spec = _part(obj, "spec")
    _job_spec(spec)
    if not spec.get("manualSelector") and obj["metadata"].get("uid"):
        labels = {"batch.kubernetes.io/controller-uid": obj["metadata"]["uid"]}
        _fill(spec, {"selector": {"matchLabels": labels}})
        metadata = _part(_part(spec, "template"), "metadata")
        own = {**labels, "batch.kubernetes.io/job-name": obj["metadata"].get("name", "")}
        legacy = {"controller-uid": obj["metadata"]["uid"], "job-name": obj["metadata"].get("name", "")}
        metadata["labels"] = {**(metadata.get("labels") or {}), **own, **legacy}


def _job_spec(spec: Json) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _fill(spec, {"parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False})
    _fill(spec, {"podReplacementPolicy": "TerminatingOrFailed"})
    pod_spec(_part(_part(spec, "template"), "spec"))


def _cronjob(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"concurrencyPolicy": "Allow", "suspend": False})
    _fill(spec, {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
    template = _part(_part(_part(spec, "jobTemplate"), "spec"), "template")
    pod_spec(_part(template, "spec"))


def _service(obj: Json) -> None:
    spec = _part(obj, "spec")
    _fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    if spec["type"] != "ExternalName":
        _fill(spec, {"internalTrafficPolicy": "Cluster"})
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, {"externalTrafficPolicy": "Cluster"})
    for port in _rows(spec, "ports"):
        _fill(port, {"protocol": "TCP", "targetPort": port.get("port")})
    _fill(_part(obj, "status"), {"loadBalancer": {}})


def _secret(obj: Json) -> None:
    """stringData is write-only: it overrides data, encoded."""
    _fill(obj, {"type": "Opaque"})
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _namespace(obj: Json) -> None:
    if not obj["metadata"].get("deletionTimestamp"):
        _fill(_part(obj, "spec"), {"finalizers": ["kubernetes"]})
        _fill(_part(obj, "status"), {"phase": "Active"})
    if obj["metadata"].get("name"):
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"]["name"]}


def _claim(obj: Json) -> None:
    _claim_spec(_part(obj, "spec"))


def _claim_spec(spec: Json) -> None:
    for request in _rows(_part(spec, "devices"), "requests"):
        if isinstance(request.get("exactly"), dict):
            _exact(request["exactly"])
        for sub in _rows(request, "firstAvailable"):
            _exact(sub)


def _exact(request: Json) -> None:
    _fill(request, {"allocationMode": "ExactCount"})
    if request["allocationMode"] == "ExactCount":
        _fill(request, {"count": 1})


def _volume_claim(obj: Json) -> None:
    _fill(_part(obj, "spec"), {"volumeMode": "Filesystem", "storageClassName": "standard-rwo"})
    _fill(_part(obj, "status"), {"phase": "Pending"})


def _binding(obj: Json) -> None:
    reference = _part(obj, "roleRef")
    _fill(reference, {"apiGroup": "rbac.authorization.k8s.io"})
    for subject in _rows(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            _fill(subject, {"apiGroup": "rbac.authorization.k8s.io"})


def _autoscaler(obj: Json) -> None:
    _fill(_part(obj, "spec"), {"minReplicas": 1})


def _crd(obj: Json) -> None:
    spec = _part(obj, "spec")
    names = _part(spec, "names")
    kind = str(names.get("kind", ""))
    _fill(names, {"singular": kind.lower(), "listKind": f"{kind}List"})
    _fill(_part(spec, "conversion"), {"strategy": "None"})


_DEFAULTS: dict[tuple[str, str], Callable[[Json], None]] = {
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Secret"): _secret,
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "ReplicationController"): _replicas,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replicas,
    ("apps", "StatefulSet"): _statefulset,
    ("apps", "DaemonSet"): _daemonset,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cronjob,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("resource.k8s.io", "ResourceClaim"): _claim,
    ("resource.k8s.io", "ResourceClaimTemplate"): lambda obj: _claim_spec(_part(_part(obj, "spec"), "spec")),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
}
