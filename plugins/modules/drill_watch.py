#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_watch
short_description: Wait until a service under load has settled
version_added: 1.0.0
description:
  - Reads the records of a running M(aiserving.gke.inference_probe) and returns once every request of the
    last O(stable) seconds succeeded, at every target, and the expected regions served them.
  - Changes nothing.
author: aiserving.gke contributors (@aiserving)
extends_documentation_fragment:
  - aiserving.gke._attributes
attributes:
  check_mode:
    support: full
    details: In check mode it does not wait.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  records:
    description: The file that the load writes.
    type: path
    required: true
  expected:
    description:
      - The targets to watch, each with the regions that must serve it.
      - An empty list accepts any region.
    type: dict
    required: true
  share:
    description: The part of a target's answers (0 to 1) that must come from those regions.
    type: float
    default: 0.5
  stable:
    description: Seconds without a lost request.
    type: float
    default: 5
  since:
    description: Only what started after this moment counts, in seconds since the epoch; now, if not given.
    type: float
  timeout:
    description: Seconds after which it gives up.
    type: float
    default: 300
  fail:
    description: Whether giving up is a failure of the task.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Wait for ten quiet seconds before breaking anything
  aiserving.gke.drill_watch:
    records: /tmp/drill/records.jsonl
    expected:
      us-east5: [us-east5]
      europe-west4: [europe-west4]
    stable: 10

- name: Wait until the other region has taken over
  aiserving.gke.drill_watch:
    records: /tmp/drill/records.jsonl
    expected:
      us-east5: [europe-west4]
      europe-west4: [europe-west4]
    since: "{{ fault.applied_at }}"
    timeout: 120
    fail: false
  register: recovery

- name: Wait until all is served again, by whichever region
  aiserving.gke.drill_watch:
    records: /tmp/drill/records.jsonl
    expected:
      us-east5: []
"""

RETURN = r"""
settled:
  description: Whether the service settled in time.
  type: bool
  returned: always
missing:
  description: What was missing still when it gave up.
  type: str
  returned: always
  sample: "us-east5: 12 of 40 requests failed, the last with 503 no healthy upstream"
"""

import time
import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._drill import plan
from ansible_collections.aiserving.gke.plugins.module_utils._drill.records import Tail
from ansible_collections.aiserving.gke.plugins.module_utils._drill.watch import Settled
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption, WaitTimeout
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module
from ansible_collections.aiserving.gke.plugins.module_utils._wait import Backoff, wait_for


def watch(call: Call) -> dict[str, t.Any]:
    params = call.params
    plan.insist(params, "share", "stable", "timeout")
    for target, regions in params["expected"].items():
        if not isinstance(regions, list):
            raise InvalidOption(f"expected.{target}", regions, "give a list of regions")
    if call.check_mode:
        return {"changed": False, "settled": False, "missing": "not watched in check mode"}
    condition = Settled(params["expected"], stable=params["stable"], share=params["share"])
    tail = Tail(params["records"])
    since = params["since"] if params["since"] is not None else time.time()
    try:
        wait_for(
            lambda: condition.judge(tail.look(), since=since, now=time.time()),
            lambda missing: not missing,
            timeout=params["timeout"],
            what="the service to settle",
            why=str,
            backoff=Backoff(first=0.25, factor=1, cap=0.25, jitter=0),
        )
    except WaitTimeout as error:
        if params["fail"]:
            raise
        return {"changed": False, "settled": False, "missing": error.details["last"]}
    return {"changed": False, "settled": True, "missing": ""}


MODULE = Module(
    watch,
    {
        "records": {"type": "path", "required": True},
        "expected": {"type": "dict", "required": True},
        "share": {"type": "float", "default": 0.5},
        "stable": {"type": "float", "default": 5},
        "since": {"type": "float"},
        "timeout": {"type": "float", "default": 300},
        "fail": {"type": "bool", "default": True},
    },
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
