# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenAPI documents of Kubernetes' own kinds, derived at run time from the models of the ``kubernetes`` package.

The models know fields, types and what is required; ``builtin_tables`` adds what they do not say.
"""

from __future__ import annotations

import datetime
import functools
import re
import types
import typing as t

from kubernetes.client import models
from pydantic import BaseModel

from sandbox.kubernetes import builtin_tables as tables

Json = dict[str, t.Any]

# API group -> its kinds. Models carry no group, and a CRD may use the name of a kind of Kubernetes.
_KINDS: dict[str, str] = {
    "": "Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod "
    "PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount",
    "admissionregistration.k8s.io": "MutatingWebhookConfiguration ValidatingAdmissionPolicy "
    "ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "apps": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "authentication.k8s.io": "SelfSubjectReview TokenRequest TokenReview",
    "authorization.k8s.io": "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview "
    "SubjectAccessReview",
    "autoscaling": "HorizontalPodAutoscaler Scale",
    "batch": "CronJob Job",
    "certificates.k8s.io": "CertificateSigningRequest",
    "coordination.k8s.io": "Lease",
    "discovery.k8s.io": "EndpointSlice",
    "events.k8s.io": "Event",
    "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
    "networking.k8s.io": "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
    "node.k8s.io": "RuntimeClass",
    "policy": "Eviction PodDisruptionBudget",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "resource.k8s.io": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
    "scheduling.k8s.io": "PriorityClass",
    "storage.k8s.io": "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
}

# Models whose name carries the group, because another group has a model of the kind's name.
_PREFIXES = {
    ("", "Event"): "Core",
    ("events.k8s.io", "Event"): "Events",
    ("authentication.k8s.io", "TokenRequest"): "Authentication",
    ("resource.k8s.io", "ResourceClaim"): "Resource",
}
_ANYTHING: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SCALARS: dict[t.Any, Json] = {
    str: {"type": "string"},
    bytes: {"type": "string", "format": "byte"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}


def document(group: str, version: str, kind: str) -> Json | None:
    """The OpenAPI v3 schema of a kind, self-contained; None when the package has no such kind."""
    if kind not in _KINDS.get(group, "").split():
        return None
    suffix = version[:1].upper() + version[1:] + kind
    for name in (_PREFIXES.get((group, kind), "") + suffix, suffix):
        model = getattr(models, name, None)
        if model is not None:
            break
    else:
        return None
    root = _model(model, True)
    identity: Json = {"group": group, "version": version, "kind": kind}
    return {**root, "x-kubernetes-group-version-kind": [identity]}


def object_meta() -> Json:
    """The schema of ``metadata`` of every kind."""
    return _model(models.V1ObjectMeta, True)


def _short(model: type[BaseModel]) -> str:
    """The model's name without group and version: V1Container -> Container."""
    return re.sub(
        r"^(Core|Events|Authentication|Resource|Discovery|Storage|Rbac|Flowcontrol)?V\d+((alpha|beta)\d+)?",
        "",
        model.__name__,
    )


@functools.cache
def _model(model: type[BaseModel], strict: bool) -> Json:
    """``strict``: required fields are required. In a status Kubernetes fills their zero values instead."""
    name = _short(model)
    properties: Json = {}
    required = []
    for attribute, info in model.model_fields.items():
        field = info.serialization_alias or attribute
        inside = strict and field != "status"
        properties[field] = _field(f"{name}.{field}", info.annotation, inside)
        if strict and info.is_required() and f"{name}.{field}" not in tables.OPTIONAL:
            required.append(field)
    node: Json = {"type": "object"}
    if name in tables.ATOMIC_MODELS:
        node["x-kubernetes-map-type"] = "atomic"
    if required:
        node["required"] = required
    return {**node, "properties": properties}


def _field(place: str, annotation: t.Any, strict: bool) -> Json:
    node = dict(_type(annotation, strict))
    if place in tables.QUANTITIES:
        quantity = {"type": "string", "format": "quantity"}
        node = {**node, "additionalProperties": quantity} if node["type"] == "object" else quantity
    if place in tables.ATOMIC_FIELDS:
        node["x-kubernetes-map-type"] = "atomic"
    if place in tables.RETAIN_KEYS:
        node["x-kubernetes-patch-strategy"] = "retainKeys"
    if node.get("type") == "array":
        node.update(_list(place, node["items"], strict))
    if place in tables.DEFAULTS:
        node["default"] = tables.DEFAULTS[place]
    if place in tables.ENUMS:
        node["enum"] = tables.ENUMS[place]
    if place in tables.LIMITS:
        least, most = tables.LIMITS[place]
        node["minimum"] = least
        if most is not None:
            node["maximum"] = most
    return node


def _list(place: str, items: Json, strict: bool) -> Json:
    rule = tables.LISTS.get(place)
    if rule is None and place.endswith(".conditions") and "type" in items.get("properties", {}):
        rule = tables.ListRule("map", ("type",), "type", "merge")
    rule = rule or tables.ListRule("atomic")
    node: Json = {"x-kubernetes-list-type": rule.kind}
    if rule.keys:
        node["x-kubernetes-list-map-keys"] = list(rule.keys)
    if rule.patch_key:
        node["x-kubernetes-patch-merge-key"] = rule.patch_key
    if rule.patch:
        node["x-kubernetes-patch-strategy"] = rule.patch
    if strict and place in tables.NOT_EMPTY:
        node["minItems"] = 1
    return node


def _type(annotation: t.Any, strict: bool) -> Json:
    origin, arguments = t.get_origin(annotation), t.get_args(annotation)
    if origin is t.Annotated:
        return _type(arguments[0], strict)
    if origin in (t.Union, types.UnionType):
        options = [_type(one, strict) for one in arguments if one is not type(None)]
        return _union(options)
    if origin is list:
        return {"type": "array", "items": _type(arguments[0], strict)}
    if origin is dict:
        if arguments[1] is t.Any:
            return _ANYTHING
        return {"type": "object", "additionalProperties": _type(arguments[1], strict)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # The only recursive model; CRDs are checked by whoever serves them.
        return _ANYTHING if annotation is models.V1JSONSchemaProps else _model(annotation, strict)
    return _SCALARS.get(annotation, {"x-kubernetes-preserve-unknown-fields": True})


def _union(options: list[Json]) -> Json:
    if len(options) == 1:
        return options[0]
    kinds = {option.get("type") for option in options}
    if kinds == {"integer", "string"}:
        return {"x-kubernetes-int-or-string": True}
    if kinds == {"number", "integer"}:
        return {"type": "number"}
    if kinds == {"string"}:  # bytes given as text
        return next(option for option in options if option.get("format") == "byte")
    return {"x-kubernetes-preserve-unknown-fields": True}
