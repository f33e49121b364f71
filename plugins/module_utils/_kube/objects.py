# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Kubernetes objects as plain data: names, order, comparison, and what a user may see of them."""

from __future__ import annotations

import copy
import typing as t

from .._errors import InvalidOption

Json = dict[str, t.Any]
Key = tuple[str, str, str, str]

HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"

# kubectl's client-side apply repeats the whole object here, a Secret's data too.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_SERVER_OWNED = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
_FIRST = {"CustomResourceDefinition": 0, "Namespace": 1}


def name_of(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Json) -> str | None:
    return t.cast("str | None", obj["metadata"].get("namespace"))


def label(obj: Json) -> str:
    """ "Deployment default/vllm", as messages name an object."""
    place = namespace_of(obj)
    return f"{obj['kind']} {place + '/' if place else ''}{name_of(obj)}"


def key(obj: Json) -> Key:
    return obj["apiVersion"], obj["kind"], namespace_of(obj) or "", name_of(obj)


def checked(definitions: t.Sequence[Json]) -> list[Json]:
    """The definitions as single objects, each once. Raises InvalidOption that names the entry."""
    flat: list[Json] = []
    for index, definition in enumerate(definitions):
        is_list = str(definition.get("kind", "")).endswith("List") and isinstance(definition.get("items"), list)
        for item in definition["items"] if is_list else [definition]:
            where = f"definitions[{index}]"
            for field in ("apiVersion", "kind"):
                if not isinstance(item.get(field), str) or not item[field]:
                    raise InvalidOption(f"{where}.{field}", item.get(field), "every object has one")
            if not isinstance(item.get("metadata"), dict) or not item["metadata"].get("name"):
                raise InvalidOption(f"{where}.metadata.name", None, f"this {item['kind']} needs a name of its own")
            flat.append(copy.deepcopy(item))
            flat[-1]["metadata"].pop("managedFields", None)  # the server refuses it in an apply
    return flat


def rank_of(obj: Json) -> int:
    return _FIRST.get(obj["kind"], 2)


def ranked(objects: t.Iterable[Json]) -> tuple[list[Json], list[Json], list[Json]]:
    """CRDs, Namespaces and the rest, each in the order given: a rank needs the ones before it, never one of its own."""
    ranks: tuple[list[Json], list[Json], list[Json]] = ([], [], [])
    for obj in objects:
        ranks[rank_of(obj)].append(obj)
    return ranks


def comparable(obj: Json | None) -> Json:
    """What the user can change: without status and what the server notes."""
    if obj is None:
        return {}
    kept = {field: value for field, value in obj.items() if field not in ("status", "metadata")}
    kept["metadata"] = {field: v for field, v in obj["metadata"].items() if field not in _SERVER_OWNED}
    return kept


def claim(obj: Json, manager: str) -> Json:
    """The fields that ``manager`` owns by applying them, as fieldsV1: what it may take away by leaving them out."""
    for entry in obj["metadata"].get("managedFields", []):
        if (entry.get("manager"), entry.get("operation"), entry.get("subresource")) == (manager, "Apply", None):
            return entry.get("fieldsV1") or {}
    return {}


def changed_paths(before: t.Any, after: t.Any, path: str = "") -> list[str]:
    """Dotted paths at which two documents differ, the deepest that say it all."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for field in sorted(before.keys() | after.keys()):
            found += changed_paths(before.get(field), after.get(field), f"{path}.{field}")
        return found
    return [] if before == after else [path or "."]


def stated(live: t.Any, definition: t.Any) -> t.Any:
    """What of ``live`` a definition speaks of: the server fills in the rest again, and nothing else can be compared."""
    if isinstance(live, dict) and isinstance(definition, dict):
        return {field: stated(live[field], value) for field, value in definition.items() if field in live}
    if isinstance(live, list) and isinstance(definition, list) and len(live) == len(definition):
        return [stated(*pair) for pair in zip(live, definition, strict=True)]
    return live


def shown(obj: Json | None) -> Json:
    """An object as results carry it: no managedFields, no data of Secrets."""
    if obj is None:
        return {}
    visible = copy.deepcopy(obj)
    visible["metadata"].pop("managedFields", None)
    (visible["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None)
    if obj["kind"] == "Secret":
        for part in ("data", "stringData"):
            if visible.get(part):
                visible[part] = dict.fromkeys(visible[part], HIDDEN)
    return visible


def shown_pair(before: Json | None, after: Json | None) -> tuple[Json, Json]:
    """Two states of an object for a diff: of a Secret only which keys change, never to what."""
    left, right = ((comparable(shown(obj)) if obj else {}) for obj in (before, after))
    if before and after and after["kind"] == "Secret":
        for part in ("data", "stringData"):
            old, new = before.get(part) or {}, after.get(part) or {}
            for field in old.keys() & new.keys():
                if old[field] != new[field]:
                    right[part][field] = HIDDEN_CHANGED
    return left, right
