# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What a user can do about the failures that Google Cloud is known for."""

from __future__ import annotations

import re

# The first rule that fits (status or reason exactly, or a pattern in the text) wins.
_RULES: tuple[tuple[str, str], ...] = (
    (
        r"GCE_STOCKOUT|ZONE_RESOURCE_POOL_EXHAUSTED|does not have enough resources available",
        "the zone has no capacity of this kind now: use a reservation, another zone, spot or flex_start, "
        "or run again later",
    ),
    (
        r"GCE_QUOTA_EXCEEDED|QUOTA_EXCEEDED|quotaExceeded|[Qq]uota '?\w+'? exceeded|[Ii]nsufficient regional quota"
        r"|[Qq]uota exceeded for",
        "ask for more of this quota (Cloud Console, IAM & Admin, Quotas), or use less of it",
    ),
    (r"Insufficient reserved capacity", "the reservation is used up or does not match: check its size, zone and type"),
    (
        r"SERVICE_DISABLED|accessNotConfigured",
        "enable the API with the module aiserving.gke.service; a new enablement takes a minute or two to be seen",
    ),
    (
        r"Identity Pool does not exist|service agent is (still )?being (created|replicated)",
        "what Google creates in the background is not there yet: run again in a minute",
    ),
    (r"UNAUTHENTICATED", "the credentials are missing, wrong or expired: check auth_kind and its options"),
    (
        r"NODE_SERVICE_ACCOUNT_MISSING_PERMISSIONS",
        "grant the nodes' service account roles/container.defaultNodeServiceAccount",
    ),
    (r"GKE_SERVICE_ACCOUNT_DELETED", "GKE's service agent has been deleted: restore it, then run again"),
    (r"PERMISSION_DENIED|PERMISSIONS_ERROR", "grant the caller the permission that the message names"),
    (r"resourceInUseByAnotherResource|RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "remove what uses it first"),
    (r"IP_SPACE_EXHAUSTED", "the subnetwork has no free addresses: expand its range"),
)


def remedy_for(text: str, *, status: str = "", reason: str = "") -> str:
    """What to do about an error with this text, canonical status and reason; "" when nothing sure can be said."""
    haystack = f"{reason} {status} {text}"
    return next((remedy for pattern, remedy in _RULES if re.search(pattern, haystack)), "")
