# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Why an object does not become ready: the last warnings, the pods' reasons, the last words of a crashed container."""

from __future__ import annotations

import typing as t

from .._errors import ApiError, CollectionError
from .connection import Connection, Resource
from .objects import label, name_of, namespace_of

Json = dict[str, t.Any]

PODS = Resource("v1", "Pod", "pods", True)
EVENTS = Resource("v1", "Event", "events", True)

LAST_EVENTS = 5
LOG_LINES = 10


def explain(connection: Connection, obj: Json) -> list[str]:
    """Sentences for the user, the most telling first; what cannot be read is left out."""
    namespace = namespace_of(obj)
    if namespace is None:
        return []
    try:
        pods = [pod for pod in _pods(connection, obj) if not _is_ready(pod)]
        said = [line for pod in pods[:3] for line in pod_reasons(pod)]
        crashed = next(((pod, name) for pod in pods for name in crashed_containers(pod)), None)
        if crashed:
            said += _last_words(connection, *crashed)
        uids = {item["metadata"].get("uid") for item in (obj, *pods)}
        made_by_it = name_of(obj) + "-" if "template" in _spec(obj) else None
        return said + warnings(connection.list(EVENTS, namespace), uids, made_by_it)
    except CollectionError:
        return []


def _pods(connection: Connection, obj: Json) -> list[Json]:
    if obj["kind"] == "Pod":
        return [obj]
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") if "template" in _spec(obj) else None
    if not labels:
        return []
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    return connection.list(PODS, namespace_of(obj), labelSelector=selector)


def _spec(obj: Json) -> Json:
    return obj.get("spec") or {}


def _is_ready(pod: Json) -> bool:
    status = pod.get("status") or {}
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])


def _containers(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def pod_reasons(pod: Json) -> list[str]:
    """Why this pod does not run: it cannot be scheduled, or what each container waits for or died of."""
    said = []
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said.append(f"{label(pod)} is {condition.get('reason')}: {condition.get('message')}")
    for container in _containers(pod):
        state = container.get("state") or {}
        waiting, ended = (
            state.get("waiting"),
            state.get("terminated") or (container.get("lastState") or {}).get("terminated"),
        )
        if waiting:
            message = f": {waiting['message']}" if waiting.get("message") else ""
            said.append(f"{label(pod)}, container {container['name']} is {waiting.get('reason')}{message}")
        if ended and ended.get("exitCode"):
            reason = ended.get("reason") or "ended"
            said.append(f"{label(pod)}, container {container['name']}: {reason}, exit code {ended['exitCode']}")
    return said


def crashed_containers(pod: Json) -> list[str]:
    crashed = []
    for container in _containers(pod):
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if (state.get("terminated") or {}).get("exitCode"):
                crashed.append(container["name"])
                break
    return crashed


def _last_words(connection: Connection, pod: Json, container: str) -> list[str]:
    path = PODS.path(namespace_of(pod), name_of(pod), "log")
    for previous in ({"previous": "true"}, {}):
        try:
            log = connection.text(path, {"container": container, "tailLines": LOG_LINES, **previous})
        except ApiError:
            continue
        if log.strip():
            return [f"last lines of {label(pod)}, container {container}:\n{log.rstrip()}"]
    return []


def warnings(events: t.Iterable[Json], uids: set[t.Any], prefix: str | None = None) -> list[str]:
    """The last Warning events about objects with these uids (or, made by them, with this prefix), oldest first."""

    def concerns(event: Json) -> bool:
        about = event.get("involvedObject") or {}
        return about.get("uid") in uids or bool(prefix and str(about.get("name", "")).startswith(prefix))

    found = sorted((e for e in events if e.get("type") == "Warning" and concerns(e)), key=_when)
    return [f"event {event.get('reason')}: {event.get('message')}" for event in found[-LAST_EVENTS:]]


def _when(event: Json) -> str:
    series = event.get("series") or {}
    return (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
