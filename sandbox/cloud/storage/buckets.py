# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a bucket may be: its name, its place, its settings; what Google fills in and what it refuses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ...catalogue.places import REGIONS
from ...interfaces import Json
from .. import labels
from ..errors import Refusal, invalid, lacking, no_permission
from ..store import now

# https://cloud.google.com/storage/docs/buckets#naming
NAME = re.compile(r"[a-z0-9][-a-z0-9_.]*[a-z0-9]")
SHORTEST, LONGEST, LONGEST_WITH_DOTS = 3, 63, 222
FORBIDDEN = re.compile(r"^goog|g[o0]{2}gle|\.\.|-\.|\.-")
MULTI_REGIONS = ("US", "EU", "ASIA")
DUAL_REGIONS = ("ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4")
STORAGE_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL")
COLDER = ("NEARLINE", "ARCHIVE")  # what an Autoclass bucket can end in
PREVENTIONS = ("inherited", "enforced", "unspecified")
WEEK, QUARTER = 604800, 7776000  # seconds; https://cloud.google.com/storage/docs/soft-delete#retention-duration
MUTABLE = frozenset(
    {
        "autoclass",
        "billing",
        "cors",
        "defaultEventBasedHold",
        "encryption",
        "iamConfiguration",
        "ipFilter",
        "labels",
        "lifecycle",
        "logging",
        "retentionPolicy",
        "rpo",
        "softDeletePolicy",
        "storageClass",
        "versioning",
        "website",
    }
)
# Fields that are stated once, when the bucket is made.
STATED = MUTABLE | {"hierarchicalNamespace"}
# https://cloud.google.com/storage/docs/lifecycle#actions
ACTIONS = ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload")
OF_UPLOADS = frozenset({"age", "matchesPrefix", "matchesSuffix"})
MOST_RULES = 100


def refused(message: str = "Invalid argument.") -> Refusal:
    return invalid(message, reason="invalid")


