# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version a request means, and which versions go together, in GKE's words.

Source of the words: github.com/hashicorp/terraform-provider-google issues 6405, 14389 and 21116.
"""

from __future__ import annotations

from ...catalogue import versions
from ...interfaces import Json
from ..errors import invalid


def channel_of(wanted: str) -> str:
    """The channel that a cluster joins when the request names none: the first that offers the version."""
    order = ("REGULAR", "STABLE", "RAPID", "EXTENDED")
    return next((channel for channel in order if versions.find(channel, wanted)), "REGULAR")


def master(channel: str, wanted: str, *, stated: bool) -> str:
    """The version that is meant; ``stated``: whether the user named the channel. Raises Refusal 400."""
    found = versions.find(channel, wanted)
    if found is None and stated:
        offered = ", ".join(sorted(versions.offered(channel), key=versions.key))
        raise invalid(f'Master version must be one of "{channel}" channel supported versions [{offered}].')
    if found is None:
        raise invalid(f'Master version "{wanted}" is unsupported.')
    return found


def check_upgrade(cluster: Json, wanted: str) -> None:
    """Raises Refusal 400: control planes go forward, one minor version at a time, and never away from their nodes."""
    now = cluster["currentMasterVersion"]
    if versions.key(wanted)[:2] < versions.key(now)[:2]:
        raise invalid(f'Master cannot be downgraded to "{wanted}".')
    if versions.minor(wanted) > versions.minor(now) + 1:
        raise invalid(
            f'Master cannot be upgraded to "{wanted}": cannot upgrade the master more than a minor version at a time.'
        )
    for pool in cluster["nodePools"]:
        if versions.minor(wanted) - versions.minor(pool["version"]) > versions.OLDEST_NODES:
            raise invalid(
                f'Master cannot be upgraded to "{wanted}": node pool "{pool["name"]}" is at "{pool["version"]}", '
                f"and nodes must be within {versions.OLDEST_NODES} minor versions of the master."
            )


def node(cluster: Json, wanted: str, *, upgraded: bool) -> str:
    """The version of a pool; ``upgraded``: its nodes follow the control plane by themselves. Raises Refusal 400."""
    control_plane = str(cluster["currentMasterVersion"])
    if wanted in ("", "-"):
        return control_plane
    found = versions.find(cluster["releaseChannel"].get("channel", ""), wanted) or versions.find("", wanted)
    if found is None:
        raise invalid(f'Node version "{wanted}" is unsupported.')
    if versions.minor(found) > versions.minor(control_plane):
        raise invalid(
            f'Node version "{found}" must not have a greater minor version than master version "{control_plane}".'
        )
    if versions.key(found) > versions.key(control_plane):
        raise invalid(f'Node version "{found}" must not be newer than master version "{control_plane}".')
    age = versions.minor(control_plane) - versions.minor(found)
    if upgraded and age > versions.OLDEST_UPGRADED_NODES:
        raise invalid(
            f'Auto-upgrade is enabled, node version "{found}" must be within one minor version of master version '
            f'"{control_plane}".'
        )
    if age > versions.OLDEST_NODES:
        raise invalid(f'Node version "{found}" must be within two minor versions of master version "{control_plane}".')
    return found
