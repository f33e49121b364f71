# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The seam between Ansible and the cores: one place that builds a module, runs its core and reports."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._errors import CollectionError
from ._naming import from_api
from ._reconcile import Resource, Result, reconcile

Spec = dict[str, t.Any]


def run(core: t.Callable[[AnsibleModule], dict[str, t.Any]], argument_spec: Spec, **rules: t.Any) -> None:
    """The whole of a module's main(): ``core(module)`` returns the result, errors of ours become failures.

    ``rules`` are AnsibleModule's own (mutually_exclusive, required_if...).
    """
    module = AnsibleModule(argument_spec, supports_check_mode=True, **rules)
    try:
        result = core(module)
    except CollectionError as error:
        module.fail_json(msg=error.message, **error.details)
    else:
        module.exit_json(**result)


def run_resource(module: AnsibleModule, noun: str, resource: Resource, desired: dict[str, t.Any]) -> dict[str, t.Any]:
    """Reconcile one object as the module's common options say; the object comes back under ``noun``."""
    result = reconcile(
        resource,
        desired,
        state=module.params["state"],
        check_mode=module.check_mode,
        recreate=bool(module.params.get("recreate")),
    )
    return as_result(module, noun, result)


def as_result(module: AnsibleModule, noun: str, result: Result) -> dict[str, t.Any]:
    answer: dict[str, t.Any] = {
        "changed": result.changed,
        noun: from_api(result.live) if result.live is not None else {},
        "plan": result.plan.as_dict(),
    }
    if result.operation:
        answer["operation"] = from_api(result.operation)
    if module._diff:
        answer["diff"] = {"before": result.before, "after": result.after}
    return answer
