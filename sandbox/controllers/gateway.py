# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway API objects -> what the data plane serves: which VIPs, which routes, which backends. No I/O."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence

from sandbox.client import GATEWAYS, HTTP_ROUTES, POOL_IMPORTS, key_of
from sandbox.interfaces import Json, Listener, Rule

from .nodes import short_name

# The class that the sandbox's data plane serves: an internal load balancer with a VIP in each region.
CLASS = "gke-l7-cross-regional-internal-managed-mc"
NAMED = "networking.gke.io/named-address-with-region"
EPHEMERAL = "networking.gke.io/ephemeral-ipv4-address/"
PROXY_PURPOSE = "GLOBAL_MANAGED_PROXY"

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Fault:
    """Why something is not so: the condition type that is False, its reason, its message."""

    condition: str
    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What a Gateway needs of its cluster and of the cloud. ``region`` is the config cluster's own."""

    classes: Collection[str]
    region: str
    subnetworks: Sequence[Json]  # of the cluster's VPC network
    address: Callable[[str, str], Json | None]  # (region, name)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """VIPs as (region, address) in the order of the Gateway's addresses, or why there are none."""

    vips: tuple[tuple[str, str], ...] = ()
    fault: Fault | None = None


def judge(gateway: Json, around: Surroundings) -> Verdict:
    """Whether the Gateway can be programmed, and where."""
    spec = gateway["spec"]
    name = spec["gatewayClassName"]
    if name not in around.classes:
        text = (
            f'GatewayClass "{name}" is not available in this cluster; multi-cluster classes come with the fleet '
            "feature multiclusteringress, on its config cluster only"
        )
        return Verdict(fault=Fault("Accepted", "Pending", text))
    if name != CLASS:
        return Verdict(fault=Fault("Accepted", "Invalid", f'the sandbox programs "{CLASS}" only, not "{name}"'))
    bad = [listener["name"] for listener in spec["listeners"] if listener["protocol"] != "HTTP"]
    if bad:
        text = f"listeners {', '.join(bad)}: the sandbox serves protocol HTTP only"
        return Verdict(fault=Fault("Accepted", "ListenersNotValid", text))
    vips: list[tuple[str, str]] = []
    for item in spec.get("addresses") or [{"type": f"{EPHEMERAL}{around.region}", "value": around.region}]:
        vip = _vip(gateway, item, around)
        if isinstance(vip, Fault):
            return Verdict(fault=vip)
        vips.append(vip)
    for region, _unused in vips:
        if not proxy_ranges(around.subnetworks, region):
            text = (
                "error cause: gceSync: generic::invalid_argument: An active proxy-only subnetwork is required in the "
                f"same region and VPC as the forwarding rule. (region {region}, purpose {PROXY_PURPOSE})"
            )
            return Verdict(fault=Fault("Programmed", "Invalid", text))
    return Verdict(tuple(vips))


def _vip(gateway: Json, item: Json, around: Surroundings) -> tuple[str, str] | Fault:
    kind, value = item.get("type", "IPAddress"), item.get("value", "")
    if kind == NAMED:
        parts = value.split("/")
        if len(parts) != 4 or parts[0] != "regions" or parts[2] != "addresses":
            text = f'address "{value}" is not of the form regions/REGION/addresses/NAME'
            return Fault("Accepted", "UnsupportedAddress", text)
        found = around.address(parts[1], parts[3])
        if found is None or not found.get("address"):
            text = f'error cause: address-not-found: address "{value}" does not exist'
            return Fault("Programmed", "AddressNotAssigned", text)
        return parts[1], found["address"]
    if kind.startswith(EPHEMERAL):
        region = kind.removeprefix(EPHEMERAL)
        address = _ephemeral(gateway, region, around.subnetworks)
        if address is None:
            text = f"error cause: no subnetwork for an address in region {region} of the cluster's VPC network"
            return Fault("Programmed", "AddressNotAssigned", text)
        return region, address
    return Fault("Accepted", "UnsupportedAddress", f'addresses of type "{kind}" are not supported by class {CLASS}')


