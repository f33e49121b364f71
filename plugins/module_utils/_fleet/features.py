# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""A feature of the fleet as a resource to reconcile, and when it is ready for the memberships that count."""

from __future__ import annotations

import functools
import re
import typing as t

from .._gcp.projects import SameProject
from .._reconcile import Change, Field, Json, Labels
from .._wait import wait_for
from .hub import Hub
from .memberships import LOST_CONNECTION
from .names import same_membership


def feature_fields(same_project: SameProject) -> tuple[Field, ...]:
    same = functools.partial(same_membership, same_project=same_project)
    return (Field("spec.multiclusteringress.config_membership", "patch", same), Labels("labels", "patch"))


# The texts that the controllers write into a feature's states -> what can be done about them.
_REMEDIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        LOST_CONNECTION,
        "register the cluster anew (aiserving.gke.fleet_membership with recreate: true; "
        "with force: true when it is the config membership)",
    ),
    (
        re.compile(r"permission|denied|forbidden|unauthorized", re.IGNORECASE),
        "grant the feature's service agent its role (for multiclusteringress: "
        "service-NUMBER@gcp-sa-multiclusteringress.iam.gserviceaccount.com, roles/container.admin)",
    ),
    (
        re.compile(r"gateway|crd|customresourcedefinition", re.IGNORECASE),
        "turn the Gateway API on in the cluster (network_config.gateway_api_config.channel: CHANNEL_STANDARD)",
    ),
)


def state_of(feature: Json) -> str:
    return str((feature.get("resourceState") or {}).get("state") or "")


class Feature:
    """Features are global. ``force`` deletes one though its resources are still there."""

    kind = "feature"

    def __init__(self, hub: Hub, name: str, *, check_mode: bool, force: bool) -> None:
        self.name = name
        self.fields: t.Sequence[Field] = feature_fields(hub.same_project)
        self._path = f"projects/{hub.project}/locations/global/features/{name}"
        self.identity: Json = {"name": self._path}
        self._hub = hub
        self._check_mode = check_mode
        self._force = force

    def get(self) -> Json | None:
        patient = self._hub.wait and not self._check_mode
        live = self._hub.settled(self._path, state_of) if patient else self._hub.find(self._path)
        return None if live is None or state_of(live) == "DISABLING" else live

    def create(self, desired: Json) -> Json:
        return self._hub.create(self._path, "featureId", desired)

    def update(self, call: str, changes: t.Sequence[Change], desired: Json, live: Json) -> Json:
        return self._hub.update(self._path, changes, desired, live)

    def delete(self, live: Json) -> Json:
        return self._hub.delete(self._path, force=self._force)

    def ready(self, memberships: t.Sequence[str]) -> Json:
        """The feature once it works for these memberships. Raises WaitTimeout that says what is missing and why."""
        return t.cast(
            Json,
            wait_for(
                lambda: self._hub.find(self._path),
                lambda seen: not unmet(seen, memberships, self._hub.same_project),
                timeout=self._hub.timeout,
                what=f"feature {self.name}",
                why=lambda seen: "; ".join(unmet(seen, memberships, self._hub.same_project)),
            ),
        )


def unmet(feature: Json | None, memberships: t.Sequence[str], same_project: SameProject) -> list[str]:
    """What keeps the feature from working, one sentence each; empty when nothing does."""
    if feature is None:
        return ["it is not there"]
    found = []
    if state_of(feature) != "ACTIVE":
        found.append(f"it is {state_of(feature) or 'without a state'}")
    # Not every feature has a state of its own.
    own = (feature.get("state") or {}).get("state") or {}
    if own.get("code") not in (None, "CODE_UNSPECIFIED", "OK"):
        found.append(_sentence("it", own))
    states = feature.get("membershipStates") or {}
    for membership in memberships:
        state = next(
            (states[key].get("state") or {} for key in states if same_membership(membership, key, same_project)), None
        )
        if state is None:
            found.append(f"membership {membership} has no state yet: is it registered in this fleet?")
        elif state.get("code") != "OK":
            found.append(_sentence(f"membership {membership}", state))
    return found


def _sentence(who: str, state: Json) -> str:
    text = f"{who} is {state.get('code') or 'without a code'}"
    description = state.get("description") or ""
    remedy = next((remedy for pattern, remedy in _REMEDIES if pattern.search(description)), "")
    return text + (f": {description}" if description else "") + (f" -- {remedy}" if remedy else "")
