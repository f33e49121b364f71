# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in buckets, their policies and their objects."""

from __future__ import annotations

import typing as t

from tests.truth.mistakes import Json, Mistake, Step
from tests.truth.mistakes.compute import refused

BUCKETS = "storage/v1/b"
NAMING = "https://cloud.google.com/storage/docs/buckets#naming"
LIFECYCLE = "https://cloud.google.com/storage/docs/lifecycle"
HNS = "https://cloud.google.com/storage/docs/hns-overview"
PRECONDITIONS = "https://cloud.google.com/storage/docs/request-preconditions"
NOT_MET = "At least one of the pre-conditions you specified did not hold\\."
ISSUES = "https://github.com"
COMPOSE = "https://cloud.google.com/storage/docs/json_api/v1/objects/compose"
REWRITE = "https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite"
UNIFORM: Json = {"uniformBucketLevelAccess": {"enabled": True}}


def bucket(name: str, **body: t.Any) -> Step:
    return ("POST", f"{BUCKETS}?project={{project}}", {"name": name, **body})


def with_rule(name: str, action: Json, condition: Json | None) -> Step:
    rule = {"action": action, **({} if condition is None else {"condition": condition})}
    return bucket(name, lifecycle={"rule": [rule]})


def policy(name: str, role: str, member: str, **binding: t.Any) -> Step:
    return ("PUT", f"{BUCKETS}/{name}/iam", {"bindings": [{"role": role, "members": [member], **binding}]})


def invalid(name: str, kind: str, source: str, message: str, *steps: Step) -> Mistake:
    return refused(name, kind, source, message, *steps, reason="invalid")


def composition(bucket_name: str, *parts: Json) -> Step:
    return ("POST", f"{BUCKETS}/{bucket_name}/o/whole/compose", {"sourceObjects": list(parts)})


def misnamed(why: str, name: str, source: str = NAMING) -> Mistake:
    return invalid(why, "bucket name", source, f"Invalid bucket name: '{name}'", bucket(name))


