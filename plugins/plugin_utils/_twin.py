# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This plugin util is PRIVATE to the collection: it may change in any release.

"""The other way to run a module of the collection: its core, in the controller's own process.

A module costs a new Python, an archive and the import of Google's and Kubernetes'
libraries for every task and host. The work is calls of remote APIs from wherever
the task runs, so with a local connection it can as well happen here: the
strategy loads an action plugin before it forks, and every worker inherits what
was imported. Results, check mode, diff and defaults are the same on both ways.
"""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._call import Call
from ..module_utils._errors import CollectionError, MissingLibrary
from ..module_utils._module import Module
from ..module_utils._wait import telling

Json = dict[str, t.Any]

# A variable that sends every task to the module: to debug it, or to measure what the twin saves.
SWITCH = "aiserving_in_process"

display = Display()


class Twin(ActionBase):
    """Base of the action plugins; a subclass names its ``module``."""

    module: Module
    _supports_async = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        if self._elsewhere(task_vars or {}):
            return {**result, **self._as_module(task_vars)}
        self._load_name = self._task.resolved_action  # what messages about options call the module
        validated, params = self.validate_argument_spec(self.module.argument_spec, **self.module.rules)
        hidden = validated._no_log_values
        host = (task_vars or {}).get("inventory_hostname", "localhost")

        def warn(message: str) -> None:
            display.warning(remove_values(message, hidden))

        def tell(line: str) -> None:
            # A worker's lines go through its parent, so they are seen while the task runs. Its banner may not have
            # been: ansible-core keeps it until a host has a result where display_skipped_hosts is false.
            if not self._task.no_log:
                display.display(f"[{host}] {self._task.get_name()}: {remove_values(line, hidden)}")

        call = Call(plain(params), check_mode=self._task.check_mode, diff=self._task.diff, warn=warn)
        try:
            with telling(tell):
                answer = self.module.core(call)
        except MissingLibrary as error:
            display.vv(f"{error.message} in the controller's Python; {self._task.action} runs as a module")
            return {**result, **self._as_module(task_vars)}
        except CollectionError as error:
            answer = {"failed": True, "msg": error.message, **error.details}
        # By way of JSON, as from a module: what is registered must not depend on the way it took.
        return {**result, **json.loads(json.dumps(remove_values(answer, hidden), default=str))}

    def _elsewhere(self, task_vars: Json) -> bool:
        """Whether the task asks for something that only a process of its own can give."""
        return bool(
            self._task.async_val
            or self._connection.transport not in ("local", "ansible.builtin.local")
            or self._connection.become
            or any(self._task.environment or ())
            or not boolean(self._templar.template(task_vars.get(SWITCH, True)))
        )

    def _as_module(self, task_vars: Json | None) -> Json:
        return t.cast(Json, self._execute_module(task_vars=task_vars, wrap_async=bool(self._task.async_val)))


def plain(value: t.Any) -> t.Any:
    """Only JSON's own types. ansible-core's subclasses carry where a value came from, and decrypt vaulted text late."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)
