# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The objects of a network: the network itself, subnetworks, firewall rules, addresses."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Sequence

from .._errors import ImmutableField, InvalidOption
from .._reconcile import Change, Field, Json, Labels, same_link, same_set, same_stated
from .compute import ComputeObject, Params, link
from .connect import Gcp


class Network(ComputeObject):
    kind = "network"
    collection = "networks"
    options = (
        "description",
        "auto_create_subnetworks",
        "mtu",
        "routing_config",
        "network_firewall_policy_enforcement_order",
    )

    def __init__(self, gcp: Gcp, params: Params) -> None:
        super().__init__(gcp, params)
        # Google turns an auto mode network into a custom one, never the other way round.
        to_custom = None if params["auto_create_subnetworks"] else "switchToCustomMode"
        self.fields: Sequence[Field] = (
            Field("auto_create_subnetworks", to_custom),
            Field("routing_config", "patch"),
            Field("mtu", "patch"),
            Field("network_firewall_policy_enforcement_order", "patch"),
            Field("description"),
        )

    def create(self, desired: Json) -> Json | None:
        return super().create({"autoCreateSubnetworks": False, **desired})

    def request_of(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> tuple[str, str, Json]:
        if call == "switchToCustomMode":
            return "POST", f"{self.path}/switchToCustomMode", {}
        return super().request_of(call, changes, desired, live)


def same_range(desired: t.Any, live: t.Any) -> bool:
    """A subnetwork's range only ever grows. Raises ImmutableField for any other difference."""
    if live is None or desired == live:
        return bool(desired == live)
    want, have = ipaddress.ip_network(desired), ipaddress.ip_network(live)
    if want.version != have.version or not have.subnet_of(want):  # type: ignore[arg-type]
        raise ImmutableField(
            f"ip_cidr_range: a subnetwork's range can only be expanded: {desired} does not contain {live}",
            fields=["ip_cidr_range"],
        )
    return False


def same_ranges(desired: t.Any, live: t.Any) -> bool:
    """Secondary ranges by name: those that others added (GKE adds its own) are no difference."""
    have = {item["rangeName"]: item for item in live or []}
    return all(same_stated(item, have.get(item["rangeName"])) for item in desired)


def merged_ranges(desired: t.Any, live: t.Any) -> list[Json]:
    """Secondary ranges are replaced as a whole, so those of others are sent along."""
    return list({item["rangeName"]: item for item in [*(live or []), *desired]}.values())


def same_purpose(desired: t.Any, live: t.Any) -> bool:
    return bool(desired == (live or "PRIVATE"))


class Subnetwork(ComputeObject):
    kind = "subnetwork"
    collection = "subnetworks"
    options = (
        "description",
        "network",
        "ip_cidr_range",
        "purpose",
        "role",
        "private_ip_google_access",
        "secondary_ip_ranges",
        "log_config",
    )
    fields: Sequence[Field] = (
        Field("network", same=same_link),
        Field("purpose", same=same_purpose),
        Field("description"),
        Field("ip_cidr_range", "expandIpCidrRange", same_range),
        Field("private_ip_google_access", "setPrivateIpGoogleAccess"),
        Field("role", "patch"),
        Field("secondary_ip_ranges", "patch", same_ranges, merged_ranges),
        Field("log_config", "patch"),
    )

    def desired(self) -> Json:
        body = super().desired()
        body["region"] = f"projects/{self.project}/regions/{self.region}"
        if "network" in body:
            body["network"] = link(self.project, "global/networks", body["network"])
        for option, value in (("ip_cidr_range", body.get("ipCidrRange")), *self._secondary()):
            check_cidr(option, value)
        return body

    def _secondary(self) -> list[tuple[str, str]]:
        ranges = self._params["secondary_ip_ranges"] or []
        return [(f"secondary_ip_ranges[{i}].ip_cidr_range", item["ip_cidr_range"]) for i, item in enumerate(ranges)]

    def request_of(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> tuple[str, str, Json]:
        if call != "patch":
            return "POST", f"{self.path}/{call}", {key: desired[key] for key in (_ONE_FIELD_CALLS[call],)}
        verb, path, body = super().request_of(call, changes, desired, live)
        for change in changes:
            if change.field.path == "secondary_ip_ranges":
                body["secondaryIpRanges"] = change.after
        return verb, path, body


_ONE_FIELD_CALLS = {"expandIpCidrRange": "ipCidrRange", "setPrivateIpGoogleAccess": "privateIpGoogleAccess"}


def check_cidr(option: str, value: str | None) -> None:
    """Raises InvalidOption for what is no CIDR range, or has bits set behind the mask."""
    if value is None:
        return
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise InvalidOption(option, value, f"give a CIDR range such as 10.0.1.0/24 ({error})") from error


def same_rules(desired: t.Any, live: t.Any) -> bool:
    """Allowed and denied protocols: neither their order nor that of their ports says anything."""

    def canonical(rules: t.Any) -> set[tuple[str, tuple[str, ...]]]:
        return {(rule["IPProtocol"].lower(), tuple(sorted(map(str, rule.get("ports") or [])))) for rule in rules or []}

    return canonical(desired) == canonical(live)


class FirewallRule(ComputeObject):
    kind = "firewall rule"
    collection = "firewalls"
    options = (
        "description",
        "network",
        "direction",
        "priority",
        "source_ranges",
        "destination_ranges",
        "source_tags",
        "target_tags",
        "target_service_accounts",
        "allowed",
        "denied",
        "disabled",
        "log_config",
    )
    fields: Sequence[Field] = (
        Field("network", same=same_link),
        Field("direction"),
        Field("priority", "patch"),
        Field("source_ranges", "patch", same_set),
        Field("destination_ranges", "patch", same_set),
        Field("source_tags", "patch", same_set),
        Field("target_tags", "patch", same_set),
        Field("target_service_accounts", "patch", same_set),
        Field("allowed", "patch", same_rules),
        Field("denied", "patch", same_rules),
        Field("disabled", "patch"),
        Field("log_config", "patch"),
        Field("description", "patch"),
    )

    def desired(self) -> Json:
        body = super().desired()
        if "network" in body:
            body["network"] = link(self.project, "global/networks", body["network"])
        for option in ("source_ranges", "destination_ranges"):
            for position, value in enumerate(self._params[option] or []):
                check_cidr(f"{option}[{position}]", value)
        # A rule either allows or denies: stating one is stating that the other is empty.
        if body.get("denied"):
            body["allowed"] = []
        elif body.get("allowed"):
            body["denied"] = []
        return body

    def create(self, desired: Json) -> Json | None:
        return super().create({key: value for key, value in desired.items() if value != []})


class Address(ComputeObject):
    """A regional address. Nothing but its labels can change: to change more would be to release it."""

    kind = "address"
    collection = "addresses"
    options = (
        "description",
        "address",
        "address_type",
        "purpose",
        "subnetwork",
        "network_tier",
        "labels",
    )
    fields: Sequence[Field] = (
        Field("address"),
        Field("address_type", same=lambda want, have: bool(want == (have or "EXTERNAL"))),
        Field("purpose"),
        Field("subnetwork", same=same_link),
        Field("network_tier"),
        Field("description"),
        Labels("labels", "setLabels"),
    )

    def desired(self) -> Json:
        body = super().desired()
        if "subnetwork" in body:
            body["subnetwork"] = link(self.project, f"regions/{self.region}/subnetworks", body["subnetwork"])
        if "address" in body:
            try:
                ipaddress.ip_address(body["address"])
            except ValueError as error:
                raise InvalidOption("address", body["address"], f"give an IP address ({error})") from error
        return body

    def request_of(self, call: str, changes: Sequence[Change], desired: Json, live: Json) -> tuple[str, str, Json]:
        body = {"labels": changes[0].after, "labelFingerprint": live.get("labelFingerprint")}
        return "POST", f"{self.path}/setLabels", body
