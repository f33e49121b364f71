# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Options are snake_case, Google's JSON is camelCase; maps of the user's own keys stay as they are."""

from __future__ import annotations

import re
import typing as t

# Maps whose keys belong to the user, so they are never respelled.
OPAQUE = frozenset({"labels", "resourceLabels", "metadata", "annotations", "matchLabels"})

# Keys that Google spells against its own rule (compute v1 firewalls).
IRREGULAR = {"ip_protocol": "IPProtocol"}
_IRREGULAR_BACK = {camel: snake for snake, camel in IRREGULAR.items()}


def camel(name: str) -> str:
    if name in IRREGULAR:
        return IRREGULAR[name]
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def snake(name: str) -> str:
    if name in _IRREGULAR_BACK:
        return _IRREGULAR_BACK[name]
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found.group(1).lower(), name)


def to_api(value: t.Any) -> t.Any:
    """Options as the API's JSON: keys respelled, what the user left unset (None) dropped at every depth."""
    return _respell(value, camel)


def from_api(value: t.Any) -> t.Any:
    """The API's JSON as module results spell it."""
    return _respell(value, snake)


def _respell(value: t.Any, spell: t.Callable[[str], str]) -> t.Any:
    if isinstance(value, dict):
        return {
            spell(key): (item if camel(key) in OPAQUE else _respell(item, spell))
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, (list, tuple)):
        return [_respell(item, spell) for item in value]
    return value
