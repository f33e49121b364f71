# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real traffic and real processes: an Envoy per region, a kubelet per cluster."""

from .envoys import EnvoyFleet
from .kubelet import Kubelet

__all__ = ["EnvoyFleet", "Kubelet"]
