# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""container v1: clusters and node pools."""

from __future__ import annotations

from .clusters import rendered
from .pool_service import NodePools
from .service import Container

__all__ = ["Container", "NodePools", "rendered"]
