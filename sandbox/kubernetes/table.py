# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers for ``kubectl get``: meta.k8s.io Table, and objects cut down to their metadata."""

from __future__ import annotations

import datetime
import json
import typing as t

from sandbox.kubernetes.columns import COLUMNS, Cell
from sandbox.kubernetes.requests import Form
from sandbox.kubernetes.resources import Column, ResourceType
from sandbox.kubernetes.selectors import json_path

Json = dict[str, t.Any]

_NAME = {"name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0}
_AGE = Cell("Age", ".metadata.creationTimestamp", "date")


def metadata_only(obj: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def as_table(rt: ResourceType, rows: list[Json], metadata: Json, shape: Form) -> Json:
    """The Table of these objects; dates are written as ages, as kube-apiserver does."""
    columns: t.Sequence[Column | Cell] = rt.columns if rt.custom else COLUMNS.get((rt.group, rt.kind), (_AGE,))
    include = {
        "None": lambda obj: None,
        "Object": lambda obj: obj,
    }.get(shape.include, metadata_only)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{shape.version}",
        "metadata": metadata,
        "columnDefinitions": [_NAME, *(_definition(column) for column in columns)],
        "rows": [
            {"cells": [obj["metadata"]["name"], *(_cell(column, obj) for column in columns)], "object": include(obj)}
            for obj in rows
        ],
    }


def _definition(column: Column | Cell) -> Json:
    kind = "string" if isinstance(column, Cell) and column.type == "date" else column.type
    return {
        "name": column.name,
        "type": kind,
        "format": column.format if isinstance(column, Column) else "",
        "description": (column.description if isinstance(column, Column) else "") or column.name,
        "priority": column.priority,
    }


def _cell(column: Column | Cell, obj: Json) -> t.Any:
    if isinstance(column, Cell) and callable(column.value):
        return column.value(obj)
    path = column.path if isinstance(column, Column) else str(column.value)
    found = json_path(obj, path)
    if not found:
        return "<unknown>" if column.type == "date" and isinstance(column, Cell) else None
    if column.type == "date":
        return age(str(found[0]))
    if column.type in ("integer", "number", "boolean"):
        return found[0]
    texts = [value if isinstance(value, str) else json.dumps(value) for value in found]
    return ",".join(texts)


def age(timestamp: str) -> str:
    """How long ago, in the two largest units that matter: 45s, 3m20s, 12m, 5h10m, 3d4h, 40d, 2y."""
    try:
        then = datetime.datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return duration((datetime.datetime.now(datetime.UTC) - then).total_seconds())


def duration(seconds: float) -> str:
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"
