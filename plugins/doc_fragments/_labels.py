# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the option of modules whose objects have labels."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  purge_labels:
    description:
      - Whether labels that are not stated are removed. An empty dictionary then removes all of them; a map of labels
        that is not stated at all is left alone.
      - Labels that Google sets by itself, such as C(goog-fleet-project), always stay.
    type: bool
    default: false
    version_added: 1.1.0
"""
