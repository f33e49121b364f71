# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policies of any resource: bindings with an etag, checked the way Google checks them."""

from __future__ import annotations

import re

from ..interfaces import Json
from .bodies import BYTES, INT32, OBJECT, STRING, STRINGS, Shape, of, same_bytes
from .errors import Refusal, invalid
from .store import Store, fingerprint

POOL_MEMBER = re.compile(r"serviceAccount:(?P<project>[^\[\]]+)\.svc\.id\.goog\[[^\[\]/]+/[^\[\]/]+\]$")
ACCOUNT_MEMBER = re.compile(r"serviceAccount:(?P<email>[^@\[\]]+@[^@\[\]]+)$")
PREFIXES = ("user:", "serviceAccount:", "group:", "domain:", "principal:", "principalSet:", "deleted:", "project")
POLICY: Shape = {
    "version": INT32,
    "bindings": [
        {
            "role": STRING,
            "members": STRINGS,
            "condition": of(STRING, "title description expression location"),
        }
    ],
    "auditConfigs": [OBJECT],
    "etag": BYTES,
    **of(STRING, "kind resourceId"),
}
SET_POLICY: Shape = {"policy": POLICY, "updateMask": STRING}
NO_ETAG = "ACAB"  # Google's etag of a policy that was never set


def read(store: Store, resource: str) -> Json:
    """The policy of "project/ID", "bucket/NAME" or "serviceAccount/EMAIL"; without bindings when none was set."""
    return dict(store.policies.get(resource) or {"etag": NO_ETAG})


def bindings(store: Store, resource: str) -> list[Json]:
    return list(store.policies.get(resource, {}).get("bindings", []))


def write(store: Store, resource: str, policy: Json, *, first_version: int = 1) -> Json:
    """Replace the policy and return it as Google answers. Raises Refusal 409 on a stale etag, 400 on a bad member."""
    live = store.policies.get(resource)
    given = policy.get("etag")
    if given and not same_bytes(given, (live or {"etag": NO_ETAG})["etag"]):
        raise Refusal(
            "ABORTED",
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. "
            "The request's ETag did not match the current policy's ETag.",
        )
    merged = _merge(policy.get("bindings", []))
    for binding in merged:
        _check_role(binding["role"])
        for member in binding["members"]:
            _check_member(store, member)
    stored: Json = {"version": 3 if any("condition" in binding for binding in merged) else first_version}
    if merged:
        stored["bindings"] = merged
    if policy.get("auditConfigs"):
        stored["auditConfigs"] = policy["auditConfigs"]
    stored["etag"] = fingerprint([resource, stored, store.version])
    store.policies[resource] = stored
    store.changed()
    return dict(stored)


def grant(store: Store, resource: str, role: str, member: str) -> None:
    """Add one member as Google itself does for its service agents."""
    policy = read(store, resource)
    policy["bindings"] = [*policy.get("bindings", []), {"role": role, "members": [member]}]
    write(store, resource, policy)


def _merge(given: list[Json]) -> list[Json]:
    """Bindings of the same role and condition become one; empty ones vanish."""
    merged: dict[str, Json] = {}
    for binding in given:
        if not binding.get("members"):
            continue
        if not binding.get("role"):
            raise invalid("Role must be set for binding.")
        condition = binding.get("condition")
        entry = merged.setdefault(f"{binding['role']} {condition}", {"role": binding["role"], "members": []})
        entry["members"] += [member for member in binding["members"] if member not in entry["members"]]
        if condition:
            entry["condition"] = condition
    return list(merged.values())


def _check_role(role: str) -> None:
    if not re.fullmatch(r"(roles/|(projects|organizations)/[^/]+/roles/)[A-Za-z0-9_.]+", role):
        raise invalid(f"Invalid role: {role}")


def _check_member(store: Store, member: str) -> None:
    if member in ("allUsers", "allAuthenticatedUsers"):
        return
    if not member.startswith(PREFIXES):
        raise invalid(
            f"The member {member} is of an unknown type. Please set a valid type prefix for the member.",
        )
    if pool := POOL_MEMBER.match(member):
        project = store.projects.get(pool["project"])
        if project is None or not project.identity_pool:
            raise invalid(
                f"Identity Pool does not exist ({pool['project']}.svc.id.goog). Please check that you specified a "
                "valid resource name as returned in the `name` attribute in the configuration API."
            )
    elif account := ACCOUNT_MEMBER.match(member):
        _check_account(store, account["email"])


def _check_account(store: Store, email: str) -> None:
    """Accounts of projects that this sandbox holds must exist; others are taken on trust."""
    local, _unused, domain = email.partition("@")
    for project in store.projects.values():
        if project.sees(email) or email in project.agents:
            return
        own = domain == f"{project.id}.iam.gserviceaccount.com"
        agent = project.number in local and domain.endswith(".gserviceaccount.com")
        if own or agent:
            raise invalid(f"Service account {email} does not exist.")
