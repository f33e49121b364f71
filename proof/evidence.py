# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence: what Google answered, redacted, a file a step, and what of it a replay can send again."""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterable
from pathlib import Path

from google.cloud import container_v1

from .journal import private, write_private
from .redact import Redactor

Json = dict[str, t.Any]

ABOUT = "run.json"
UNSETTLED = frozenset(
    (
        *("PROVISIONING", "RECONCILING", "STOPPING"),  # clusters and pools
        *("CREATING", "DELETING", "UPDATING", "ENABLING", "DISABLING", "SERVICE_UPDATING"),  # the fleet
        *("RESERVING",),  # addresses
    )
)
# How google-cloud-container asks for enums as numbers.
NUMBERS = "?%24alt=json%3Benum-encoding%3Dint"
# What GKE answers to a GET of these paths; to everything else an Operation.
MESSAGES = (
    (r"/clusters$", "ListClustersResponse"),
    (r"/clusters/[^/]+$", "Cluster"),
    (r"/nodePools$", "ListNodePoolsResponse"),
    (r"/nodePools/[^/]+$", "NodePool"),
    (r"/operations$", "ListOperationsResponse"),
    (r"/serverConfig$", "ServerConfig"),
)


class Evidence:
    """A folder, 0700, of files, 0600: run.json, STEP.json (exchanges), STEP-kubernetes.json (looks)."""

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self.folder = private(folder)
        self._redactor = redactor
        self._records: list[Json] = []

    def add(self, record: Json) -> None:
        """In memory until the step is over: nothing that is not redacted is ever on disk."""
        self._records.append(record)

    def close(self, step: str) -> int:
        """Write what was added since the last step; the number of exchanges."""
        ordered = sorted(self._records, key=lambda record: str(record["at"]))
        self._records = []
        self._write(f"{step}.json", [self._redactor.exchange(record) for record in ordered])
        return len(ordered)

    def looks(self, step: str, records: list[Json]) -> None:
        self._write(f"{step}-kubernetes.json", [self._redactor.document(record) for record in records])

    def about(self, document: Json) -> None:
        self._write(ABOUT, self._redactor.document(document))

    def _write(self, name: str, document: t.Any) -> None:
        write_private(self.folder / name, json.dumps(document, indent=1) + "\n")


def read(folder: Path) -> list[Json]:
    """The exchanges of all steps of a run, in order."""
    steps = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["steps"]
    found: list[Json] = []
    for step in steps:
        found += json.loads((folder / f"{step}.json").read_text(encoding="utf-8"))
    return found


def replayable(records: Iterable[Json]) -> list[Json]:
    """What can be sent again one by one: of requests that waited for something, the last alone, marked as ``waited``.

    An exchange that was lost on the way has no answer to compare with, and what was seen on its way to somewhere
    is somewhere else when it is looked at in another cloud.
    """
    kept: list[Json] = []
    asked: dict[str, int] = {}  # URL of a GET -> where in ``kept``, since the last write
    for record in map(named, records):
        if record["status"] == 0 or on_its_way(record):
            continue
        if record["method"] != "GET":
            asked.clear()
        elif (place := asked.get(record["url"])) is not None:
            kept[place] = {**record, "waited": True}
            continue
        else:
            asked[record["url"]] = len(kept)
        kept.append(record)
    return kept


def on_its_way(record: Json) -> bool:
    """Whether an object was looked at while something was being done to it."""
    seen = record["response"]
    if record["method"] != "GET" or not isinstance(seen, dict) or "/operations/" in record["url"]:
        return False
    states = (seen.get("status"), part(seen, "resourceState").get("state"), part(seen, "state").get("code"))
    return bool(UNSETTLED & {state for state in states if isinstance(state, str)})


def part(document: Json, key: str) -> Json:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def named(record: Json) -> Json:
    """An exchange of Google's client for GKE, which asks for enums as numbers, as if it had asked for their names."""
    url, asks, _rest = record["url"].partition(NUMBERS)
    if not asks:
        return record
    response, path = record["response"], url.removeprefix("https://container.googleapis.com/")
    message = next((name for pattern, name in MESSAGES if re.search(pattern, path)), "Operation")
    if record["method"] != "GET":
        message = "Operation"
    if record["status"] == 200:
        response = names_of(response, getattr(container_v1, message).pb().DESCRIPTOR)
    return {**record, "url": url, "response": response}


def names_of(value: t.Any, descriptor: t.Any) -> t.Any:
    """A message in JSON with the names of its enums; a number that the installed client does not know stays."""
    if not isinstance(value, dict):
        return value
    found = {}
    fields = {field.json_name: field for field in descriptor.fields}
    for key, part in value.items():
        field = fields.get(key)
        if field is not None and field.enum_type is not None:
            values = field.enum_type.values_by_number
            entries = [values[one].name if one in values else one for one in as_list(part)]
            found[key] = entries if isinstance(part, list) else entries[0]
        elif field is not None and field.message_type is not None and not field.message_type.GetOptions().map_entry:
            inner = [names_of(one, field.message_type) for one in as_list(part)]
            found[key] = inner if isinstance(part, list) else inner[0]
        else:
            found[key] = part
    return found


def as_list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else [value]
