# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gkehub v1: fleets, memberships and features."""

from __future__ import annotations

from .features import Features
from .fleets import Fleets
from .memberships import Memberships
from .service import GkeHub

__all__ = ["Features", "Fleets", "GkeHub", "Memberships"]
