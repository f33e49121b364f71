# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at a cluster's Kubernetes API, whose traffic does not pass the recorder: a list of paths, and what is there."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Sequence

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._errors import ApiError, CollectionError
from ansible_collections.aiserving.gke.plugins.module_utils._kube.connection import connect

from .google import options_of_modules
from .options import Options

Json = dict[str, t.Any]


def look(options: Options, cluster: str, location: str, paths: Sequence[str]) -> list[Json]:
    """A record for each path; a cluster that cannot be reached is a record too."""
    given = {"cluster": cluster, "location": location, "connection": None, "kubeconfig": None, "context": None}
    call = Call({**options_of_modules(options), **given}, check_mode=False, diff=False, warn=lambda _text: None)
    try:
        connection = connect(call)
    except CollectionError as error:
        return [{"method": "GET", "path": path, "status": 0, "response": {"lost": error.message}} for path in paths]
    records = []
    for path in paths:
        records.append(_look(path, lambda path=path: connection.request("GET", path)))  # type: ignore[misc]
        pods = records[-1]["response"].get("items") or [] if path.endswith("/pods") else []
        for log in (f"{path}/{pod['metadata']['name']}/log" for pod in pods if _tells(pod)):
            records.append(_look(log, lambda log=log: {"text": connection.text(log)}))  # type: ignore[misc]
    return records


def _tells(pod: Json) -> bool:
    """Whether a Pod's log is evidence: of those that a step has made for that alone."""
    labels = pod["metadata"].get("labels") or {}
    return bool(labels.get("proof") == "tells")


def _look(path: str, ask: t.Callable[[], Json]) -> Json:
    began = time.monotonic()
    record: Json = {"method": "GET", "path": path, "status": 200}
    try:
        record["response"] = ask()
    except ApiError as error:
        record |= {"status": error.code, "response": {"message": error.message}}
    except CollectionError as error:
        record |= {"status": 0, "response": {"lost": error.message}}
    return {**record, "seconds": round(time.monotonic() - began, 3)}
