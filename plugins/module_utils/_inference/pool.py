# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""An inference pool as one thing: its objects, its export, and the import on the fleet's config cluster."""

from __future__ import annotations

import typing as t

from .._call import Call
from .._errors import CollectionError, InvalidOption
from .._kube.apply import PAUSES, Deadline
from .._kube.connection import ClusterMissing, Connection, Resource, UnknownKind, Unreachable, connect, named
from .._kube.manage import converge, telling_of_changes
from .._kube.objects import name_of, namespace_of, shown
from .._kube.plan import Step, report
from .._kube.readiness import NeverReady, ready
from .._wait import wait_for
from . import builders

Json = dict[str, t.Any]

IMPORT = "import_"

# The module's name for the fields of a condition that matter to a user.
_CONDITION = ("type", "status", "reason", "message")

# As Google's guide installs the picker.
DEFAULT_RESOURCES: Json = {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "16Gi"}}


def manage(call: Call) -> Json:
    """The core of module inference_pool."""
    params = call.params
    picker = {**params["endpoint_picker"], "resources": params["endpoint_picker"]["resources"] or DEFAULT_RESOURCES}
    labels, ports = params["match_labels"] or {}, params["target_ports"] or []
    absent = params["state"] == "absent"
    if not absent:
        builders.check(params["name"], labels, ports, picker["replicas"])
    if named(call, IMPORT) and not params["export"]:
        raise InvalidOption("export", False, "give true: without it there is no import to wait for")
    definitions = builders.objects(
        params["name"],
        params["namespace"],
        match_labels=labels,
        target_ports=ports,
        picker=picker,
        export=params["export"],
    )
    deadline = Deadline(params["wait_timeout"])
    rules = {("Deployment", builders.picker_name(params["name"])): picker_ready}
    steps, connection = converge(call, definitions, deadline, rules)
    imported = None
    with telling_of_changes(steps):
        if connection and params["wait"] and named(call, IMPORT):
            looked = _look_for_import if call.check_mode else _wait_import
            imported = looked(call, steps, deadline)
        pool = next(step for step in steps if step.definition["kind"] == "InferencePool")
        answer = {**report(steps, call.diff), "inference_pool": {}}
        if pool.after is not None and not absent:
            _check_export(pool.after, params["export"])
            answer["inference_pool"] = describe(pool.after, imported)
            if call.check_mode and pool.action == "create":
                answer["inference_pool"].update(ready=False, reason="it is not there yet")
    return answer


def picker_ready(obj: Json) -> tuple[bool, str]:
    """A picker's Deployment. Of several replicas only the elected leader calls itself ready."""
    status, generation = obj.get("status") or {}, obj["metadata"].get("generation") or 0
    if obj["spec"].get("replicas", 1) == 1 or int(status.get("observedGeneration") or 0) < generation:
        return ready(obj)
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    if updated < obj["spec"]["replicas"] or available < 1:
        return False, f"{updated} of {obj['spec']['replicas']} replicas updated, {available} is the leader"
    return True, ""


def _check_export(live: Json, wanted: bool) -> None:
    """An annotation of somebody else's outlives our not stating it; better to say so than to call it unexported."""
    if exported(live) and not wanted:
        raise CollectionError(
            f"InferencePool {namespace_of(live)}/{name_of(live)} is exported still: annotation {builders.EXPORT} was "
            "set by another manager. Remove it: kubectl annotate inferencepool "
            f"{name_of(live)} -n {namespace_of(live)} {builders.EXPORT}-"
        )


def exported(pool: Json) -> bool:
    return (pool["metadata"].get("annotations") or {}).get(builders.EXPORT) == "True"


def find_import(connection: Connection, namespace: str, name: str) -> tuple[Json | None, str]:
    """The import of this pool, or None and why there is none."""
    try:
        resource = connection.resource(builders.IMPORT_VERSION, builders.IMPORT_KIND)
    except UnknownKind:
        return None, f"the config cluster does not know {builders.IMPORT_KIND}"
    live = connection.get(resource, namespace, name)
    return live, "" if live else f"there is no {builders.IMPORT_KIND} {namespace}/{name}"


def _look_for_import(call: Call, _steps: t.Sequence[Step], _deadline: Deadline) -> Json | None:
    """For check mode: what is there now."""
    try:
        live, why = find_import(connect(call, IMPORT), call.params["namespace"], call.params["name"])
    except (ClusterMissing, Unreachable) as error:
        live, why = None, error.message
    if live is None and call.params["state"] == "present":
        call.warn(f"not ready now: {why}")
    return live


