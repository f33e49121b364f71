# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection that is not called local: to the controller, this machine is another one."""

from __future__ import annotations

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: bastion
short_description: this machine as if it were another one
description: [For tests of what runs where.]
author: aiserving.gke contributors (@aiserving)
options:
  pipelining: {default: false, type: boolean, description: Not used.}
"""


class Connection(Local):
    transport = "bastion"