MISTAKES = (
    misnamed("an upper-case name", "newObject-f691b50", f"{ISSUES}/pulumi/pulumi-gcp/issues/126"),
    misnamed("a name of two characters", "ab"),
    misnamed("a name of 64 characters", "a" * 64),
    misnamed("a name that begins with goog", "goog-weights"),
    misnamed("a name with google in it", "my-google-weights"),
    misnamed("an address as a name", "192.168.5.4"),
    misnamed("two dots side by side", "weights..example"),
    misnamed("a name that ends in a dash", "weights-"),
    refused(
        "a domain that is not one's own",
        "bucket name",
        f"{ISSUES}/w3f/polkadot-deployer/issues/148",
        "The bucket you tried to create requires domain ownership verification\\.",
        bucket("weights.example.com"),
        code=403,
        reason="forbidden",
    ),
    refused(
        "a bucket that exists",
        "bucket",
        "https://cloud.google.com/storage/docs/json_api/v1/status-codes#409-conflict",
        "Your previous request to create the named bucket succeeded and you already own it\\.",
        bucket("weights-twice"),
        bucket("weights-twice"),
        code=409,
        reason="conflict",
    ),
    refused(
        "a bucket without a project",
        "bucket",
        "https://cloud.google.com/storage/docs/json_api/v1/buckets/insert",
        "Required parameter: project",
        ("POST", BUCKETS, {"name": "homeless"}),
        code=400,
        reason="required",
    ),
    invalid(
        *("a place that is none", "bucket", "https://cloud.google.com/storage/docs/locations"),
        "The specified location constraint is not valid",
        bucket("weights-far", location="us-east99"),
    ),
    invalid(
        *("a storage class that is none", "bucket", "https://cloud.google.com/storage/docs/storage-classes", "Invalid"),
        bucket("weights-warm", storageClass="LUKEWARM"),
    ),
    invalid(
        *("a bucket that moves", "bucket", "https://cloud.google.com/storage/docs/moving-buckets", "."),
        *(bucket("weights-moved"), ("PATCH", f"{BUCKETS}/weights-moved", {"location": "EU"})),
    ),
    refused(
        "a bucket with objects",
        "bucket",
        "https://cloud.google.com/storage/docs/json_api/v1/buckets/delete",
        "The bucket you tried to delete is not empty\\.",
        bucket("weights-full"),
        ("POST", f"upload/{BUCKETS}/weights-full/o?uploadType=media&name=one", {}),
        ("DELETE", f"{BUCKETS}/weights-full", None),
        code=409,
        reason="conflict",
    ),
    refused(
        "a bucket that is not there",
        "bucket",
        "storage/bucket (recorded)",
        "The specified bucket does not exist\\.",
        ("GET", f"{BUCKETS}/weights-absent", None),
        code=404,
        reason="notFound",
    ),
    invalid(
        "folders without uniform access",
        *("hierarchical namespace", f"{ISSUES}/googleapis/google-cloud-php/pull/7292"),
        "(?i)hierarchical namespace.*uniform bucket-level access",
        bucket("weights-tree", hierarchicalNamespace={"enabled": True}),
    ),
    invalid(
        *("folders with versions", "hierarchical namespace", f"{HNS}#limitations", "(?i)versioning|invalid"),
        bucket(
            "weights-tree",
            hierarchicalNamespace={"enabled": True},
            iamConfiguration=UNIFORM,
            versioning={"enabled": True},
        ),
    ),
    invalid(
        *("folders in a bucket that is there", "hierarchical namespace", f"{HNS}#enabled", "."),
        bucket("weights-flat", iamConfiguration=UNIFORM),
        ("PATCH", f"{BUCKETS}/weights-flat", {"hierarchicalNamespace": {"enabled": True}}),
    ),
    invalid(
        "a class to set that is not stated",
        *("lifecycle", f"{ISSUES}/terraform-google-modules/terraform-google-cloud-storage/issues/263"),
        "Invalid argument",
        with_rule("weights-rule", {"type": "SetStorageClass"}, {"age": 60}),
    ),
    invalid(
        "a class for a deletion",
        *("lifecycle", f"{ISSUES}/terraform-google-modules/terraform-google-cloud-storage/issues/51"),
        "Invalid argument",
        with_rule("weights-rule", {"type": "Delete", "storageClass": "STANDARD"}, {"age": 1}),
    ),
    invalid(
        *("a rule without a condition", "lifecycle", f"{LIFECYCLE}#configuration", "Invalid argument"),
        with_rule("weights-rule", {"type": "Delete"}, None),
    ),
    invalid(
        *("an action that is none", "lifecycle", f"{LIFECYCLE}#actions", "Invalid argument"),
        with_rule("weights-rule", {"type": "Remove"}, {"age": 1}),
    ),
    invalid(
        *("an age below zero", "lifecycle", f"{LIFECYCLE}#age", "Invalid argument"),
        with_rule("weights-rule", {"type": "Delete"}, {"age": -1}),
    ),
    invalid(
        *("uploads to abort by class", "lifecycle", f"{LIFECYCLE}#abort-mpu", "Invalid argument"),
        with_rule("weights-rule", {"type": "AbortIncompleteMultipartUpload"}, {"matchesStorageClass": ["NEARLINE"]}),
    ),
    invalid(
        *("a day of soft deletion", "soft delete", f"{ISSUES}/googleapis/storage-testbench/pull/593", "."),
        bucket("weights-soft", softDeletePolicy={"retentionDurationSeconds": "86400"}),
    ),
    invalid(
        *("100 days of soft deletion", "soft delete", f"{ISSUES}/googleapis/storage-testbench/pull/593", "."),
        bucket("weights-soft", softDeletePolicy={"retentionDurationSeconds": "8640000"}),
    ),
    invalid(
        *("Autoclass that ends in Coldline", "autoclass", "https://cloud.google.com/storage/docs/autoclass", "."),
        bucket("weights-auto", autoclass={"enabled": True, "terminalStorageClass": "COLDLINE"}),
    ),
    invalid(
        *(
            "an IP filter without a range",
            "ip filter",
            "https://cloud.google.com/storage/docs/ip-filtering-overview",
            ".",
        ),
        bucket("weights-filter", ipFilter={"mode": "Enabled", "publicNetworkSource": {"allowedIpCidrRanges": ["all"]}}),
    ),
    refused(
        "everybody where public access is prevented",
        "bucket policy",
        f"{ISSUES}/GoogleCloudPlatform/gsutil/issues/1620",
        "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is "
        "enforced\\.",
        bucket("weights-closed", iamConfiguration={"publicAccessPrevention": "enforced"}),
        policy("weights-closed", "roles/storage.objectViewer", "allUsers"),
        code=412,
        reason="conditionNotMet",
    ),
    invalid(
        "a role that there is not",
        *("bucket policy", f"{ISSUES}/hashicorp/terraform-provider-google/issues/9130"),
        "Role roles/storage\\.viewer is not supported for this resource\\.",
        bucket("weights-role"),
        policy("weights-role", "roles/storage.viewer", "user:someone@example.com"),
    ),
    invalid(
        *(
            "a project's role on a bucket",
            "bucket policy",
            "https://cloud.google.com/storage/docs/access-control/iam-roles",
        ),
        "Role roles/container\\.admin is not supported for this resource\\.",
        bucket("weights-other"),
        policy("weights-other", "roles/container.admin", "user:someone@example.com"),
    ),
    invalid(
        "a condition without uniform access",
        *("bucket policy", "https://cloud.google.com/storage/docs/access-control/iam#conditions", "(?i)condition"),
        bucket("weights-when"),
        (
            *("PUT", f"{BUCKETS}/weights-when/iam"),
            {
                "version": 3,
                "bindings": [
                    {
                        "role": "roles/storage.objectViewer",
                        "members": ["user:someone@example.com"],
                        "condition": {"title": "t", "expression": "true"},
                    }
                ],
            },
        ),
    ),
    refused(
        "a bucket that was changed meanwhile",
        "precondition",
        f"{PRECONDITIONS}#_JSONAPI",
        NOT_MET,
        bucket("weights-old"),
        ("PATCH", f"{BUCKETS}/weights-old?ifMetagenerationMatch=7", {"labels": {"a": "b"}}),
        code=412,
        reason="conditionNotMet",
    ),
    refused(
        "an object that is there already",
        "precondition",
        f"{PRECONDITIONS}#special-case",
        NOT_MET,
        bucket("weights-once"),
        ("POST", f"upload/{BUCKETS}/weights-once/o?uploadType=media&name=one", {}),
        ("POST", f"upload/{BUCKETS}/weights-once/o?uploadType=media&name=one&ifGenerationMatch=0", {}),
        code=412,
        reason="conditionNotMet",
    ),
    refused(
        "an object of another generation",
        "precondition",
        f"{PRECONDITIONS}#_JSONAPI",
        NOT_MET,
        bucket("weights-new"),
        ("POST", f"upload/{BUCKETS}/weights-new/o?uploadType=media&name=one", {}),
        ("DELETE", f"{BUCKETS}/weights-new/o/one?ifGenerationMatch=1", None),
        code=412,
        reason="conditionNotMet",
    ),
    invalid(
        "an access list where access is uniform",
        *("object", f"{ISSUES}/Superbalist/flysystem-google-cloud-storage/issues/118"),
        "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled\\. Read more at "
        "https://cloud.google.com/storage/docs/uniform-bucket-level-access",
        bucket("weights-uniform", iamConfiguration=UNIFORM),
        ("POST", f"upload/{BUCKETS}/weights-uniform/o?uploadType=media&name=one&predefinedAcl=publicRead", {}),
    ),
    invalid(
        *("33 parts of one object", "composition", f"{ISSUES}/minio/minio/issues/9646"),
        "The number of source components provided \\(33\\) exceeds the maximum \\(32\\)",
        *(bucket("weights-parts"), composition("weights-parts", *[{"name": "one"}] * 33)),
    ),
    invalid(
        *("an object of no parts", "composition", COMPOSE, "You must provide at least one source component"),
        *(bucket("weights-empty"), composition("weights-empty")),
    ),
    refused(
        "a part that is not there",
        "composition",
        f"{ISSUES}/kestra-io/plugin-gcp/issues/319",
        "Object gemma/one \\(generation: 0\\) not found\\.",
        bucket("weights-missing"),
        composition("weights-missing", {"name": "gemma/one"}),
        code=404,
        reason="notFound",
    ),
    refused(
        "a part of another generation",
        "composition",
        f"{PRECONDITIONS}#_JSONAPI",
        NOT_MET,
        bucket("weights-stale"),
        ("POST", f"upload/{BUCKETS}/weights-stale/o?uploadType=media&name=one", {}),
        composition("weights-stale", {"name": "one", "objectPreconditions": {"ifGenerationMatch": "1"}}),
        code=412,
        reason="conditionNotMet",
    ),
    invalid(
        *("a copy in pieces of 1000 bytes", "copy", REWRITE, "."),
        bucket("weights-pieces"),
        ("POST", f"upload/{BUCKETS}/weights-pieces/o?uploadType=media&name=one", {}),
        (
            "POST",
            f"{BUCKETS}/weights-pieces/o/one/rewriteTo/b/weights-pieces/o/two?maxBytesRewrittenPerCall=1000",
            {},
        ),
    ),
    refused(
        "a copy of what is not there",
        "copy",
        REWRITE,
        "No such object: weights-copies/one",
        bucket("weights-copies"),
        ("POST", f"{BUCKETS}/weights-copies/o/one/rewriteTo/b/weights-copies/o/two", {}),
        code=404,
        reason="notFound",
    ),
    refused(
        "an upload over what is there already",
        "upload",
        f"{PRECONDITIONS}#special-case",
        NOT_MET,
        bucket("weights-again"),
        ("POST", f"upload/{BUCKETS}/weights-again/o?uploadType=media&name=one", {}),
        ("POST", f"upload/{BUCKETS}/weights-again/o?uploadType=resumable&name=one&ifGenerationMatch=0", {}),
        code=412,
        reason="conditionNotMet",
    ),
    refused(
        "a change of an object that was changed meanwhile",
        "precondition",
        f"{PRECONDITIONS}#_JSONAPI",
        NOT_MET,
        bucket("weights-meta"),
        ("POST", f"upload/{BUCKETS}/weights-meta/o?uploadType=media&name=one", {}),
        ("PATCH", f"{BUCKETS}/weights-meta/o/one?ifMetagenerationMatch=7", {"contentType": "text/plain"}),
        code=412,
        reason="conditionNotMet",
    ),
)
