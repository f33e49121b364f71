# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in service accounts, roles and policies, and in projects."""

from __future__ import annotations

import typing as t

from tests.truth.mistakes import Mistake, Step
from tests.truth.mistakes.compute import refused

ACCOUNTS = "iam/v1/projects/{project}/serviceAccounts"
PROJECT = "cloudresourcemanager/v1/projects/{project}"
REFERENCE = "https://cloud.google.com/iam/docs/reference/rest/v1"
PROJECTS = "https://cloud.google.com/resource-manager/reference/rest/v1/projects"
ISSUES = "https://github.com"
INVALID = "Request contains an invalid argument\\."


def account(name: str, **body: t.Any) -> Step:
    return ("POST", ACCOUNTS, {"accountId": name, "serviceAccount": body})


def granted(role: str, member: str = "user:someone@example.com", **binding: t.Any) -> Step:
    policy = {"bindings": [{"role": role, "members": [member], **binding}]}
    return ("POST", f"{PROJECT}:setIamPolicy", {"policy": policy})


def project(identifier: str, **body: t.Any) -> Step:
    return ("POST", "cloudresourcemanager/v1/projects", {"projectId": identifier, **body})


def invalid(name: str, kind: str, source: str, message: str, *steps: Step) -> Mistake:
    """Of iam, whose errors carry a reason; cloudresourcemanager's have none."""
    reason = "badRequest" if steps[-1][1].startswith("iam/") else ""
    return refused(name, kind, source, message, *steps, status="INVALID_ARGUMENT", reason=reason)


