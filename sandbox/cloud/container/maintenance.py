# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance policies: when GKE may maintain a cluster, and what it does not let a policy forbid.

Source: https://cloud.google.com/kubernetes-engine/docs/concepts/maintenance-windows-and-exclusions
"""

from __future__ import annotations

import copy
import datetime
import hashlib
import re

from ...interfaces import Json
from ..errors import invalid

SPAN = 32  # days in which there must be 48 hours
LEAST = datetime.timedelta(hours=48)
SHORTEST = datetime.timedelta(hours=4)  # of a window that counts
LONGEST_EXCLUSION = datetime.timedelta(days=30)  # of all upgrades
MOST_EXCLUSIONS, MOST_FULL_EXCLUSIONS = 20, 3
FULL = ("NO_UPGRADES", None)
DAY = re.compile(r"(-?\d)?(MO|TU|WE|TH|FR|SA|SU)")
TOO_LITTLE = "maintenance policy would go longer than 32d without 48h maintenance availability"


def policy(given: Json) -> Json:
    """The policy as it is kept. Raises Refusal 400."""
    kept: Json = {key: copy.deepcopy(value) for key, value in given.items() if key != "resourceVersion" and value}
    window = kept.get("window", {})
    if daily := window.get("dailyMaintenanceWindow"):
        if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", daily.get("startTime", "")):
            raise invalid(f'Invalid maintenance window start time "{daily.get("startTime", "")}": it must be HH:MM.')
        daily["duration"] = "PT4H0M0S"
    if recurring := window.get("recurringWindow"):
        _check_recurring(recurring)
    _check_exclusions(window.get("maintenanceExclusions", {}))
    return {**kept, "resourceVersion": hashlib.sha256(repr(kept).encode()).hexdigest()[:8]}


def _check_recurring(given: Json) -> None:
    length = _length(given.get("window", {}), "maintenance window")
    if length * occurrences(given.get("recurrence", "")) < LEAST or length < SHORTEST:
        raise invalid(TOO_LITTLE)


def occurrences(rule: str) -> int:
    """How often an RFC 5545 rule lets a window come in any 32 days, at least. Raises Refusal 400."""
    parts = dict(part.partition("=")[::2] for part in rule.removeprefix("RRULE:").split(";"))
    days = [day for day in parts.get("BYDAY", "").split(",") if day]
    step = parts.get("INTERVAL", "1")
    good = all(DAY.fullmatch(day) for day in days) and step.isdigit() and int(step) > 0
    if not good or parts.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY"):
        raise invalid(f'Invalid maintenance window recurrence "{rule}".')
    if parts["FREQ"] == "DAILY":
        return SPAN // int(step) if not days else SPAN // 7 * len(days)
    if parts["FREQ"] == "WEEKLY":
        return SPAN // 7 // int(step) * max(len(days), 1)
    return max(len(days), 1) if step == "1" else 0


def _check_exclusions(given: Json) -> None:
    full = 0
    for name, exclusion in given.items():
        length = _length(exclusion, f'maintenance exclusion "{name}"')
        if exclusion.get("maintenanceExclusionOptions", {}).get("scope") in FULL:
            full += 1
            if length > LONGEST_EXCLUSION:
                raise invalid(TOO_LITTLE)
    # Words: gcloud's output in public guides.
    if full > MOST_FULL_EXCLUSIONS:
        raise invalid(f"Number of active maintenance exclusions exceeds limit ({MOST_FULL_EXCLUSIONS}).")
    if len(given) > MOST_EXCLUSIONS:
        raise invalid(f"Number of total maintenance exclusions exceeds limit ({MOST_EXCLUSIONS}).")


def _length(given: Json, what: str) -> datetime.timedelta:
    try:
        start, end = (datetime.datetime.fromisoformat(given[key]) for key in ("startTime", "endTime"))
        length = end - start
    except (KeyError, ValueError, TypeError) as error:
        raise invalid(f"The {what} needs a start time and an end time.") from error
    if length <= datetime.timedelta(0):
        raise invalid(f"The {what} must end after it starts.")
    return length
