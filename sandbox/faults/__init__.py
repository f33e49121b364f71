# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures on request: the kinds of them, and the book of those in force."""

from ..interfaces import Hit, Place
from .book import BadFault, Fault, Faults
from .kinds import KINDS, Kind

__all__ = ["KINDS", "BadFault", "Fault", "Faults", "Hit", "Kind", "Place"]
