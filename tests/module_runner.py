# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module of the collection in this process, as ansible-core would call it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import typing as t
from collections.abc import Mapping
from unittest import mock

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args


class ModuleFailed(Exception):
    """The module called fail_json; ``result`` is what it returned."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        super().__init__(result.get("msg"))
        self.result = result


def run_module(name: str, args: Mapping[str, t.Any], *, check: bool = False, diff: bool = False) -> dict[str, t.Any]:
    """Run aiserving.gke.``name``; return its result. Raises ModuleFailed."""
    module = importlib.import_module(f"ansible_collections.aiserving.gke.plugins.modules.{name}")
    printed = io.StringIO()
    given = {**args, "_ansible_check_mode": check, "_ansible_diff": diff}
    warnings: list[str] = []
    # In a process that has loaded controller code too, ansible-core would print them instead.
    told = mock.patch.object(AnsibleModule, "warn", lambda _module, warning: warnings.append(warning))
    with told, patch_module_args(given), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        module.main()
    result: dict[str, t.Any] = {**json.loads(printed.getvalue()), "warnings": warnings}
    if result.get("failed"):
        raise ModuleFailed(result)
    return result
