# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scale subresource: a number of replicas seen as an autoscaling/v1 Scale, and who owns that number.

A write happens to the Scale, whose managedFields are those of the object that own the replicas, and goes back
into the object. As Scale leaves out a zero, nobody owns the replicas of what was scaled to none; and where
nobody owns them, a write that is no apply is not tracked (seen on kube-apiserver 1.34).
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable

from sandbox.kubernetes import apply, objects, patch
from sandbox.kubernetes.apply import Entry
from sandbox.kubernetes.errors import bad_request
from sandbox.kubernetes.operations import APPLY, JSON_PATCH, Operations, Options
from sandbox.kubernetes.resources import ResourceType, ScalePaths
from sandbox.kubernetes.selectors import json_path, selector_text
from sandbox.kubernetes.store import clone

Json = dict[str, t.Any]

SCALE = ResourceType(group="autoscaling", version="v1", plural="scales", kind="Scale")
_REPLICAS = ("f:spec", "f:replicas")


def scale_of(rt: ResourceType, obj: Json) -> Json:
    """The autoscaling/v1 Scale of an object."""
    paths = rt.scale or ScalePaths()
    replicas = (json_path(obj, paths.spec) or [0])[0]
    found: Json = {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {
            name: obj["metadata"][name]
            for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if name in obj["metadata"]
        },
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": (json_path(obj, paths.status) or [0])[0]},
    }
    if paths.selector:
        found["status"]["selector"] = selector_text((json_path(obj, paths.selector) or [""])[0])
    return found


def write(ops: Operations, rt: ResourceType, live: Json, media: str | None, given: t.Any, options: Options) -> Json:
    """Put (``media`` None), patch or apply a Scale; answers it afterwards. Raises ApiStatus."""
    paths = rt.scale or ScalePaths()
    path = tuple(f"f:{step}" for step in paths.spec.strip(".").split("."))
    known = apply.owners(live)
    old = apply.with_owners(scale_of(rt, live), _of_scale(known, path))
    new = _applied(old, given, options) if media == APPLY else _updated(ops, old, media, given, options)
    written = clone(live)
    written["metadata"]["resourceVersion"] = new["metadata"].get("resourceVersion")
    part = written
    *parents, last = paths.spec.strip(".").split(".")
    for step in parents:
        part = part.setdefault(step, {})
    part[last] = _replicas(new, live["metadata"]["name"])
    written = apply.with_owners(written, _of_parent(known, apply.owners(new), path, rt.api_version))
    return scale_of(rt, ops.modify(rt, live, written, options, "scale", tracked=True))


def _applied(old: Json, config: t.Any, options: Options) -> Json:
    if not isinstance(config, dict) or (config.get("apiVersion"), config.get("kind")) != (SCALE.api_version, "Scale"):
        kind = config if not isinstance(config, dict) else f"{config.get('apiVersion')}, Kind={config.get('kind')}"
        raise bad_request(f"invalid object type: {kind}")
    config = clone(config)
    objects.address(SCALE, old["metadata"].get("namespace", ""), config, old["metadata"]["name"])
    wanted = config["metadata"].pop("resourceVersion", None)
    new = apply.server_side_apply(
        old, config, manager=options.manager, force=options.force, schema=SCALE.schema, subresource="scale", now=""
    )
    new["metadata"]["resourceVersion"] = wanted
    return new


def _updated(ops: Operations, old: Json, media: str | None, given: t.Any, options: Options) -> Json:
    # Strategic means the same as merge for a Scale's two numbers.
    if media is None:
        new = clone(given)
    elif media == JSON_PATCH:
        new = patch.json_patch(clone(old), given)
    else:
        new = t.cast(Json, patch.merge_patch(clone(old), given))
    objects.address(SCALE, old["metadata"].get("namespace", ""), new, old["metadata"]["name"])
    new["metadata"].pop("managedFields", None)
    new = ops.decode(SCALE, new, options, patch=media is not None)
    if not (new.get("spec") or {}).get("replicas", 0):
        new["spec"] = {}
    return apply.track_update(old, new, manager=options.manager, schema=SCALE.schema, subresource="scale", now="")


def _replicas(scale: Json, name: str) -> int:
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0:
        return wanted
    cause = f"spec.replicas: Invalid value: {json.dumps(wanted)}: must be greater than or equal to 0"
    raise objects.unprocessable(SCALE, name, [cause])


def _of_scale(entries: Iterable[Entry], path: apply.Path) -> list[Entry]:
    """The owners of the object's replicas as owners of its Scale's."""
    return [
        Entry(one.manager, one.operation, SCALE.api_version, one.subresource, one.time, {_REPLICAS})
        for one in entries
        if path in one.fields
    ]


def _of_parent(parent: Iterable[Entry], scale: Iterable[Entry], path: apply.Path, api_version: str) -> list[Entry]:
    """The owners of the object after a write of its Scale left these owners there.

    Who is no applier is another writer to the Scale, by its API version, and so gets an entry of its own.
    """
    left = {one.writer: one for one in scale}
    entries = []
    for one in parent:
        if path in one.fields and left.pop(one.writer, None) is None:
            one.fields = one.fields - {path}
        entries.append(one)
    new = [one for one in left.values() if _REPLICAS in one.fields]
    return [*entries, *(Entry(one.manager, one.operation, api_version, one.subresource, "", {path}) for one in new)]
