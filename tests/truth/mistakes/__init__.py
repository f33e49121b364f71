# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Google refuses, as data: a table per service, each entry with its source."""

from __future__ import annotations

import dataclasses
import typing as t

Json = dict[str, t.Any]
# (HTTP method, path below the cloud's root with {project}, body)
Step = tuple[str, str, Json | None]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One mistake and its refusal.

    ``kind``: what is counted together, at most ten of each; ``source``: how it is known that Google refuses it;
    ``steps``: the last is the mistake, those before prepare it, their operations awaited. ``code``: the HTTP status,
    0 where an operation ends in the error; ``status``, ``reason``: as Google names them, "" where they are not
    compared; ``message``: a regular expression.
    """

    name: str
    kind: str
    source: str
    steps: tuple[Step, ...]
    code: int
    status: str
    reason: str
    message: str
