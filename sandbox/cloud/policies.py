# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IAM policies of any resource: bindings with an etag, checked the way Google checks them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..interfaces import Json
from . import roles
from .bodies import BYTES, INT32, OBJECT, STRING, STRINGS, Shape, of, same_bytes
from .errors import Refusal, invalid, lacking
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
EVERYBODY = ("allUsers", "allAuthenticatedUsers")
ROLE = re.compile(r"(roles/|(?P<owner>(projects|organizations)/[^/]+)/roles/)[A-Za-z0-9_.]+")
PERMISSION = re.compile(r"[a-z][\w-]*(\.[A-Za-z]\w*){2,}")
# Roles that a kind of resource has, and that a project does not have.
ON_BUCKETS = ("roles/storage.", "roles/iam.security")
ON_ACCOUNTS = ("roles/iam.", *(f"roles/{name}" for name in roles.BASIC))
ABOVE_PROJECTS = ("roles/resourcemanager.organization", "roles/resourcemanager.folder", "roles/compute.org")
CONDITIONAL = 3  # version of policies with conditions; https://cloud.google.com/iam/docs/policies#versions
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
    conditional = any("condition" in binding for binding in merged)
    if conditional and policy.get("version") != CONDITIONAL:
        raise invalid(f"A policy with conditions must be of version {CONDITIONAL}.")
    for binding in merged:
        _check_role(store, resource, binding["role"])
        for member in binding["members"]:
            _check_member(store, resource, member)
    stored: Json = {"version": CONDITIONAL if conditional else first_version}
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


def forget(store: Store, account: Json) -> None:
    """A service account is deleted: bindings keep it by its number, and none of them is for another of its name.

    https://cloud.google.com/iam/docs/service-accounts-delete-undelete#deleting
    """
    gone = f"serviceAccount:{account['email']}"
    for resource, policy in store.policies.items():
        for binding in policy.get("bindings", []):
            if gone in binding["members"]:
                left = f"deleted:{gone}?uid={account['uniqueId']}"
                binding["members"] = [left if member == gone else member for member in binding["members"]]
                policy["etag"] = fingerprint([resource, policy, store.version])


def check_permissions(asked: Iterable[str]) -> None:
    """Raises Refusal 400 for names that no permission has, such as those with wildcards."""
    for name in asked:
        if not PERMISSION.fullmatch(name):
            raise invalid(f"Permission {name} is not valid for this resource.")


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


def _check_role(store: Store, resource: str, role: str) -> None:
    form = ROLE.fullmatch(role)
    if form is None:
        raise invalid(
            'The role name must be in the form "roles/{role}", "organizations/{organization_id}/roles/{role}", or '
            '"projects/{project_id}/roles/{role}".'
        )
    if form["owner"]:
        # The sandbox has no custom roles; those of organizations and projects elsewhere are taken on trust.
        if form["owner"].removeprefix("projects/") in store.projects:
            raise invalid(f"Role ({role}) does not exist in the resource's hierarchy.")
        return
    if unknown := roles.unknown_service(role):
        raise lacking(f"the roles of {unknown}")
    kind = resource.partition("/")[0]
    fits = {
        "bucket": role.startswith(ON_BUCKETS),
        "serviceAccount": role.startswith(ON_ACCOUNTS),
        "project": not role.startswith(("roles/storage.legacy", *ABOVE_PROJECTS)),
    }[kind]
    if role not in roles.ROLES or not fits:
        raise invalid(f"Role {role} is not supported for this resource.")


def _check_member(store: Store, resource: str, member: str) -> None:
    if member in EVERYBODY:
        if resource.startswith("project/"):
            raise invalid(f"Policy members of type {member} are not supported for projects.")
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
