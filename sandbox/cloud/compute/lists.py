# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of compute v1: paging, the filters that clients send, aggregation over regions."""

from __future__ import annotations

import re

from ...catalogue.places import REGIONS, zones
from ...interfaces import Json
from ..errors import invalid
from ..store import page
from ..web import Call
from .kinds import Kind

LINK = "https://www.googleapis.com/compute/v1/"
# Scope of a kind -> the scopes of an aggregated list of it.
SCOPES = {
    "global": ["global"],
    "regions": [f"regions/{region}" for region in REGIONS],
    "zones": [f"zones/{zone}" for region in REGIONS for zone in zones(region)],
}
TERM = re.compile(
    r"^\(?\s*(?P<field>[\w.]+)\s*(?P<op>=|!=|:|\beq\b|\bne\b)\s*"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s()]+)\s*\)?$"
)


def answer(call: Call, kind: str, items: list[Json], path: str) -> Json:
    """One page of a list in compute's envelope."""
    chosen, token = page(filtered(items, call.query.get("filter", "")), call.query, size="maxResults")
    document: Json = {"kind": kind, "id": path, "selfLink": LINK + path}
    if chosen:
        document["items"] = chosen
    if token:
        document["nextPageToken"] = token
    return document


def aggregated(call: Call, kind: Kind) -> Json:
    """Every scope of the project with the resources in it, or the warning that there are none."""
    path = f"projects/{call.project.id}/aggregated/{kind.collection}"
    scopes: Json = {}
    for scope in SCOPES[kind.scope]:
        folder = f"{scope}/{kind.collection}/"
        found = [document for name, document in call.project.compute.items() if name.startswith(folder)]
        found = filtered(found, call.query.get("filter", ""))
        scopes[scope] = {kind.collection: found} if found else {"warning": no_results(scope)}
    list_kind = kind.list_kind.replace("List", "AggregatedList")
    return {"kind": list_kind, "id": path, "items": scopes, "selfLink": LINK + path}


def no_results(scope: str) -> Json:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }


def filtered(items: list[Json], expression: str) -> list[Json]:
    """Apply a filter: terms joined by AND, each ``field = value``, ``field eq regex`` or ``field:text``."""
    for text in re.split(r"\)\s*\(|\s+AND\s+", expression.strip()) if expression.strip() else []:
        term = TERM.match(text.strip())
        if term is None:
            raise invalid("Invalid list filter expression.", reason="invalid")
        value = term["value"].strip("\"'")
        items = [item for item in items if matches(lookup(item, term["field"]), term["op"], value)]
    return items


def lookup(item: Json, field: str) -> str:
    value: object = item
    for part in field.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def matches(live: str, operator: str, value: str) -> bool:
    if operator in ("eq", "ne"):
        try:
            return (re.fullmatch(value, live) is not None) == (operator == "eq")
        except re.error as error:
            raise invalid("Invalid list filter expression.", reason="invalid") from error
    if operator == ":":
        return value.rstrip("*").lower() in live.lower()
    return (live == value) == (operator == "=")
