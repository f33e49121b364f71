# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Pod's volumes as directories of the machine."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from pathlib import Path

from ..client import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, KubeClient, Resource
from ..interfaces import CloudView, Json
from . import environment, gcsfuse
from .gcsfuse import MountError
from .paths import expand


@dataclasses.dataclass(frozen=True)
class Volume:
    """What a volumeMount shows."""

    directory: Path
    writable: bool


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What mounting looks at besides the Pod."""

    client: KubeClient
    cloud: CloudView
    cluster: Json
    node_pool: Json | None


async def set_up(around: Surroundings, pod: Json, directory: Path) -> dict[str, Volume]:
    """Make all volumes below ``directory``, by their names; repeatable. Raises MountError."""
    volumes = {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        try:
            volumes[name] = await _set_up(around, pod, volume, directory / name)
        except (MountError, environment.ConfigError) as error:
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
    return volumes


async def _set_up(around: Surroundings, pod: Json, volume: Json, directory: Path) -> Volume:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if "csi" in volume:
        return await _bucket(around, pod, volume["csi"])
    if "emptyDir" in volume:
        return Volume(directory, True)
    sources = volume["projected"].get("sources") or [] if "projected" in volume else [volume]
    for source in sources:
        await _fill(around.client, pod, source, directory)
    return Volume(directory, False)


async def _bucket(around: Surroundings, pod: Json, csi: Json) -> Volume:
    if csi["driver"] != gcsfuse.DRIVER:
        raise MountError(
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client:"
            f" driver name {csi['driver']} not found in the list of registered CSI drivers"
        )
    namespace = pod["metadata"]["namespace"]
    name = pod["spec"].get("serviceAccountName") or "default"
    account = await around.client.get(SERVICE_ACCOUNTS, namespace, name)
    if account is None:
        raise MountError(f'serviceaccounts "{name}" not found')
    mounted = gcsfuse.mount(around.cloud, around.cluster, around.node_pool, account, pod, csi)
    return Volume(mounted.directory, mounted.writable and not csi.get("readOnly"))


async def _fill(client: KubeClient, pod: Json, source: Json, directory: Path) -> None:
    """Write the files of one ConfigMap, Secret or piece of the downward API."""
    kinds: tuple[tuple[str, Resource], ...] = (("configMap", CONFIG_MAPS), ("secret", SECRETS))
    for kind, resource in kinds:
        if kind in source:
            reference = source[kind]
            named = {**reference, "name": reference.get("name") or reference.get("secretName")}
            data = await environment.data_of(client, pod, resource, named)
            for path, text in _items(data or {}, reference, named["name"]).items():
                _write(directory, path, text)
            return
    if "downwardAPI" in source:
        for item in source["downwardAPI"].get("items") or []:
            _write(directory, item["path"], environment.field(pod, (item.get("fieldRef") or {}).get("fieldPath", "")))
        return
    kind = next((key for key in source if key != "name"), "of no kind")
    raise MountError(f"the sandbox has no volumes of kind {kind}")


def _items(data: dict[str, str], reference: Json, name: str) -> dict[str, str]:
    """Path -> text: everything, or the chosen keys under their paths."""
    if "items" not in reference:
        return data
    chosen = {}
    for item in reference["items"] or []:
        if item["key"] in data:
            chosen[item["path"]] = data[item["key"]]
        elif not reference.get("optional"):
            raise MountError(f"references non-existent config key: {item['key']} of {name}")
    return chosen


def _write(directory: Path, path: str, text: str) -> None:
    target = directory / path
    if not target.resolve().is_relative_to(directory.resolve()):
        raise MountError(f"invalid path {path!r}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def mounts(container: Json, volumes: dict[str, Volume], variables: dict[str, str]) -> dict[str, Volume]:
    """Mount path -> what is there, of one container. Raises ConfigError for a mount of no volume."""
    result = {}
    for mount in container.get("volumeMounts") or []:
        volume = volumes.get(mount["name"])
        if volume is None:
            raise environment.ConfigError(f'volume "{mount["name"]}" not found')
        inner = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if posixpath.isabs(inner) or ".." in inner.split("/"):
            raise environment.ConfigError(f"subPath {inner!r} must be within the volume")
        directory = volume.directory / inner
        writable = volume.writable and not mount.get("readOnly")
        if inner and writable and not directory.exists():
            directory.mkdir(parents=True)
        result[mount["mountPath"]] = Volume(directory, writable)
    return result
