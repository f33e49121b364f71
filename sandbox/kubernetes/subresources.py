# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subresources that exchange another kind than their parent, except scale: binding, eviction, logs; the reviews."""

from __future__ import annotations

import asyncio
import typing as t
from pathlib import Path

from aiohttp import web

from sandbox.kubernetes import objects
from sandbox.kubernetes.errors import ApiStatus, bad_request
from sandbox.kubernetes.operations import Operations, Options
from sandbox.kubernetes.requests import flag, number
from sandbox.kubernetes.resources import ResourceType
from sandbox.kubernetes.selectors import object_selector
from sandbox.kubernetes.store import Store, clone

Json = dict[str, t.Any]

_FOLLOW_INTERVAL = 0.1  # seconds between looks at a log that is followed


def bind(ops: Operations, rt: ResourceType, live: Json, binding: Json, options: Options) -> Json:
    """Assign a Pod to the node that a scheduler's Binding names. Raises ApiStatus 409 when it has one."""
    name = live["metadata"]["name"]
    node = (binding.get("target") or {}).get("name")
    if not node:
        raise objects.unprocessable(rt, name, ["target.name: Required value"])
    if live["spec"].get("nodeName"):
        raise objects.conflict(rt, name, f'pod {name} is already assigned to node "{live["spec"]["nodeName"]}"')
    new = clone(live)
    new["spec"]["nodeName"] = node
    for field in ("annotations", "labels"):
        if extra := (binding.get("metadata") or {}).get(field):
            new["metadata"][field] = {**(new["metadata"].get(field) or {}), **extra}
    ops.modify(rt, live, new, options, "binding")
    if not options.dry_run:
        scheduled = clone(ops.get(rt, new["metadata"]["namespace"], name))
        conditions = (scheduled.get("status") or {}).get("conditions") or []
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": objects.now()}
        kept = [row for row in conditions if row.get("type") != "PodScheduled"]
        scheduled.setdefault("status", {})["conditions"] = [*kept, condition]
        ops.modify(rt, ops.get(rt, new["metadata"]["namespace"], name), scheduled, options, "status")
    return success()


def evict(ops: Operations, rt: ResourceType, live: Json, eviction: Json, options: Options) -> Json:
    """Delete a Pod unless a PodDisruptionBudget has no disruption left (429)."""
    metadata = live["metadata"]
    for budget in ops.store.items("policy/poddisruptionbudgets", metadata["namespace"]):
        left = (budget.get("status") or {}).get("disruptionsAllowed", 0)
        if object_selector(budget["spec"].get("selector"))(live) and left < 1:
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {budget['metadata']['name']} "}
            raise ApiStatus(429, "TooManyRequests", message, {"causes": [cause]})
    ops.delete(rt, metadata["namespace"], metadata["name"], eviction.get("deleteOptions") or {}, options)
    return success()


def success(details: Json | None = None) -> Json:
    status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return {**status, "details": details} if details else status


def review(rt: ResourceType, obj: Json) -> Json:
    """Answer a review: the bearer of the token may do everything."""
    obj.setdefault("kind", rt.kind)
    obj.setdefault("apiVersion", rt.api_version)
    obj.setdefault("metadata", {})
    user = {"username": "sandbox", "groups": ["system:masters", "system:authenticated"]}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    obj["status"] = {
        "SelfSubjectReview": {"userInfo": user},
        "TokenReview": {"authenticated": True, "user": user},
        "SelfSubjectRulesReview": {
            "resourceRules": [everything],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        },
    }.get(rt.kind, {"allowed": True, "reason": "the sandbox's token may do everything"})
    return obj


async def log(request: web.Request, store: Store, pod: Json, directory: Path) -> web.StreamResponse:
    """GET pods/NAME/log: container, follow, tailLines, limitBytes, previous."""
    metadata = pod["metadata"]
    container = _container(request, pod)
    previous = ".previous" if flag(request, "previous") else ""
    path = directory / "logs" / metadata["namespace"] / metadata["name"] / f"{container}{previous}.log"
    if not path.is_file():
        raise _no_log(pod, container, bool(previous))
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    content = path.read_bytes()
    position = len(content)
    tail = number(request, "tailLines")
    if tail is not None:
        content = b"".join(content.splitlines(keepends=True)[-tail:]) if tail else b""
    limit = number(request, "limitBytes")
    if limit is not None:
        content = content[:limit]
    await response.prepare(request)
    try:
        await response.write(content)
        while flag(request, "follow") and _running(store, pod, container):
            await asyncio.sleep(_FOLLOW_INTERVAL)
            position += await _append(response, path, position)
        if flag(request, "follow"):
            await _append(response, path, position)
    except ConnectionError:
        pass  # the reader went away
    return response


async def _append(response: web.StreamResponse, path: Path, position: int) -> int:
    with path.open("rb") as file:
        file.seek(position)
        more = file.read()
    if more:
        await response.write(more)
    return len(more)


def _running(store: Store, pod: Json, container: str) -> bool:
    """Whether a followed log can still grow: the Pod is there and the container has not ended for good."""
    live = store.get("/pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
    if live is None or live["metadata"]["uid"] != pod["metadata"]["uid"] or store.closed:
        return False
    status = live.get("status") or {}
    rows = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    ended = any(row.get("name") == container and "terminated" in (row.get("state") or {}) for row in rows)
    return not ended and status.get("phase") not in ("Succeeded", "Failed")


def _container(request: web.Request, pod: Json) -> str:
    spec = pod["spec"]
    names = [one["name"] for one in spec.get("containers") or ()]
    initial = [one["name"] for one in spec.get("initContainers") or ()]
    asked = request.query.get("container", "")
    name = pod["metadata"]["name"]
    if not asked and len(names) > 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    if asked and asked not in names + initial:
        raise bad_request(f"container {asked} is not valid for pod {name}")
    return asked or names[0]


def _no_log(pod: Json, container: str, previous: bool) -> ApiStatus:
    name = pod["metadata"]["name"]
    if previous:
        return bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    status = pod.get("status") or {}
    if not pod["spec"].get("nodeName"):
        return bad_request(f"pod {name} does not have a host assigned")
    rows = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    row: Json = next((row for row in rows if row.get("name") == container), {})
    reason = ((row.get("state") or {}).get("waiting") or {}).get("reason", "ContainerCreating")
    return bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
