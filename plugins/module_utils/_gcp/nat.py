# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Cloud NAT: one entry in the list ``nats`` of a Cloud Router, which is made when it is missing."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Sequence

from .._errors import Conflict, InvalidOption
from .._reconcile import Change, Field, Json, same_link, same_stated
from .compute import ComputeObject, Params, link
from .connect import Gcp

# Marks the routers that this module made, which are the only ones it removes.
MADE_HERE = "Made by aiserving.gke.router_nat"

# What a new NAT must state.
DEFAULTS = {"natIpAllocateOption": "AUTO_ONLY", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}


def same_links(desired: t.Any, live: t.Any) -> bool:
    live = live or []
    return len(desired) == len(live) and all(any(same_link(want, have) for have in live) for want in desired)


def same_subnetworks(desired: t.Any, live: t.Any) -> bool:
    """Subnetworks by link, in any order; their kinds of ranges in any order too."""
    live = live or []

    def same_one(want: Json, have: Json) -> bool:
        kinds = "sourceIpRangesToNat"
        names = "secondaryIpRangeNames"
        return (
            same_link(want["name"], have.get("name"))
            and set(want.get(kinds) or ()) == set(have.get(kinds) or ())
            and set(want.get(names) or ()) == set(have.get(names) or ())
        )

    return len(desired) == len(live) and all(any(same_one(want, have) for have in live) for want in desired)


class RouterNat(ComputeObject):
    """``get`` answers the NAT's entry with the router's name, network and region beside it."""

    kind = "NAT"
    collection = "routers"
    options = (
        "nat_ip_allocate_option",
        "nat_ips",
        "source_subnetwork_ip_ranges_to_nat",
        "subnetworks",
        "min_ports_per_vm",
        "max_ports_per_vm",
        "enable_dynamic_port_allocation",
        "log_config",
    )
    fields: Sequence[Field] = (
        Field("network", same=same_link),
        Field("nat_ip_allocate_option", "patch"),
        Field("nat_ips", "patch", same_links),
        Field("source_subnetwork_ip_ranges_to_nat", "patch"),
        Field("subnetworks", "patch", same_subnetworks),
        Field("min_ports_per_vm", "patch"),
        Field("max_ports_per_vm", "patch"),
        Field("enable_dynamic_port_allocation", "patch"),
        Field("log_config", "patch", same_stated),
    )

    def __init__(self, gcp: Gcp, params: Params) -> None:
        super().__init__(gcp, params)
        self.router: str = params["router"]
        self.path = f"{self._scope}/{self.collection}/{self.router}"

    def desired(self) -> Json:
        body = super().desired()
        region = f"regions/{self.region}"
        if self._params["network"]:
            body["network"] = link(self.project, "global/networks", self._params["network"])
        if "natIps" in body:
            body["natIps"] = [link(self.project, f"{region}/addresses", value) for value in body["natIps"]]
        for item in body.get("subnetworks") or ():
            item["name"] = link(self.project, f"{region}/subnetworks", item["name"])
        return {"router": self.router, **body}

    def get(self) -> Json | None:
        router = super().get()
        entry = self._entry(router)
        if router is None or entry is None:
            return None
        beside: Json = {key: router[key] for key in ("network", "region") if key in router}
        return {**entry, **beside, "router": self.router}

    def create(self, desired: Json) -> Json | None:
        router = self._rest.find(self.path)
        entry = {**DEFAULTS, **_entry_of(desired)}
        if "logConfig" in entry:
            entry["logConfig"] = {"filter": "ALL", **entry["logConfig"]}
        if router is None:
            try:
                return self._create_router(desired, entry)
            except Conflict:
                # Another run has made the router for a NAT of its own, or for this one.
                router = super().get()
                if router is None or self._entry(router) is not None:
                    raise
        if "network" in desired and not same_link(desired["network"], router.get("network")):
            raise InvalidOption(
                "network", self._params["network"], f"router {self.router} is in {router.get('network')}"
            )

        def added(nats: list[Json]) -> list[Json]:
            if any(nat["name"] == self.name for nat in nats):
                raise Conflict(f"router {self.router} has a NAT {self.name} by now", code=409, status="ALREADY_EXISTS")
            return [*nats, entry]

        return self._patch(added, entry, "create")

    def _create_router(self, desired: Json, entry: Json) -> Json | None:
        if "network" not in desired:
            raise InvalidOption("network", None, f"there is no router {self.router}: name the network to make it in")
        body = {
            "name": self.router,
            "description": MADE_HERE,
            "network": desired["network"],
            "region": f"projects/{self.project}/regions/{self.region}",
            "nats": [entry],
        }
        return self._write("POST", f"{self._scope}/routers", body, "create", self._is_there)

    def update(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> Json | None:
        stated = _entry_of(desired)
        if "logConfig" in stated:
            stated["logConfig"] = {**(live.get("logConfig") or {}), **stated["logConfig"]}
        return self._patch(
            lambda nats: [{**nat, **stated} if nat["name"] == self.name else nat for nat in nats], stated, "update"
        )

    def delete(self, live: Json) -> Json | None:
        router = self._rest.find(self.path)
        if router is None:
            return None
        others = [nat for nat in router.get("nats") or [] if nat["name"] != self.name]
        unused = not (others or router.get("bgpPeers") or router.get("interfaces"))
        if unused and router.get("description") == MADE_HERE:
            return super().delete(router)
        return self._patch(lambda nats: [nat for nat in nats if nat["name"] != self.name], None, "delete")

    def _patch(self, edit: Callable[[list[Json]], list[Json]], entry: Json | None, does: str) -> Json | None:
        """Edit the list as it is at the moment of the request, since others edit it too; ``entry``: ours afterwards."""

        def body() -> Json:
            return {"nats": edit(self._rest.get(self.path).get("nats") or [])}

        def landed() -> Json | None:
            now = self._entry(self._rest.find(self.path))
            return {} if (now is None if entry is None else same_stated(entry, now)) else None

        return self._write("PATCH", self.path, body, does, landed)

    def _entry(self, router: Json | None) -> Json | None:
        nats = (router or {}).get("nats") or []
        return next((nat for nat in nats if nat["name"] == self.name), None)

    def _is_there(self) -> Json | None:
        return {} if self._entry(self._rest.find(self.path)) is not None else None


def _entry_of(desired: Json) -> Json:
    """The NAT's own part of the document."""
    return {key: value for key, value in desired.items() if key not in ("router", "network")}
