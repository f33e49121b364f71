# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A cluster's membership in the fleet as a resource to reconcile."""

from __future__ import annotations

import dataclasses
import typing as t

from .._errors import CollectionError
from .._naming import camel
from .._reconcile import Change, Field, Json, same_value
from .hub import Hub
from .names import same_cluster

STALE = (
    "its cluster is gone or was created anew since: register it again with recreate: true, "
    "or remove it with state: absent"
)


@dataclasses.dataclass(frozen=True)
class StaleField(Field):
    """Whether the cluster behind the membership is still the one that was registered."""

    def read(self, document: t.Mapping[str, t.Any] | None) -> t.Any:
        cluster = ((document or {}).get("endpoint") or {}).get("gkeCluster") or {}
        return "missing" if cluster.get("clusterMissing") else "registered"


MEMBERSHIP_FIELDS: tuple[Field, ...] = (
    StaleField("cluster", None, same_value),
    Field("endpoint.gke_cluster.resource_link", None, same_cluster),
    Field("authority.issuer", None, same_value),
    Field("description", "patch"),
    Field("labels", "patch"),
)


def state_of(membership: Json) -> str:
    return str((membership.get("state") or {}).get("code") or "")


def stale_warning(membership: Json) -> str | None:
    """A registration without the cluster's own id; Google fills it in when the cluster has answered."""
    if state_of(membership) != "READY" or membership.get("externalId"):
        return None
    return (
        f"membership {membership['name'].rpartition('/')[2]} is READY but has no external_id: when this stays so, "
        "the registration is stale; register it again with recreate: true"
    )


class Membership:
    kind = "membership"
    fields: t.Sequence[Field] = MEMBERSHIP_FIELDS

    def __init__(
        self,
        hub: Hub,
        location: str,
        name: str,
        *,
        issuer: str,
        state: str,
        check_mode: bool,
        recreate: bool,
        force: bool,
    ) -> None:
        self.name = name
        self._path = f"projects/{hub.project}/locations/{location}/memberships/{name}"
        self._hub = hub
        self._issuer = issuer
        self._state = state
        self._check_mode = check_mode
        self._recreate = recreate
        self._force = force

    def get(self) -> Json | None:
        patient = self._hub.wait and not self._check_mode
        live = self._hub.settled(self._path, state_of) if patient else self._hub.find(self._path)
        if live is None or state_of(live) == "DELETING":
            return None
        missing = StaleField("cluster").read(live) == "missing"
        if missing and self._state == "present" and not self._recreate:
            raise CollectionError(f"membership {self.name} is stale: {STALE}", remedy=STALE)
        return live

    def create(self, desired: Json) -> Json:
        body = desired if "authority" in desired else {**desired, "authority": {"issuer": self._issuer}}
        if not body["authority"].get("issuer"):
            body = {key: value for key, value in body.items() if key != "authority"}
        return self._hub.create(self._path, "membershipId", body)

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        return self._hub.update(self._path, *patch(changes, live))

    def delete(self, live: Json) -> Json:
        # Its successor takes the same name.
        wait = True if self._state == "present" else None
        return self._hub.delete(self._path, force=self._force, wait=wait)


def patch(changes: t.Sequence[Change], live: Json) -> tuple[Json, list[str]]:
    """Body and update mask. Labels are replaced as a whole, so what others have set is sent along."""
    body: Json = {}
    mask: list[str] = []
    for change in changes:
        key, *below = [camel(part) for part in change.field.path.split(".")]
        place = body
        for part in (key, *below)[:-1]:
            place = place.setdefault(part, {})
        own = change.field.path == "labels"
        place[below[-1] if below else key] = {**(live.get("labels") or {}), **change.after} if own else change.after
        if key not in mask:
            mask.append(key)
    return body, mask
