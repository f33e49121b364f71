# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three patches of Kubernetes."""

from __future__ import annotations

import typing as t

from sandbox.kubernetes.schema import Schema

Json = dict[str, t.Any]


def json_patch(obj: Json, ops: list[Json]) -> Json:
    return obj


def merge_patch(obj: t.Any, patch: t.Any) -> t.Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge(obj: Json, patch: Json, schema: Schema) -> Json:
    return t.cast(Json, merge_patch(obj, patch))
