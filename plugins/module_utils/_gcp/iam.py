# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Service accounts, and one member of one role in the IAM policy of a project, a bucket or a service account."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Sequence

from .._errors import ApiError, CollectionError, Conflict, InvalidOption, having_changed
from .._naming import to_api
from .._reconcile import Change, Field, Json
from .._wait import wait_for
from .compute import Params
from .connect import Gcp
from .operations import retry_while
from .transport import may_have_landed

ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
POLICY_VERSION = 3  # the first that knows conditions; asking for less hides them

# Google's IAM learns of new accounts and identity pools some time after they were made.
NOT_YET = re.compile(r"Identity Pool does not exist|[Ss]ervice account .*does not exist|Unknown service account")


class ServiceAccount:
    kind = "service account"
    fields: Sequence[Field] = (
        Field("display_name", "patch"),
        Field("description", "patch"),
        Field("disabled", "switch"),
    )

    def __init__(self, gcp: Gcp, params: Params) -> None:
        self.name: str = params["name"]
        if not ACCOUNT_ID.fullmatch(self.name):
            raise InvalidOption(
                "name",
                self.name,
                "give the account's ID, without @ and domain: 6 to 30 lower-case letters, digits and hyphens, "
                "beginning with a letter",
            )
        self.email = account_email(self.name, gcp.project)
        self._params = params
        self._settle = not gcp.plan_only and params["wait"]
        self._rest = gcp.rest("iam")
        resource = f"projects/{gcp.project}/serviceAccounts"
        self.identity: Json = {"name": f"{resource}/{self.email}", "email": self.email}
        self._accounts = f"v1/{resource}"
        self.path = f"{self._accounts}/{self.email}"

    def desired(self) -> Json:
        return to_api({key: self._params[key] for key in ("display_name", "description", "disabled")})

    def get(self) -> Json | None:
        return self._rest.find(self.path)

    def create(self, desired: Json) -> None:
        account = {key: value for key, value in desired.items() if key != "disabled"}
        self._rest.post(self._accounts, {"accountId": self.name, "serviceAccount": account}, landed=self.get)
        with having_changed():
            if self._settle or desired.get("disabled"):
                # A new account is not seen everywhere at once; who comes next needs it.
                wait_for(
                    self.get,
                    lambda live: live is not None,
                    timeout=self._params["wait_timeout"],
                    what=f"service account {self.email} to be seen",
                )
            if desired.get("disabled"):
                self._switch(True)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> None:
        if call == "switch":
            self._switch(desired["disabled"])
            return
        paths = [change.field.path for change in changes]
        body = {change.field.path: change.after for change in changes}

        def landed() -> Json | None:
            now = self.get()
            return now if all(change.is_in(now) for change in changes) else None

        self._rest.patch(self.path, {"serviceAccount": to_api(body), "updateMask": ",".join(paths)}, landed=landed)

    def _switch(self, disabled: bool) -> None:
        # To switch twice is to switch once: such a write may simply be repeated.
        self._rest.post(f"{self.path}:{'disable' if disabled else 'enable'}", read=True)

    def delete(self, live: Json) -> None:
        self._rest.delete(self.path, landed=lambda: {} if self.get() is None else None)


def account_email(name: str, project: str) -> str:
    """The address of a service account; a project "example.com:p" becomes p.example.com in it."""
    domain, dummy, own = project.rpartition(":")
    return f"{name}@{own}.{domain}.iam.gserviceaccount.com" if domain else f"{name}@{project}.iam.gserviceaccount.com"


class Policy(t.NamedTuple):
    """How the IAM policy of one resource is read and replaced."""

    resource: str
    read: Callable[[], Json]
    write: Callable[[Json], Json]


def policy_of(gcp: Gcp, params: Params) -> Policy:
    """The policy of the bucket, the service account, or (neither stated) the project."""
    if params["bucket"]:
        rest, path = gcp.rest("storage"), f"b/{params['bucket']}/iam"
        return Policy(
            f"bucket {params['bucket']}",
            lambda: rest.get(path, {"optionsRequestedPolicyVersion": POLICY_VERSION}),
            lambda policy: rest.put(path, policy),
        )
    if params["service_account"]:
        email = params["service_account"]
        rest, path = gcp.rest("iam"), f"v1/projects/{_project_of(email, gcp.project)}/serviceAccounts/{email}"
        query = {"options.requestedPolicyVersion": POLICY_VERSION}
        return Policy(
            f"service account {email}",
            lambda: rest.post(f"{path}:getIamPolicy", params=query, read=True),
            lambda policy: rest.post(f"{path}:setIamPolicy", {"policy": policy}),
        )
    rest, path = gcp.rest("cloudresourcemanager"), f"v1/projects/{gcp.project}"
    asked = {"options": {"requestedPolicyVersion": POLICY_VERSION}}
    return Policy(
        f"project {gcp.project}",
        lambda: rest.post(f"{path}:getIamPolicy", asked, read=True),
        lambda policy: rest.post(f"{path}:setIamPolicy", {"policy": policy}),
    )


