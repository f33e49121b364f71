# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server does to every request's object, whatever the protocol: create, update, patch, delete.

Order of a write as in kube-apiserver: decode strictly, prune, default, admit, validate,
track managed fields, store. Nothing here awaits, so a request is one transaction.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable

from sandbox.kubernetes import apply, objects, patch
from sandbox.kubernetes.admission import Admission
from sandbox.kubernetes.defaults import set_defaults
from sandbox.kubernetes.errors import ApiStatus, bad_request
from sandbox.kubernetes.kind_rules import check
from sandbox.kubernetes.resources import CRD_TABLE, Registry, ResourceType
from sandbox.kubernetes.store import Store, clone

Json = dict[str, t.Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

# Kinds whose POST may carry a status (a kubelet registers its node with one).
_KEEPS_STATUS = frozenset({"Node", "APIService", "VolumeAttachment"})
_CHANGED = "the object has been modified; please apply your changes to the latest version and try again"


@dataclasses.dataclass
class Options:
    """The query parameters of a write; ``warnings`` collects what goes into Warning headers."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = dataclasses.field(default_factory=list)


class Operations:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self.admission = Admission(store)

    def get(self, rt: ResourceType, namespace: str, name: str) -> Json:
        """The live object, shared with the store. Raises ApiStatus 404."""
        found = self.store.get(rt.table, namespace if rt.namespaced else "", name)
        if found is None:
            raise objects.not_found(rt, name)
        return objects.convert(rt, found)

    def create(self, rt: ResourceType, namespace: str, body: Json, options: Options) -> Json:
        new = clone(body)
        objects.address(rt, namespace, new)
        new = self.decode(rt, new, options)
        if rt.has_status and rt.kind not in _KEEPS_STATUS:
            new.pop("status", None)
        return self._insert(rt, new, options)

    def _insert(self, rt: ResourceType, new: Json, options: Options, *, tracked: bool = False) -> Json:
        metadata = new["metadata"]
        self.admission.namespace_ready(rt, metadata.get("namespace", ""), metadata.get("name", ""))
        objects.stamp(rt, new)
        name = metadata.get("name", "")
        new = rt.schema.default(new)
        set_defaults(rt, new)
        self.admission.admit(rt, new, None)
        if causes := check(rt, new, None):
            raise objects.unprocessable(rt, name, causes)
        if self.store.get(rt.table, metadata.get("namespace", ""), name):
            raise objects.already_exists(rt, name)
        if not tracked:
            new = apply.track_update(
                None, new, manager=options.manager, schema=rt.schema, subresource="", now=objects.now()
            )
        return new if options.dry_run else self._put(rt, new)

    def update(self, rt: ResourceType, namespace: str, name: str, body: Json, options: Options, sub: str = "") -> Json:
        live = self.get(rt, namespace, name)
        new = clone(body)
        objects.address(rt, namespace, new, name)
        if rt.custom and not new["metadata"].get("resourceVersion"):
            cause = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
            raise objects.unprocessable(rt, name, [cause])
        return self._replace(rt, live, self.decode(rt, new, options), options, sub)

    def modify(
        self, rt: ResourceType, live: Json, new: Json, options: Options, sub: str, *, tracked: bool = False
    ) -> Json:
        """Store the change that a subresource (scale, binding) makes to an object; ``tracked``: with its owners."""
        return self._replace(rt, live, new, options, sub, tracked=tracked)

    def _replace(
        self, rt: ResourceType, live: Json, new: Json, options: Options, sub: str, *, tracked: bool = False
    ) -> Json:
        name = live["metadata"]["name"]
        given = new["metadata"]
        if given.get("resourceVersion") not in (None, "", "0", live["metadata"]["resourceVersion"]):
            raise objects.conflict(rt, name, _CHANGED)
        if given.get("uid") not in (None, "", live["metadata"]["uid"]):
            why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: "
            raise objects.conflict(rt, name, why + live["metadata"]["uid"])
        if not tracked:
            given.setdefault("managedFields", clone(live["metadata"].get("managedFields") or []))
        new = self._scope(rt, live, new, sub)
        objects.carry(rt, live, new)
        new = rt.schema.default(new)
        set_defaults(rt, new)
        self.admission.admit(rt, new, live)
        if causes := check(rt, new, live, sub):
            raise objects.unprocessable(rt, name, causes)
        if rt.has_generation and sub != "status" and not objects.same_intent(rt, live, new):
            new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        if not tracked:
            new = apply.track_update(
                live, new, manager=options.manager, schema=rt.schema, subresource=sub, now=objects.now()
            )
        if options.dry_run:
            return new
        if _finished(new):
            self._dropped(rt, new)
            return objects.convert(rt, self.store.remove(rt.table, new))
        return live if objects.unchanged(live, new) else self._put(rt, new)

    def _scope(self, rt: ResourceType, live: Json, new: Json, sub: str) -> Json:
        """Only the part that the (sub)resource may write: status here, all but status there."""
        if sub == "status":
            kept: Json = clone(live)
            kept["metadata"]["managedFields"] = new["metadata"].get("managedFields") or []
            if "status" in new:
                kept["status"] = new["status"]
            else:
                kept.pop("status", None)
            return kept
        fixed = ["status"] if rt.has_status else []
        if rt.kind == "Namespace" and sub != "finalize":
            fixed.append("spec")  # nothing but finalizers, which only .../finalize may take away
        for field in fixed:
            new.pop(field, None)
            if field in live:
                new[field] = clone(live[field])
        return new

    def patch(
        self, rt: ResourceType, namespace: str, name: str, kind: str, body: t.Any, options: Options, sub: str = ""
    ) -> tuple[Json, bool]:
        """Apply a patch of media type ``kind``; answers the object and whether the patch created it."""
        if kind == APPLY:
            return self._apply(rt, namespace, name, body, options, sub)
        live = self.get(rt, namespace, name)
        new = self._patched(rt, live, kind, body)
        objects.address(rt, namespace, new, name)
        return self._replace(rt, live, self.decode(rt, new, options, patch=True), options, sub), False

    def _patched(self, rt: ResourceType, live: Json, kind: str, body: t.Any) -> Json:
        if kind == JSON_PATCH:
            return patch.json_patch(clone(live), body)
        if not isinstance(body, dict):
            raise bad_request("the patch is not an object")
        if kind == STRATEGIC and not rt.custom:
            return patch.strategic_merge(clone(live), body, rt.schema)
        if kind == MERGE:
            return t.cast(Json, patch.merge_patch(clone(live), body))
        known = [JSON_PATCH, MERGE, APPLY] if rt.custom else [JSON_PATCH, MERGE, STRATEGIC, APPLY]
        raise ApiStatus(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}",
        )

    def _apply(
        self, rt: ResourceType, namespace: str, name: str, body: t.Any, options: Options, sub: str
    ) -> tuple[Json, bool]:
        if not isinstance(body, dict) or not body.get("apiVersion") or not body.get("kind"):
            raise bad_request("the applied configuration must be an object with apiVersion and kind")
        config = clone(body)
        objects.address(rt, namespace, config, name)
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if sub == "status":
            config = {
                key: value for key, value in config.items() if key in ("apiVersion", "kind", "metadata", "status")
            }
        elif rt.has_status:
            config.pop("status", None)
        live = self.store.get(rt.table, namespace if rt.namespaced else "", name)
        if live is None and sub:
            raise objects.not_found(rt, name)
        live = objects.convert(rt, live) if live else None
        merged = apply.server_side_apply(
            clone(live) if live else None,
            config,
            manager=options.manager,
            force=options.force,
            schema=rt.schema,
            subresource=sub,
            now=objects.now(),
        )
        merged = rt.schema.prune(merged)
        if live is None:
            return self._insert(rt, merged, options, tracked=True), True
        return self._replace(rt, live, merged, options, sub, tracked=True), False

    def decode(self, rt: ResourceType, obj: Json, options: Options, *, patch: bool = False) -> Json:
        """Drop what the schema does not know; complain about it as ``fieldValidation`` says."""
        unknown = rt.schema.unknown_fields(obj) if options.validation != "Ignore" else []
        notes = [f'unknown field "{field}"' for field in unknown]
        if notes and options.validation == "Strict":
            error = f"strict decoding error: {', '.join(notes)}"
            if patch:
                raise objects.unprocessable(rt, obj["metadata"].get("name", ""), [f"patch: Invalid value: {error}"])
            raise bad_request(f'{rt.kind} in version "{rt.version}" cannot be handled as a {rt.kind}: {error}')
        options.warnings += notes
        return rt.schema.prune(obj)

    def delete(self, rt: ResourceType, namespace: str, name: str, body: Json, options: Options) -> tuple[Json, bool]:
        """Delete or mark for deletion; answers the object's last state and whether it is gone.

        ``body`` is a DeleteOptions: propagationPolicy, gracePeriodSeconds, preconditions.
        """
        live = self.get(rt, namespace, name)
        metadata = live["metadata"]
        for field in ("uid", "resourceVersion"):
            wanted = (body.get("preconditions") or {}).get(field)
            if wanted and wanted != metadata[field]:
                why = f"Precondition failed: {field} in precondition: {wanted}, in object meta: {metadata[field]}"
                raise objects.conflict(rt, name, why)
        new = clone(live)
        _mark(rt, new, body)
        if options.dry_run:
            return new, _finished(new)
        if _finished(new):
            self._dropped(rt, new)
            return objects.convert(rt, self.store.remove(rt.table, new)), True
        return (live if objects.unchanged(live, new) else self._put(rt, new)), False

    def delete_collection(
        self, rt: ResourceType, namespace: str, chosen: Callable[[Json], bool], body: Json, options: Options
    ) -> list[Json]:
        """Delete what is ``chosen`` among the kind's objects; answers their last states."""
        rows = [objects.convert(rt, obj) for obj in self.store.items(rt.table, namespace if rt.namespaced else "")]
        return [
            self.delete(rt, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], body, options)[0]
            for obj in rows
            if chosen(obj)
        ]

    def _put(self, rt: ResourceType, new: Json) -> Json:
        if rt.table == "/events" and rt.group:
            core = self.registry.of_table("/events")
            return objects.convert(rt, self.store.put(rt.table, dict(objects.convert(core, new))))
        stored = self.store.put(rt.table, new)
        if rt.table == CRD_TABLE:
            self.registry.serve(stored)
        return stored

    def _dropped(self, rt: ResourceType, obj: Json) -> None:
        if rt.table == CRD_TABLE:
            self.registry.withdraw(obj["metadata"]["name"])
            self.store.close(f"{obj['spec']['group']}/{obj['spec']['names']['plural']}")


