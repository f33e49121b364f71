# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The cores of drill_session and drill_fault: where the drill's parts meet Google's and Kubernetes' APIs."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

from .._call import Call
from .._errors import CollectionError, InvalidOption
from .._gcp.connect import connect as google
from .._kube.apply import Deadline
from .._kube.connection import Connection, connect
from .._kube.readiness import ready
from .._kube.scale import KINDS, Workload
from . import fault, journal, lock, plan, session
from .journal import Entry

Json = dict[str, t.Any]

# Options of _kube.connection.connect() that the drill's modules do not have: clusters are named.
_BY_NAME = {"connection": None, "kubeconfig": None, "context": None}


class LiveEstate:
    """preflight.Estate and the workloads of journals, with the credentials of one module call."""

    def __init__(self, call: Call, deployment: str = "", namespace: str = "") -> None:
        self._call = call
        self._deployment = deployment
        self._namespace = namespace

    def project(self) -> str:
        return google(self._call).project

    def connection(self, cluster: str, location: str) -> Connection:
        params = {**self._call.params, **_BY_NAME, "cluster": cluster, "location": location}
        return connect(dataclasses.replace(self._call, params=params))

    def address(self, region: plan.Region) -> str | None:
        gcp = google(self._call)
        path = f"projects/{gcp.project}/regions/{region.region}/addresses/{region.address_name}"
        found = gcp.rest("compute").find(path)
        return found.get("address") if found else None

    def workload(self, region: plan.Region) -> tuple[int, str]:
        connection = self.connection(region.cluster, region.location)
        live = connection.get(connection.resource(KINDS["Deployment"], "Deployment"), self._namespace, self._deployment)
        what = f"Deployment {self._namespace}/{self._deployment} in {region.cluster}"
        if live is None:
            raise CollectionError(f"there is no {what}")
        is_ready, missing = ready(live)
        return int(live["spec"].get("replicas", 1)), "" if is_ready else f"{what} is not ready: {missing}"

    def of_entry(self, entry: Entry) -> Workload:
        """Raises CollectionError when the journal is another project's: names of clusters are not unique."""
        if entry.project != self.project():
            raise CollectionError(
                f"the undo journal is of project {entry.project}, and this is {self.project()}: "
                "restore it with that project, or name another report directory"
            )
        return Workload(self.connection(entry.cluster, entry.location), entry.kind, entry.namespace, entry.name)


def hold_session(call: Call) -> Json:
    """The core of module drill_session."""
    params = call.params
    directory, me = Path(params["report_directory"]), lock.holder(params["owner_pid"] or 0)
    if params["state"] == "closed":
        known = lock.look(directory)
        ours = known is not None and known.same(me)
        return {"changed": ours if call.check_mode else lock.release(directory, me)}
    prefix = params["variable_prefix"]
    options = plan.Options.of(params)
    session.judge(options, prefix)
    if directory.exists() and not directory.is_dir():
        raise InvalidOption(f"{prefix}report_directory", str(directory), "name a directory: this is a file")
    estate = LiveEstate(call, options.deployment, options.namespace)
    if call.check_mode:
        _insist_on_nobody(directory, me, call)
        found = session.survey(options, prefix, directory, estate, estate.of_entry)
        return {"changed": True, **session.plain(found, directory), "earlier": "", "owner_pid": me.pid}
    with session.locked(directory, me, call.warn):
        found = session.survey(options, prefix, directory, estate, estate.of_entry)
        earlier = session.clear(directory)
    return {"changed": True, **session.plain(found, directory), "earlier": earlier, "owner_pid": me.pid}


def _insist_on_nobody(directory: Path, me: lock.Holder, call: Call) -> None:
    """What taking the lock would say. Raises CollectionError."""
    known = lock.look(directory)
    if known is not None and not known.same(me):
        if known.is_running() is not False:
            lock.refuse(directory, known)
        call.warn(f"a drill was cut short in {directory}; a real run takes its lock over")


def break_or_restore(call: Call) -> Json:
    """The core of module drill_fault."""
    path, me = Path(call.params["journal"]), lock.holder(call.params["owner_pid"] or 0)
    return _make(call, path, me) if call.params["state"] == "present" else _undo(call, path, me)


def _make(call: Call, path: Path, me: lock.Holder) -> Json:
    params, estate = call.params, LiveEstate(call)
    entry = Entry(
        project=estate.project(),
        **{name: params[name] for name in ("cluster", "location", "kind", "namespace", "name")},
        before=0,
        fault=params["replicas"],
    )
    workload = estate.of_entry(entry)
    entry = dataclasses.replace(entry, before=workload.replicas())
    if call.check_mode:
        fault.insist(path, entry)
        return {"changed": True, "told": [f"{entry}: {entry.before} -> {entry.fault} replicas"]}
    with lock.held(path.parent, me):
        made = fault.make(path, entry, workload)
    told = [f"{entry}: {entry.before} -> {entry.fault} replicas"]
    return {"changed": True, "told": told, "applied_at": made.made_at}


def _undo(call: Call, path: Path, me: lock.Holder) -> Json:
    estate, deadline = LiveEstate(call), Deadline(call.params["wait_timeout"])

    def wait(entry: Entry) -> None:
        estate.of_entry(entry).wait(entry.before, deadline)

    with contextlib.ExitStack() as stack:
        if call.check_mode:
            _insist_on_nobody(path.parent, me, call)
        elif path.exists():
            stack.enter_context(lock.held(path.parent, me))
        found = journal.read(path)
        if found is None:
            return {"changed": False, "told": []}
        try:
            if call.check_mode:
                done, applied_at = fault.judge(found, estate.of_entry), None
            else:
                done, applied_at = fault.undo(path, found, estate.of_entry, wait)
        except CollectionError as error:
            error.message = f"the fault is not undone, and {path} stays open: {error.message}"
            raise
    answer: Json = {"changed": True, "told": [str(item) for item in done]}
    return answer if applied_at is None else {**answer, "applied_at": applied_at}
