# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.aiserving.gke.plugins.module_utils._inventory.judge import (
    as_result,
    judge,
    needed,
    ours,
    verdict,
)
from ansible_collections.aiserving.gke.plugins.plugin_utils._estate import ROLES, read

Json = dict[str, t.Any]

SPEC: Json = {
    "group": {"type": "str", "default": "regions"},
    "config_group": {"type": "str", "default": "config_region"},
    "roles": {"type": "list", "elements": "str", "choices": list(ROLES), "default": list(ROLES)},
    "zones": {"type": "dict", "default": {}},
}

display = Display()


class ActionModule(ActionBase):
    """Reads variables of the controller's, so it is no module and needs no connection."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        self._load_name = self._task.resolved_action
        _validated, options = self.validate_argument_spec(SPEC)
        estate = read(self._task, task_vars or {}, self._loader, options)
        if not estate.regions:
            return {**result, "failed": True, "msg": needed(estate), "problems": [], "regions": []}
        problems, left_out = ours(judge(estate), estate)
        for problem in left_out:
            display.warning(f"Left out by --limit, and wrong: {problem}")
        result |= {
            "changed": False,
            "problems": [as_result(problem) for problem in problems],
            "regions": [region.host for region in estate.regions],
        }
        return {**result, "failed": True, "msg": verdict(problems)} if problems else result