MISTAKES = (
    invalid(
        *("an account's name of four letters", "service account", f"{ISSUES}/elsoul/skeet/issues/227"),
        'The account ID "solv" does not have a length between 6 and 30\\.',
        account("solv"),
    ),
    invalid(
        *("an account's name of 31 letters", "service account", f"{ISSUES}/DataDog/stratus-red-team/issues/294"),
        f'The account ID "{"a" * 31}" does not have a length between 6 and 30\\.',
        account("a" * 31),
    ),
    invalid(
        *("an account's name in capitals", "service account", f"{ISSUES}/hashicorp/terraform-provider-google/pull/793"),
        INVALID,
        account("Reader-1"),
    ),
    invalid(
        *("a display name of 101 letters", "service account", f"{REFERENCE}/projects.serviceAccounts", INVALID),
        account("reader", displayName="r" * 101),
    ),
    refused(
        "an account that exists",
        "service account",
        f"{REFERENCE}/projects.serviceAccounts/create",
        "Service account reader-twice already exists within project projects/[^/]+\\.",
        account("reader-twice"),
        account("reader-twice"),
        code=409,
        status="ALREADY_EXISTS",
        reason="alreadyExists",
    ),
    refused(
        "an account that is not there",
        "service account",
        "iam/service-account (recorded)",
        "Unknown service account",
        ("GET", f"{ACCOUNTS}/absent@{{project}}.iam.gserviceaccount.com", None),
        code=404,
        status="NOT_FOUND",
        reason="notFound",
    ),
    refused(
        "an account deleted twice",
        "service account",
        f"{REFERENCE}/projects.serviceAccounts/delete",
        "Unknown service account",
        account("reader-gone"),
        *[("DELETE", f"{ACCOUNTS}/reader-gone@{{project}}.iam.gserviceaccount.com", None)] * 2,
        code=404,
        status="NOT_FOUND",
        reason="notFound",
    ),
    invalid(
        *("a predefined role that there is not", "role"),
        f"{ISSUES}/terraform-google-modules/terraform-google-iam/issues/91",
        "Role roles/container\\.owner is not supported for this resource\\.",
        granted("roles/container.owner"),
    ),
    invalid(
        *("a role's name in capitals", "role"),
        f"{ISSUES}/terraform-google-modules/terraform-google-kubernetes-engine/issues/894",
        "Role roles/compute\\.Admin is not supported for this resource\\.",
        granted("roles/compute.Admin"),
    ),
    invalid(
        *("a bucket's role on a project", "role", "https://cloud.google.com/storage/docs/access-control/iam-roles"),
        "Role roles/storage\\.legacyBucketReader is not supported for this resource\\.",
        granted("roles/storage.legacyBucketReader"),
    ),
    invalid(
        *("an organization's role on a project", "role", "https://cloud.google.com/iam/docs/roles-permissions"),
        "Role roles/resourcemanager\\.organizationAdmin is not supported for this resource\\.",
        granted("roles/resourcemanager.organizationAdmin"),
    ),
    invalid(
        *("a role without its prefix", "role", "https://cloud.google.com/iam/docs/reference/rest/v1/Policy#Binding"),
        'The role name must be in the form "roles/\\{role\\}"',
        granted("container.admin"),
    ),
    invalid(
        *("a custom role that nobody made", "role", "https://cloud.google.com/iam/docs/creating-custom-roles"),
        "Role \\(projects/[^/]+/roles/mine\\) does not exist in the resource's hierarchy\\.",
        granted("projects/{project}/roles/mine"),
    ),
    refused(
        "a role to describe that there is not",
        "role",
        f"{REFERENCE}/roles/get",
        "The role named roles/container\\.owner was not found\\.",
        ("GET", "iam/v1/roles/container.owner", None),
        code=404,
        status="NOT_FOUND",
        reason="notFound",
    ),
    invalid(
        *("a member without its kind", "member", "https://cloud.google.com/iam/docs/principal-identifiers"),
        "The member someone@example\\.com is of an unknown type\\. Please set a valid type prefix for the member\\.",
        granted("roles/viewer", "someone@example.com"),
    ),
    invalid(
        *(
            "an account as member that is not there",
            "member",
            "https://cloud.google.com/iam/docs/troubleshooting-access",
        ),
        "Service account absent@[^ ]+ does not exist\\.",
        granted("roles/viewer", "serviceAccount:absent@{project}.iam.gserviceaccount.com"),
    ),
    invalid(
        *("a deleted account as member", "member"),
        "https://cloud.google.com/iam/docs/service-accounts-delete-undelete",
        "Service account member-gone@[^ ]+ does not exist\\.",
        account("member-gone"),
        ("DELETE", f"{ACCOUNTS}/member-gone@{{project}}.iam.gserviceaccount.com", None),
        granted("roles/viewer", "serviceAccount:member-gone@{project}.iam.gserviceaccount.com"),
    ),
    invalid(
        *("everybody as member of a project", "member", f"{PROJECTS}/setIamPolicy", "."),
        granted("roles/viewer", "allUsers"),
    ),
    invalid(
        "a Kubernetes account before there is a workload pool",
        *("member", "https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#troubleshooting"),
        "Identity Pool does not exist \\([^)]+\\.svc\\.id\\.goog\\)\\. Please check that you specified a valid "
        "resource name",
        granted("roles/viewer", "serviceAccount:{project}.svc.id.goog[serving/model]"),
    ),
    refused(
        "a policy that was changed meanwhile",
        "policy",
        "https://cloud.google.com/iam/docs/policies#etag",
        "There were concurrent policy changes\\.",
        ("POST", f"{PROJECT}:getIamPolicy", {}),
        ("POST", f"{PROJECT}:setIamPolicy", {"policy": {"etag": "AAAAAAAAAAA=", "bindings": []}}),
        code=409,
        status="ABORTED",
    ),
    invalid(
        *("a condition in a policy of version 1", "policy", "https://cloud.google.com/iam/docs/policies#versions", "."),
        granted("roles/viewer", condition={"title": "t", "expression": "true"}),
    ),
    invalid(
        *("a permission with a wildcard", "policy", f"{PROJECTS}/testIamPermissions"),
        "Permission container\\.\\* is not valid for this resource\\.",
        ("POST", f"{PROJECT}:testIamPermissions", {"permissions": ["container.*"]}),
    ),
    invalid(
        *("a project's id in capitals", "project", PROJECTS),
        "field \\[project_id\\] has issue \\[project_id contains invalid characters\\]",
        project("My-Project"),
    ),
    invalid(
        *(
            "a project's id of five letters",
            "project",
            PROJECTS,
            "field \\[project_id\\] has issue \\[project_id must be",
        ),
        project("short"),
    ),
    invalid(
        *("a project's name of three letters", "project", PROJECTS, "field \\[display_name\\] has issue"),
        project("named-project", name="abc"),
    ),
    refused(
        "a project that exists",
        "project",
        f"{PROJECTS}/create",
        "Requested entity already exists",
        project("twice-project"),
        project("twice-project"),
        code=409,
        status="ALREADY_EXISTS",
    ),
    refused(
        "a project of somebody else",
        "project",
        f"{PROJECTS}/get",
        "The caller does not have permission",
        ("GET", "cloudresourcemanager/v1/projects/not-my-project", None),
        code=403,
        status="PERMISSION_DENIED",
    ),
)
