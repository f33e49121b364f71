# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Why GKE calls an object broken, and what to do about it."""

from __future__ import annotations

import re
import typing as t

from .._errors import OperationFailed
from .._gcp.remedies import remedy_for

Json = dict[str, t.Any]

# What only GKE says; everything else that is known stands in _gcp/remedies.py.
_RULES: tuple[tuple[str, str], ...] = (
    (
        r"(?i)reservation.*(not found|does not exist|not compatible|cannot be used)",
        "the reservation must lie in the pool's zone, hold this machine type and be of specific use; one that another "
        "project shares is named projects/OWNER/reservations/NAME",
    ),
    (
        r"TPUS_PER_TPU_FAMILY|GPUS_ALL_REGIONS",
        "ask for more of this quota (Cloud Console, IAM & Admin, Quotas): TPU chips count per region and family, "
        "spot chips apart, and a GPUS_ALL_REGIONS of 0 stops them all; or ask for fewer chips",
    ),
    (
        r"(?i)compute\.networkAdmin|accelerator.?network.?profile",
        "an accelerator network profile makes networks of its own: grant GKE's service agent "
        "(service-NUMBER@container-engine-robot.iam.gserviceaccount.com) roles/compute.networkAdmin on the project",
    ),
)


def remedy(text: str) -> str:
    """One sentence, or "" when nothing sure can be said."""
    return next((found for pattern, found in _RULES if re.search(pattern, text)), "") or remedy_for(text)


def condition_text(document: Json) -> str:
    """What a cluster or node pool says of itself: its status message and its conditions, each once."""
    texts = [document.get("statusMessage") or ""]
    for condition in document.get("conditions") or []:
        code = condition.get("code") or condition.get("canonicalCode") or ""
        message = condition.get("message") or ""
        texts.append(message if code in message else f"[{code}]: {message}" if message else f"[{code}]")
    return "; ".join(dict.fromkeys(text for text in texts if text))


def state_text(document: Json | None) -> str:
    """One line on where an object stands, for a wait that ran out."""
    if document is None:
        return "it is not there"
    return ": ".join(filter(None, (f"it is {document.get('status')}", condition_text(document))))


def broken(what: str, document: Json, advice: str) -> OperationFailed:
    """The failure for an object that GKE itself calls broken; ``advice`` says how to get rid of it."""
    cause = condition_text(document) or "GKE gives no reason"
    way_out = "; ".join(filter(None, (remedy(cause), advice)))
    return OperationFailed(
        f"{what} is {document.get('status')}: {cause} -- {way_out}",
        cause=cause,
        remedy=way_out,
        status=document.get("status"),
    )


def left_behind(error: OperationFailed, document: Json, advice: str) -> OperationFailed:
    """A failed creation whose object exists all the same."""
    cause = str(error.details.get("cause") or error.message)
    way_out = "; ".join(filter(None, (remedy(cause), advice)))
    text = error.message.split(" -- ")[0]
    return OperationFailed(
        f"{text} -- {way_out}", **{**error.details, "remedy": way_out, "status": document.get("status")}
    )
