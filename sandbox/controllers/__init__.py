# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of GKE that turns objects into a service, speaking only the Kubernetes API and reading the cloud."""

from .cluster import ClusterControllers
from .fleet import FleetControllers

__all__ = ["ClusterControllers", "FleetControllers"]
