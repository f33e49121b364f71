# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options of modules that wait; a module states its own default of wait_timeout."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the change is complete.
      - With V(false) the module returns as soon as Google has accepted the change, and returns the operation
        where there is one.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for each operation.
    type: int
"""
