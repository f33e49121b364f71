# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The Kubernetes objects of an inference pool and its endpoint picker (EPP).

What GKE expects of them is what Google's set-up guide installs: the picker of
the Gateway API inference extension, release 1.5, which answers ext-proc on 9002,
gRPC health on 9003 and metrics on 9090. Its RBAC stays inside the namespace: the
metrics need no authentication, so no ClusterRole is wanted for token reviews.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .._errors import InvalidOption

Json = dict[str, t.Any]

POOL_GROUP = "inference.networking.k8s.io"
POOL_VERSION = f"{POOL_GROUP}/v1"
IMPORT_VERSION = "networking.gke.io/v1"
IMPORT_KIND = "GCPInferencePoolImport"
EXPORT = "networking.gke.io/export"

# InferenceObjectives and their like, which the picker reads where they are installed.
EXTENSION_GROUP = "inference.networking.x-k8s.io"

PICKER_PORT, HEALTH_PORT, METRICS_PORT = 9002, 9003, 9090
CONFIG_FILE = "endpoint-picker.yaml"

# The picker and its Service are called POOL-epp, and a Service's name has at most 63 characters.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,57}[a-z0-9])?")

# Fewest waiting requests and free KV cache first; a prompt goes where its prefix is cached already.
DEFAULT_PLUGINS: Json = {
    "apiVersion": f"{EXTENSION_GROUP}/v1alpha1",
    "kind": "EndpointPickerConfig",
    "plugins": [
        {"type": "queue-scorer"},
        {"type": "kv-cache-utilization-scorer"},
        {"type": "prefix-cache-scorer"},
    ],
    "schedulingProfiles": [
        {
            "name": "default",
            "plugins": [
                {"pluginRef": "queue-scorer", "weight": 2},
                {"pluginRef": "kv-cache-utilization-scorer", "weight": 2},
                {"pluginRef": "prefix-cache-scorer", "weight": 3},
            ],
        }
    ],
}


def picker_name(pool: str) -> str:
    return f"{pool}-epp"


def check(name: str, match_labels: t.Mapping[str, str], target_ports: t.Sequence[int], replicas: int) -> None:
    """Raises InvalidOption for what the API server would refuse, or what would only fail later."""
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            "name", name, "give 1 to 59 of a-z, 0-9 and -, starting with a letter, ending with a letter or digit"
        )
    if not match_labels:
        raise InvalidOption("match_labels", match_labels, "give at least one label of the model server's pods")
    if not 1 <= len(target_ports) <= 8 or len(set(target_ports)) != len(target_ports):
        raise InvalidOption("target_ports", target_ports, "give 1 to 8 different ports")
    for port in target_ports:
        if not 1 <= port <= 65535:
            raise InvalidOption("target_ports", port, "give a port from 1 to 65535")
    if replicas < 1:
        raise InvalidOption("endpoint_picker.replicas", replicas, "give 1 or more")


def objects(
    name: str,
    namespace: str,
    *,
    match_labels: t.Mapping[str, str],
    target_ports: t.Sequence[int],
    picker: Json,
    export: bool,
) -> list[Json]:
    """Everything of one pool, in the order of creation. ``picker``: option endpoint_picker."""
    config = json.dumps(picker.get("plugins_config") or DEFAULT_PLUGINS, indent=2, sort_keys=True)
    built = [
        service_account(name),
        role(name, picker["replicas"]),
        role_binding(name),
        config_map(name, config),
        deployment(name, namespace, picker, config),
        service(name),
        pool(name, match_labels, target_ports, picker["failure_mode"], export),
    ]
    for obj in built:
        obj["metadata"]["namespace"] = namespace
    return built


