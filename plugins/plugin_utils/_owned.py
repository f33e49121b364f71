# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection: it may change in any release.

"""A twin whose module belongs to the playbook's process: option owner_pid, unless the user states another."""

from __future__ import annotations

import os
import typing as t

from ._twin import Twin


class Owned(Twin):
    """A task's worker is a child of the process that plays; on another machine that process has no number."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        if self._connection.transport in ("local", "ansible.builtin.local"):
            self._task.args.setdefault("owner_pid", os.getppid())
        return super().run(tmp, task_vars)
