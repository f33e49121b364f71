# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""What a drill needs: somebody who can take over, and the region that is taken away among them."""

from __future__ import annotations

from collections.abc import Iterator

from . import catalogue, names
from .estate import Estate, Problem, Region, listed

NAMED = {
    "cluster": names.CLUSTER,
    "region": names.REGION,
    "location": names.ZONE_OR_REGION,
    "address_name": names.COMPUTE,
}


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    """Only the region that runs the drill is asked."""
    if not estate.uses("failover") or region.host not in estate.config_regions:
        return
    found = region.get("failover_regions")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return
    known = [str(item.get("region")) for item in found]
    primary = region.get("failover_primary")
    if len(set(known)) < 2:
        yield region.problem(
            "failover_regions",
            f"has {listed(known)} alone: the primary must be one of at least two",
            "give a second region that can take over",
            given=None,
        )
    elif primary is not None and primary not in known:
        yield region.problem("failover_primary", "must be one of at least two", f"give one of {', '.join(known)}")
    for index, item in enumerate(found):
        for key, rule in NAMED.items():
            if isinstance(value := item.get(key), str) and not rule.holds(value):
                yield region.problem(("failover_regions", index, key), "is not valid", f"give {rule.wanted}")
        place, location = item.get("region"), str(item.get("location"))
        if known.count(str(place)) > 1:
            yield region.problem(("failover_regions", index, "region"), "is there twice", "list every region once")
        if names.ZONE_OR_REGION.holds(location) and catalogue.region_of(location) != place:
            yield region.problem(
                ("failover_regions", index, "location"), f"is not in {place}", f"give a zone of {place}"
            )
