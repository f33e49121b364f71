# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CustomResourceDefinitions that GKE brings."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]


def shipped(gke_version: str) -> list[Json]:
    """What GKE installs on a cluster whose gatewayApiConfig.channel is CHANNEL_STANDARD."""
    return []


def config_cluster() -> list[Json]:
    """What only the fleet's config cluster has."""
    return []


def validate_rules(kind: str, obj: Json) -> list[str]:
    """Causes of the CEL rules that ``obj`` breaks."""
    return []