def _ephemeral(gateway: Json, region: str, subnetworks: Sequence[Json]) -> str | None:
    """An address that follows from the Gateway, in the upper half of the node subnet (reserved ones are low)."""
    for subnet in subnetworks:
        if short_name(subnet.get("region", "")) != region or subnet.get("purpose", "PRIVATE") != "PRIVATE":
            continue
        network = ipaddress.ip_network(subnet["ipCidrRange"])
        digest = hashlib.sha256(f"{'/'.join(key_of(gateway))}/{region}".encode()).digest()
        quarter = max(1, network.num_addresses // 4)
        return str(network[network.num_addresses // 2 + int.from_bytes(digest[:4], "big") % quarter])
    return None


def proxy_ranges(subnetworks: Sequence[Json], region: str) -> list[str]:
    """The ranges of the region's active proxy-only subnets for cross-region load balancers."""
    return [
        subnet["ipCidrRange"]
        for subnet in subnetworks
        if subnet.get("purpose") == PROXY_PURPOSE
        and subnet.get("role", "ACTIVE") == "ACTIVE"
        and short_name(subnet.get("region", "")) == region
    ]


@dataclasses.dataclass(frozen=True)
class Attachment:
    """A route at a parent: the listeners that took it, or the fault; and whether its backends are there."""

    parent: Json
    gateway: Key
    listeners: tuple[str, ...] = ()
    fault: Fault | None = None
    unresolved: Fault | None = None


def attach(route: Json, gateways: Mapping[Key, Json], imports: Collection[Key]) -> list[Attachment]:
    """The route's attachments to those of its parents that are in ``gateways``."""
    namespace = route["metadata"]["namespace"]
    found = []
    for parent in route["spec"].get("parentRefs") or []:
        if (parent.get("group", GATEWAYS.group), parent.get("kind", GATEWAYS.kind)) != (GATEWAYS.group, GATEWAYS.kind):
            continue
        key = (parent.get("namespace", namespace), parent["name"])
        gateway = gateways.get(key)
        if gateway is None:
            continue
        listeners, fault = _listeners(route, parent, gateway)
        fault = fault or _unsupported(route)
        names = tuple(listener["name"] for listener in listeners) if fault is None else ()
        found.append(Attachment(parent, key, names, fault, unresolved(route, imports)))
    return found


def _listeners(route: Json, parent: Json, gateway: Json) -> tuple[list[Json], Fault | None]:
    named = [
        listener
        for listener in gateway["spec"]["listeners"]
        if parent.get("sectionName") in (None, listener["name"]) and parent.get("port") in (None, listener["port"])
    ]
    if not named:
        text = f'Gateway "{gateway["metadata"]["name"]}" has no listener that the parentRef names'
        return [], Fault("Accepted", "NoMatchingParent", text)
    allowed = [listener for listener in named if _allowed(route, listener, gateway)]
    if not allowed:
        text = "no listener of the Gateway admits HTTPRoutes of this namespace"
        return [], Fault("Accepted", "NotAllowedByListeners", text)
    hosted = [listener for listener in allowed if hostnames(listener, route)]
    if not hosted:
        text = "the route's hostnames meet no listener's hostname"
        return [], Fault("Accepted", "NoMatchingListenerHostname", text)
    return hosted, None


def _allowed(route: Json, listener: Json, gateway: Json) -> bool:
    rules = listener.get("allowedRoutes") or {}
    kinds = rules.get("kinds") or [{"kind": HTTP_ROUTES.kind}]
    source = (rules.get("namespaces") or {}).get("from", "Same")
    same = route["metadata"]["namespace"] == gateway["metadata"]["namespace"]
    return any(item["kind"] == HTTP_ROUTES.kind for item in kinds) and (source == "All" or (source == "Same" and same))


def hostnames(listener: Json, route: Json) -> tuple[str, ...]:
    """The hostnames that listener and route have in common; ("*",) for all."""
    host = listener.get("hostname") or "*"
    wanted: list[str] = route["spec"].get("hostnames") or []
    if not wanted:
        return (host,)
    if host == "*":
        return tuple(wanted)
    return tuple(
        narrow for one in wanted for narrow in ([one] if _within(one, host) else [host] if _within(host, one) else [])
    )


def _within(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _unsupported(route: Json) -> Fault | None:
    """What GKE serves and the sandbox's data plane does not: said, not ignored."""
    for rule in route["spec"].get("rules") or []:
        beyond = [
            *(["filters"] if rule.get("filters") else []),
            *(
                field
                for match in rule.get("matches") or []
                for field in ("headers", "queryParams", "method")
                if match.get(field)
            ),
            *(
                f"path type {path['type']}"
                for match in rule.get("matches") or []
                if (path := match.get("path") or {}).get("type", "PathPrefix") != "PathPrefix"
            ),
        ]
        if beyond:
            return Fault("Accepted", "UnsupportedValue", f"the sandbox does not route by {', '.join(beyond)}")
    return None


def _reference(route: Json, backend: Json) -> Key:
    return backend.get("namespace", route["metadata"]["namespace"]), backend["name"]


def _problem(route: Json, backend: Json, imports: Collection[Key]) -> Fault | None:
    kind = (backend.get("group", ""), backend.get("kind", "Service"))
    key = _reference(route, backend)
    if kind != (POOL_IMPORTS.group, POOL_IMPORTS.kind):
        text = (
            f"backends of kind {'.'.join(part for part in reversed(kind) if part)} are not supported by class {CLASS}"
        )
        return Fault("ResolvedRefs", "InvalidKind", text)
    if key[0] != route["metadata"]["namespace"]:
        text = f"a reference to namespace {key[0]} is not permitted by any ReferenceGrant"
        return Fault("ResolvedRefs", "RefNotPermitted", text)
    if key not in imports:
        return Fault("ResolvedRefs", "BackendNotFound", f'{POOL_IMPORTS.kind} "{key[0]}/{key[1]}" not found')
    return None


def unresolved(route: Json, imports: Collection[Key]) -> Fault | None:
    """The first backendRef's fault, if any has one."""
    for rule in route["spec"].get("rules") or []:
        for backend in rule.get("backendRefs") or []:
            if fault := _problem(route, backend, imports):
                return fault
    return None


def backend_name(key: Key) -> str:
    return "/".join(key)


def rules(route: Json, listener: Json, imports: Collection[Key]) -> list[Rule]:
    """The route's rules at this listener; a rule none of whose backends resolves has none."""
    found = []
    for rule in route["spec"].get("rules") or []:
        backends = tuple(
            (backend_name(_reference(route, backend)), int(backend.get("weight", 1)))
            for backend in rule.get("backendRefs") or []
            if _problem(route, backend, imports) is None
        )
        prefixes = [(match.get("path") or {}).get("value", "/") for match in rule.get("matches") or []]
        found.append(Rule(backends, tuple(prefixes or ["/"]), hostnames(listener, route)))
    return found


def listeners(
    gateway: Json,
    vips: Sequence[tuple[str, str]],
    attached: Sequence[tuple[Json, Attachment]],
    imports: Collection[Key],
) -> list[Listener]:
    """The Gateway's listeners in each region, with the rules of the routes attached: longest prefix first."""
    namespace, name = key_of(gateway)
    made = []
    for listener in gateway["spec"]["listeners"]:
        found = [
            rule
            for route, attachment in attached
            if attachment.gateway == (namespace, name) and listener["name"] in attachment.listeners
            for rule in rules(route, listener, imports)
        ]
        single = [dataclasses.replace(rule, path_prefixes=(prefix,)) for rule in found for prefix in rule.path_prefixes]
        single.sort(key=lambda rule: -len(rule.path_prefixes[0]))
        made += [
            Listener(f"{namespace}/{name}", listener["name"], region, address, listener["port"], tuple(single))
            for region, address in vips
        ]
    return made
