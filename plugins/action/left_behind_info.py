# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.aiserving.gke.plugins.modules.left_behind_info import MODULE
from ansible_collections.aiserving.gke.plugins.plugin_utils._twin import Twin


class ActionModule(Twin):
    module = MODULE
