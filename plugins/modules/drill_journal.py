#!/usr/bin/python
# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_journal
short_description: Keep the undo journal of a failover drill
version_added: 1.0.0
description:
  - The journal is written before a fault and removed once everything is restored. While it exists, a drill
    has not been undone, and it alone says how.
author: aiserving.gke contributors (@aiserving)
extends_documentation_fragment:
  - aiserving.gke._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: Opening a journal while another is open fails, since the earlier drill must be restored first.
options:
  path:
    description: The journal's file; it is written with mode 0600.
    type: path
    required: true
  state:
    description:
      - V(open) writes the journal, V(closed) removes it, V(read) only reads it.
    type: str
    choices: [open, closed, read]
    default: read
  entries:
    description: What undoes the drill, for O(state=open); kept as given.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Write down how to undo the fault
  aiserving.gke.drill_journal:
    path: reports/undo.json
    state: open
    entries:
      - {kind: Deployment, name: gemma-3-27b-it, namespace: inference, replicas: 1}

- name: See whether an earlier drill was left undone
  aiserving.gke.drill_journal:
    path: reports/undo.json
  register: journal

- name: Note that all is restored
  aiserving.gke.drill_journal:
    path: reports/undo.json
    state: closed
"""

RETURN = r"""
is_open:
  description: Whether a journal is open now.
  type: bool
  returned: always
entries:
  description: What undoes the open drill.
  type: list
  elements: dict
  returned: always
began:
  description: When the journal was opened, in seconds since the epoch.
  type: float
  returned: when a journal is open
"""

import time
import typing as t

from ansible_collections.aiserving.gke.plugins.module_utils._call import Call
from ansible_collections.aiserving.gke.plugins.module_utils._drill import journal
from ansible_collections.aiserving.gke.plugins.module_utils._module import Module


def keep(call: Call) -> dict[str, t.Any]:
    params = call.params
    path, changed = params["path"], False
    known = journal.read(path)
    if params["state"] == "open":
        changed = True
        if not call.check_mode:
            known = journal.write(path, params["entries"], time.time())
    elif params["state"] == "closed":
        changed = known is not None if call.check_mode else journal.close(path)
        known = None
    result: dict[str, t.Any] = {"changed": changed, "is_open": known is not None, "entries": []}
    return {**result, **(known or {})}


MODULE = Module(
    keep,
    {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["open", "closed", "read"], "default": "read"},
        "entries": {"type": "list", "elements": "dict"},
    },
    required_if=[("state", "open", ["entries"])],
)


def main() -> None:
    MODULE.main()


if __name__ == "__main__":
    main()
