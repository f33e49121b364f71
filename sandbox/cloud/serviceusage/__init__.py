# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""serviceusage v1: which APIs are on."""

from __future__ import annotations

from .service import ServiceUsage

__all__ = ["ServiceUsage"]
