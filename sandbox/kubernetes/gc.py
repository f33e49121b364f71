# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster cleans up by itself: dependents of deleted owners, contents of deleted namespaces and CRDs."""

from __future__ import annotations

import logging
import typing as t
from collections import defaultdict

from sandbox.kubernetes.bootstrap import furnish
from sandbox.kubernetes.errors import ApiStatus
from sandbox.kubernetes.operations import Operations, Options
from sandbox.kubernetes.resources import CRD_TABLE
from sandbox.kubernetes.store import Event, clone

Json = dict[str, t.Any]
Reference = tuple[str, str, str]  # (table, namespace, name)

_LOG = logging.getLogger(__name__)
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_FOREGROUND = {"propagationPolicy": "Foreground"}
_BACKGROUND = {"propagationPolicy": "Background"}


class Collector:
    """Follows every change in the store; deletes what has no reason to be there any more."""

    def __init__(self, operations: Operations, ca_pem: str = "") -> None:
        self._ops = operations
        self._store = operations.store
        self._ca_pem = ca_pem
        self._options = Options(manager="kube-controller-manager")
        self._known: dict[str, Reference] = {}  # uid -> where it is
        self._dependents: dict[str, set[str]] = defaultdict(set)  # owner uid -> dependents' uids

    async def run(self) -> None:
        """Collect until cancelled or the store closes."""
        with self._store.follow(None) as queue:
            for table in self._store.tables():
                for obj in self._store.items(table):
                    self._learn(table, obj)
            while (event := await queue.get()) is not None:
                try:
                    self._handle(event)
                except ApiStatus as error:  # the object changed or went meanwhile: its own event follows
                    _LOG.debug("collector: %s", error)
                except Exception:
                    _LOG.exception("collector: %s of %s", event.type, event.table)

    def _learn(self, table: str, obj: Json) -> None:
        metadata = obj["metadata"]
        self._known[metadata["uid"]] = (table, metadata.get("namespace", ""), metadata["name"])
        for owner in metadata.get("ownerReferences") or ():
            self._dependents[owner["uid"]].add(metadata["uid"])

    def _handle(self, event: Event) -> None:
        obj, uid = event.object, event.object["metadata"]["uid"]
        if event.type == "DELETED":
            self._known.pop(uid, None)
            for owner in obj["metadata"].get("ownerReferences") or ():
                self._dependents[owner["uid"]].discard(uid)
                self._look(owner["uid"])
            for dependent in sorted(self._dependents.pop(uid, ())):
                self._abandon(dependent)
            self._container(event.table, obj)
            return
        self._learn(event.table, obj)
        if event.type == "ADDED":
            if event.table == "/namespaces":
                furnish(self._ops, obj["metadata"]["name"], self._ca_pem)
            if obj["metadata"].get("ownerReferences"):
                self._abandon(uid)
        self._look(uid)

    def _live(self, uid: str) -> tuple[str, Json] | None:
        where = self._known.get(uid)
        obj = self._store.get(*where) if where else None
        return (where[0], obj) if where and obj and obj["metadata"]["uid"] == uid else None

    def _abandon(self, uid: str) -> None:
        """Delete the object if none of its owners is left (the owner that is leaving in the foreground counts)."""
        found = self._live(uid)
        if not found:
            return
        table, obj = found
        owners = obj["metadata"].get("ownerReferences") or []
        left = [owner for owner in owners if self._live(owner["uid"])]
        if owners and not left:
            self._delete(table, obj, _BACKGROUND)

    def _look(self, uid: str) -> None:
        """Go on with an object that is on its way out: foreground, orphan, namespace or CRD contents."""
        found = self._live(uid)
        if not found or not found[1]["metadata"].get("deletionTimestamp"):
            return
        table, obj = found
        finalizers = obj["metadata"].get("finalizers") or []
        if "orphan" in finalizers:
            for dependent in sorted(self._dependents.pop(uid, ())):
                self._disown(dependent, uid)
            self._release(table, obj, "orphan")
        elif "foregroundDeletion" in finalizers:
            for one in sorted(self._dependents.get(uid, ())):
                held = self._live(one)
                if held and not held[1]["metadata"].get("deletionTimestamp"):
                    self._delete(*held, _FOREGROUND)
            if not any(self._live(one) for one in self._dependents.get(uid, ())):
                self._release(table, obj, "foregroundDeletion")
        elif table == "/namespaces":
            self._empty_namespace(obj)
        elif table == CRD_TABLE and _CLEANUP in finalizers:
            self._empty_definition(obj)

    def _disown(self, uid: str, owner: str) -> None:
        found = self._live(uid)
        if found:
            table, obj = found
            owners = [one for one in obj["metadata"].get("ownerReferences") or () if one["uid"] != owner]
            self._change(table, obj, "ownerReferences", owners)

    def _release(self, table: str, obj: Json, finalizer: str) -> None:
        left = [one for one in obj["metadata"].get("finalizers") or () if one != finalizer]
        self._change(table, obj, "finalizers", left)

    def _change(self, table: str, obj: Json, field: str, value: list[t.Any]) -> None:
        new = clone(obj)
        new["metadata"].pop(field, None)
        if value:
            new["metadata"][field] = value
        self._ops.modify(self._ops.registry.of_table(table), obj, new, self._options, "")

    def _delete(self, table: str, obj: Json, policy: Json) -> None:
        metadata = obj["metadata"]
        rt = self._ops.registry.of_table(table)
        body = {**policy, "preconditions": {"uid": metadata["uid"]}}
        self._ops.delete(rt, metadata.get("namespace", ""), metadata["name"], body, self._options)

    def _container(self, table: str, gone: Json) -> None:
        """Something went: its namespace or its kind's definition may have waited for that."""
        namespace = gone["metadata"].get("namespace")
        if namespace and (found := self._store.get("/namespaces", "", namespace)):
            self._look(found["metadata"]["uid"])
        plural, group = table.rpartition("/")[2], table.rpartition("/")[0]
        if found := self._store.get(CRD_TABLE, "", f"{plural}.{group}"):
            self._look(found["metadata"]["uid"])

    def _empty_namespace(self, namespace: Json) -> None:
        left = False
        for table in self._store.tables():
            for obj in self._store.items(table, namespace["metadata"]["name"]):
                left = True
                if not obj["metadata"].get("deletionTimestamp"):
                    self._delete(table, obj, _BACKGROUND)
        if not left:
            new = clone(namespace)
            new["spec"]["finalizers"] = []
            self._ops.modify(self._ops.registry.of_table("/namespaces"), namespace, new, self._options, "finalize")

    def _empty_definition(self, crd: Json) -> None:
        table = f"{crd['spec']['group']}/{crd['spec']['names']['plural']}"
        for obj in self._store.items(table):
            if not obj["metadata"].get("deletionTimestamp"):
                self._delete(table, obj, _BACKGROUND)
        if not self._store.items(table):
            self._release(CRD_TABLE, crd, _CLEANUP)
