# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What compute refuses in any kind of resource, and how it says so."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...catalogue.places import is_region, is_zone
from .. import labels
from ..errors import Refusal, invalid, not_found

NAME = re.compile(r"(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)")
LONGEST_DESCRIPTION = 2048  # characters


def wrong(field: str, value: object, why: str = "") -> Refusal:
    return invalid(f"Invalid value for field 'resource.{field}': '{value}'. {why}".rstrip(), reason="invalid")


def required(field: str) -> Refusal:
    return invalid(f"Required field 'resource.{field}' not specified", reason="required")


def missing(resource: str) -> Refusal:
    return not_found(f"The resource '{resource}' was not found")


def in_use(noun: str, resource: str, user: str, *, later: bool = False) -> Refusal:
    """``noun``: as the API's fields are spelled, "backendService"; ``later``: an operation ends in it."""
    spelled = re.sub(r"(?<!^)([A-Z])", r"_\1", noun).lower()
    reason = "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE" if later else "resourceInUseByAnotherResource"
    return invalid(f"The {spelled} resource '{resource}' is already being used by '{user}'", reason=reason)


def check_place(scope: str, name: str) -> None:
    """``scope``: "global", "regions" or "zones"; ``name``: of the region or zone."""
    known = {"regions": is_region, "zones": is_zone}.get(scope)
    if known and not known(name):
        raise invalid(f"Invalid value for field '{scope[:-1]}': '{name}'. Unknown {scope[:-1]}.", reason="invalid")


def check_name(name: str, field: str = "name") -> None:
    if not NAME.fullmatch(name):
        raise wrong(field, name, f"Must be a match of regex '{NAME.pattern}'")


def check_within(field: str, value: int, least: int, most: int) -> None:
    if value < least:
        raise wrong(field, value, f"Must be greater than or equal to {least}")
    if value > most:
        raise wrong(field, value, f"Must be less than or equal to {most}")


def check_one_of(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise wrong(field, value, f"Must be one of [{', '.join(choices)}].")


def check_description(text: str) -> None:
    if len(text) > LONGEST_DESCRIPTION:
        raise wrong("description", text, f"Must be at most {LONGEST_DESCRIPTION} characters long.")


def check_labels(given: Mapping[str, str]) -> None:
    if why := labels.fault(given):
        raise wrong("labels", "", why)