def check_name(name: str) -> None:
    """Raises Refusal 400, and 403 for a domain's name, which needs an owner."""
    longest = LONGEST_WITH_DOTS if "." in name else LONGEST
    parts = name.split(".")
    if (
        not NAME.fullmatch(name)
        or not SHORTEST <= len(name) <= longest
        or FORBIDDEN.search(name)
        or any(len(part) > LONGEST for part in parts)
        or _is_address(name)
    ):
        raise refused(f"Invalid bucket name: '{name}'")
    if len(parts) > 1:
        raise no_permission("The bucket you tried to create requires domain ownership verification.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def check_location(location: str) -> None:
    if location not in (*MULTI_REGIONS, *DUAL_REGIONS) and location.lower() not in REGIONS:
        raise refused(f"The specified location constraint is not valid: {location}")


def location_type(location: str) -> str:
    return {"US": "multi-region", "EU": "multi-region", "ASIA": "multi-region"}.get(
        location, "dual-region" if location in DUAL_REGIONS else "region"
    )


def check_stated(body: Json) -> None:
    """What Google takes in a new bucket and this sandbox does not keep."""
    for field in ("customPlacementConfig", "objectRetention"):
        if body.get(field):
            raise lacking(f"{field} of buckets")


def complete(document: Json) -> None:
    """Check a bucket and fill in what Google sets. Raises Refusal 400."""
    stamp = now()
    document["storageClass"] = str(document.get("storageClass") or "STANDARD").upper()
    if document["storageClass"] not in STORAGE_CLASSES:
        raise refused()
    _complete_access(document, stamp)
    if document["locationType"] != "region":
        document.setdefault("rpo", "DEFAULT")
    _complete_soft_delete(document, stamp)
    _complete_autoclass(document, stamp)
    _check_namespace(document)
    rules = document.get("lifecycle", {}).get("rule") or []
    if len(rules) > MOST_RULES or any(not _possible(rule) for rule in rules):
        raise refused()
    if document.get("retentionPolicy") and int(document["retentionPolicy"].get("retentionPeriod") or 0) <= 0:
        raise refused()
    _check_filter(document)
    if labels.fault(document.get("labels") or {}):
        raise refused()
    if not rules:
        document.pop("lifecycle", None)
    if not document.get("labels"):
        document.pop("labels", None)


def is_uniform(document: Json) -> bool:
    return bool(document["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"])


def _complete_access(document: Json, stamp: str) -> None:
    access = document.setdefault("iamConfiguration", {})
    uniform = access.get("uniformBucketLevelAccess") or access.get("bucketPolicyOnly") or {"enabled": False}
    uniform = {"enabled": bool(uniform.get("enabled"))} | ({"lockedTime": stamp} if uniform.get("enabled") else {})
    access["uniformBucketLevelAccess"] = access["bucketPolicyOnly"] = uniform
    if access.setdefault("publicAccessPrevention", "inherited") not in PREVENTIONS:
        raise refused()


def _complete_soft_delete(document: Json, stamp: str) -> None:
    soft = document.setdefault("softDeletePolicy", {"retentionDurationSeconds": WEEK})
    seconds = int(soft.get("retentionDurationSeconds", WEEK))
    if seconds and not WEEK <= seconds <= QUARTER:
        raise refused("Soft delete retention duration must be 0 or between 7 and 90 days.")
    soft["retentionDurationSeconds"] = str(seconds)
    if seconds:
        soft.setdefault("effectiveTime", stamp)
    else:
        soft.pop("effectiveTime", None)


def _complete_autoclass(document: Json, stamp: str) -> None:
    """https://cloud.google.com/storage/docs/autoclass: it begins with Standard and sets all classes by itself."""
    auto = document.get("autoclass", {})
    if not auto.get("enabled"):
        return
    rules = document.get("lifecycle", {}).get("rule") or []
    if (
        auto.get("terminalStorageClass", "NEARLINE") not in COLDER
        or document["storageClass"] != "STANDARD"
        or any(rule.get("action", {}).get("type") == "SetStorageClass" for rule in rules)
    ):
        raise refused()
    times = {"toggleTime": stamp, "terminalStorageClassUpdateTime": stamp}
    document["autoclass"] = {"terminalStorageClass": "NEARLINE", **times, **auto}


def _check_namespace(document: Json) -> None:
    """https://cloud.google.com/storage/docs/hns-overview#limitations"""
    if not document.get("hierarchicalNamespace", {}).get("enabled"):
        return
    if not is_uniform(document):
        raise refused("Hierarchical namespace requires uniform bucket-level access to be enabled.")
    if document.get("versioning", {}).get("enabled"):
        raise refused("Object versioning is not supported in buckets with hierarchical namespace.")


def _possible(rule: Json) -> bool:
    """Whether a lifecycle rule has an action, what that needs and no more, and a condition."""
    action, condition = rule.get("action") or {}, rule.get("condition") or {}
    kind, target = action.get("type"), action.get("storageClass")
    wanted = target in STORAGE_CLASSES if kind == "SetStorageClass" else not target
    ages = (condition.get(name, 0) for name in ("age", "daysSinceNoncurrentTime", "numNewerVersions"))
    meant = kind != "AbortIncompleteMultipartUpload" or condition.keys() <= OF_UPLOADS
    return kind in ACTIONS and wanted and bool(condition) and meant and all(_is_count(age) for age in ages)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_filter(document: Json) -> None:
    """https://cloud.google.com/storage/docs/ip-filtering-overview: kept and answered, but not in force here."""
    wanted = document.get("ipFilter")
    if not wanted:
        document.pop("ipFilter", None)
        return
    ranges = list(_filtered_ranges(wanted))
    if wanted.get("mode") not in ("Enabled", "Disabled") or any(not _is_range(text) for text in ranges):
        raise refused()


def _filtered_ranges(wanted: Json) -> Iterator[str]:
    yield from (wanted.get("publicNetworkSource") or {}).get("allowedIpCidrRanges") or []
    for source in wanted.get("vpcNetworkSources") or []:
        yield from source.get("allowedIpCidrRanges") or []


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def merge(old: object, new: object) -> object:
    """JSON merge patch of one field; None removes."""
    if not isinstance(new, dict) or not isinstance(old, dict):
        if isinstance(new, dict):
            return {key: value for key, value in new.items() if value is not None}
        return new
    merged = {key: merge(old.get(key), value) for key, value in new.items()}
    return {key: value for key, value in {**old, **merged}.items() if value is not None}
