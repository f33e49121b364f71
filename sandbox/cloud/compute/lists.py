# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of compute v1: paging, the filters that clients send, aggregation over regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ...catalogue.places import REGIONS, zones
from ...interfaces import Json
from ..errors import invalid
from ..store import page
from ..web import Call
from .links import LINK

PLURALS = ("healthCheck", "urlMap")  # in the names of aggregated lists
TERM = re.compile(
    r"^\(?\s*(?P<field>[\w.-]+)\s*(?P<op>=|!=|:|\beq\b|\bne\b)\s*"
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


def aggregated(call: Call, collection: str, noun: str, scopes: tuple[str, ...], found: Mapping[str, Json]) -> Json:
    """Every scope of the project with the resources in it, or the warning that there are none.

    ``found``: path below the project -> resource.
    """
    path = f"projects/{call.project.id}/aggregated/{collection}"
    items: Json = {scope: {"warning": no_results(scope)} for scope in _places(scopes)}
    for name, document in found.items():
        scope = name.partition(f"/{collection}/")[0]
        if filtered([document], call.query.get("filter", "")):
            items[scope].pop("warning", None)
            items[scope].setdefault(collection, []).append(document)
    kind = f"compute#{noun}{'s' if noun in PLURALS else ''}AggregatedList"
    return {"kind": kind, "id": path, "items": items, "selfLink": LINK + path}


def _places(scopes: tuple[str, ...]) -> Iterator[str]:
    """All places of these kinds: "global", "regions/R", "zones/Z"."""
    if "global" in scopes:
        yield "global"
    if "regions" in scopes:
        yield from (f"regions/{region}" for region in REGIONS)
    if "zones" in scopes:
        yield from (f"zones/{zone}" for region in REGIONS for zone in zones(region))


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
