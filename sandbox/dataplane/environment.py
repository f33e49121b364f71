# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container's environment variables, from all the places that a Pod may take them from."""

from __future__ import annotations

import base64
import re

from ..client import CONFIG_MAPS, SECRETS, KubeClient, Resource
from ..interfaces import Json
from .paths import expand

_KEYED = re.compile(r"(metadata\.(?:labels|annotations))\['([^']+)'\]")


class ConfigError(Exception):
    """Something that the environment refers to is not there; the message is the kubelet's."""


async def variables(client: KubeClient, pod: Json, container: Json) -> dict[str, str]:
    """envFrom, then env; later ones win and may use earlier ones as $(NAME). Raises ConfigError."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for resource, field in ((CONFIG_MAPS, "configMapRef"), (SECRETS, "secretRef")):
            if field in source:
                data = await data_of(client, pod, resource, source[field])
                result |= {source.get("prefix", "") + key: text for key, text in (data or {}).items()}
    for variable in container.get("env") or []:
        name = variable["name"]
        if "valueFrom" in variable:
            value = await _value_from(client, pod, container, variable["valueFrom"])
            if value is not None:
                result[name] = value
        else:
            result[name] = expand(variable.get("value") or "", result)
    return result


async def data_of(client: KubeClient, pod: Json, resource: Resource, reference: Json) -> dict[str, str] | None:
    """The decoded data of a ConfigMap or Secret; None when it is absent and optional. Raises ConfigError."""
    name = reference.get("name") or ""
    obj = await client.get(resource, pod["metadata"]["namespace"], name)
    if obj is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{resource.kind.lower()} "{name}" not found')
    data: Json = obj.get("data") or {}
    if resource is SECRETS:
        return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}
    binary: Json = obj.get("binaryData") or {}
    return data | {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in binary.items()}


async def _value_from(client: KubeClient, pod: Json, container: Json, source: Json) -> str | None:
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return _resource(container, source["resourceFieldRef"])
    for resource, kind in ((CONFIG_MAPS, "configMapKeyRef"), (SECRETS, "secretKeyRef")):
        if kind in source:
            reference = source[kind]
            data = await data_of(client, pod, resource, reference)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            where = f"{resource.kind} {pod['metadata']['namespace']}/{reference['name']}"
            raise ConfigError(f"couldn't find key {reference['key']} in {where}")
    raise ConfigError(f"unsupported source of a variable: {', '.join(source)}")


def field(pod: Json, path: str) -> str:
    """A field of the downward API: metadata.name, spec.nodeName, status.podIP and so on. Raises ConfigError."""
    keyed = _KEYED.fullmatch(path)
    if keyed:
        return str((pod["metadata"].get(keyed[1].split(".")[1]) or {}).get(keyed[2], ""))
    parent, _unused, name = path.partition(".")
    if parent == "metadata" and name in ("labels", "annotations"):
        pairs: Json = pod["metadata"].get(name) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(pairs.items()))
    if parent == "status" and name in ("podIPs", "hostIPs"):
        return ",".join(entry["ip"] for entry in pod["status"].get(name) or [])
    allowed = {
        "metadata": ("name", "namespace", "uid"),
        "spec": ("nodeName", "serviceAccountName"),
        "status": ("podIP", "hostIP"),
    }
    if name not in allowed.get(parent, ()):
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(pod[parent].get(name) or "")


def _resource(container: Json, reference: Json) -> str:
    kind, _unused, name = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    return str((resources.get(kind) or resources.get("requests") or {}).get(name, "0"))