def pool(
    name: str, match_labels: t.Mapping[str, str], target_ports: t.Sequence[int], failure_mode: str, export: bool
) -> Json:
    metadata: Json = {"name": name}
    if export:
        metadata["annotations"] = {EXPORT: "True"}
    return {
        "apiVersion": POOL_VERSION,
        "kind": "InferencePool",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": dict(match_labels)},
            "targetPorts": [{"number": port} for port in target_ports],
            "endpointPickerRef": {
                "kind": "Service",
                "name": picker_name(name),
                "port": {"number": PICKER_PORT},
                "failureMode": failure_mode,
            },
        },
    }


def _labels(name: str) -> dict[str, str]:
    return {"inferencepool": picker_name(name)}


def _metadata(name: str) -> Json:
    return {"name": picker_name(name), "labels": {**_labels(name), "app.kubernetes.io/managed-by": "aiserving.gke"}}


def service_account(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(name)}


def role(name: str, replicas: int) -> Json:
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": read},
        {"apiGroups": [POOL_GROUP], "resources": ["inferencepools"], "verbs": read},
        {
            "apiGroups": [EXTENSION_GROUP],
            "resources": ["inferenceobjectives", "inferencemodelrewrites"],
            "verbs": read,
        },
    ]
    if replicas > 1:
        # Several replicas elect a leader, which alone picks: its view of the prefix caches is the whole one.
        rules += [
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": [*read, "create", "update", "patch", "delete"],
            },
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(name),
        "rules": rules,
    }


def role_binding(name: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": picker_name(name)},
        "subjects": [{"kind": "ServiceAccount", "name": picker_name(name)}],
    }


def config_map(name: str, config: str) -> Json:
    """``config``: the EndpointPickerConfig as JSON, which is YAML too."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name), "data": {CONFIG_FILE: config}}


def service(name: str) -> Json:
    ports = (("grpc-ext-proc", PICKER_PORT), ("http-metrics", METRICS_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {
            "type": "ClusterIP",
            "selector": _labels(name),
            "ports": [
                {"name": port_name, "protocol": "TCP", "port": number, "targetPort": number}
                for port_name, number in ports
            ],
        },
    }


def deployment(name: str, namespace: str, picker: Json, config: str) -> Json:
    # A changed configuration starts a new picker: it reads its file once.
    digest = hashlib.sha256(config.encode()).hexdigest()[:16]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": picker["replicas"],
            # Two pickers at once would each know half of the prefix caches.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _labels(name)},
            "template": {
                "metadata": {"labels": _labels(name), "annotations": {"aiserving.gke/config": digest}},
                "spec": {
                    "serviceAccountName": picker_name(name),
                    # As long as a request may still stream through it.
                    "terminationGracePeriodSeconds": 130,
                    "containers": [_container(name, namespace, picker)],
                    "volumes": [{"name": "config", "configMap": {"name": picker_name(name)}}],
                },
            },
        },
    }


def _container(name: str, namespace: str, picker: Json) -> Json:
    elects = picker["replicas"] > 1
    args = [
        f"--pool-name={name}",
        f"--pool-namespace={namespace}",
        f"--pool-group={POOL_GROUP}",
        "--zap-encoder=json",
        f"--config-file=/config/{CONFIG_FILE}",
        "--tracing=false",
        "--metrics-endpoint-auth=false",
    ]
    if elects:
        args.append("--ha-enable-leader-election")
    container: Json = {
        "name": "epp",
        "image": picker["image"],
        "imagePullPolicy": "IfNotPresent",
        "args": args + list(picker.get("extra_args") or []),
        "ports": [
            {"name": "grpc", "containerPort": PICKER_PORT, "protocol": "TCP"},
            {"name": "grpc-health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "env": [
            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "livenessProbe": {
            "grpc": {"port": HEALTH_PORT, "service": "liveness" if elects else "inference-extension"},
            "initialDelaySeconds": 5,
            "periodSeconds": 10,
        },
        "readinessProbe": {
            "grpc": {"port": HEALTH_PORT, "service": "readiness" if elects else "inference-extension"},
            "periodSeconds": 2,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/config", "readOnly": True}],
    }
    if picker.get("resources"):
        container["resources"] = picker["resources"]
    return container