def _wait_import(call: Call, steps: t.Sequence[Step], deadline: Deadline) -> Json | None:
    """The import once it is there and ready; None once it is gone, where ``state`` is absent.

    A config cluster that does not answer from the beginning may be lost with its region: no reason to wait for
    it. One that answered before is being upgraded.
    """
    gone = call.params["state"] == "absent"
    namespace, name = call.params["namespace"], call.params["name"]
    heard = False
    try:
        connection = connect(call, IMPORT)
    except ClusterMissing as error:
        if gone:
            return None
        raise ClusterMissing(_unseen(namespace, name, error)) from error

    def look() -> tuple[bool, Json | None, str]:
        nonlocal heard
        try:
            live, why = find_import(connection, namespace, name)
            heard = True
            done, unmet = ready(live) if live else (False, why)
        except NeverReady as error:
            return gone, None, error.message
        except Unreachable as error:
            if not heard:
                raise Unreachable(_unseen(namespace, name, error)) from error
            return False, None, error.message
        if gone:
            return live is None, None, f"{builders.IMPORT_KIND} {namespace}/{name} is still there"
        return done, live, unmet

    def why(seen: tuple[bool, Json | None, str]) -> str:
        pool = next((step.after for step in steps if step.definition["kind"] == "InferencePool"), None)
        said = [f"{c['type']} is {c['status']}: {c['message']}" for c in conditions(pool or {})]
        return "; ".join([seen[2], *said, *([] if gone else [_NEEDS])])

    what = f"pool {namespace}/{name} to {'leave' if gone else 'arrive on'} the config cluster"
    return wait_for(look, lambda seen: seen[0], timeout=deadline.left, what=what, why=why, backoff=PAUSES)[1]


# Without the grant the feature is ACTIVE all the same, and its controller writes nothing into any cluster.
_NEEDS = (
    "check that both clusters are in the fleet, that feature multiclusteringress is ACTIVE with this cluster as its "
    "config membership, and that the feature's service agent "
    "(service-NUMBER@gcp-sa-multiclusteringress.iam.gserviceaccount.com) has roles/container.admin in the project"
)


def _unseen(namespace: str, name: str, error: CollectionError) -> str:
    return (
        f"pool {namespace}/{name} and its picker are as wanted, but whether the fleet's config cluster knows that "
        f"cannot be seen: {error.message}. Leave out the import_ options where the config cluster is lost"
    )


def conditions(pool: Json) -> list[Json]:
    """Every condition with the parent that it speaks of; imports keep theirs directly in status."""
    status = pool.get("status") or {}
    holders = [(_parent(parent), parent) for parent in status.get("parents") or []]
    if status.get("conditions"):
        holders.append(("", status))
    return [
        {"parent": parent, **{field: condition.get(field, "") for field in _CONDITION}}
        for parent, holder in holders
        for condition in holder.get("conditions") or []
    ]


def _parent(parent: Json) -> str:
    ref = parent.get("parentRef") or {}
    return f"{ref['namespace']}/{ref['name']}" if ref.get("namespace") else str(ref.get("name", ""))


def describe(pool: Json, imported: Json | None) -> Json:
    """A pool as the modules return it."""
    spec = pool.get("spec") or {}
    picker = spec.get("endpointPickerRef") or {}
    try:
        is_ready, reason = ready(pool)
    except NeverReady as error:
        is_ready, reason = False, error.message
    return {
        "name": name_of(pool),
        "namespace": namespace_of(pool) or "",
        "match_labels": (spec.get("selector") or {}).get("matchLabels") or {},
        "target_ports": [port["number"] for port in spec.get("targetPorts") or []],
        "endpoint_picker": {
            "name": picker.get("name", ""),
            "port": (picker.get("port") or {}).get("number"),
            "failure_mode": picker.get("failureMode", ""),
        },
        "exported": exported(pool),
        "ready": is_ready,
        "reason": reason,
        "conditions": conditions(pool),
        "imported": shown(imported),
    }


def info(call: Call) -> Json:
    """The core of module inference_pool_info."""
    params = call.params
    try:
        connection = connect(call)
        resource = connection.resource(builders.POOL_VERSION, "InferencePool")
    except (ClusterMissing, UnknownKind) as error:
        call.warn(error.message)
        return {"changed": False, "inference_pools": []}
    pools = _find(connection, resource, params["namespace"], params["name"])
    imports = _imports(call, pools) if named(call, IMPORT) else [None] * len(pools)
    described = [describe(pool, imported) for pool, imported in zip(pools, imports, strict=True)]
    return {"changed": False, "inference_pools": described}


def _imports(call: Call, pools: t.Sequence[Json]) -> list[Json | None]:
    """Their imports; none of them, with a warning, when the config cluster does not answer."""
    try:
        config = connect(call, IMPORT)
        return [find_import(config, namespace_of(pool) or "", name_of(pool))[0] for pool in pools]
    except (ClusterMissing, Unreachable) as error:
        call.warn(f"the imports on the config cluster cannot be seen: {error.message}")
        return [None] * len(pools)


def _find(connection: Connection, resource: Resource, namespace: str | None, name: str | None) -> list[Json]:
    if name is None:
        return connection.list(resource, namespace)
    found = connection.get(resource, namespace or "default", name)
    return [found] if found else []
