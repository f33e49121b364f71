# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compute v1: networks and what hangs on them, and what GKE makes: instances, load balancers."""

from __future__ import annotations

from .balancing import LoadBalancers
from .links import LINK, full_link, lookup, reference
from .networks import subnetworks
from .offers import Offers
from .reservations import count_used, nodes_of, reservation
from .service import Compute

__all__ = [
    "LINK",
    "Compute",
    "LoadBalancers",
    "Offers",
    "count_used",
    "full_link",
    "lookup",
    "nodes_of",
    "reference",
    "reservation",
    "subnetworks",
]
