# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compute v1: networks and what hangs on them, and the instance groups of node pools."""

from __future__ import annotations

from .groups import name_of as group_name
from .links import LINK, full_link, lookup, reference
from .networks import subnetworks
from .offers import Offers
from .reservations import count_used, nodes_of, reservation
from .service import Compute

__all__ = [
    "LINK",
    "Compute",
    "Offers",
    "count_used",
    "full_link",
    "group_name",
    "lookup",
    "nodes_of",
    "reference",
    "reservation",
    "subnetworks",
]