def _project_of(email: str, own: str) -> str:
    """The wildcard finds accounts of other projects, but hides "does not exist" behind "permission denied"."""
    return own if email == account_email(email.partition("@")[0], own) else "-"


def canonical_member(member: str) -> str:
    """As IAM keeps it: addresses of people and accounts in lower case."""
    kind, dummy, rest = member.partition(":")
    return f"{kind}:{rest.lower()}" if kind in ("user", "serviceAccount", "group", "domain") else member


def holds(policy: Json, role: str, member: str, condition: Json | None) -> bool:
    binding = _binding(policy, role, condition)
    return binding is not None and canonical_member(member) in map(canonical_member, binding.get("members") or ())


def with_member(policy: Json, role: str, member: str, condition: Json | None) -> Json:
    """The policy with the member; everything else stays."""
    bindings = [{**binding, "members": list(binding.get("members") or ())} for binding in policy.get("bindings") or ()]
    changed = {**policy, "bindings": bindings}
    binding = _binding(changed, role, condition)
    if binding is None:
        binding = {"role": role, "members": [], **({"condition": condition} if condition else {})}
        bindings.append(binding)
    binding["members"].append(member)
    return _versioned(changed)


def without_member(policy: Json, role: str, member: str, condition: Json | None) -> Json:
    """The policy without the member; a binding without members goes, everything else stays."""
    gone = canonical_member(member)
    bindings = []
    for binding in policy.get("bindings") or ():
        members = list(binding.get("members") or ())
        if _fits(binding, role, condition):
            members = [other for other in members if canonical_member(other) != gone]
        if members:
            bindings.append({**binding, "members": members})
    return _versioned({**policy, "bindings": bindings})


def _versioned(policy: Json) -> Json:
    if any(binding.get("condition") for binding in policy["bindings"]):
        return {**policy, "version": POLICY_VERSION}
    return policy


def _fits(binding: Json, role: str, condition: Json | None) -> bool:
    return bool(binding.get("role") == role and (binding.get("condition") or None) == (condition or None))


def _binding(policy: Json, role: str, condition: Json | None) -> Json | None:
    return next((b for b in policy.get("bindings") or () if _fits(b, role, condition)), None)


class Member:
    """One member of one role: there or not there, nothing to compare."""

    kind = "IAM member"
    fields: Sequence[Field] = ()
    identity: t.ClassVar[Json] = {}  # what is stated is all there is to it

    def __init__(self, gcp: Gcp, params: Params) -> None:
        self._gcp = gcp
        self._params = params
        self._policy = policy_of(gcp, params)
        self._role: str = params["role"]
        self._member: str = params["member"]
        self._condition: Json | None = to_api(params["condition"]) if params["condition"] else None
        if ":" not in self._member and self._member not in ("allUsers", "allAuthenticatedUsers"):
            raise InvalidOption("member", self._member, "give KIND:WHO, such as serviceAccount:EMAIL or group:EMAIL")
        self.name = f"{self._member} as {self._role} of {self._policy.resource}"

    def desired(self) -> Json:
        stated: Json = {"role": self._role, "member": self._member, "resource": self._policy.resource}
        return {**stated, "condition": self._condition} if self._condition else stated

    def get(self) -> Json | None:
        try:
            policy = self._policy.read()
        except ApiError as error:
            if self._gcp.is_absent(error):
                return None
            raise
        return self.desired() if holds(policy, self._role, self._member, self._condition) else None

    def create(self, desired: Json) -> None:
        self._change(True, with_member)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> None:
        """Never called: there are no fields."""

    def delete(self, live: Json) -> None:
        self._change(False, without_member)

    def _change(self, there: bool, edit: Callable[..., Json]) -> None:
        """Read, change, write with the etag of what was read; again when somebody else was faster."""
        stated = (self._role, self._member, self._condition)

        def once() -> None:
            policy = self._policy.read()
            if holds(policy, *stated) != there:
                self._policy.write(edit(policy, *stated))

        retry_while(self._passes, once, timeout=self._params["wait_timeout"], what=f"{self.kind} {self.name}")

    def _passes(self, error: CollectionError) -> bool:
        # Each attempt begins with a look, so a write that may have landed may be tried again too.
        if isinstance(error, Conflict) or may_have_landed(error):
            return True
        if not self._params["wait"]:
            return False
        return bool(NOT_YET.search(error.message))
