# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every object's metadata obeys: names, labels, server-set fields, generation, conversion between versions."""

from __future__ import annotations

import datetime
import random
import re
import typing as t
import uuid

from sandbox.kubernetes.errors import ApiStatus, bad_request, invalid
from sandbox.kubernetes.resources import ResourceType

Json = dict[str, t.Any]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_SERVICE = r"[a-z]([-a-z0-9]*[a-z0-9])?"

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SERVICE_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    f"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_SERVICE}')"
)
# Kind -> (pattern, longest, rule); kinds of RBAC allow nearly everything.
_NAME_RULES = {
    "Namespace": (_LABEL, 63, _LABEL_RULE),
    "Service": (_SERVICE, 63, _SERVICE_RULE),
    "StatefulSet": (_SUBDOMAIN, 253, _SUBDOMAIN_RULE),
}
_RBAC = "rbac.authorization.k8s.io"
_RANDOM = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes leaves vowels out so that no words arise

# Fields of core/v1 Event that events.k8s.io/v1 names otherwise.
_EVENT_FIELDS = {
    "message": "note",
    "involvedObject": "regarding",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def details(rt: ResourceType, name: str) -> Json:
    return {"name": name, "group": rt.group, "kind": rt.plural}


def not_found(rt: ResourceType, name: str) -> ApiStatus:
    return ApiStatus(404, "NotFound", f'{rt.qualified} "{name}" not found', details(rt, name))


def already_exists(rt: ResourceType, name: str) -> ApiStatus:
    return ApiStatus(409, "AlreadyExists", f'{rt.qualified} "{name}" already exists', details(rt, name))


def conflict(rt: ResourceType, name: str, why: str) -> ApiStatus:
    message = f'Operation cannot be fulfilled on {rt.qualified} "{name}": {why}'
    return ApiStatus(409, "Conflict", message, details(rt, name))


def forbidden(rt: ResourceType, name: str, why: str, causes: list[Json] | None = None) -> ApiStatus:
    more: Json = {"causes": causes} if causes else {}
    return ApiStatus(403, "Forbidden", f'{rt.qualified} "{name}" is forbidden: {why}', {**details(rt, name), **more})


def unprocessable(rt: ResourceType, name: str, causes: list[str]) -> ApiStatus:
    return invalid(rt.group, rt.kind, name, causes)


def convert(rt: ResourceType, obj: Json) -> Json:
    """The stored object as this version of its kind shows it; what is equal is shared, not copied."""
    if obj.get("apiVersion") == rt.api_version and obj.get("kind") == rt.kind:
        return obj
    shown = {**obj, "apiVersion": rt.api_version, "kind": rt.kind}
    if rt.table == "/events":
        renames = _EVENT_FIELDS if rt.group else {new: old for old, new in _EVENT_FIELDS.items()}
        shown = {renames.get(name, name): value for name, value in shown.items()}
    return shown


def address(rt: ResourceType, namespace: str, obj: Json, name: str = "") -> None:
    """Check that the body means the object that the path names, and fill in what it left to the path."""
    if not isinstance(obj, dict) or not isinstance(obj.setdefault("metadata", {}) or {}, dict):
        raise bad_request("the body is not a Kubernetes object")
    metadata = obj["metadata"] = obj["metadata"] or {}
    if obj.setdefault("kind", rt.kind) != rt.kind:
        raise bad_request(f'{obj["kind"]} in version "{rt.version}" cannot be handled as a {rt.kind}: wrong kind')
    if obj.setdefault("apiVersion", rt.api_version) != rt.api_version:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API version "
            f"({rt.api_version})"
        )
    if not rt.namespaced:
        metadata.pop("namespace", None)
    elif (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    else:
        metadata["namespace"] = namespace
    if name and (metadata.setdefault("name", name) or name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if wrong := rt.schema.mistyped(obj):
        raise bad_request(f'{rt.kind} in version "{rt.version}" cannot be handled as a {rt.kind}: {wrong}')


def stamp(rt: ResourceType, obj: Json) -> None:
    """Give a new object its name, uid and creation time, whatever the client said."""
    metadata = obj["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        prefix = metadata["generateName"][:58]
        metadata["name"] = prefix + "".join(random.choices(_RANDOM, k=5))
    for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    if rt.has_generation:
        metadata["generation"] = 1


def carry(rt: ResourceType, live: Json, new: Json) -> None:
    """Copy what only the server sets from the live object to its successor."""
    metadata, before = new["metadata"], live["metadata"]
    names = (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    )
    for name in (*names, "resourceVersion"):
        metadata.pop(name, None)
        if name in before:
            metadata[name] = before[name]


def same_intent(rt: ResourceType, live: Json, new: Json) -> bool:
    """Whether metadata.generation stays: no change outside metadata and status (builtin kinds: none in spec)."""
    if not rt.custom:
        return bool(live.get("spec") == new.get("spec"))
    aside = {"metadata", "status"} if rt.has_status else {"metadata"}
    return {k: v for k, v in live.items() if k not in aside} == {k: v for k, v in new.items() if k not in aside}


def unchanged(live: Json, new: Json) -> bool:
    """Whether a write changes nothing but the times in managedFields: such a write makes no new revision."""
    return _comparable(live) == _comparable(new)


def _comparable(obj: Json) -> Json:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    managed = metadata.pop("managedFields", None) or []
    untimed = [{name: value for name, value in entry.items() if name != "time"} for entry in managed]
    return {**obj, "metadata": metadata, "managed": untimed}


def check(rt: ResourceType, obj: Json, live: Json | None) -> list[str]:
    """Causes of what is wrong with the metadata, worded as kube-apiserver does."""
    metadata = obj["metadata"]
    name = metadata.get("name")
    causes = []
    if not name:
        causes.append("metadata.name: Required value: name or generateName is required")
    elif not isinstance(name, str):
        causes.append(f'metadata.name: Invalid value: "{name}": must be a string')
    elif live is None:
        causes += _check_name(rt, name)
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            prefix, _unused, short = str(key).rpartition("/")
            if (
                not re.fullmatch(_QUALIFIED, short)
                or len(short) > 63
                or (prefix and not re.fullmatch(_SUBDOMAIN, prefix))
            ):
                causes.append(
                    f'metadata.{field}: Invalid value: "{key}": name part must consist of alphanumeric characters'
                )
            if not isinstance(value, str):
                causes.append(f'metadata.{field}.{key}: Invalid value: "{_kind_of(value)}": must be a string')
            elif field == "labels" and (not re.fullmatch(_VALUE, value) or len(value) > 63):
                causes.append(
                    f'metadata.labels: Invalid value: "{value}": a valid label must be an empty string or consist of '
                    "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
                )
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                causes.append(f"metadata.ownerReferences[{index}].{field}: Required value: must not be empty")
    if live and live["metadata"].get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(live["metadata"].get("finalizers") or ())
        if added:
            causes.append(
                f"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers {sorted(added)}"
            )
    return causes


def _check_name(rt: ResourceType, name: str) -> list[str]:
    if rt.group == _RBAC:
        bad = "/" in name or "%" in name or name in (".", "..")
        return [f"metadata.name: Invalid value: \"{name}\": may not contain '/' or '%'"] if bad else []
    pattern, longest, rule = _NAME_RULES.get("" if rt.custom else rt.kind, (_SUBDOMAIN, 253, _SUBDOMAIN_RULE))
    if len(name) > longest:
        return [f'metadata.name: Invalid value: "{name}": must be no more than {longest} characters']
    return [] if re.fullmatch(pattern, name) else [f'metadata.name: Invalid value: "{name}": {rule}']


def _kind_of(value: t.Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "string")
