# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Why an object does not become ready: the pods' reasons, the last words of a crashed container, the last warnings."""

from __future__ import annotations

import typing as t

from .._errors import ApiError, CollectionError
from .connection import Connection, Resource
from .objects import label, name_of, namespace_of
from .pods import PODS, containers, ended_badly, is_ready, owned, reasons

Json = dict[str, t.Any]

EVENTS = Resource("v1", "Event", "events", True)

LAST_EVENTS = 5
LOG_LINES = 10


def explain(connection: Connection, obj: Json) -> list[str]:
    """Sentences for the user, the most telling first; what could not be read is one of them."""
    namespace = namespace_of(obj)
    if namespace is None:
        return []
    said: list[str] = []
    uids = {obj["metadata"].get("uid")}
    try:
        pods, uids = owned(connection, obj)
        unready = [pod for pod in pods if not is_ready(pod)]
        said += [line for pod in unready[:3] for line in reasons(pod)]
        crashed = next(((pod, name) for pod in unready for name in crashed_containers(pod)), None)
        if crashed:
            said += _last_words(connection, *crashed)
    except CollectionError as error:
        said.append(f"(what its Pods say could not be read: {error.message})")
    try:
        said += warnings(connection.list(EVENTS, namespace), uids)
    except CollectionError as error:
        said.append(f"(its events could not be read: {error.message})")
    return said


def crashed_containers(pod: Json) -> list[str]:
    return [container["name"] for container in containers(pod) if ended_badly(container)]


def _last_words(connection: Connection, pod: Json, container: str) -> list[str]:
    path = PODS.path(namespace_of(pod), name_of(pod), "log")
    where = f"{label(pod)}, container {container}"
    refusal = ""
    for previous in ({"previous": "true"}, {}):
        try:
            log = connection.text(path, {"container": container, "tailLines": LOG_LINES, **previous})
        except ApiError as error:  # the one before may be gone, the present one may not have begun
            refusal = error.message
            continue
        if log.strip():
            return [f"last lines of {where}:\n{log.rstrip()}"]
    return [f"(the log of {where} could not be read: {refusal})"] if refusal else []


def warnings(events: t.Iterable[Json], uids: t.Container[t.Any]) -> list[str]:
    """The last Warning events about objects with these uids, oldest first."""
    about = (e for e in events if e.get("type") == "Warning" and (e.get("involvedObject") or {}).get("uid") in uids)
    return [f"event {event.get('reason')}: {event.get('message')}" for event in sorted(about, key=_when)[-LAST_EVENTS:]]


def _when(event: Json) -> str:
    series = event.get("series") or {}
    return (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
