# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what a module supports; each module states its support."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict its result without changing anything.
  diff_mode:
    description: Returns what has changed, or would change, when run in diff mode.
  idempotent:
    description: Run again with the same options, it changes nothing and says so.
"""

    # For the modules of the action group, whose options module_defaults can set once for all.
    ACTIONGROUP_GCP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/aiserving.gke.gcp) in C(module_defaults) to set options of all these modules at once.
    support: full
    membership:
      - aiserving.gke.gcp
"""
