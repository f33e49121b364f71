# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The seam between Ansible and the cores: what a module is, and how it runs as a process of its own.

The other way to run it, inside the controller, is plugin_utils/_twin.py.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._call import Call
from ._errors import CollectionError, MissingLibrary

Json = dict[str, t.Any]
Core = t.Callable[[Call], Json]


class Module:
    """A core with its options. ``rules`` are AnsibleModule's own (mutually_exclusive, required_if...)."""

    def __init__(self, core: Core, argument_spec: Json, **rules: t.Any) -> None:
        self.core = core
        self.argument_spec = argument_spec
        self.rules = rules

    def main(self) -> None:
        """The whole of a module's main(): errors of ours become failures."""
        module = AnsibleModule(self.argument_spec, supports_check_mode=True, **self.rules)
        call = Call(module.params, check_mode=module.check_mode, diff=module._diff, warn=module.warn)
        try:
            result = self.core(call)
        except MissingLibrary as error:
            module.fail_json(msg=missing_required_lib(error.library), **error.details)
        except CollectionError as error:
            module.fail_json(msg=error.message, **error.details)
        else:
            module.exit_json(**result)
