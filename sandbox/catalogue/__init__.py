# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this Google Cloud sells, and where: data, each table and entry with its source.

Every part of the sandbox may import it: the cloud judges by it and lists it, the controllers make nodes of it.
"""

from __future__ import annotations
