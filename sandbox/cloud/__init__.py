# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's REST APIs as the collection and gcloud use them, stateful and on loopback."""

from __future__ import annotations

from .app import Cloud

__all__ = ["Cloud"]