def _mark(rt: ResourceType, obj: Json, body: Json) -> None:
    """Set deletionTimestamp, grace period and the finalizers that the propagation policy asks for."""
    metadata = obj["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    policy = body.get("propagationPolicy")
    if policy is None and (body.get("orphanDependents") or (rt.kind == "Job" and "orphanDependents" not in body)):
        policy = "Orphan"  # what batch/v1 kept from its first days
    wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy or "")
    if policy and not metadata.get("deletionTimestamp"):
        finalizers = [item for item in finalizers if item not in ("foregroundDeletion", "orphan")]
    if wanted and wanted not in finalizers:
        finalizers.append(wanted)
    if rt.table == CRD_TABLE and not metadata.get("deletionTimestamp"):
        finalizers.append("customresourcecleanup.apiextensions.k8s.io")
    if finalizers:
        metadata["finalizers"] = finalizers
    grace = _grace(obj, body) if rt.kind == "Pod" and not rt.group else 0
    known = metadata.get("deletionGracePeriodSeconds")
    if metadata.get("deletionTimestamp") and (known is None or grace >= known):
        return
    metadata["deletionTimestamp"] = objects.now()
    metadata["deletionGracePeriodSeconds"] = grace
    if rt.kind == "Namespace" and not rt.group:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}


def _grace(pod: Json, body: Json) -> int:
    """Seconds until the kubelet must be done; 0 when no kubelet has anything to stop."""
    if not pod["spec"].get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    asked = body.get("gracePeriodSeconds")
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)


def _finished(obj: Json) -> bool:
    """Whether nothing holds a deleted object back any more."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1":
        return not (obj.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")
