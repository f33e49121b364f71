# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-side apply."""

from __future__ import annotations

import typing as t

from sandbox.kubernetes.patch import merge_patch
from sandbox.kubernetes.schema import Schema

Json = dict[str, t.Any]


def server_side_apply(
    live: Json | None, config: Json, *, manager: str, force: bool, schema: Schema, subresource: str = "", now: str
) -> Json:
    return t.cast(Json, merge_patch(live or {}, config))


def track_update(live: Json | None, new: Json, *, manager: str, schema: Schema, subresource: str, now: str) -> Json:
    return new
