# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Label and field selectors, and the small JSONPath that printer columns use."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Iterable

from sandbox.kubernetes.errors import bad_request

Json = dict[str, t.Any]
Predicate = Callable[[Json], bool]

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=,()]+)$")

# Beyond metadata.name and metadata.namespace, which every kind has.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "reason",
        "reportingComponent",
        "reportingController",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "Service": ("spec.clusterIP", "spec.type"),
    "Job": ("status.successful",),
    "ReplicaSet": ("status.replicas",),
    "ResourceSlice": ("spec.driver", "spec.nodeName"),
}


def _split(text: str) -> list[str]:
    """Requirements are separated by commas outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def label_selector(text: str) -> Predicate | None:
    """The predicate of "a=b,c in (d,e),!f"; None when it selects everything. Raises ApiStatus 400."""
    tests = [_label_requirement(part, text) for part in _split(text)]
    if not tests:
        return None
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def _label_requirement(part: str, text: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(part):
        key, negated = found["key"], found["op"] == "notin"
        values = {value.strip() for value in found["values"].split(",")}
        return lambda labels: (labels.get(key) in values if key in labels else False) != negated
    if found := _EQUAL.match(part):
        key, wanted, negated = found["key"], found["value"], found["op"] == "!="
        return lambda labels: (labels.get(key) == wanted) != negated
    if found := _EXISTS.match(part):
        key, negated = found["key"], bool(found["no"])
        return lambda labels: (key in labels) != negated
    raise bad_request(f"unable to parse requirement: found '{part}' in selector {text!r}")


def object_selector(selector: Json | None) -> Predicate:
    """The predicate of a LabelSelector object ({matchLabels, matchExpressions}); nothing matches None."""
    if selector is None:
        return lambda obj: False
    tests = [("In", key, [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    for row in selector.get("matchExpressions") or ():
        tests.append((row["operator"], row["key"], row.get("values") or []))
    return lambda obj: all(_meets(obj["metadata"].get("labels") or {}, *test) for test in tests)


def _meets(labels: dict[str, str], operator: str, key: str, values: list[str]) -> bool:
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def selector_text(selector: t.Any) -> str:
    """A LabelSelector object as "a=b,c in (d)"; text is returned as it is (a CRD's labelSelectorPath)."""
    if not isinstance(selector, dict):
        return str(selector or "")
    if "matchLabels" not in selector and "matchExpressions" not in selector:  # ReplicationController's plain map
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for row in selector.get("matchExpressions") or ():
        key, values = row["key"], ",".join(sorted(row.get("values") or ()))
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[row["operator"]]
        )
    return ",".join(parts)


def field_selector(text: str, kind: str, selectable: Iterable[str] = ()) -> Predicate | None:
    """The predicate of "metadata.name=x,status.phase!=y"; None when it selects everything.

    Raises ApiStatus 400 for a field that the kind does not index.
    """
    allowed = ("metadata.name", "metadata.namespace", *_FIELDS.get(kind, ()), *selectable)
    tests: list[tuple[str, str, bool]] = []
    for part in _split(text):
        found = _EQUAL.match(part)
        if not found:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if found["key"] not in allowed:
            raise bad_request(f"field label not supported: {found['key']}")
        tests.append((found["key"], found["value"], found["op"] == "!="))
    if not tests:
        return None
    return lambda obj: all((_field(obj, path) == value) != negated for path, value, negated in tests)


def _field(obj: Json, path: str) -> str:
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value: t.Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value)


_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\]\\])+)|\[\?\(@\.(?P<key>[\w.]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]"""
    r"""|\[(?P<index>\d+|\*)\]|\[['"](?P<quoted>[^'"]+)['"]\]"""
)


def json_path(obj: t.Any, path: str) -> list[t.Any]:
    """The values at ".a.b[0].c", ".a[*].b", ".a[?(@.type=='X')].b" or ".a['b.c']"; other steps find nothing."""
    found = [obj]
    position = 0
    path = path if path.startswith((".", "[")) else f".{path}"
    while position < len(path):
        step = _STEP.match(path, position)
        if not step:
            return []
        position = step.end()
        found = [value for item in found for value in _walk(item, step)]
    return found


def _walk(item: t.Any, step: re.Match[str]) -> list[t.Any]:
    name = step["quoted"] or (step["name"] or "").replace("\\.", ".")
    if name:
        return [item[name]] if isinstance(item, dict) and item.get(name) is not None else []
    if not isinstance(item, list):
        return []
    if step["key"]:
        return [value for value in item if json_path(value, step["key"]) == [step["value"]]]
    return item if step["index"] == "*" else item[int(step["index"]) : int(step["index"]) + 1]
