# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What Google's error texts mean for the user, and what to do about them."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._errors import OperationFailed

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """``cause`` is one of a few words that a playbook can test; ``remedy`` is one sentence."""

    cause: str
    remedy: str


# First match wins. The texts are those that GKE writes into operations, statusMessage and conditions.
_EXPLANATIONS: tuple[tuple[str, Explanation], ...] = (
    (
        r"GCE_STOCKOUT|ZONE_RESOURCE_POOL_EXHAUSTED|does not have enough resources|Insufficient reserved capacity",
        Explanation(
            "stockout",
            "The zone has no free capacity of this machine type: use a reservation (config.reservation_affinity), "
            "flex-start (config.flex_start), another zone, or try again later; recreate: true replaces the pool "
            "that the failed creation left behind.",
        ),
    ),
    (
        r"(?i)GCE_QUOTA_EXCEEDED|insufficient (regional|project) quota|Quota '[^']+' exceeded|QUOTA_EXCEEDED",
        Explanation(
            "quota",
            "Ask for more quota of the metric named (IAM & Admin > Quotas; TPUs: TPUS_PER_TPU_FAMILY of the region and "
            "family, spot counted apart, and GPUS_ALL_REGIONS where it is 0), or ask for fewer chips.",
        ),
    ),
    (
        r"GKE_SERVICE_ACCOUNT_DELETED|service agent is still being|SERVICE_ACCOUNT_MISSING_PERMISSIONS",
        Explanation(
            "service_agent",
            "GKE's service agent is missing, new or without its role: enable container.googleapis.com with "
            "service_identity: true (aiserving.gke.service), give the agent roles/container.serviceAgent, wait two "
            "minutes and run again.",
        ),
    ),
    (
        r"(?i)Identity Pool does not exist",
        Explanation(
            "identity_pool",
            "The project's workload identity pool comes with its first cluster and takes a minute or two: run again.",
        ),
    ),
    (
        r"(?i)reservation .*(not found|does not exist|not compatible)|SPECIFIC_RESERVATION",
        Explanation(
            "reservation",
            "The reservation must lie in the pool's zone, hold this machine type, be of specific use, and be shared "
            "with the project (then as projects/OWNER/reservations/NAME).",
        ),
    ),
    (
        r"(?i)compute\.networkAdmin|accelerator network profile",
        Explanation(
            "permission",
            "An accelerator network profile makes networks of its own: GKE's service agent needs "
            "roles/compute.networkAdmin on the project.",
        ),
    ),
    (
        r"(?i)permission|PERMISSION_DENIED|does not have .*access",
        Explanation("permission", "Grant the permission named to the account named, wait a minute and run again."),
    ),
    (
        r"(?i)IP_SPACE_EXHAUSTED|(insufficient|not enough) (free )?IP",
        Explanation("addresses", "The subnet or its secondary range is full: give it a larger range."),
    ),
)


def explain(text: str) -> Explanation | None:
    """The explanation of a text of GKE's, or None for one that is not known."""
    return next((found for pattern, found in _EXPLANATIONS if re.search(pattern, text)), None)


def condition_text(document: Json) -> str:
    """What a cluster or node pool says of itself: its status message and its conditions, each once."""
    texts = [document.get("statusMessage") or ""]
    for condition in document.get("conditions") or []:
        code = condition.get("code") or condition.get("canonicalCode") or ""
        message = condition.get("message") or ""
        texts.append(message if code in message else f"[{code}]: {message}" if message else f"[{code}]")
    return "; ".join(dict.fromkeys(text for text in texts if text))


def broken(what: str, document: Json) -> OperationFailed:
    """The failure for an object that GKE itself calls broken; says why and what to do."""
    text = condition_text(document)
    message = f"{what} is {document.get('status')}" + (f": {text}" if text else " and GKE gives no reason")
    return _failure(message, text, status=document.get("status"))


def explained(error: OperationFailed) -> OperationFailed:
    """The same failure with cause and remedy, where nobody has added them yet."""
    if error.details.get("remedy"):
        return error
    return _failure(error.message, error.message, **error.details)


def _failure(message: str, text: str, **details: t.Any) -> OperationFailed:
    found = explain(text)
    if found is None:
        return OperationFailed(message, **details)
    return OperationFailed(f"{message}. {found.remedy}", **{**details, "cause": found.cause, "remedy": found.remedy})
