# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses of a cluster's Pods: each its own, on loopback."""

from __future__ import annotations

import ipaddress


class NoAddress(Exception):
    """No Pod can have an address; the message says why."""


class AddressPool:
    """Hands out a range's addresses in turn, so that one given back is not somebody else's at once."""

    def __init__(self, cidr: str) -> None:
        """Raises NoAddress for a range that is not on loopback: processes could not bind to it."""
        try:
            network = ipaddress.IPv4Network(cidr)
        except ValueError as error:
            raise NoAddress(f"the cluster's clusterIpv4Cidr {cidr!r} is not a range") from error
        if not network.is_loopback:
            raise NoAddress(f"the sandbox runs Pods within 127.0.0.0/8 only, the cluster's Pod range is {cidr}")
        self._network = network
        self._next = 2
        self._taken: set[str] = set()

    def take(self) -> str:
        """Raises NoAddress when all are in use."""
        for _unused in range(self._network.num_addresses):
            address = self._network[self._next]
            self._next = self._next + 1 if self._next + 2 < self._network.num_addresses else 2
            if str(address) not in self._taken and address.packed[3] not in (0, 255):
                self._taken.add(str(address))
                return str(address)
        raise NoAddress(f"all addresses of {self._network} are in use")

    def give_back(self, address: str) -> None:
        self._taken.discard(address)
