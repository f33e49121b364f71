# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that a schema cannot say: what belongs together, and what never changes."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable

from sandbox.kubernetes import crds, objects
from sandbox.kubernetes.resources import ResourceType
from sandbox.kubernetes.selectors import object_selector
from sandbox.kubernetes.validate import structural_causes

Json = dict[str, t.Any]

_IMMUTABLE = "field is immutable"
# Kind -> paths below the object that no update changes.
_FIXED: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("batch", "Job"): ("spec.selector", "spec.template", "spec.completionMode"),
    ("resource.k8s.io", "ResourceClaim"): ("spec",),
    ("resource.k8s.io", "ResourceClaimTemplate"): ("spec",),
    ("scheduling.k8s.io", "PriorityClass"): ("value",),
    ("storage.k8s.io", "StorageClass"): ("provisioner", "parameters", "reclaimPolicy"),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("", "Secret"): ("type",),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("spec.scope", "spec.group", "spec.names.kind"),
}
_SELECTING = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}
# What a StatefulSet's update may touch.
_STATEFUL = {
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


def check(rt: ResourceType, obj: Json, live: Json | None, subresource: str = "") -> list[str]:
    """Causes ("field: Invalid value: ...") why the object cannot be stored; ``live`` is what it replaces."""
    causes = objects.check(rt, obj, live)
    causes += rt.schema.validate(obj)
    if causes:
        return causes
    if rt.custom:
        return crds.validate_rules(rt.kind, obj)
    if subresource == "status":
        return []
    rule = _RULES.get((rt.group, rt.kind))
    if rule:
        causes += rule(obj)
    if live:
        causes += _frozen(rt, obj, live)
    return causes


def _at(obj: Json, path: str) -> t.Any:
    value: t.Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _frozen(rt: ResourceType, obj: Json, live: Json) -> list[str]:
    causes = [
        f"{path}: Invalid value: {json.dumps(_at(obj, path))}: {_IMMUTABLE}"
        for path in _FIXED.get((rt.group, rt.kind), ())
        if _at(obj, path) != _at(live, path)
    ]
    if rt.kind in ("ConfigMap", "Secret") and not rt.group and live.get("immutable"):
        for field in ("data", "binaryData", "immutable"):
            if obj.get(field) != live.get(field):
                causes.append(f"{field}: Forbidden: field is immutable when `immutable` is set")
    if rt.kind == "StatefulSet" and {k: v for k, v in obj["spec"].items() if k not in _STATEFUL} != {
        k: v for k, v in live["spec"].items() if k not in _STATEFUL
    }:
        names = ", ".join(f"'{name}'" for name in sorted(_STATEFUL))
        causes.append(f"spec: Forbidden: updates to statefulset spec for fields other than {names} are forbidden")
    fixed = live["spec"].get("clusterIP", "None") if rt.kind == "Service" and not rt.group else "None"
    if fixed != "None" and obj["spec"].get("type") != "ExternalName" and obj["spec"].get("clusterIP") != fixed:
        causes.append(f'spec.clusterIPs[0]: Invalid value: ["{obj["spec"].get("clusterIP")}"]: may not change once set')
    return causes


def _workload(obj: Json) -> list[str]:
    spec = obj["spec"]
    selector = spec.get("selector") or {}
    causes = []
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append("spec.selector: Invalid value: {}: empty selector is invalid for deployment")
    else:
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        if not object_selector(selector)({"metadata": {"labels": labels}}):
            text = json.dumps(labels)
            causes.append(
                f"spec.template.metadata.labels: Invalid value: {text}: `selector` does not match template `labels`"
            )
    if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
        causes.append(f"spec.replicas: Invalid value: {spec['replicas']}: must be greater than or equal to 0")
    policy = spec["template"]["spec"].get("restartPolicy")
    if policy != "Always":
        causes.append(f'spec.template.spec.restartPolicy: Unsupported value: "{policy}": supported values: "Always"')
    return causes + pod_causes(spec["template"]["spec"], "spec.template.spec")


def _job(obj: Json) -> list[str]:
    pod = obj["spec"]["template"]["spec"]
    causes = []
    if pod.get("restartPolicy") not in ("OnFailure", "Never"):
        causes.append(
            f'spec.template.spec.restartPolicy: Unsupported value: "{pod.get("restartPolicy")}": '
            'supported values: "OnFailure", "Never"'
        )
    return causes + pod_causes(pod, "spec.template.spec")


def pod_causes(spec: Json, path: str) -> list[str]:
    """Containers named once, with images; mounts of volumes that exist; extended resources requested as limited."""
    causes = []
    containers = spec.get("containers") or []
    if not containers:
        causes.append(f"{path}.containers: Required value")
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    claims = {claim.get("name") for claim in spec.get("resourceClaims") or ()}
    seen: set[str] = set()
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            name = container.get("name")
            if name in seen:
                causes.append(f'{where}.name: Duplicate value: "{name}"')
            seen.add(name)
            if not container.get("image"):
                causes.append(f"{where}.image: Required value")
            for row, mount in enumerate(container.get("volumeMounts") or ()):
                if mount.get("name") not in volumes:
                    causes.append(f'{where}.volumeMounts[{row}].name: Not found: "{mount.get("name")}"')
            causes += _resource_causes(container.get("resources") or {}, f"{where}.resources", claims)
    return causes


def _resource_causes(resources: Json, where: str, claims: set[t.Any]) -> list[str]:
    causes = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name in requests:
        if "/" not in name or "kubernetes.io/" in name:
            continue
        if name not in limits:
            causes.append(f"{where}.limits: Required value: Limit must be set for non overcommitable resources")
        elif str(limits[name]) != str(requests[name]):
            causes.append(
                f'{where}.requests: Invalid value: "{requests[name]}": must be equal to {name} limit of {limits[name]}'
            )
    for index, claim in enumerate(resources.get("claims") or ()):
        if claim.get("name") not in claims:
            causes.append(f'{where}.claims[{index}]: Not found: "{claim.get("name")}"')
    return causes


def _service(obj: Json) -> list[str]:
    spec = obj["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec.get("type") not in kinds:
        supported = ", ".join(f'"{kind}"' for kind in kinds)
        return [f'spec.type: Unsupported value: "{spec.get("type")}": supported values: {supported}']
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        return ["spec.ports: Required value"]
    causes = []
    for index, port in enumerate(ports):
        if not isinstance(port.get("port"), int) or not 1 <= port["port"] <= 65535:
            causes.append(
                f"spec.ports[{index}].port: Invalid value: {port.get('port')}: must be between 1 and 65535, inclusive"
            )
        if len(ports) > 1 and not port.get("name"):
            causes.append(f"spec.ports[{index}].name: Required value")
    return causes


def _crd(obj: Json) -> list[str]:
    spec, name = obj["spec"], obj["metadata"]["name"]
    causes = []
    wanted = f"{spec['names']['plural']}.{spec['group']}"
    if name != wanted:
        causes.append(f'metadata.name: Invalid value: "{name}": must be spec.names.plural+"."+spec.group')
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        causes.append(
            f'spec.scope: Unsupported value: "{spec.get("scope")}": supported values: "Cluster", "Namespaced"'
        )
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append("spec.versions: Invalid value: must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        where = f"spec.versions[{index}].schema.openAPIV3Schema"
        causes += structural_causes(schema, where) if schema else [f"{where}: Required value: schemas are required"]
    return causes


_RULES: dict[tuple[str, str], Callable[[Json], list[str]]] = {
    ("", "Pod"): lambda obj: pod_causes(obj["spec"], "spec"),
    ("", "Service"): _service,
    ("batch", "Job"): _job,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
    **{("apps", kind): _workload for kind in _SELECTING},
}
